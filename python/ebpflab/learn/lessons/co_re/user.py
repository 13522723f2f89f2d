"""Loads the program of this folder, attaches it, and prints what it tells: `python user.py`, as root."""

from __future__ import annotations

import sys

import ebpflab
from ebpflab import learn


def main() -> None:
    """Print executed programs until Ctrl-C."""
    with ebpflab.load(learn.build()) as obj:
        events = obj.maps["EVENTS"].events(as_="Executed")
        print(f"asks for {', '.join(obj.kernel_fields)}")
        print(f"attached to {obj.programs['executed'].attach()}; Ctrl-C ends it", flush=True)
        for event in events:
            name = bytes(event.filename).split(b"\0")[0].decode(errors="backslashreplace")
            print(f"pid {event.pid}, started by {event.parent}, executes {name}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
