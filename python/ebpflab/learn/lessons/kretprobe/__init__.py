"""Files that could not be opened, and why."""

from __future__ import annotations

import errno
import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.records import shown, text, unpack
from ebpflab.learn.work import Worker, draw, shuffled, word

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

#: `FailedOpen` of common.rs.
_EVENT = struct.Struct("=Ii256s")
_KINDS = {"kprobe": ("kprobe", "kretprobe"), "raw_tracepoint": ("raw_tracepoint",)}


def check(report: Report, obj: Object) -> None:
    """Open files that are there and others that are not, in three threads; hold one of them in a call, and compare."""
    report.maps(obj, "map", "EVENTS", "CALLS")
    with tempfile.TemporaryDirectory(prefix="ebpflab-") as folder, Worker(threads=3) as worker:
        plan = [_files(Path(folder)) for _ in worker.tids]
        report.attach(obj, "attached", *_KINDS[report.variant])
        events = obj.maps["EVENTS"].events()
        errors: list[int] = worker.do("errors", plan)
        records = events.read()
        events.close()
        os.mkfifo(Path(folder, "pipe"))
        held: int = worker.do("holds", f"{folder}/pipe")
        kept = [tid for tid in obj.maps["CALLS"] if tid in worker.tids]
    report.need(
        "layout",
        f"records of {_EVENT.size} bytes",
        f"records of {_EVENT.size} bytes" if records else "no record at all",
        (True, "No failure is told: an entry is needed at the return (TODOs 1 and 3), and a result below 0 (TODO 2)."),
    )
    fields = [(pid, number, text(name)) for pid, number, name in unpack(report, "layout", _EVENT, records)]
    ours = [field for field in fields if field[0] in worker.tids or field[2].startswith(folder.encode())]
    opened = list(zip(errors, [name.encode() for names in plan for name in names], strict=True))
    _judge(report, opened, ours, worker)
    _judge_kept(report, held, sorted(kept), worker)


def _files(folder: Path) -> list[str]:
    """Return names of files, some of which can be opened, the last one among them."""
    there = [folder / word(draw(5, 20)) for _ in range(draw(5, 9))]
    loops = [folder / word(draw(5, 20)) for _ in range(draw(2, 5))]
    for file in there:
        file.touch()
    for link in loops:
        link.symlink_to(link)
    missing = [folder / word(draw(5, 20)) for _ in range(draw(2, 5))]
    below = [there[0] / word(draw(5, 20)) for _ in range(draw(2, 5))]
    return [str(name) for name in [*shuffled([*there, *loops, *missing, *below]), there[0]]]


def _judge(
    report: Report, opened: list[tuple[int, bytes]], found: list[tuple[int, int, bytes]], worker: Worker
) -> None:
    failed = [(number, name) for number, name in opened if number != 0]
    report.need(
        "count",
        f"{len(failed)} events",
        f"{len(found)} events",
        (not found, "Events came, and none has the id or a name of the process: see TODO 5."),
        (len(found) == len(opened), "Opened files are told too: where the result is 0 or more, return None (TODO 4)."),
        (
            len(found) == len(opened) - len(failed),
            "The opened files are told in the place of the others: a failure is a result below 0 (TODO 4).",
        ),
        (
            len(found) > len(failed),
            "Other calls are told too: take the entry out at the return, whatever the result is (TODO 3).",
        ),
        (True, "Some failures are not told: a failure is any result below 0 (TODO 4)."),
    )
    pids = sorted({pid for pid, *_ in found})
    report.judge(
        "pid",
        [worker.pid],
        pids,
        (pids == [0], "The id is not set: see TODO 5."),
        (True, "These are ids of threads: that of the process is in the upper half, `>> 32`."),
    )
    numbers = [number for number, _ in failed]
    told = [number for _, number, _ in found]
    report.judge(
        "errno",
        _errors(numbers),
        _errors(told),
        (set(told) == {0}, "The error is not set: see TODOs 4 and 5."),
        (told == [-number for number in numbers], "It still has the minus of the result: errno is `-result` (TODO 4)."),
        (
            set(told) in ({1}, {-1}),
            "It is always 1: the kernel's result says which error it is; -1 is the C library's.",
        ),
        (True, "That is not what the process was told: is it the result (TODO 2), with nothing added or cut?"),
    )
    names = [name for _, name in failed]
    given = [name for *_, name in found]
    wrong = next(((name, other) for name, other in zip(names, given, strict=True) if name != other), (b"", b""))
    report.judge(
        "name",
        shown([wrong[0]]),
        shown([wrong[1]]),
        (
            not any(given),
            "No name was read: is it the address from CALLS (TODO 3), by the helper for processes, ..._user_...?",
        ),
        (
            wrong[1] in [name for _, name in opened],
            "That is the name of another call: an entry has to be written at each call, and taken out at its return.",
        ),
        (True, "These are not the names: is the address that of the argument, kept by thread?"),
    )


def _errors(numbers: list[int]) -> str:
    """Return errors for people."""
    return ", ".join(f"{number} {errno.errorcode.get(number, '')}".rstrip() for number in numbers)


def _judge_kept(report: Report, held: int, kept: list[int], worker: Worker) -> None:
    report.judge(
        "kept",
        f"that of thread {held}, which is in a call",
        f"that of thread {held}, which is in a call" if kept == [held] else f"those of {kept or 'no thread'}",
        (
            kept in ([worker.pid], []),
            "By the id of the process threads take each other's calls out: keep each by that of the thread (TODO 1).",
        ),
        (
            True,
            "Calls that are over stay: take the entry out before you ask for the result, of successes too (TODO 3).",
        ),
    )


LESSON = Lesson(
    stem="kretprobe",
    title="Files that could not be opened, and why",
    variants=(Variant("kprobe", ("kprobe",)), Variant("raw_tracepoint", ("raw_tracepoint",))),
    requirements={
        "map": "There are the maps EVENTS and CALLS.",
        "attached": "The kernel takes both programs, and they are attached.",
        "layout": "Each record is one FailedOpen.",
        "count": "Each file that could not be opened makes one event, and no other does.",
        "pid": "`pid` is the id of the process, whichever of its threads opens the file.",
        "errno": "`errno` is the error that the process was told.",
        "name": "`name` is the name as the process gave it.",
        "kept": "CALLS has calls that have not returned, each by its thread, and none that are over.",
    },
    check=check,
)
