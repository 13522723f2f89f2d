"""A kprobe that counts how many files each process opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.work import Names, Worker, draw

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object


def check(report: Report, obj: Object) -> None:
    """Have three processes open files, one of them in three threads, and compare the counts."""
    report.maps(obj, "map", "COUNTS")
    names = Names()
    with Worker(threads=3) as first, Worker() as second, Worker() as third:
        report.attach(obj, "attached", report.variant)
        wanted: dict[int, int] = {}
        # More than once each, so that counts have to be added to; different ones, so that none stands for another.
        for worker, least in ((first, 4), (second, 30), (third, 60)):
            plan = [names.make(draw(least, least + 9)) for _ in worker.tids]
            wanted[worker.pid] = worker.do("in_turn", plan)
        found = dict(obj.maps["COUNTS"].entries())
        _judge(report, wanted, found, [first, second, third])


def _judge(report: Report, wanted: dict[int, int], found: dict[Any, Any], workers: list[Worker]) -> None:
    tids = {tid for worker in workers for tid in worker.tids} - set(wanted)
    typed = all(isinstance(each, int) for entry in found.items() for each in entry)
    keys = sorted(key for key in found if key in wanted or key in tids) if typed else []
    report.need(
        "key",
        sorted(wanted),
        keys or list(found)[:4],
        (not found, "The map is empty: nobody inserts (TODO 2). get_ptr_mut gives None for a key that is not there."),
        (
            bool(tids & set(found)),
            "Among these are ids of threads: the lower half. That of the process is in the upper half: `>> 32` first.",
        ),
        (not typed, "COUNTS is a HashMap<u32, u64, MAX_ENTRIES>; leave its types as they were."),
        (
            any(key >= 1 << 32 for key in found if typed),
            "The keys are both ids in one: take the upper half, `>> 32`, as a u32.",
        ),
        (set(found) == {0}, "The only key is 0: the id is not set (TODO 1)."),
        (True, "The keys are not ids of processes."),
    )
    counts = {pid: found.get(pid, 0) for pid in wanted}
    less = {pid: wanted[pid] - count for pid, count in counts.items()}
    report.judge(
        "count",
        wanted,
        counts,
        (set(counts.values()) == {1}, "A count is always 1: it is set where one has to be added to what is there."),
        (
            set(less.values()) == {1},
            "Each count is one too small: the call that makes the entry counts too. Add after the insert, or insert 1.",
        ),
        (
            set(less.values()) == {-1},
            "Each count is one too large: the call that makes the entry is counted twice, by the insert and after it.",
        ),
        (all(found.get(pid) == 2 * count for pid, count in wanted.items()), "Each call is counted twice."),
    )


LESSON = Lesson(
    stem="ex2_kprobe_counter",
    title="A kprobe that counts, by process, in a hash map",
    variants=(Variant("kprobe", ("kprobe",)), Variant("raw_tracepoint", ("raw_tracepoint",))),
    requirements={
        "map": "There is a map COUNTS.",
        "attached": "The kernel takes the program, and it is attached.",
        "key": "The keys are the ids of processes: one entry for each, however many threads it has.",
        "count": "The value is the number of files that the process opened.",
    },
    check=check,
)
