"""How often any functions, tracepoints and instructions of binaries are come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ebpflab import _ebpflab
from ebpflab.records import CallCount
from ebpflab.session import CountSession
from ebpflab.tools.only import only

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable


class CallCounter(CountSession[list[CallCount]]):
    """Counts of calls, the most frequent first."""

    def _counts(self, raw: Any) -> list[CallCount]:  # noqa: ANN401
        return [CallCount(**row) for row in raw]

    def top(self, n: int = 10) -> list[CallCount]:
        """Return the `n` most frequent.

        Raises:
            ClosedError: The session was stopped.

        """
        return self.read()[:n]


def calls(
    *targets: str,
    by: Iterable[str] = (),
    pid: int | None = None,
    tid: int | None = None,
    uid: int | None = None,
    name: str | bytes | None = None,
    not_pid: int | None = None,
    tree: int | None = None,
    cgroup: str | os.PathLike[str] | None = None,
    container: str | None = None,
    max_entries: int | None = None,
) -> CallCounter:
    """Count calls of any targets: `"vfs_read"`, `"libc:malloc"`, `"tracepoint:sched:sched_switch"` (docs/targets.md).

    `*` in a name stands for any text. `by` is what calls are told apart by beside the target: any of `pid`, `comm` (the
    name of the thread) and `cgroup`. The filters are those of `ebpflab.counts`; a library is looked for in the process
    `pid` if there is one. What of a wildcard could not be hooked is in `warnings`. `max_entries` is the most counters
    that the map holds (16,384); further calls are `ledger.map_full`.

    Raises:
        AttachError: The kernel refuses a target.
        NotSupportedError: This kernel has no hook for a target.
        PrivilegeError: CAP_BPF and CAP_PERFMON are needed.
        ValueError: There is no such target (the nearest names are told), or an argument is out of its range.

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
    )
    return CallCounter(_ebpflab.attach_calls(list(targets), keep, list(by), max_entries))
