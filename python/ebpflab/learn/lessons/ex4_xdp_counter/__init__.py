"""An XDP program that counts packets by protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.work import draw, shuffled
from ebpflab.learn.work.network import ARP, IPV4, Loopback, ethernet, ipv4, ipv6

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

_NAMES = ("tcp", "udp", "icmp", "other")
_TCP, _UDP, _ICMP = 6, 17, 1


def check(report: Report, obj: Object) -> None:
    """Send frames of all kinds over a network of our own, numbers drawn at random, and compare the counts."""
    report.maps(obj, "map", "COUNTS")
    numbers = {
        name: draw(least, least + 5)
        for name, least in zip((*_NAMES[:3], "gre", "ipv6", "arp", "short"), range(3, 45, 6), strict=True)
    }
    frames = [
        *(ipv4(_TCP) for _ in range(numbers["tcp"])),
        *(ipv4(_UDP) for _ in range(numbers["udp"])),
        *(ipv4(_ICMP) for _ in range(numbers["icmp"])),
        *(ipv4(47) for _ in range(numbers["gre"])),
        # The byte of these that is where IPv4 has its protocol says TCP.
        *(ipv6(_UDP, _TCP) for _ in range(numbers["ipv6"])),
        *(ethernet(ARP, bytes([0, 1, 8, 0, 6, 4, 0, 1, 0, _UDP, *bytes(18)])) for _ in range(numbers["arp"])),
        *(ethernet(IPV4, bytes(draw(0, 9))) for _ in range(numbers["short"])),
    ]
    with Loopback() as network:
        report.attach(obj, "attached", "xdp", target="lo")
        counts = obj.maps["COUNTS"]
        before = [counts[index] for index in range(len(_NAMES))]
        arrived = network.send(shuffled(frames))
        found = dict(zip(_NAMES, (counts[index] - before[index] for index in range(len(_NAMES))), strict=True))
    _judge(report, numbers, found, len(arrived))


def _judge(report: Report, numbers: dict[str, int], found: dict[str, int], arrived: int) -> None:
    whole = {name: numbers[name] for name in _NAMES[:3]}
    others = {name: count for name, count in numbers.items() if name not in whole}
    wanted = whole | {"other": sum(others.values())}
    total = sum(numbers.values())
    by_that_byte = {
        "tcp": numbers["tcp"] + numbers["ipv6"],
        "udp": numbers["udp"] + numbers["arp"],
        "icmp": numbers["icmp"],
        "other": numbers["gre"] + numbers["short"],
    }
    report.judge(
        "pass",
        f"{total} frames arrive",
        f"{arrived} frames arrive",
        (arrived == 0, "The program drops all of them: it has to return XDP_PASS."),
        (arrived == total - numbers["short"], "Frames that are too short are dropped: XDP_PASS is for every frame."),
        (True, "Some frames are dropped: XDP_PASS is for every frame."),
    )
    report.judge(
        "counts",
        wanted,
        found,
        (not any(found.values()), "Nothing is counted: see TODO 3."),
        (sum(found.values()) == 2 * total, "Each frame is counted twice."),
        (
            sum(found.values()) == total - numbers["short"],
            "Frames too short to tell are not counted. They are `other`: ptr_at is None, and unwrap_or(OTHER).",
        ),
        (
            found == by_that_byte,
            "IPv6 and ARP are counted by a byte that is no protocol there: look at the type of a frame first.",
        ),
        (
            found == {"tcp": 0, "udp": 0, "icmp": 0, "other": total},
            "All frames count as other. Is the type turned from big endian, the protocol 9 bytes into the IP header?",
        ),
        (
            sorted(found.values()) == sorted(wanted.values()),
            "The numbers are right, and at the wrong places: which index is whose says common.rs.",
        ),
        (sum(found.values()) == total, "Frames are counted, some of them as another protocol than they are."),
    )


LESSON = Lesson(
    stem="ex4_xdp_counter",
    title="An XDP program that counts packets by protocol",
    variants=(Variant("xdp", ()),),
    requirements={
        "map": "There is a map COUNTS.",
        "attached": "The kernel takes the program, and it is attached.",
        "pass": "Every packet goes its way: the program only looks.",
        "counts": "Each packet is counted once, as what it is.",
    },
    check=check,
)
