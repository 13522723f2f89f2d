"""Loads the programs of this folder, attaches them, and prints what they tell: `python user.py`, as root."""

from __future__ import annotations

import os
import sys

import ebpflab
from ebpflab import learn


def main() -> None:
    """Print files that could not be opened until Ctrl-C."""
    with ebpflab.load(learn.build()) as obj:
        events = obj.maps["EVENTS"].events(as_="FailedOpen")
        for program in obj.programs.values():
            print(f"{program.name} attached to {program.attach()}", flush=True)
        for event in events:
            name = bytes(event.name).split(b"\0")[0].decode(errors="backslashreplace")
            print(f"pid {event.pid} cannot open {name}: {os.strerror(event.errno)}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
