"""A kprobe that tells who opens which file."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.records import shown, text, unpack
from ebpflab.learn.work import Names, Worker, draw

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

#: `OpenEvent` of common.rs.
_EVENT = struct.Struct("=I256s")
_LONGEST = 255


def check(report: Report, obj: Object) -> None:
    """Open files of names that nobody can know before, in three threads, and compare."""
    report.maps(obj, "map", "EVENTS")
    names = Names()
    with Worker(threads=3) as worker:
        report.attach(obj, "attached", report.variant)
        events = obj.maps["EVENTS"].events()
        # The last name takes all the room that there is.
        plan = [
            names.make(draw(5, 9)),
            names.make(draw(3, 9)),
            [*names.make(draw(3, 9)), *names.make(1, 255, _LONGEST)],
        ]
        worker.do("in_turn", plan)
        records = events.read()
        events.close()
    _judge(report, records, [path.encode() for paths in plan for path in paths], worker, names)


def _judge(report: Report, records: list[bytes], paths: list[bytes], worker: Worker, names: Names) -> None:
    fields = unpack(report, "layout", _EVENT, records)
    ours = [(pid, text(name)) for pid, name in fields if pid in worker.tids or text(name).startswith(names.prefix)]
    report.need(
        "count",
        f"{len(paths)} events",
        f"{len(ours)} events",
        (not ours, f"{len(records)} events came, and none has an id or a name of the workload: see TODOs 2 and 3."),
        (len(ours) > len(paths), "A call is told more than once, or calls are told that open no file: see TODO 1."),
        (True, "Some calls are not told: the program returns before it submits, or submits only some."),
    )
    pids = sorted({pid for pid, _ in ours})
    report.judge(
        "pid",
        [worker.pid],
        pids,
        (pids == [0], "The id is not set: see TODO 2."),
        (
            set(pids) <= set(worker.tids),
            "These are ids of threads. That of the process is in the upper half: `>> 32` before `as u32`.",
        ),
    )
    found = [name for _, name in ours]
    wrong = next(((wanted, got) for wanted, got in zip(paths, found, strict=True) if wanted != got), (b"", b""))
    report.judge(
        "name",
        shown([wrong[0]]),
        shown([wrong[1]]),
        (
            not any(found),
            "No name was read. Is it argument 1 (from 0), and the helper for processes, bpf_probe_read_user_...?",
        ),
        (
            wrong[0].startswith(wrong[1]),
            f"The name is cut after {len(wrong[1])} bytes: give the helper the whole field, `&mut (*event).name`.",
        ),
        (True, "These are not the bytes of the name."),
    )


LESSON = Lesson(
    stem="ex1_kprobe_open",
    title="A kprobe that tells who opens which file",
    variants=(Variant("kprobe", ("kprobe",)), Variant("raw_tracepoint", ("raw_tracepoint",))),
    requirements={
        "map": "There is a ring buffer EVENTS.",
        "attached": "The kernel takes the program, and it is attached.",
        "layout": "Each record is one OpenEvent.",
        "count": "Each open of a file makes one event.",
        "pid": "`pid` is the id of the process, whichever of its threads opens the file.",
        "name": "`name` is the name as the process gave it, whole up to 255 bytes.",
    },
    check=check,
)
