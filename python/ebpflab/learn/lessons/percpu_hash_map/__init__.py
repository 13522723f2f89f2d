"""A count for each CPU, so that none is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.work import Names, Worker, draw, possible_cpus

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object


def check(report: Report, obj: Object) -> None:
    """Have the threads of two processes open files at the same time, and compare the counts."""
    report.maps(obj, "map", "COUNTS")
    names = Names()
    with Worker(threads=4) as first, Worker(threads=2) as second:
        report.attach(obj, "attached", "raw_tracepoint")
        wanted: dict[int, int] = {}
        for worker, least in ((first, 100), (second, 300)):
            wanted[worker.pid] = worker.do("at_once", [names.make(draw(least, least + 99)) for _ in worker.tids])
        counts = obj.maps["COUNTS"]
        found = dict(counts.entries())
        tids = {tid for worker in (first, second) for tid in worker.tids} - set(wanted)
        report.need(
            "key",
            sorted(wanted),
            sorted(key for key in found if key in wanted or key in tids) or list(found)[:4],
            (not found, "The map is empty: nobody inserts (TODO 2)."),
            (bool(tids & set(found)), "Among these are ids of threads: that of the process is in the upper half."),
            (True, "The keys are not ids of processes."),
        )
        apart = {pid: counts.per_cpu(pid) for pid in wanted}
        report.need(
            "per_cpu",
            "a value for each CPU",
            "a value for each CPU" if set(map(len, apart.values())) == {possible_cpus()} else "one value for all CPUs",
            (True, "COUNTS is no PerCpuHashMap (TODO 1). What two CPUs add to at the same time loses counts."),
        )
        # A kernel that preempts programs skips runs of one that is preempted on that CPU, and tells how many.
        skipped = sum(program.missed or 0 for program in obj.programs.values())
        lacking = [wanted[pid] - found[pid] for pid in wanted]
        excused = min(lacking) >= 0 and sum(lacking) <= skipped
        report.judge(
            "count",
            wanted,
            wanted if excused else {pid: found[pid] for pid in wanted},
            (
                all(set(values) <= {0, 1} for values in apart.values()),
                "No CPU's count is above 1: the insert overwrites what is there. Insert only where there is no entry.",
            ),
            (
                all(found[pid] == 2 * count for pid, count in wanted.items()),
                "Each call is counted twice.",
            ),
            (
                all(1 <= found[pid] - count <= len(apart[pid]) for pid, count in wanted.items()),
                "One too many: the call that makes the entry is counted by the insert and after it. Insert zero.",
            ),
            (True, "Calls are lost: is each of them added to the count of the CPU that it happens on?"),
        )


LESSON = Lesson(
    stem="percpu_hash_map",
    title="A count for each CPU, so that none is lost",
    variants=(Variant("raw_tracepoint", ("raw_tracepoint",)),),
    requirements={
        "map": "There is a map COUNTS.",
        "attached": "The kernel takes the program, and it is attached.",
        "key": "The keys are the ids of processes.",
        "per_cpu": "Each CPU has a count of its own.",
        "count": "All together is the number of files that the process opened, however many threads do it at once.",
    },
    check=check,
)
