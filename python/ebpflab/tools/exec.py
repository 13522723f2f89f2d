"""Every executed program, and every process that ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from ebpflab import _ebpflab
from ebpflab.records import ExecEvent, ExitEvent
from ebpflab.session import EventSession
from ebpflab.tools.only import only

if TYPE_CHECKING:
    import os


class Execs(EventSession[ExecEvent]):
    """Executed programs, each when it is about to run."""


class ExecsAndExits(EventSession[ExecEvent | ExitEvent]):
    """Executed programs, and processes when they end, in the order of time."""


@overload
def execs(
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
    exits: Literal[False] = False,
    hook: str | None = None,
    buffer: int | None = None,
) -> Execs: ...


@overload
def execs(
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
    exits: bool,
    hook: str | None = None,
    buffer: int | None = None,
) -> Execs | ExecsAndExits: ...


def execs(
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
    exits: bool = False,
    hook: str | None = None,
    buffer: int | None = None,
) -> Execs | ExecsAndExits:
    """Trace programs that are executed, with all their arguments, and with `exits` every process that ends.

    `pid`, `tid`, `uid` and `name` (the new one, at most 15 bytes) keep only what meets them, `not_pid` leaves one
    process out. `tree` keeps one process and all its descendants, `cgroup` a cgroup with all below it (its directory,
    or its path below the mount of v2), `container` one by name, id or the first digits of that. All of it filters in
    the kernel, each exit by what the process is then. `failed` keeps only calls of execve and execveat that failed
    (`name` is then that of the thread that makes them), and exits that tell of a failure: a status that is not 0, or a
    signal. `hook` forces `tracepoint` or `raw_tracepoint`; `attached` says which was taken and why. `buffer` is the
    size of each CPU's perf buffer in bytes (256 KiB), rounded up to a power of two; what does not fit is
    `ledger.dropped`. With `exits`, `stop().ledgers` has a ledger for each kind.

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
    native = _ebpflab.attach_exec(keep, hook, buffer, exits)
    return ExecsAndExits(native) if exits else Execs(native)
