"""Programs that hand a packet on, by its protocol."""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.work import draw, shuffled
from ebpflab.learn.work.network import ARP, IPV4, Loopback, ethernet, ipv4, ipv6

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

_UDP = 17
_PROGRAMS = ("start", "ports", "refuse")
#: How long the header of Ethernet is.
_IP = 14


class _Packet(NamedTuple):
    """A packet, and what is to become of it: the name of a program, `none` without one, `other` if it is not IPv4."""

    frame: bytes
    fate: str
    #: The words of its header.
    length: int = 5


def check(report: Report, obj: Object) -> None:
    """Put programs where nobody can know before, send packets of these protocols and of others, and compare."""
    report.maps(obj, "map", "PROGRAMS", "PORTS", "REFUSED", "MISSED")
    lacking = [name for name in _PROGRAMS if name not in obj.programs]
    report.need(
        "programs",
        ", ".join(_PROGRAMS),
        ", ".join(obj.programs if lacking else _PROGRAMS) or "no program at all",
        (True, "The check finds a program by the name of its function: leave the names as they were."),
    )
    # No time to live is among them, and none is beside another.
    drawn = shuffled(list(range(3, 60, 3)))
    counted, refused, empty = drawn[:2], drawn[2:4], drawn[4:6]
    packets = _packets(counted, refused, empty)
    with report.verified("attached"):
        for protocols, name in ((counted, "ports"), (refused, "refuse"), (empty[:1], "refuse")):
            for protocol in protocols:
                obj.maps["PROGRAMS"][protocol] = obj.programs[name]
    # One slot is empty since it was emptied again, one has always been.
    del obj.maps["PROGRAMS"][empty[0]]
    with Loopback() as network:
        report.attach(obj, "attached", "xdp", target="lo", only="start")
        arrived = network.send([packet.frame for packet in packets])
    _judge(report, obj, packets)
    _judge_fates(report, packets, arrived)


def _packets(counted: list[int], refused: list[int], empty: list[int]) -> list[_Packet]:
    """Draw packets."""
    # None of them reads the same with its bytes exchanged.
    ports = [draw(256 * first + 128, 256 * first + 255) for first in (3, 9, 40)]
    packets = [
        _counted(protocol, port, options)
        for protocol in counted
        for port in ports
        for options in (*[0] * draw(2, 5), *(draw(1, 10) for _ in range(draw(2, 5))))
    ]
    # The header of IP, and no more.
    packets += [_Packet(ipv4(protocol), "ports") for protocol in counted]
    for protocols, fate, least in ((refused, "refuse", 3), (empty, "none", 10)):
        for protocol in protocols:
            packets += [_Packet(ipv4(protocol, options=draw(0, 5)), fate) for _ in range(draw(least, least + 5))]
    # The byte that in IPv4 is the protocol's says in these one that is refused.
    packets += [_Packet(ipv6(_UDP, refused[0]), "other") for _ in range(draw(3, 8))]
    packets += [_Packet(ethernet(ARP, bytes(9) + bytes([refused[0]]) + bytes(18)), "other") for _ in range(draw(3, 8))]
    packets += [_Packet(ethernet(IPV4, bytes(draw(0, 19))), "other") for _ in range(draw(3, 8))]
    return shuffled(packets)


def _counted(protocol: int, port: int, options: int) -> _Packet:
    """Return a packet that goes to a port, from one that is drawn."""
    ports = struct.pack("!HHI", draw(50_000, 60_000), port, 8)
    return _Packet(ipv4(protocol, ports, options=options), "ports", 5 + options)


def _seen(packets: list[_Packet], place: Callable[[int], int], order: Literal["big", "little"] = "big") -> Counter[int]:
    """Count as a program does that looks for the port at a place, which the length of the header says."""
    fields = [packet.frame[place(packet.length) :][:2] for packet in packets if packet.fate == "ports"]
    return Counter(int.from_bytes(field, order) for field in fields if field)


def _judge(report: Report, obj: Object, packets: list[_Packet]) -> None:
    """Compare what was counted."""
    fates = Counter(packet.fate for packet in packets)
    found, refused, missed = dict(obj.maps["PORTS"].entries()), obj.maps["REFUSED"][0], obj.maps["MISSED"][0]
    ip = fates["ports"] + fates["refuse"] + fates["none"]
    report.judge(
        "missed",
        fates["none"],
        missed,
        (not (missed or refused or found), "No program is called: start with TODO 2, and then TODO 3."),
        (missed == 0, "Nothing is counted: behind the call come those packets that there was no program for (TODO 3)."),
        (
            missed == ip and not (refused or found),
            "No packet finds its program: the index is the protocol of the packet, and nothing else (TODO 2).",
        ),
        (
            missed >= ip,
            "Packets are counted that there is a program for: count behind the call, not before it (TODO 3).",
        ),
    )
    report.judge(
        "ports",
        _counts(_seen(packets, lambda length: _IP + 4 * length + 2)),
        _counts(found),
        (not found, "Nothing is counted: see TODO 4."),
        (
            set(found) == {0},
            "It is always port 0: does `start` leave the offset in OFFSET (TODO 1), and `ports` add it (TODO 4)?",
        ),
        (
            found == _seen(packets, lambda length: _IP + 4 * length + 2, "little"),
            "The bytes of the ports are in the wrong order: u16::from_be_bytes (TODO 4).",
        ),
        (
            found == _seen(packets, lambda _: _IP + 20 + 2),
            "Options are taken for ports: the header is as long as its first byte says, not 20 bytes (TODO 1).",
        ),
        (
            found == _seen(packets, lambda length: _IP + length + 2),
            "The length of the header is in words of four bytes (TODO 1).",
        ),
        (
            found == _seen(packets, lambda length: 4 * length + 2),
            "OFFSET is counted from the beginning of the frame: the header of IP begins at IP (TODO 1).",
        ),
        (
            found == _seen(packets, lambda length: _IP + 4 * length),
            "These are the ports that packets come from: that which they go to is TO_PORT behind (TODO 4).",
        ),
        (True, "These are not the ports that the packets go to: see TODOs 1 and 4."),
    )
    report.judge(
        "refused",
        fates["refuse"],
        refused,
        (refused == 0, "Nothing is counted: see TODO 5."),
        (True, "Each packet is counted once."),
    )


def _counts(counts: dict[int, int]) -> str:
    """Return counts for people."""
    return ", ".join(f"port {port}: {count}" for port, count in sorted(counts.items())) or "no port"


def _judge_fates(report: Report, packets: list[_Packet], arrived: list[bytes]) -> None:
    """Compare what arrived with what was to arrive."""
    fates = {packet.frame: packet.fate for packet in packets}
    sent, came = Counter(packet.fate for packet in packets), Counter(fates.get(frame, "strange") for frame in arrived)
    names = {"ports": "of `ports`", "refuse": "of `refuse`", "none": "without a program", "other": "not IPv4"}
    report.judge(
        "verdict",
        ", ".join(f"{0 if fate == 'refuse' else sent[fate]} {name}" for fate, name in names.items()),
        ", ".join(f"{came[fate]} {name}" for fate, name in names.items()),
        (bool(came["refuse"]), "What `refuse` gets arrives: it has to return XDP_DROP (TODO 5)."),
        (came["ports"] == 0, "What `ports` counts is dropped: it has to return XDP_PASS."),
        (came["none"] == 0, "Packets without a program are dropped: they are let go, by XDP_PASS."),
        (True, "Packets are dropped that nobody is to drop: XDP_PASS is for all but those of `refuse`."),
    )


LESSON = Lesson(
    stem="program_array",
    title="Programs that call programs, by protocol",
    variants=(Variant("xdp", ()),),
    requirements={
        "map": "There are the maps PROGRAMS, PORTS, REFUSED and MISSED.",
        "programs": "There are the programs `start`, `ports` and `refuse`.",
        "attached": "The kernel takes all three programs, and `start` is attached.",
        "missed": "MISSED is how many packets of IPv4 there was no program for.",
        "ports": "PORTS is how many packets went to each port, of what `ports` gets.",
        "refused": "REFUSED is how many packets `refuse` got.",
        "verdict": "What `refuse` gets is dropped, and all other packets arrive.",
    },
    check=check,
)
