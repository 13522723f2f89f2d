"""`ebpflab syscalls`."""

from __future__ import annotations

from typing import Annotated

import typer

from ebpflab.cli import options
from ebpflab.cli.run import Options, counting, run


def command(
    by: options.SyscallBy = None,
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    tree: options.Tree = None,
    cgroup: options.Cgroup = None,
    container: options.Container = None,
    failed: options.Failed = False,
    max_entries: Annotated[int, typer.Option(metavar="N", min=1, max=2**24, help="Most counters.")] = 10_240,
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    limit: options.Readings = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Count system calls, their errors and the time that they take. ebpflab itself is left out."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.syscalls import syscalls  # noqa: PLC0415

    run(
        lambda: syscalls(
            by=("syscall",) if by is None else by.split(","),
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            tree=tree,
            cgroup=cgroup,
            container=container,
            not_pid=options.own_pid(),
            failed=failed,
            max_entries=max_entries,
        ),
        counting(views.syscalls, interval, duration, limit),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
