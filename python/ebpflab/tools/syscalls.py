"""How often system calls are made, how they end, and how long they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ebpflab import _ebpflab
from ebpflab.records import ErrorCount, SyscallCount
from ebpflab.session import CountSession
from ebpflab.tools.only import only

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable


class SyscallCounter(CountSession[list[SyscallCount]]):
    """Counts of system calls, the most frequent first."""

    def _counts(self, raw: Any) -> list[SyscallCount]:  # noqa: ANN401
        return [SyscallCount(**row | {"errors": tuple(ErrorCount(*error) for error in row["errors"])}) for row in raw]

    def top(self, n: int = 10) -> list[SyscallCount]:
        """Return the `n` most frequent.

        Raises:
            ClosedError: The session was stopped.

        """
        return self.read()[:n]


def syscalls(
    *,
    by: Iterable[str] = ("syscall",),
    pid: int | None = None,
    tid: int | None = None,
    uid: int | None = None,
    name: str | bytes | None = None,
    not_pid: int | None = None,
    tree: int | None = None,
    cgroup: str | os.PathLike[str] | None = None,
    container: str | None = None,
    failed: bool = False,
    max_entries: int | None = None,
) -> SyscallCounter:
    """Count all system calls when they return, with their errors and the time that they took.

    `by` is what they are told apart by: any of `syscall`, `pid`, `comm` (the name of the thread) and `cgroup`. The
    filters are those of `ebpflab.counts`; with `failed` only calls that failed are counted. Calls that were made before
    are not seen; those that have not returned at the end are `ledger.pending`. exit and exit_group, which never return,
    are counted when they are made. `max_entries` is the most counters that the map holds (10,240), one for each
    combination of `by` and error; further calls are `ledger.map_full`.

    Raises:
        NotSupportedError: This kernel refuses raw tracepoints.
        PrivilegeError: CAP_BPF and CAP_PERFMON are needed.
        ValueError: An argument is out of its range.

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
    return SyscallCounter(_ebpflab.attach_syscalls(keep, list(by), max_entries))
