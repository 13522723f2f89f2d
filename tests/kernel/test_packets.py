"""Programs that are run on packets from Python: those of `xdp` with rules, and others. Nothing is attached."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

import ebpflab
import pytest
from ebpflab.testing import run_tc, run_xdp, xdp_program

from tests.kernel import frames
from tests.kernel.frames import (
    ARP,
    ARP_REQUEST,
    FRAGMENT,
    HOP_BY_HOP,
    IPV4,
    IPV6,
    QINQ,
    TCP,
    UDP,
    VLAN,
    ethernet,
    ipv4,
    ipv6,
    udp_from,
)
from tests.support.elf import Program, bpf_object, instruction

if TYPE_CHECKING:
    from collections.abc import Sequence

Network = IPv4Network | IPv6Network
BAD4, BAD6 = "192.0.2.7", "2001:db8::7"
PROTOCOLS = ("tcp", "udp", "icmp", "arp", "other")
BLOCK = ("192.0.2.0/24", "2001:db8::/32")
#: Frames from blocked addresses, in every shape that the parser sees through, and more that it takes for malformed.
DROPPED = {
    "IPv4": udp_from(BAD4),
    "IPv6": udp_from(BAD6),
    "one tag": ethernet(IPV4, ipv4(UDP, source=BAD4), (VLAN,)),
    "two tags": ethernet(IPV4, ipv4(UDP, source=BAD4), (QINQ, VLAN)),
    "two tags, IPv6": ethernet(IPV6, ipv6(UDP, source=BAD6), (QINQ, VLAN)),
    "options": ethernet(IPV4, ipv4(TCP, options=bytes(40), source=BAD4)),
    "a first fragment": ethernet(IPV4, ipv4(TCP, offset=0x2000, source=BAD4)),
    "a later fragment": ethernet(IPV4, ipv4(TCP, b"12345678", offset=185, source=BAD4)),
    "extension headers": ethernet(IPV6, ipv6(HOP_BY_HOP, frames.EXTENDED, source=BAD6)),
    "a later IPv6 fragment": ethernet(IPV6, ipv6(FRAGMENT, frames.fragment(UDP, 100, b"12345678"), source=BAD6)),
    "an unknown transport": ethernet(IPV4, ipv4(253, b"", source=BAD4)),
    "a transport cut short": ethernet(IPV4, ipv4(TCP, b"1", source=BAD4)),
    "more stated than there": ethernet(IPV4, ipv4(UDP, total=1500, source=BAD4)),
    "more stated than there, IPv6": ethernet(IPV6, ipv6(UDP, length=1500, source=BAD6)),
}
#: Where no address is seen.
PASSED = {
    "another address": udp_from("198.51.100.7"),
    "another IPv6 address": udp_from("2001:db9::7"),
    "IPv4 in IPv6": udp_from(f"::ffff:{BAD4}"),
    "arp": ethernet(ARP, ARP_REQUEST),
    "three tags": ethernet(IPV4, ipv4(UDP, source=BAD4), (QINQ, VLAN, VLAN)),
    "a wrong version": ethernet(IPV4, ipv4(UDP, source=BAD4, version=6)),
    "a header cut short": ethernet(IPV4, ipv4(UDP, source=BAD4)[:19]),
}


@pytest.mark.smoke
def test_rules_are_met_in_every_frame_that_has_an_address() -> None:
    program = xdp_program(block=BLOCK)
    actions = {name: program.run(frame).action for name, frame in (DROPPED | PASSED).items()}
    assert actions == dict.fromkeys(DROPPED, "drop") | dict.fromkeys(PASSED, "pass")
    firewall = program.read().firewall
    assert firewall
    size = {name: sum(map(len, group.values())) for name, group in (("drop", DROPPED), ("pass", PASSED))}
    assert firewall.dropped == ebpflab.PacketCount(len(DROPPED), size["drop"])
    assert firewall.passed == firewall.unmatched == ebpflab.PacketCount(len(PASSED), size["pass"])
    by_rule = {rule.cidr: rule.packets for rule in firewall.rules}
    assert by_rule == {cidr: sum(rule_of(frame) == cidr for frame in DROPPED.values()) for cidr in BLOCK}


def rule_of(frame: bytes) -> str:
    return BLOCK[1] if ip_address(BAD6).packed in frame else BLOCK[0]


def test_what_is_counted_does_not_depend_on_rules() -> None:
    expected = {name: sum(frame.protocol == name for frame in frames.FRAMES) for name in PROTOCOLS}
    for options in ({}, {"block": ["0.0.0.0/0", "::/0"]}, {"top": 1}):
        program = xdp_program(**options)
        for frame in frames.FRAMES:
            program.run(frame.data)
        assert {name: count.packets for name, count in program.read().counts.items()} == expected


def longest_match(rules: dict[Network, str], tables: Sequence[dict[int, Network]], address: int, bits: int) -> str:
    for length in range(bits, -1, -1):
        found = tables[length].get(address >> (bits - length))
        if found is not None:
            return {"block": "drop", "allow": "pass"}[rules[found]]
    return "pass"


@pytest.mark.native
@pytest.mark.parametrize(("bits", "prefixes", "addresses"), [(32, 10_000, 60_000), (128, 10_000, 40_000)])
def test_random_rules_agree_with_the_longest_match(bits: int, prefixes: int, addresses: int) -> None:
    chosen = random.Random(bits)  # noqa: S311  the same every time
    rules: dict[Network, str] = {}
    while len(rules) < prefixes:
        length = chosen.randint(4, bits)
        # Near each other, so that they are in each other.
        near = chosen.getrandbits(12) << (bits - 12) | chosen.getrandbits(4)
        family = IPv4Network if bits == 32 else IPv6Network
        network = family((near >> (bits - length) << (bits - length), length))
        rules[network] = chosen.choice(["block", "allow"])
    tables: list[dict[int, Network]] = [{} for _ in range(bits + 1)]
    for network in rules:
        tables[network.prefixlen][int(network.network_address) >> (bits - network.prefixlen)] = network
    lists = {name: [network for network, action in rules.items() if action == name] for name in ("block", "allow")}
    program = xdp_program(**lists)  # type: ignore[arg-type]
    known = list(rules)
    wrong, dropped = [], 0
    for number in range(addresses):
        network = known[number % len(known)]
        inside = int(network.network_address) | chosen.getrandbits(bits - network.prefixlen or 1) & int(
            network.hostmask
        )
        address = inside if number % 4 else chosen.getrandbits(bits)
        expected = longest_match(rules, tables, address, bits)
        source = str((IPv4Address if bits == 32 else IPv6Address)(address))
        got = program.run(udp_from(source)).action
        dropped += got == "drop"
        if got != expected:
            wrong.append(source)
    assert wrong == []
    assert 0.1 * addresses < dropped < 0.9 * addresses
    firewall = program.read().firewall
    assert firewall
    assert (firewall.dropped.packets, firewall.passed.packets) == (dropped, addresses - dropped)
    # The tables are what ipaddress says.
    for network in chosen.sample(known, 50):
        holders = [each for each in known if network.network_address in each]
        best = max(holders, key=lambda each: each.prefixlen)
        expected = {"block": "drop", "allow": "pass"}[rules[best]]
        assert longest_match(rules, tables, int(network.network_address), bits) == expected


def test_rules_are_replaced_as_a_whole_and_counts_are_kept() -> None:
    program = xdp_program(block=["192.0.2.0/24", "203.0.113.0/24"], max_rules=2)
    for number in range(1, 6):
        assert program.run(udp_from("192.0.2.7")).action == "drop"
        assert program.run(udp_from("203.0.113.7")).action == "drop"
        program.replace(block=["203.0.113.0/24"], allow=["192.0.2.0/24"])
        assert program.run(udp_from("192.0.2.7")).action == "pass"
        with pytest.raises(ValueError, match="there are 3 rules, and room for 2"):
            program.replace(block=["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"])
        with pytest.raises(ValueError, match='allow "x": it is no IPv4 or IPv6 address'):
            program.replace(allow=["x"])
        assert program.run(udp_from("192.0.2.7")).action == "pass"
        program.replace(block=["192.0.2.0/24", "203.0.113.0/24"])
        firewall = program.read().firewall
        assert firewall
        told = {(rule.action, rule.cidr): (rule.packets, rule.active) for rule in firewall.rules}
        assert told == {
            ("block", "192.0.2.0/24"): (number, True),
            ("block", "203.0.113.0/24"): (number, True),
            ("allow", "192.0.2.0/24"): (2 * number, False),
        }
        assert (firewall.active, firewall.dropped.packets, firewall.passed.packets) == (2, 2 * number, 2 * number)


@pytest.mark.native
def test_the_busiest_sources_and_those_that_there_is_no_room_for() -> None:
    program = xdp_program(top=2)
    room, more = 16_384, 100
    for number in range(room + more):
        program.run(udp_from(str(ip_address(0x0A00_0000 + number))))
    for source, times in ((BAD6, 1), ("10.0.0.5", 7), ("10.0.0.6", 3)):
        program.run(udp_from(source), repeat=times)
    program.run(ethernet(ARP, ARP_REQUEST))
    sources = program.read().sources
    assert sources
    assert [(source.address, source.packets) for source in sources.top] == [("10.0.0.5", 8), ("10.0.0.6", 4)]
    assert (sources.tracked, sources.untracked.packets) == (room, more + 1)


def returns(number: int, section: str, name: str = "answer") -> Program:
    return Program(name, section, instruction(0xB7, imm=number) + instruction(0x95))


def test_xdp_programs_of_any_object() -> None:
    run = run_xdp(udp_from(BAD4), bpf_object(returns(3, "xdp")), repeat=100)
    assert (run.action, run.returned, run.packet) == ("tx", 3, udp_from(BAD4))
    assert (run.counts, run.firewall) == (None, None)
    assert run_xdp(udp_from(BAD4), bpf_object(returns(9, "xdp"))).action == "unknown"


def test_classifiers_of_any_object() -> None:
    several = bpf_object(returns(2, "classifier", "drops"), returns(-1, "classifier", "leaves"), returns(1, "xdp", "x"))
    run = run_tc(udp_from(BAD4), several, program="drops", repeat=100)
    assert (run.action, run.returned, run.packet) == ("shot", 2, udp_from(BAD4))
    run = run_tc(udp_from(BAD6), several, program="leaves")
    assert (run.action, run.returned) == ("unspec", -1)
    with pytest.raises(ValueError, match="say which program for tc; those it has: drops, leaves"):
        run_tc(udp_from(BAD4), several)
    with pytest.raises(ValueError, match="no program x for tc"):
        run_tc(udp_from(BAD4), several, program="x")
    with pytest.raises(ValueError, match="those it has: none"):
        run_tc(udp_from(BAD4), bpf_object(returns(1, "xdp")))


def test_run_xdp_tells_what_rules_did() -> None:
    run = run_xdp(udp_from("10.1.2.3"), block=["10.0.0.0/8"], allow=[ip_network("10.1.0.0/16")], repeat=23)
    assert (run.action, run.packet) == ("pass", udp_from("10.1.2.3"))
    assert run.ns_per_run > 0
    assert run.counts
    assert run.counts["udp"] == ebpflab.PacketCount(23, 23 * 42)
    assert run.firewall
    assert run.firewall.rules[0] == ebpflab.RuleCount("10.1.0.0/16", "allow", active=True, packets=23, bytes=23 * 42)


@pytest.mark.native
def test_misuse_is_told() -> None:
    other = bpf_object(returns(1, "xdp"))
    with pytest.raises(ValueError, match="ebpflab's own program"):
        run_xdp(udp_from(BAD4), other, block=[])
    with pytest.raises(ValueError, match="say which object"):
        run_xdp(udp_from(BAD4), program="x")
    with pytest.raises(ValueError, match="once at the least"):
        run_xdp(udp_from(BAD4), repeat=0)
    with pytest.raises(ValueError, match="only ebpflab's own"):
        xdp_program(other).read()
    with pytest.raises(ValueError, match="no rules that could be replaced"):
        xdp_program().replace(block=[])
    with pytest.raises(TypeError, match="a list of ranges"):
        xdp_program(block="10.0.0.0/8")
    with pytest.raises(ValueError, match="14 bytes at the least, not 13"):
        run_xdp(bytes(13))
