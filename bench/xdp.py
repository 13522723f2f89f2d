"""Nanoseconds that `ebpflab xdp` takes for a packet: by BPF_PROG_TEST_RUN, above a program that passes at once.

    python bench/xdp.py [ROUNDS]

The same packet again and again, so caches are warm; the programs take turns. Prints medians with quartiles. Needs root.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
from ipaddress import ip_address
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent.parent))

from ebpflab.testing import PacketProgram, xdp_program

from tests.kernel.frames import udp_from
from tests.support.elf import Program, bpf_object, instruction

REPEAT = 100_000
PASS = bpf_object(Program("passes", "xdp", instruction(0xB7, imm=2) + instruction(0x95)))


def with_rules(count: int) -> PacketProgram:
    """Load rules of random prefixes, none of which has the packet."""
    chosen = Random(count)  # noqa: S311  the same every time
    rules: set[str] = set()
    while len(rules) < count:
        length = chosen.randint(16, 32)
        first = (0x0B00_0000 | chosen.getrandbits(24)) >> (32 - length) << (32 - length)
        rules.add(f"{ip_address(first)}/{length}")
    return xdp_program(block=rules)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    packet, blocked = udp_from("10.1.2.3"), udp_from("11.0.0.1")
    match = xdp_program(block=["11.0.0.0/8"])
    programs = {
        "XDP_PASS": (xdp_program(PASS), packet),
        "without rules": (xdp_program(), packet),
        "0 rules": (xdp_program(block=[]), packet),
        "1 rule, met": (match, blocked),
        "1,000 rules": (with_rules(1_000), packet),
        "100,000 rules": (with_rules(100_000), packet),
        "--top": (xdp_program(top=10), packet),
    }
    measured: dict[str, list[int]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, (program, frame) in programs.items():
            measured[name].append(program.run(frame, repeat=REPEAT).ns_per_run)
    print(f"kernel {platform.release()}, {os.cpu_count()} CPUs, {rounds} rounds of {REPEAT} packets")
    base = statistics.median(measured["XDP_PASS"])
    for name, values in measured.items():
        low, median, high = statistics.quantiles(values, n=4)
        print(f"{name:14} {median:4.0f} ns ({low:.0f} to {high:.0f}), {median - base:+.0f}")


if __name__ == "__main__":
    main()
