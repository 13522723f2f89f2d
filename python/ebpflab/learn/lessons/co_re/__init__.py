"""Fields of the kernel's structs, found by whoever loads the program."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.records import shown, text, unpack
from ebpflab.learn.work import Worker, draw, word

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

#: `Executed` of common.rs.
_EVENT = struct.Struct("=II128s")
_FIELDS = ("linux_binprm.filename", "task_struct.real_parent", "task_struct.tgid")


def check(report: Report, obj: Object) -> None:
    """Have threads of a process execute programs under names that nobody can know before, and compare."""
    report.maps(obj, "map", "EVENTS")
    program = shutil.which("true", path="/usr/bin:/bin") or "/bin/true"
    with tempfile.TemporaryDirectory(prefix="e") as folder, Worker(threads=3) as worker:
        plan = [[str(Path(folder, word(draw(5, 80)))) for _ in range(draw(2, 6))] for _ in worker.tids]
        for path in [each for paths in plan for each in paths]:
            Path(path).symlink_to(program)
        report.attach(obj, "attached", "raw_tracepoint")
        events = obj.maps["EVENTS"].events()
        children: list[int] = worker.do("spawns", plan)
        records = events.read()
        events.close()
    fields = [(pid, parent, text(name)) for pid, parent, name in unpack(report, "layout", _EVENT, records)]
    _judge(report, children, [path.encode() for paths in plan for path in paths], fields, worker)
    asked = [field for field in _FIELDS if field in obj.kernel_fields]
    report.judge(
        "asked",
        ", ".join(_FIELDS),
        ", ".join(asked) or "nothing",
        (True, "An offset is a number in the program: right on this kernel, and wrong on the next, without a word."),
    )


def _judge(
    report: Report, children: list[int], paths: list[bytes], fields: list[tuple[int, int, bytes]], worker: Worker
) -> None:
    ours = [field for field in fields if field[0] in children]
    report.need(
        "count",
        f"{len(children)} events",
        f"{len(ours)} events",
        (not ours, "No event is of a process of the workload: `?` ends the program where a read fails (the TODOs)."),
        (True, "Each program that is executed makes one event."),
    )
    names = [name for *_, name in ours]
    report.judge(
        "filename",
        shown(paths),
        shown(names),
        (not any(names), "No name was read: see TODO 3."),
        (True, "That is not the name. In the struct is the address of the name: read that first, as a `*const u8`."),
    )
    parents = [parent for _, parent, _ in ours]
    report.judge(
        "parent",
        [worker.pid],
        sorted(set(parents)),
        (set(parents) == {0}, "It is not set, or read where nothing is: see TODOs 1 and 2."),
        (set(parents) <= set(worker.tids), "These are ids of threads: that of the process is in the field tgid."),
        (parents == children, "These are the processes themselves: tgid has to be read from the parent's struct."),
        (set(parents) == {os.getpid()}, "That is the parent's parent."),
        (
            True,
            "These are no ids of the workload. In the struct is the address of the parent's struct: read that first.",
        ),
    )


LESSON = Lesson(
    stem="co_re",
    title="Fields of the kernel's structs, on whichever kernel",
    variants=(Variant("raw_tracepoint", ("raw_tracepoint",)),),
    requirements={
        "map": "There is a ring buffer EVENTS.",
        "attached": "The kernel takes the program, and it is attached.",
        "layout": "Each record is one Executed.",
        "count": "Each program that is executed makes one event.",
        "filename": "`filename` is the name of the file.",
        "parent": "`parent` is the id of the process that started it, whichever of its threads did.",
        "asked": "The program asks the kernel that loads it where the fields are.",
    },
    check=check,
)
