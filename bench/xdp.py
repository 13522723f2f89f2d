"""Nanoseconds that `ebpflab xdp` takes for a packet: by BPF_PROG_TEST_RUN, above a program that passes at once.

    python bench/xdp.py [ROUNDS]

Each packet again and again, so caches are warm; the programs take turns. The rules are random prefixes, and the
packets' addresses lie among them. Prints a table of medians with quartiles. Needs root.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent.parent))

from ebpflab.testing import PacketProgram, xdp_program

from tests.kernel.frames import udp_from
from tests.support.elf import Program, bpf_object, instruction

PACKETS, ADDRESSES = 100_000, 100
PASS = bpf_object(Program("passes", "xdp", instruction(0xB7, imm=2) + instruction(0x95)))
#: Where the rules and the addresses are.
RANGES = {4: ip_network("11.0.0.0/8"), 6: ip_network("2001:db8::/32")}


def within(version: int, chosen: Random) -> int:
    """Choose an address of the range, as a number."""
    network = RANGES[version]
    return int(network.network_address) | chosen.getrandbits(network.max_prefixlen - network.prefixlen)


def with_rules(count: int, version: int = 4) -> PacketProgram:
    """Load random prefixes, the same every time."""
    chosen = Random(count)  # noqa: S311
    bits, rules = RANGES[version].max_prefixlen, set[str]()
    while len(rules) < count:
        length = chosen.randint(RANGES[version].prefixlen + 8, bits)
        first = within(version, chosen) >> (bits - length) << (bits - length)
        rules.add(f"{ip_address(first)}/{length}")
    return xdp_program(block=rules)


def random_frames(version: int) -> list[bytes]:
    """Choose addresses, the same every time."""
    chosen = Random(version)  # noqa: S311
    return [udp_from(str(ip_address(within(version, chosen)))) for _ in range(ADDRESSES)]


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    four, six = random_frames(4), random_frames(6)
    without, match = xdp_program(), xdp_program(block=["11.0.0.0/8"])
    many, many_six = with_rules(10_000), with_rules(10_000, 6)
    cases: dict[str, tuple[PacketProgram, list[bytes]]] = {
        "XDP_PASS": (xdp_program(PASS), four[:1]),
        "the parser chain": (without, four[:1]),
        "the parser chain, IPv6": (without, six[:1]),
        "1 rule": (match, four[:1]),
        "10,000 rules, one address": (many, four[:1]),
        "10,000 rules, random addresses": (many, four),
        "10,000 rules, IPv6, one address": (many_six, six[:1]),
        "10,000 rules, IPv6, random addresses": (many_six, six),
        "100,000 rules, random addresses": (with_rules(100_000), four),
        "--top 10": (xdp_program(top=10), four[:1]),
    }
    measured: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (program, frames) in cases.items():
            runs = [program.run(frame, repeat=PACKETS // len(frames)).ns_per_run for frame in frames]
            measured[name].append(statistics.fmean(runs))
    base = statistics.median(measured["XDP_PASS"])
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, {rounds} rounds of {PACKETS:,} packets.\n")
    print("| packet | ns | above XDP_PASS |\n|---|---|---|")
    for name, values in measured.items():
        low, median, high = statistics.quantiles(values, n=4)
        print(f"| {name} | {median:.0f} ({low:.0f} to {high:.0f}) | {median - base:+.0f} |")


if __name__ == "__main__":
    main()
