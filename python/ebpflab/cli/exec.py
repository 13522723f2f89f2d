"""`ebpflab exec`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ebpflab.cli import options
from ebpflab.cli.run import Options, events, run


def command(
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    hook: Annotated[
        Literal["tracepoint", "raw_tracepoint"] | None,
        typer.Option(help="Take this hook or fail; else the best that the kernel has."),
    ] = None,
    buffer: options.Buffer = None,
    duration: options.Duration = None,
    limit: options.Limit = None,
    timestamp: options.Timestamp = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Show every executed program with all its arguments."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.exec import execs  # noqa: PLC0415

    run(
        lambda: execs(
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            hook=hook,
            buffer=buffer,
        ),
        events(views.exec.lines, duration, limit, timestamp=timestamp),
        Options(json, verbose, fail_on_loss),
    )
