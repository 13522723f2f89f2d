"""Every call of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab import _ebpflab
from ebpflab.records import TraceEvent
from ebpflab.session import EventSession
from ebpflab.tools.only import only

if TYPE_CHECKING:
    import os


class Trace(EventSession[TraceEvent]):
    """Calls of a function, each when it returned."""


def trace(
    target: str,
    *,
    string: str | None = None,
    payload: str | None = None,
    bits: int | None = None,
    unsigned: bool = False,
    pid: int | None = None,
    tid: int | None = None,
    uid: int | None = None,
    name: str | bytes | None = None,
    not_pid: int | None = None,
    tree: int | None = None,
    cgroup: str | os.PathLike[str] | None = None,
    container: str | None = None,
    failed: bool = False,
    buffer: int | None = None,
) -> Trace:
    """Trace calls of a function: `"libc:getaddrinfo"`, `"/bin/bash:readline"`, `"vfs_unlink"` (docs/targets.md).

    `string` and `payload` say where in the calls the address of something is that is to be read: `"arg0"` to `"arg5"`,
    the first six arguments (of functions of the kernel: words of arguments), and for a string also `"return"`. A string
    ends with NUL; a payload has as many bytes as the call returns. Both are read when the call returns, and only one of
    them. It is `TraceEvent.data`, of which `os.fsencode` gives the bytes. A payload may hold anything that a program
    reads or writes, passwords among it.

    `failed` keeps only calls that return less than 0; the other filters, `bits` and `unsigned` are those of
    `ebpflab.returns`. `buffer` is the size of the ring buffer in bytes (4 MiB), rounded up to a power of two; what does
    not fit is `ledger.dropped`.

    Calls that were made before are not seen; those that have not returned at the end are `ledger.pending`; those that
    were left without a return, or whose return the kernel missed, are `pending` or `unpaired`.

    Raises:
        AttachError: The kernel refuses the function.
        NotSupportedError: This kernel has no hook for it.
        PrivilegeError: CAP_BPF and CAP_PERFMON are needed.
        ValueError: There is no such function (the nearest names are told), it has no such argument, or an argument is
            out of its range.

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
    return Trace(_ebpflab.attach_trace(target, keep, string, payload, bits, unsigned, buffer))
