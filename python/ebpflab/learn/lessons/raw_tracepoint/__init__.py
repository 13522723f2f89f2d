"""System calls by process and number."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from ebpflab.learn.lesson import Lesson, Variant
from ebpflab.learn.work import Worker, draw

if TYPE_CHECKING:
    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

#: Calls that change nothing, and that no runtime makes by itself: getppid, getpgid, getsid, getpriority.
_CALLS = {"x86_64": (110, 121, 124, 140), "aarch64": (173, 155, 156, 141)}


def check(report: Report, obj: Object) -> None:
    """Have two processes make system calls, one of them in two threads, and compare the counts."""
    report.maps(obj, "map", "COUNTS")
    numbers = _CALLS[platform.machine()]
    with Worker(threads=2) as first, Worker() as second:
        report.attach(obj, "attached", "raw_tracepoint")
        wanted: dict[tuple[int, int], int] = {}
        for worker, least in ((first, 10), (second, 40)):
            plan = [[[number, draw(least, least + 25)] for number in numbers] for _ in worker.tids]
            worker.do("calls", plan)
            for calls in plan:
                for number, count in calls:
                    wanted[worker.pid, number] = wanted.get((worker.pid, number), 0) + count
        found = dict(obj.maps["COUNTS"].entries())
    _judge(report, wanted, {_key(key): value for key, value in found.items()}, [first, second])


def _key(key: Any) -> tuple[int, int]:  # noqa: ANN401  as the object's types say
    try:
        return key.pid, key.number
    except AttributeError:
        return (-1, -1)


def _judge(
    report: Report, wanted: dict[tuple[int, int], int], found: dict[tuple[int, int], int], workers: list[Worker]
) -> None:
    pids = [worker.pid for worker in workers]
    threads = {tid for worker in workers for tid in worker.tids} - set(pids)
    strangers = sorted({pid for pid, _ in found} & threads)
    ours = {key: found.get(key, 0) for key in wanted}
    keys = f"{len(wanted)} keys: {min(wanted)}, ..."
    met = all(ours.values()) and not strangers
    report.need(
        "key",
        keys,
        keys if met else f"{sum(map(bool, ours.values()))} of them, and {', '.join(map(str, strangers)) or 'others'}",
        (not found, "The map is empty."),
        ((-1, -1) in found, "COUNTS is a HashMap<Call, u64, ...>; leave its types as they were."),
        ({pid for pid, _ in found} == {0}, "The process is not set: see TODO 3."),
        (
            bool(strangers),
            "Among the keys are ids of threads: that of the process is in the upper half, `>> 32`.",
        ),
        (
            any(key not in found for key in wanted) and bool({pid for pid, _ in found} & set(pids)),
            "The processes are there, and their calls are not: is it argument 1 (TODO 2) of sys_enter (TODO 1)?",
        ),
        (True, "The keys are not those of the workload."),
    )
    report.judge(
        "count",
        wanted,
        ours,
        (all(ours[key] == 2 * count for key, count in wanted.items()), "Each call is counted twice."),
        (set(ours.values()) == {1}, "A count is always 1: it has to be added to."),
        (
            all(ours[key] == count - 1 for key, count in wanted.items()),
            "Each count is one too small: the call that makes the entry counts too.",
        ),
        (True, "Calls are missing, or counted that were not made."),
    )


LESSON = Lesson(
    stem="raw_tracepoint",
    title="A raw tracepoint that counts system calls",
    variants=(Variant("raw_tracepoint", ("raw_tracepoint",)),),
    requirements={
        "map": "There is a map COUNTS.",
        "attached": "The kernel takes the program, and it is attached.",
        "key": "The keys are processes with the numbers of their calls.",
        "count": "The value is how often the process made the call.",
    },
    check=check,
)
