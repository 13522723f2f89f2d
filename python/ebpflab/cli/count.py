"""`ebpflab count`."""

from __future__ import annotations

from typing import Annotated

import typer

from ebpflab.cli import options
from ebpflab.cli.run import Options, counting, run


def command(
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    tree: options.Tree = None,
    cgroup: options.Cgroup = None,
    container: options.Container = None,
    failed: options.Failed = False,
    hook: options.Hook = None,
    max_entries: Annotated[int, typer.Option(metavar="N", min=1, max=2**24, help="Most processes to count.")] = 10_240,
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Count how many files each process opens: open, creat, openat, openat2. ebpflab itself is left out."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.count import counts  # noqa: PLC0415

    run(
        lambda: counts(
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            tree=tree,
            cgroup=cgroup,
            container=container,
            not_pid=options.own_pid(),
            failed=failed,
            hook=hook,
            max_entries=max_entries,
        ),
        counting(views.count, interval, duration),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
