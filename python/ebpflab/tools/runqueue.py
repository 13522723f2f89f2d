"""How long tasks wait for a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab import _ebpflab
from ebpflab.tools.latency import TimeSession, nanoseconds
from ebpflab.tools.only import only

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable


class RunqueueCounter(TimeSession):
    """How long tasks waited for a CPU."""


def runqueue(
    *,
    by: Iterable[str] = (),
    pid: int | None = None,
    tid: int | None = None,
    uid: int | None = None,
    name: str | bytes | None = None,
    not_pid: int | None = None,
    tree: int | None = None,
    cgroup: str | os.PathLike[str] | None = None,
    container: str | None = None,
    linear: float | None = None,
    slower: float | None = None,
    max_entries: int | None = None,
) -> RunqueueCounter:
    """Measure how long tasks wait for a CPU: from being woken, or made, or preempted, to running.

    `by` is what waits are told apart by: any of `pid`, `comm` (the name of the thread) and `cgroup`. The filters are
    those of `ebpflab.counts`, and mean the task that waits, as it is when its wait begins. The histogram has powers of
    two, or, with `linear`, steps of so many seconds. Waits that are longer than `slower` seconds are told one by one.

    Waits that began before are not seen; those that have not ended at the end are `ledger.pending`. `max_entries` is
    the most buckets that the map holds (16,384); waits of further ones are `ledger.map_full`.

    Raises:
        NotSupportedError: This kernel has no raw tracepoints.
        PrivilegeError: CAP_BPF and CAP_PERFMON are needed.
        ValueError: An argument is out of its range.

    """
    step_ns, slower_ns = nanoseconds(linear=linear, slower=slower)
    keep = only(
        pid=pid,
        tid=tid,
        uid=uid,
        name=name,
        not_pid=not_pid,
        tree=tree,
        cgroup=cgroup,
        container=container,
    )
    return RunqueueCounter(_ebpflab.attach_runqueue(keep, list(by), step_ns, slower_ns, max_entries))
