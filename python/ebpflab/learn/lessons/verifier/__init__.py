"""Six refusals of the verifier."""

from __future__ import annotations

import contextlib
import struct
import time
from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.report import StopError
from ebpflab.learn.work import draw, shuffled
from ebpflab.learn.work.network import Loopback, ethernet, ipv4

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

_TCP, _UDP = 6, 17
#: A type of frames that nobody takes (IEEE 802: for local experiments).
_LOCAL = 0x88B5
_CUT = 64
#: How many bytes of a frame are kept.
_KEPT = 248
_ENDLESS = "TODO 4: where the map is full this never ends. Give it a number of rounds."
#: What the refusals of each program usually are, by their kinds.
_REFUSALS = {
    "ports": {"packet-bounds": "TODO 1: protocol() asked for 34 bytes, and what is read here ends behind them."},
    "asked": {
        "missing-null-check": "TODO 2: unwrap_unchecked is a promise, and it takes none. Ask, by `let ... else`.",
        "no-exit": "TODO 2: unwrap panics where there is nothing, and a panic never returns. Ask, by `let ... else`.",
    },
    "cut": {"helper-not-allowed": "TODO 3: helpers with skb in their names are not for XDP; its own have xdp there."},
    "lengths": {"unbounded-loop": _ENDLESS, "too-complex": _ENDLESS},
    "first": {
        "uninitialised-register": "TODO 5: R4 is the fourth argument of a helper, the flags of the insert: nobody has "
        "written them.",
    },
    "frames": {
        "stack-limit": "TODO 6: frames() has a Frame on its stack, and move_on() one more: that is more than there is. "
        "A value of a map is in memory already.",
    },
}
_DROPPED = "Packets are dropped: every packet goes its way, by XDP_PASS."


def check(report: Report, obj: Object) -> None:
    """Attach one program after the other, each to a network of its own, send packets that are drawn, and compare."""
    report.maps(obj, "map", "PORTS", "ASKED", "LENGTHS", "NO_ROOM", "FIRST", "FRAMES")
    for judge in (_ports, _asked, _cut, _lengths, _first, _frames):
        # One that is refused is no reason not to judge the others. Each is detached when its network is gone.
        with contextlib.suppress(StopError), Loopback() as network:
            judge(report, obj, network)


def _attach(report: Report, obj: Object, name: str) -> None:
    """Need a program to be taken."""
    report.attach(obj, name, "xdp", target="lo", only=name, refusals=_REFUSALS[name])


def _lost(network: Loopback, frames: list[bytes]) -> int:
    """Send frames in an order that is drawn; return how many did not come around."""
    return len(frames) - len(network.send(shuffled(frames)))


def _arrived(counts: object, lost: int) -> str:
    """Return counts for people, with what became of the packets."""
    return f"{counts}" + (f", and {lost} packets dropped" if lost else "")


def _protocols(count: int) -> list[int]:
    """Return protocols that are drawn."""
    return shuffled(list(range(100, 250)))[:count]


def _ports(report: Report, obj: Object, network: Loopback) -> None:
    _attach(report, obj, "ports")
    ports = {draw(least, least + 99): draw(least // 100, least // 100 + 9) for least in (300, 1400, 2500)}
    others, short = draw(3, 9), draw(3, 9)
    frames = [ipv4(_UDP, _header(port)) for port, count in ports.items() for _ in range(count)]
    frames += [ipv4(_TCP, _header(9)) for _ in range(others)]
    frames += [ipv4(_UDP, bytes(draw(0, 3))) for _ in range(short)]
    lost = _lost(network, frames)
    found = dict(obj.maps["PORTS"].items())
    report.judge(
        "ports",
        _arrived(dict(sorted(ports.items())), 0),
        _arrived(dict(sorted(found.items())), lost),
        (lost > 0, _DROPPED),
        (not found, "Nothing is counted: are more bytes asked for than the port takes (TODO 1)?"),
        (len(found) > len(ports), "Something else is counted too: only packets of UDP, by the port at TO_PORT."),
    )


def _header(port: int) -> bytes:
    """Return a header of UDP."""
    return struct.pack("!HHHH", draw(1, 99), port, 8, 0)


def _asked(report: Report, obj: Object, network: Loopback) -> None:
    _attach(report, obj, "asked")
    asked = {protocol: draw(least, least + 5) for protocol, least in zip(_protocols(3), (3, 10, 17), strict=True)}
    others = [protocol for protocol in _protocols(6) if protocol not in asked]
    for protocol in asked:
        obj.maps["ASKED"][protocol] = 0
    sent = [protocol for protocol, count in asked.items() for _ in range(count)]
    lost = _lost(network, [ipv4(protocol) for protocol in [*sent, *others]])
    found = dict(obj.maps["ASKED"].items())
    report.judge(
        "asked",
        _arrived(dict(sorted(asked.items())), 0),
        _arrived(dict(sorted(found.items())), lost),
        (lost > 0, _DROPPED),
        (not any(found.values()), "Nothing is counted, though there are entries."),
        (set(found) > set(asked), "There are counts that nobody asked for: where there is no entry, none is made."),
    )


def _cut(report: Report, obj: Object, network: Loopback) -> None:
    _attach(report, obj, "cut")
    # Some of each side of what is cut, and close to it.
    lengths = [14, _CUT - 1, _CUT, _CUT + 1, *(draw(14, _CUT) for _ in range(3)), *(draw(_CUT, 1400) for _ in range(9))]
    frames = [_frame(length) for length in lengths]
    found = sorted(network.send(shuffled(frames)))
    wanted = sorted(frame[:_CUT] for frame in frames)
    ends = [sorted(map(len, each)) for each in (wanted, found)]
    report.judge(
        "cut",
        f"frames of {ends[0]} bytes",
        f"frames of {ends[1]} bytes" + (", but not their first" if ends[0] == ends[1] and wanted != found else ""),
        (len(found) < len(frames), _DROPPED),
        (found == sorted(frames), "No frame is cut: bpf_xdp_adjust_tail moves the end, so here by a negative number."),
        (True, "Frames are cut in other places: by how much is CUT less the length."),
    )


def _frame(length: int) -> bytes:
    """Return a frame of which all but the header is drawn."""
    return ethernet(_LOCAL, bytes(draw(1, 255) for _ in range(length - 14)))


def _lengths(report: Report, obj: Object, network: Loopback) -> None:
    _attach(report, obj, "lengths")
    drawn = [draw(least, least + 9) for least in shuffled(list(range(20, 140, 20)))]
    counts = {length: draw(least, least + 5) for length, least in zip(drawn, range(3, 39, 6), strict=True)}
    # The first four come first.
    lost = sum(_lost(network, [_frame(length)]) for length in drawn[:4])
    more = [length for length, count in counts.items() for _ in range(count - (length in drawn[:4]))]
    lost += _lost(network, [_frame(length) for length in more])
    wanted = {length: counts[length] for length in sorted(drawn[:4])}
    found, no_room = dict(sorted(obj.maps["LENGTHS"].items())), obj.maps["NO_ROOM"][0]
    left = sum(counts[length] for length in drawn[4:])
    report.judge(
        "lengths",
        _arrived(f"{wanted}, no room: {left}", 0),
        _arrived(f"{found}, no room: {no_room}", lost),
        (lost > 0, _DROPPED),
        (not any(found.values()), "Nothing is counted by length."),
        (
            found == {length: count - 1 for length, count in wanted.items()},
            "The frame that makes an entry is not counted there: after the insert it takes one round more.",
        ),
        (found == wanted and not no_room, "Frames that have no room are not counted: add one to NO_ROOM[0] for each."),
        (found == wanted and no_room > left, "In NO_ROOM are frames that have an entry: return once they are counted."),
    )


def _first(report: Report, obj: Object, network: Loopback) -> None:
    _attach(report, obj, "first")
    protocols = _protocols(3)
    intervals: dict[int, list[tuple[int, int]]] = {protocol: [] for protocol in protocols}
    lost = 0
    # Each comes three times at least.
    for protocol in shuffled([each for each in protocols for _ in range(draw(3, 6))]):
        before = time.monotonic_ns()
        lost += _lost(network, [ipv4(protocol)])
        intervals[protocol].append((before, time.monotonic_ns()))
    times = dict(obj.maps["FIRST"].items())
    found = {
        protocol: next((n for n, (least, most) in enumerate(all_, 1) if least <= times.get(protocol, 0) <= most), None)
        for protocol, all_ in intervals.items()
    }
    report.judge(
        "first",
        _arrived("; ".join(f"protocol {protocol}: packet 1" for protocol in protocols), 0),
        _arrived(
            "; ".join(f"protocol {protocol}: " + (f"packet {n}" if n else "none") for protocol, n in found.items()),
            lost,
        ),
        (lost > 0, _DROPPED),
        (not times, "Nothing is kept: these flags make no entries."),
        (
            all(n == len(intervals[protocol]) for protocol, n in found.items()),
            "These are the last packets: with the flags 0 an entry is overwritten (TODO 5).",
        ),
        (None in found.values(), "The times are of no packet: is it bpf_ktime_get_ns() that is kept?"),
    )


def _frames(report: Report, obj: Object, network: Loopback) -> None:
    _attach(report, obj, "frames")
    sent = [_frame(draw(20, 400)) for _ in range(draw(4, 7))]
    lost = sum(_lost(network, [frame]) for frame in sent)
    kept = [struct.pack("=Q", len(frame)) + frame[:_KEPT][: len(frame) // 8 * 8].ljust(_KEPT, b"\0") for frame in sent]
    values = [obj.maps["FRAMES"][index] for index in range(3)]
    found = [struct.pack("=Q", value.length) + b"".join(map(bytes, value.bytes)) for value in values]
    names = [f"frame {kept.index(each) + 1}" if each in kept else "none that was sent" for each in found]
    wanted = [f"frame {len(sent) - index}" for index in range(3)]
    report.judge(
        "frames",
        _arrived(", ".join(wanted), 0),
        _arrived(", ".join(names), lost),
        (lost > 0, _DROPPED),
        (names[0] != wanted[0], "Not even the last frame is there whole: leave Frame and frames() as they were."),
        (not any(found[1][:8]), "Nothing is moved on: move_on(from, to) copies one entry to another (TODO 6)."),
        (True, "The entries are moved on to other places: from which to which is what move_on is given."),
    )


LESSON = Lesson(
    stem="verifier",
    title="Six programs that the verifier refuses: mend them",
    variants=(Variant("xdp", ()),),
    requirements={
        "map": "There are the maps PORTS, ASKED, LENGTHS, NO_ROOM, FIRST and FRAMES.",
        "ports": "ports is taken, and counts packets of UDP by the port that they are sent to.",
        "asked": "asked is taken, and counts packets by protocol, of those that were asked for.",
        "cut": "cut is taken, and leaves the first 64 bytes of longer frames.",
        "lengths": "lengths is taken, and counts frames by length, apart those for whose length there is no room.",
        "first": "first is taken, and keeps when the first packet of each protocol came.",
        "frames": "frames is taken, and keeps the last three frames.",
    },
    check=check,
)
