"""How many files each process opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ebpflab import _ebpflab
from ebpflab.records import PidCount
from ebpflab.session import CountSession
from ebpflab.tools.only import only

if TYPE_CHECKING:
    import os


class PidCounter(CountSession[list[PidCount]]):
    """Counts by process, the busiest first."""

    def _counts(self, raw: Any) -> list[PidCount]:  # noqa: ANN401
        return [PidCount(*row) for row in raw]

    def top(self, n: int = 10) -> list[PidCount]:
        """Return the `n` busiest processes.

        Raises:
            ClosedError: The session was stopped.

        """
        return self.read()[:n]


def counts(
    *,
    pid: int | None = None,
    tid: int | None = None,
    uid: int | None = None,
    name: str | bytes | None = None,
    not_pid: int | None = None,
    tree: int | None = None,
    cgroup: str | os.PathLike[str] | None = None,
    container: str | None = None,
    failed: bool = False,
    hook: str | None = None,
    max_entries: int | None = None,
) -> PidCounter:
    """Count calls of open, creat, openat and openat2 by process.

    `pid`, `tid`, `uid` and `name` (of the thread, at most 15 bytes) keep only what meets them, `not_pid` leaves one
    process out. `tree` keeps one process and all its descendants, `cgroup` a cgroup with all below it (its directory,
    or its path below the mount of v2), `container` one by name, id or the first digits of that. All of it filters in
    the kernel. With `failed` only calls that failed are counted, when they return. `hook` forces `fentry`, `kprobe`,
    `kretprobe`, `raw_tracepoint` or `tracepoint`; `attached` says which was taken and why. `max_entries` is the most
    processes that the map holds (10,240); opens of further ones are `ledger.map_full`.

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
        failed=failed,
    )
    return PidCounter(_ebpflab.attach_count(keep, hook, max_entries))
