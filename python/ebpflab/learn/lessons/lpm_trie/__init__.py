"""Packets by the most precise rule for their source."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.work import draw, shuffled
from ebpflab.learn.work.network import ARP, Loopback, ethernet, ipv4

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

_UDP = 17


def check(report: Report, obj: Object) -> None:
    """Write rules that lie inside of each other, send packets from addresses inside and outside, and compare."""
    report.maps(obj, "map", "RULES", "HITS")
    # Not an address that reads the same from behind.
    first, second = draw(1, 99), draw(100, 199)
    networks = [f"{first}.{second}.{draw(0, 99)}.{draw(200, 250)}/32"]
    networks += [str(ipaddress.ip_network(networks[0]).supernet(new_prefix=bits)) for bits in (24, 16, 8)]
    rules = {ipaddress.IPv4Network(network): number for number, network in enumerate(shuffled(networks), 1)}
    sources = [_source(network, rules) for network in rules for _ in range(draw(3, 9))]
    sources += [ipaddress.IPv4Address(f"{draw(101, 120)}.1.2.3") for _ in range(draw(3, 9))]
    arps = draw(3, 9)
    frames = [ipv4(_UDP, source=str(source)) for source in sources] + [ethernet(ARP, bytes(28))] * arps
    with Loopback() as network:
        report.attach(obj, "attached", "xdp", target="lo")
        trie, hits = obj.maps["RULES"], obj.maps["HITS"]
        for rule, number in rules.items():
            trie[{"prefix_len": rule.prefixlen, "data": list(rule.network_address.packed)}] = number
        before = [hits[number] for number in range(len(rules) + 1)]
        network.send(shuffled(frames))
        found = {number: hits[number] - before[number] for number in range(len(rules) + 1)}
    _judge(report, rules, sources, arps, found)


def _source(network: ipaddress.IPv4Network, rules: dict[ipaddress.IPv4Network, int]) -> ipaddress.IPv4Address:
    """Return an address for which this rule is the most precise one."""
    while True:
        source = network.network_address + draw(0, network.num_addresses - 1)
        if _best(source, rules) == network:
            return source


def _best(
    source: ipaddress.IPv4Address, rules: dict[ipaddress.IPv4Network, int], most: int = 32
) -> ipaddress.IPv4Network | None:
    fitting = [rule for rule in rules if source in rule and rule.prefixlen <= most]
    return max(fitting, key=lambda rule: rule.prefixlen, default=None)


def _judge(
    report: Report,
    rules: dict[ipaddress.IPv4Network, int],
    sources: list[ipaddress.IPv4Address],
    others: int,
    found: dict[int, int],
) -> None:
    def counted(most: int = 32) -> dict[int, int]:
        """Count as a program does that looks up so many bits."""
        counts = dict.fromkeys(range(len(rules) + 1), 0)
        counts[0] = others
        for source in sources:
            best = _best(source, rules, most)
            counts[rules[best] if best else 0] += 1
        return counts

    wanted = counted()
    report.judge(
        "hits",
        {str(rule): wanted[number] for rule, number in rules.items()} | {"none": wanted[0]},
        {str(rule): found[number] for rule, number in rules.items()} | {"none": found[0]},
        (not any(found.values()), "Nothing is counted at all."),
        (
            any(found == counted(most) for most in (8, 16, 24, 31)),
            "The longest rules are never found: the key has to have all 32 bits.",
        ),
        (
            found[0] == sum(wanted.values()),
            "No rule is ever found. Is the source looked up (TODOs 1 and 2), its bytes as they are on the wire?",
        ),
        (sum(found.values()) > sum(wanted.values()), "Packets are counted more than once."),
        (True, "Packets are counted for other rules than the most precise one."),
    )


LESSON = Lesson(
    stem="lpm_trie",
    title="Packets by the most precise rule for their source",
    variants=(Variant("xdp", ()),),
    requirements={
        "map": "There are the maps RULES and HITS.",
        "attached": "The kernel takes the program, and it is attached.",
        "hits": "Each packet is counted for the rule with the longest prefix that fits its source, or for none.",
    },
    check=check,
)
