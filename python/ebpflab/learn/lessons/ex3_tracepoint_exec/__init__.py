"""A tracepoint that tells which programs are executed."""

from __future__ import annotations

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

#: `ExecEvent` of common.rs.
_EVENT = struct.Struct("=II256s")
#: The kernel adds up to a multiple of 8, with the 4 bytes of the length before it.
_PADDING = 8
#: Where the text of a record begins, and how long it is, for the names that are executed here: less than this.
_MOST_OFFSET, _MOST_LENGTH = 64, 256


def check(report: Report, obj: Object) -> None:
    """Execute programs under names that nobody can know before, some of them by a thread, and compare."""
    report.maps(obj, "map", "EVENTS")
    with tempfile.TemporaryDirectory(prefix="e") as folder, Worker() as worker:
        program = shutil.which("true", path="/usr/bin:/bin")
        plan = [(str(Path(folder, word(draw(5, 100)))), number % 2 == 1) for number in range(draw(6, 12))]
        for path, _ in plan:
            Path(path).symlink_to(program or "/bin/true")
        report.attach(obj, "attached", "tracepoint")
        events = obj.maps["EVENTS"].events()
        done = worker.do("executes", plan)
        records = events.read()
        lost = events.lost
        events.close()
        wanted = [(pid, tid, path.encode()) for (pid, tid), (path, _) in zip(done, plan, strict=True)]
        _judge(report, records, wanted, folder.encode())
        report.judge("lost", 0, lost)


def _judge(report: Report, records: list[bytes], wanted: list[tuple[int, int, bytes]], folder: bytes) -> None:
    fields = [(pid, old, text(name)) for pid, old, name in unpack(report, "layout", _EVENT, records, _PADDING)]
    ids = {each for pid, tid, _ in wanted for each in (pid, tid)}
    # Buffers are one for each CPU: the order between them is not known.
    ours = {name: (pid, old) for pid, old, name in fields if name.startswith(folder)}
    nameless = [name for pid, _, name in fields if pid in ids]
    report.judge(
        "filename",
        f"{len(wanted)} names: {shown([name for *_, name in wanted][:1])}, ...",
        f"{len(ours)} of them"
        if sorted(ours) != sorted(name for *_, name in wanted)
        else f"{len(wanted)} names: {shown([name for *_, name in wanted][:1])}, ...",
        (
            bool(nameless) and not any(nameless),
            "The names are empty: nothing could be read there. The offset is in the lower 16 bits only: & 0xffff.",
        ),
        (True, f"The names that came: {shown([name for *_, name in fields][:3])}. Is the offset of filename right?"),
    )
    both = [(ours.get(name) or _by_id(fields, pid), pid, tid) for pid, tid, name in wanted]
    found = [(got[0], pid, tid) for got, pid, tid in both]
    report.judge(
        "pid",
        [pid for _, pid, _ in found],
        [got for got, _, _ in found],
        (all(got == tid for got, _, tid in found), "These are the ids from before the exec: that field is old_pid."),
        (_is_filename([got for got, *_ in found]), _DATA_LOC),
        (True, _OFFSET),
    )
    old = [(got[1], pid, tid) for got, pid, tid in both]
    report.judge(
        "old_pid",
        [tid for *_, tid in old],
        [got for got, *_ in old],
        (
            all(got == pid for got, pid, _ in old),
            "These are the ids after the exec: that field is pid, 4 bytes before.",
        ),
        (_is_filename([got for got, *_ in old]), _DATA_LOC),
        (True, _OFFSET),
    )


def _by_id(fields: list[tuple[int, int, bytes]], pid: int) -> tuple[int, int]:
    return next(((got, old) for got, old, _ in fields if got == pid), (0, 0))


def _is_filename(found: list[int]) -> bool:
    """Whether these are the field filename: one offset, behind the fields, and a length that is plausible."""
    offsets, lengths = {number & 0xFFFF for number in found}, {number >> 16 for number in found}
    return len(offsets) == 1 and max(offsets) < _MOST_OFFSET and min(lengths) > 0 and max(lengths) < _MOST_LENGTH


_DATA_LOC = "These are no ids: it is the field filename, a length and an offset. An offset is that of another field."
_OFFSET = "These are no ids of the workload: an offset is wrong, by some bytes perhaps. The format file has them."

LESSON = Lesson(
    stem="ex3_tracepoint_exec",
    title="A tracepoint that tells which programs are executed",
    variants=(Variant("tracepoint", ("tracepoint",)),),
    requirements={
        "map": "There is a perf event array EVENTS.",
        "attached": "The kernel takes the program, and it is attached.",
        "layout": "Each record is one ExecEvent.",
        "filename": "Each executed program makes one event, with the whole name of its file.",
        "pid": "`pid` is the process that executes it.",
        "old_pid": "`old_pid` is the id from before, which is another where a thread calls execve.",
        "lost": "Nothing is lost.",
    },
    check=check,
)
