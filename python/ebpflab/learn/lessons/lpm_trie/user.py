"""Loads the program of this folder with two rules, and prints their counts: `python user.py [INTERFACE]`, as root."""

from __future__ import annotations

import ipaddress
import sys
import time

import ebpflab
from ebpflab import learn

RULES = {"127.0.0.0/8": 1, "127.0.0.1/32": 2}


def key(prefix: str) -> dict[str, object]:
    """Return a prefix as the trie has it: how many bits, and the bytes."""
    network = ipaddress.IPv4Network(prefix)
    return {"prefix_len": network.prefixlen, "data": list(network.network_address.packed)}


def main() -> None:
    """Print the counts every two seconds until Ctrl-C."""
    interface = sys.argv[1] if len(sys.argv) > 1 else "lo"
    with ebpflab.load(learn.build()) as obj:
        for prefix, number in RULES.items():
            obj.maps["RULES"][key(prefix)] = number
        obj.programs["count_rules"].attach(interface)
        while True:
            time.sleep(2)
            hits = obj.maps["HITS"]
            print("no rule", hits[0], *(f"{prefix} {hits[number]}" for prefix, number in RULES.items()), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
