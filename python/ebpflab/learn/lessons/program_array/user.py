"""Loads the programs of this folder and puts them together: `python user.py [INTERFACE [PROTOCOL...]]`, as root.

Packets of each PROTOCOL, a number of those that IP has, are refused: 1 is ICMP.
"""

from __future__ import annotations

import sys
import time

import ebpflab
from ebpflab import learn

TCP, UDP = 6, 17


def main() -> None:
    """Print the counts every two seconds until Ctrl-C."""
    interface, *refused = sys.argv[1:] or ["lo"]
    with ebpflab.load(learn.build()) as obj:
        slots = {TCP: "ports", UDP: "ports"} | {int(protocol): "refuse" for protocol in refused}
        for protocol, name in slots.items():
            obj.maps["PROGRAMS"][protocol] = obj.programs[name]
        # The others are called by it, and attached nowhere.
        obj.programs["start"].attach(interface)
        while True:
            time.sleep(2)
            ports = (f"{port}: {count}" for port, count in sorted(obj.maps["PORTS"].items()))
            refusals, missed = obj.maps["REFUSED"][0], obj.maps["MISSED"][0]
            print("refused", refusals, "missed", missed, "ports", *ports, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
