"""`ebpflab trace`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ebpflab.cli import options
from ebpflab.cli.calls import Function
from ebpflab.cli.output import complain
from ebpflab.cli.run import Options, events, recording, run


def command(
    target: Function,
    string: Annotated[
        Literal["arg0", "arg1", "arg2", "arg3", "arg4", "arg5", "return"] | None,
        typer.Option(help="Read the string whose address is there."),
    ] = None,
    payload: Annotated[
        Literal["arg0", "arg1", "arg2", "arg3", "arg4", "arg5"] | None,
        typer.Option(help="Read as many bytes as the call returns, from the address that is there."),
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
    failed: options.Failed = False,
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
    """Show every call of a function of the kernel, a program or a library, and what it is given or returns."""
    options.check_unsigned(unsigned, bits)
    if string is not None and payload is not None:
        raise typer.BadParameter("only one of --string and --payload is read")
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.trace import trace  # noqa: PLC0415

    if payload is not None:
        complain("--payload shows what programs read and write: passwords, keys and what people say to each other")
    run(
        lambda: trace(
            target,
            string=string,
            payload=payload,
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
            failed=failed,
            buffer=buffer,
        ),
        recording(output, duration, limit, overwrite=overwrite, rotate=(rotate_bytes, rotate_seconds))
        or events(views.trace.lines, duration, limit, timestamp=timestamp, container=show_container),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
