"""`ebpflab exec`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import typer

from ebpflab.cli import options
from ebpflab.cli.run import Options, events, recording, run


def command(
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    tree: options.Tree = None,
    cgroup: options.Cgroup = None,
    container: options.Container = None,
    failed: options.Failed = False,
    exits: Annotated[bool, typer.Option("--exits", help="Show every process that ends too.")] = False,
    hook: Annotated[
        Literal["tracepoint", "raw_tracepoint"] | None,
        typer.Option(help="Take this hook or fail; else the best that the kernel has."),
    ] = None,
    buffer: options.Buffer = None,
    duration: options.Duration = None,
    limit: options.Limit = None,
    timestamp: options.Timestamp = False,
    show_container: options.ShowContainer = False,
    output: options.Output = None,
    overwrite: options.Overwrite = False,
    rotate_bytes: options.RotateBytes = None,
    rotate_seconds: options.RotateSeconds = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Show every executed program with all its arguments, and with --exits how and when it ends."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.exec import execs  # noqa: PLC0415

    run(
        lambda: execs(
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            tree=tree,
            cgroup=cgroup,
            container=container,
            failed=failed,
            exits=exits,
            hook=hook,
            buffer=buffer,
        ),
        recording(output, duration, limit, overwrite=overwrite, rotate=(rotate_bytes, rotate_seconds))
        or events(
            partial(views.exec.lines, failed=failed, exits=exits),
            duration,
            limit,
            timestamp=timestamp,
            container=show_container,
        ),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
