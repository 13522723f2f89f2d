"""`ebpflab returns`."""

from __future__ import annotations

from typing import Annotated

import typer

from ebpflab.cli import options
from ebpflab.cli.calls import Function
from ebpflab.cli.run import Options, counting, run


def command(
    target: Function,
    by: options.By = None,
    linear: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=2**63 - 1, help="Steps of so much, not powers of two."),
    ] = None,
    bits: options.Bits = None,
    unsigned: options.Unsigned = False,
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    tree: options.Tree = None,
    cgroup: options.Cgroup = None,
    container: options.Container = None,
    max_entries: options.Buckets = 16_384,
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    limit: options.Readings = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Count what calls of a function of the kernel, a program or a library return."""
    options.check_unsigned(unsigned, bits)
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.returns import returns  # noqa: PLC0415

    run(
        lambda: returns(
            target,
            by=() if by is None else by.split(","),
            linear=linear,
            bits=None if bits is None else int(bits),
            unsigned=unsigned,
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            tree=tree,
            cgroup=cgroup,
            container=container,
            not_pid=options.own_pid(),
            max_entries=max_entries,
        ),
        counting(views.returns, interval, duration, limit),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
