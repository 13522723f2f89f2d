"""Every executed program."""

from __future__ import annotations

from ebpflab import _ebpflab
from ebpflab.records import ExecEvent
from ebpflab.session import EventSession
from ebpflab.tools.only import only


class Execs(EventSession[ExecEvent]):
    """Executed programs, each when it is about to run."""


def execs(
    *,
    pid: int | None = None,
    tid: int | None = None,
    uid: int | None = None,
    name: str | bytes | None = None,
    not_pid: int | None = None,
    hook: str | None = None,
    buffer: int | None = None,
) -> Execs:
    """Trace programs that are executed, with all their arguments.

    `pid`, `tid`, `uid` and `name` (the new one, at most 15 bytes) keep only what meets them, `not_pid` leaves one
    process out; they filter in the kernel. `hook` forces `tracepoint` or `raw_tracepoint`; `attached` says which was
    taken and why. `buffer` is the size of each CPU's perf buffer in bytes (256 KiB), rounded up to a power of two;
    what does not fit is `ledger.dropped`.

    Raises:
        NotSupportedError: This kernel has none of the hooks, or not the one asked for.
        PrivilegeError: CAP_BPF and CAP_PERFMON are needed.
        ValueError: There is no such hook, or an argument is out of its range.

    """
    keep = only(pid=pid, tid=tid, uid=uid, name=name, not_pid=not_pid, failed=False)
    return Execs(_ebpflab.attach_exec(keep, hook, buffer))
