"""What a function of the C library is given, and what it returns."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.records import shown, text, unpack
from ebpflab.learn.work import Worker, draw, word

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

#: `Decoded` of common.rs.
_EVENT = struct.Struct("=I12sq")


def check(report: Report, obj: Object) -> None:
    """Have a process call the function with texts that nobody can know before, in two threads, and compare."""
    report.maps(obj, "map", "EVENTS", "CALLS")
    with Worker(threads=2) as worker:
        report.attach(obj, "attached", "uprobe", "uretprobe")
        events = obj.maps["EVENTS"].events()
        plan = [[word(draw(3, 6)) for _ in range(draw(5, 15))] for _ in worker.tids]
        results: list[int] = worker.do("decodes", plan)
        records = events.read()
        events.close()
        left = len(obj.maps["CALLS"])
    fields = [(pid, text(given), result) for pid, given, result in unpack(report, "layout", _EVENT, records)]
    wanted = list(zip([each.encode() for texts in plan for each in texts], results, strict=True))
    _judge(report, wanted, [field for field in fields if field[0] in worker.tids], worker, left)


def _judge(
    report: Report, wanted: list[tuple[bytes, int]], found: list[tuple[int, bytes, int]], worker: Worker, left: int
) -> None:
    report.need(
        "count",
        f"{len(wanted)} events",
        f"{len(found)} events",
        (not found, "No event has the id of the process."),
        (True, "Each call that returns makes one event."),
    )
    pids = sorted({pid for pid, *_ in found})
    report.judge(
        "pid",
        [worker.pid],
        pids,
        (True, "These are ids of threads: that of the process is in the upper half, `>> 32`."),
    )
    texts = [given for given, _ in wanted]
    told = [given for _, given, _ in found]
    report.judge(
        "text",
        shown(texts),
        shown(told),
        (
            not any(told),
            "No text could be read: is it the address from CALLS (TODO 2), by the helper for processes, ..._user_...?",
        ),
        (len(set(told)) == 1, "It is always the same text: an entry has to be written at each call (TODO 1)."),
        (True, "These are not the texts: is the address that of the argument, kept by thread?"),
    )
    returned = [result for _, result in wanted]
    got = [result for *_, result in found]
    report.judge(
        "result",
        returned,
        got,
        (set(got) == {0}, "The result is not set: see TODO 3."),
        (
            [result & 0xFFFF for result in returned] == got or [result & 0xFF for result in returned] == got,
            "Only some bits of the result are there: it is a long, an i64.",
        ),
        (True, "That is not what the function returned: ctx.ret()."),
    )
    report.judge(
        "left",
        "0 entries in CALLS",
        f"{left} entries in CALLS",
        (True, "Calls that are over stay in the map, which is full some day: remove the entry at the return."),
    )


LESSON = Lesson(
    stem="uprobe",
    title="Arguments and results of a function of the C library",
    variants=(Variant("uprobe", ()),),
    requirements={
        "map": "There are the maps EVENTS and CALLS.",
        "attached": "The kernel takes both programs, and they are attached.",
        "layout": "Each record is one Decoded.",
        "count": "Each call makes one event.",
        "pid": "`pid` is the id of the process, whichever of its threads calls.",
        "text": "`text` is what the function was given.",
        "result": "`result` is what it returned.",
        "left": "Nothing of calls that are over is left in CALLS.",
    },
    check=check,
)
