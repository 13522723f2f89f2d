"""Loads the program of this folder for a process, and tells what was lost: `python user.py PID`, as root."""

from __future__ import annotations

import sys
import time

import ebpflab
from ebpflab import learn


def main() -> None:
    """Print counts every two seconds until Ctrl-C."""
    if not sys.argv[1:]:
        raise ValueError("say which process to watch, by its id: python user.py PID")
    with ebpflab.load(learn.build()) as obj:
        obj.globals["TARGET"] = int(sys.argv[1])
        events = obj.maps["EVENTS"].events(as_="OpenEvent")
        obj.programs["opened"].attach()
        received = 0
        while True:
            time.sleep(2)
            received += len(events.read())
            seen, submitted, dropped = (obj.maps["LEDGER"][index] for index in range(3))
            print(f"seen {seen} = submitted {submitted} + dropped {dropped}; received {received}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
