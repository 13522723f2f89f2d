"""Loads the program of this folder, attaches it, and prints the most frequent calls: `python user.py`, as root."""

from __future__ import annotations

import sys
import time

import ebpflab
from ebpflab import learn


def main() -> None:
    """Print ten every two seconds until Ctrl-C."""
    with ebpflab.load(learn.build()) as obj:
        obj.programs["called"].attach()
        while True:
            time.sleep(2)
            # The keys are structs of common.rs: the object has their type.
            for call, count in sorted(obj.maps["COUNTS"].items(), key=lambda item: -item[1])[:10]:
                print(f"pid {call.pid} made system call {call.number} {count} times", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
