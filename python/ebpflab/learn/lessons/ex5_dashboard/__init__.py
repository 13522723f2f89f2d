"""Opened files and executed programs, as one stream."""

from __future__ import annotations

import shutil
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.records import shown, text, unpack
from ebpflab.learn.work import Names, Worker, draw, shuffled, word

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

#: `ActivityEvent` of common.rs.
_EVENT = struct.Struct("=II16s256s")
_OPEN, _EXEC = 1, 2
_COMM_LEN = 15


@dataclass(frozen=True)
class _Event:
    kind: int
    pid: int
    comm: bytes
    name: bytes


def check(report: Report, obj: Object) -> None:
    """Open files and execute programs in an order that is drawn, and compare the whole stream."""
    report.maps(obj, "map", "EVENTS")
    names = Names()
    with tempfile.TemporaryDirectory(prefix="e") as folder, Worker(threads=2) as worker:
        executed = [str(Path(folder, word(draw(5, 60)))) for _ in range(draw(4, 8))]
        for path in executed:
            Path(path).symlink_to(shutil.which("true", path="/usr/bin:/bin") or "/bin/true")
        comm = Path(f"/proc/{worker.pid}/comm").read_bytes().rstrip(b"\n")
        report.attach(obj, "attached", report.variant, "tracepoint")
        events = obj.maps["EVENTS"].events()
        wanted: list[_Event] = []
        for path in shuffled([*names.make(draw(6, 12)), *executed]):
            if path not in executed:
                # By the thread that is not the main one.
                worker.do("in_turn", [[], [path]])
                wanted.append(_Event(_OPEN, worker.pid, comm, path.encode()))
            else:
                ((pid, _),) = worker.do("executes", [(path, False)])
                wanted.append(_Event(_EXEC, pid, Path(path).name[:_COMM_LEN].encode(), path.encode()))
        records = events.read()
        events.close()
        fields = unpack(report, "layout", _EVENT, records)
        found = [_Event(kind, pid, text(of), text(name)) for kind, pid, of, name in fields]
        known = (names.prefix, folder.encode())
        _judge(report, wanted, found, worker, [event for event in found if event.name.startswith(known)])


def _judge(report: Report, wanted: list[_Event], found: list[_Event], worker: Worker, ours: list[_Event]) -> None:
    names, told = [event.name for event in wanted], [event.name for event in ours]
    executed = {event.name for event in wanted if event.kind == _EXEC}
    report.need(
        "name",
        f"{len(names)} names: {shown(names[:1])}, ...",
        f"{len(names)} names: {shown(names[:1])}, ..." if set(told) == set(names) else f"{len(set(told))} of them",
        (not ours, "No event has a name of the workload: see TODO 4."),
        (
            not executed & set(told) and any(not event.name and event.pid in _ids(wanted, _EXEC) for event in found),
            "Executed programs have no name. It is in the kernel's memory (..._kernel_...), at the lower 16 bits.",
        ),
        (not executed & set(told), "No executed program is told: see TODO 1."),
        (set(told) == executed, "No opened file has its name: it is in the memory of the process (..._user_...)."),
        (True, "Some names are cut, or missing: give the helper the whole field, `&mut (*event).name`."),
    )
    # The first event of each name; whether there are more is a matter of the order.
    by_name = {event.name: event for event in reversed(ours)}
    pairs = [(event, by_name[event.name]) for event in wanted]
    kinds = {got.kind for _, got in pairs}
    report.judge(
        "kind",
        [event.kind for event, _ in pairs],
        [got.kind for _, got in pairs],
        (kinds == {0}, "The kind is not set: see TODO 2."),
        (len(kinds) == 1, "All events say the same: each program has to say its own kind."),
        (True, "The kinds are those of the other program: OPEN is 1, EXEC is 2."),
    )
    report.judge(
        "pid",
        [event.pid for event, _ in pairs],
        [got.pid for _, got in pairs],
        ({got.pid for _, got in pairs} == {0}, "The process is not set: see TODO 2."),
        (
            any(got.pid in worker.tids[1:] for _, got in pairs),
            "Among these are ids of threads: that of the process is in the upper half, `>> 32`.",
        ),
    )
    report.judge(
        "comm",
        shown([event.comm for event, _ in pairs]),
        shown([got.comm for _, got in pairs]),
        (not any(got.comm for _, got in pairs), "It is not set: see TODO 3."),
        (True, "Is it bpf_get_current_comm(), in both programs?"),
    )
    report.judge(
        "order",
        "\n".join(shown([name]) for name in names),
        "\n".join(shown([name]) for name in told),
        (len(told) > len(names), "Some are told more than once."),
        (True, "They come out in another order."),
    )


def _ids(events: list[_Event], kind: int) -> set[int]:
    return {event.pid for event in events if event.kind == kind}


LESSON = Lesson(
    stem="ex5_dashboard",
    title="Opened files and executed programs as one stream",
    variants=(Variant("kprobe", ("kprobe", "tracepoint")), Variant("raw_tracepoint", ("raw_tracepoint", "tracepoint"))),
    requirements={
        "map": "There is a ring buffer EVENTS.",
        "attached": "The kernel takes both programs, and they are attached.",
        "layout": "Each record is one ActivityEvent.",
        "name": "`name` is the whole name of the file that is opened or executed.",
        "kind": "`kind` says which of both it is.",
        "pid": "`pid` is the process, whichever of its threads it was.",
        "comm": "`comm` is what the thread is called; after an exec, what it is called then.",
        "order": "There is one event for each, in the order in which things happened.",
    },
    check=check,
)
