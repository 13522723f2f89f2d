"""Loads the program of this folder, attaches it, and prints what leaves: `python user.py [INTERFACE]`, as root."""

from __future__ import annotations

import sys
import time

import ebpflab
from ebpflab import learn

#: As in common.rs.
PROTOCOLS = ("tcp", "udp", "other")


def main() -> None:
    """Print packets and bytes every two seconds until Ctrl-C."""
    interface = sys.argv[1] if len(sys.argv) > 1 else "lo"
    with ebpflab.load(learn.build()) as obj:
        obj.programs["leaves"].attach(f"{interface}:egress")
        while True:
            time.sleep(2)
            # The values are structs of common.rs, those of all CPUs added up.
            traffic = [(name, obj.maps["TRAFFIC"][index]) for index, name in enumerate(PROTOCOLS)]
            print(
                *(f"{name} {each.packets} packets {each.bytes} bytes" for name, each in traffic), sep="; ", flush=True
            )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
