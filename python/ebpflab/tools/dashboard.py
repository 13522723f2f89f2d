"""Opened files, executed programs and processes that end, as one stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab import _ebpflab
from ebpflab.records import ActivityEvent
from ebpflab.session import EventSession
from ebpflab.tools.only import only

if TYPE_CHECKING:
    import os


class Activity(EventSession[ActivityEvent]):
    """Opened files, executed programs and processes that end, in the order in which the kernel wrote them."""


def activity(
    *,
    pid: int | None = None,
    tid: int | None = None,
    uid: int | None = None,
    name: str | bytes | None = None,
    not_pid: int | None = None,
    tree: int | None = None,
    cgroup: str | os.PathLike[str] | None = None,
    container: str | None = None,
    path_prefix: str | bytes | None = None,
    hook: str | None = None,
    buffer: int | None = None,
) -> Activity:
    """Trace opened files, executed programs and processes that end together, through one ring buffer.

    `pid`, `tid`, `uid` and `name` (of the thread, at most 15 bytes) keep only what meets them, `not_pid` leaves one
    process out. `tree` keeps one process and all its descendants, `cgroup` a cgroup with all below it (its directory,
    or its path below the mount of v2), `container` one by name, id or the first digits of that, `path_prefix`, of the
    opened files, only those whose `full_path` begins so, or is not known. All of it filters in the kernel. `hook`
    forces the hook for opens: `fentry`, `kprobe`, `kretprobe`, `raw_tracepoint` or `tracepoint`. `buffer` is the size
    of the ring buffer in bytes (4 MiB), rounded up to a power of two; what does not fit is `ledger.dropped`.
    `stop().ledgers` has a ledger for each kind.

    Raises:
        NotSupportedError: This kernel has none of the hooks, or not the one asked for.
        PrivilegeError: CAP_BPF and CAP_PERFMON are needed.
        ValueError: There is no such hook, or an argument is out of its range.

    """
    keep = only(
        pid=pid,
        tid=tid,
        uid=uid,
        name=name,
        not_pid=not_pid,
        tree=tree,
        cgroup=cgroup,
        container=container,
        path_prefix=path_prefix,
    )
    return Activity(_ebpflab.attach_dashboard(keep, hook, buffer))
