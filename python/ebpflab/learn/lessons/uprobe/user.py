"""Loads the programs of this folder, attaches them, and prints what they tell: `python user.py`, as root.

For something to tell: `python3 -c 'import ctypes; print(ctypes.CDLL(None).a64l(b"abc"))'`
"""

from __future__ import annotations

import sys

import ebpflab
from ebpflab import learn


def main() -> None:
    """Print calls of a64l until Ctrl-C."""
    with ebpflab.load(learn.build()) as obj:
        events = obj.maps["EVENTS"].events(as_="Decoded")
        for program in obj.programs.values():
            print(f"{program.name} attached to {program.attach()}", flush=True)
        for event in events:
            text = bytes(event.text).split(b"\0")[0].decode(errors="backslashreplace")
            print(f"pid {event.pid}: a64l({text}) = {event.result}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
