"""Counts of calls."""

from __future__ import annotations

from dataclasses import dataclass

from ebpflab.records.events import Container


@dataclass(frozen=True, slots=True)
class CallCount:
    """Calls of a target since the start, and of whom, as far as they are told apart; the rest of that is None.

    `target` is what was called: `vfs_read`, `libc:malloc`, `tracepoint:sched:sched_switch`. `comm` is the name of the
    thread, or, where only processes are told apart, of the process (None if it was gone before it was read). `rate` is
    calls per second since the last reading.
    """

    target: str
    pid: int | None
    comm: str | None
    cgroup: int | None
    cgroup_path: str | None
    container: Container | None
    count: int
    rate: float
