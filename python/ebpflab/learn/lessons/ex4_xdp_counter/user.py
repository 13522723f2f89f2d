"""Loads the program of this folder, attaches it, and prints its counts: `python user.py [INTERFACE]`, as root."""

from __future__ import annotations

import sys
import time

import ebpflab
from ebpflab import learn

#: As in common.rs.
PROTOCOLS = ("tcp", "udp", "icmp", "other")


def main() -> None:
    """Print the counts every two seconds until Ctrl-C."""
    interface = sys.argv[1] if len(sys.argv) > 1 else "lo"
    with ebpflab.load(learn.build()) as obj:
        obj.programs["count_packets"].attach(interface)
        print(f"attached to {interface}; Ctrl-C ends it", flush=True)
        counts = obj.maps["COUNTS"]
        while True:
            time.sleep(2)
            # The values of all CPUs are added up; counts.per_cpu(0) has them apart.
            print(*(f"{name} {counts[index]}" for index, name in enumerate(PROTOCOLS)), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
