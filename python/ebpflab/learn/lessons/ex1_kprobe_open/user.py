"""Loads the program of this folder, attaches it, and prints what it tells: `python user.py`, as root."""

from __future__ import annotations

import sys

import ebpflab
from ebpflab import learn


def main() -> None:
    """Print opened files until Ctrl-C."""
    with ebpflab.load(learn.build()) as obj:
        # Records are read as the struct of common.rs: the object has its type.
        events = obj.maps["EVENTS"].events(as_="OpenEvent")
        where = obj.programs["opened"].attach()
        print(f"attached to {where}; Ctrl-C ends it", flush=True)
        for event in events:
            name = bytes(event.name).split(b"\0")[0]
            print(f"pid {event.pid} opens {name.decode(errors='backslashreplace')}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
