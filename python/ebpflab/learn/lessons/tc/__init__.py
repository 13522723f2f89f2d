"""Packets and bytes that leave by an interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.work import draw, shuffled
from ebpflab.learn.work.network import ARP, Loopback, ethernet, ipv4, ipv6

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

_NAMES = ("tcp", "udp", "other")
_TCP, _UDP, _ICMP = 6, 17, 1
_LINK = 14


def check(report: Report, obj: Object) -> None:
    """Send packets of many lengths over a network of our own, and compare packets and bytes."""
    report.maps(obj, "map", "TRAFFIC")
    frames = {
        "tcp": [ipv4(_TCP, bytes(draw(0, 900))) for _ in range(draw(3, 9))],
        "udp": [ipv4(_UDP, bytes(draw(0, 900))) for _ in range(draw(13, 19))],
        "icmp": [ipv4(_ICMP, bytes(draw(0, 900))) for _ in range(draw(23, 29))],
        # The byte of these that is where IPv4 has its protocol says TCP, or UDP.
        "ipv6": [ipv6(_UDP, _TCP) for _ in range(draw(33, 39))],
        "arp": [ethernet(ARP, bytes([*bytes(9), _UDP, *bytes(18)])) for _ in range(draw(43, 49))],
    }
    with Loopback() as network:
        report.attach(obj, "attached", "tc", target="lo:egress")
        traffic = obj.maps["TRAFFIC"]
        before = [(traffic[index].packets, traffic[index].bytes) for index in range(len(_NAMES))]
        arrived = network.send(shuffled([frame for some in frames.values() for frame in some]))
        after = [(traffic[index].packets, traffic[index].bytes) for index in range(len(_NAMES))]
    found = {name: (now[0] - then[0], now[1] - then[1]) for name, then, now in zip(_NAMES, before, after, strict=True)}
    _judge(report, frames, found, len(arrived))


def _judge(report: Report, frames: dict[str, list[bytes]], found: dict[str, tuple[int, int]], arrived: int) -> None:
    def summed(*names: str) -> tuple[int, int]:
        chosen = [frame for name in names for frame in frames[name]]
        return len(chosen), sum(map(len, chosen))

    total = sum(map(len, frames.values()))
    wanted = {"tcp": summed("tcp"), "udp": summed("udp"), "other": summed("icmp", "ipv6", "arp")}
    report.judge(
        "pass",
        f"{total} packets arrive",
        f"{arrived} packets arrive",
        (True, "The program drops packets: TC_ACT_OK is for every packet."),
    )
    packets = {name: count for name, (count, _) in found.items()}
    by_that_byte = {
        "tcp": len(frames["tcp"] + frames["ipv6"]),
        "udp": len(frames["udp"] + frames["arp"]),
        "other": len(frames["icmp"]),
    }
    report.judge(
        "packets",
        {name: count for name, (count, _) in wanted.items()},
        packets,
        (not any(packets.values()), "Nothing is counted: see TODO 2."),
        (
            packets == by_that_byte,
            "IPv6 and ARP are counted by a byte that is no protocol there: look at the type first.",
        ),
        (packets == {"tcp": 0, "udp": 0, "other": total}, "All packets are counted as other: see TODO 1."),
        (sum(packets.values()) != total, "Packets are counted more than once, or not at all."),
        (True, "Packets are counted as another protocol than they are."),
    )
    lengths = {name: length for name, (_, length) in found.items()}
    report.judge(
        "bytes",
        {name: length for name, (_, length) in wanted.items()},
        lengths,
        (not any(lengths.values()), "No bytes are counted: see TODO 2."),
        (lengths == packets, "It is one for each packet: add ctx.len()."),
        (
            all(lengths[name] == length - _LINK * count for name, (count, length) in wanted.items()),
            "The link header is missing, 14 bytes of each packet.",
        ),
        (True, "It is ctx.len() of each packet, added up."),
    )


LESSON = Lesson(
    stem="tc",
    title="Packets and bytes that leave by an interface",
    variants=(Variant("tc", ("tcx",)),),
    requirements={
        "map": "There is a map TRAFFIC.",
        "attached": "The kernel takes the program, and it is attached.",
        "pass": "Every packet goes its way: the program only looks.",
        "packets": "Each packet is counted once, as what it is.",
        "bytes": "Its bytes are counted with it.",
    },
    check=check,
)
