"""Loads one program of this folder, attaches it, and prints its maps: `python user.py PROGRAM [INTERFACE]`, as root.

PROGRAM is one of the six functions. An interface has one program for XDP at a time.
"""

from __future__ import annotations

import sys
import time

import ebpflab
from ebpflab import learn

#: Where each program puts what it finds.
MAPS = {
    "ports": ("PORTS",),
    "asked": ("ASKED",),
    "cut": (),
    "lengths": ("LENGTHS", "NO_ROOM"),
    "first": ("FIRST",),
    "frames": ("FRAMES",),
}
#: What is asked for: ICMP, TCP and UDP.
ASKED = (1, 6, 17)


def main() -> None:
    """Print the maps every two seconds until Ctrl-C."""
    name, *more = sys.argv[1:] or ["ports"]
    if name not in MAPS:
        raise ValueError(f"there is no program {name}; there are {', '.join(MAPS)}")
    with ebpflab.load(learn.build()) as obj:
        print(name, "is attached to", obj.programs[name].attach(more[0] if more else "lo"), flush=True)
        for protocol in ASKED:
            obj.maps["ASKED"][protocol] = 0
        while True:
            time.sleep(2)
            for each in MAPS[name]:
                # Of a frame its length is enough.
                shown = {key: getattr(value, "length", value) for key, value in obj.maps[each].items()}
                print(each, *(f"{key}: {value}" for key, value in shown.items()), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
