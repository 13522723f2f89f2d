"""A ledger of what a program could not tell."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.records import unpack
from ebpflab.learn.work import Names, Worker, draw

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

#: `OpenEvent` of common.rs, and how many of it there is room for: 8 bytes more each.
_EVENT = struct.Struct("=QII")
_ROOM = 4096 // (_EVENT.size + 8)


def check(report: Report, obj: Object) -> None:
    """Open more files than the ring has room for, read, open some more, and compare the ledger with all of that."""
    report.maps(obj, "map", "EVENTS", "LEDGER")
    names = Names()
    with Worker() as worker:
        report.need(
            "target",
            "TARGET",
            "TARGET" if "TARGET" in obj.globals else ", ".join(obj.globals) or "no global",
            (True, "TARGET is a static of the program, with #[unsafe(no_mangle)]; leave it as it was."),
        )
        obj.globals["TARGET"] = worker.pid
        report.attach(obj, "attached", "raw_tracepoint")
        events = obj.maps["EVENTS"].events()
        many, few = _ROOM + draw(100, 400), draw(20, 60)
        records: list[bytes] = []
        for count in (many, few):
            worker.do("in_turn", [names.make(count)])
            records += events.read()
        events.close()
        ledger = [obj.maps["LEDGER"][index] for index in range(3)]
    _judge(report, many + few, records, ledger)


def _judge(report: Report, opened: int, records: list[bytes], ledger: list[int]) -> None:
    fields = unpack(report, "layout", _EVENT, records)
    received = len(fields)
    seen, submitted, dropped = ledger
    report.judge(
        "seen",
        opened,
        seen,
        (seen == 0, "Nothing is counted as seen: see TODO 1."),
        (seen == received, "Only what was handed over is counted: SEEN comes before reserve."),
        (seen == opened - received, "Only what was dropped is counted: SEEN comes before reserve."),
    )
    report.judge(
        "submitted",
        received,
        submitted,
        (submitted == 0, "Nothing is counted as submitted: see TODO 3."),
        (submitted == opened, "Lost events are counted as submitted: count after reserve gave room."),
    )
    report.judge(
        "dropped",
        opened - received,
        dropped,
        (dropped == 0, "Events were lost, and nobody counted them: where reserve is None, add(DROPPED). See TODO 2."),
        (dropped == opened, "Every event is counted as dropped: count only where reserve is None."),
        (dropped == received, "What was handed over is counted as dropped."),
    )
    numbers = [number for number, *_ in fields]
    # Which numbers were lost only the ring knows; but they go up, from 1 to the last.
    ordered = numbers == sorted(set(numbers)) and numbers[:1] == [1] and numbers[-1:] == [opened]
    report.judge(
        "number",
        f"from 1 to {opened}, each once",
        f"from 1 to {opened}, each once" if ordered else f"from {min(numbers)} to {max(numbers)}",
        (set(numbers) == {0}, "The number is not set: it is what add(SEEN) returns."),
        (True, "The number of an event is that of the call, lost ones among them: what add(SEEN) returns."),
    )


LESSON = Lesson(
    stem="loss_accounting",
    title="A ledger of what could not be told",
    variants=(Variant("raw_tracepoint", ("raw_tracepoint",)),),
    requirements={
        "map": "There are the maps EVENTS and LEDGER.",
        "target": "There is the global TARGET.",
        "attached": "The kernel takes the program, and it is attached.",
        "layout": "Each record is one OpenEvent.",
        "seen": "SEEN is how many files the process opened, told or not.",
        "submitted": "SUBMITTED is how many events user space receives.",
        "dropped": "DROPPED is how many were lost.",
        "number": "The number of an event is that of the call.",
    },
    check=check,
)
