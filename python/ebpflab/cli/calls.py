"""`ebpflab calls`."""

from __future__ import annotations

from typing import Annotated

import typer

from ebpflab.cli import completion, options
from ebpflab.cli.run import Options, counting, run


def check_target(target: str) -> str:
    """Refuse what is no target."""
    from ebpflab import _ebpflab  # noqa: PLC0415  so that --help stays quick

    try:
        _ebpflab.check_targets([target])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return target


# A list alone breaks typer on Python 3.10, where list[str] passes for a class.
def _targets(targets: list[str] | None) -> list[str]:
    return [check_target(target) for target in targets or ()]


Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET...",
        callback=_targets,
        autocompletion=completion.targets,
        help="vfs_read, libc:malloc, tracepoint:sched:sched_switch and so on (docs/targets.md); * is any text.",
    ),
]


Function = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        callback=check_target,
        autocompletion=completion.targets,
        help="vfs_read, libc:malloc and so on (docs/targets.md).",
    ),
]


def command(
    targets: Targets,
    by: options.By = None,
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    tree: options.Tree = None,
    cgroup: options.Cgroup = None,
    container: options.Container = None,
    max_entries: Annotated[int, typer.Option(metavar="N", min=1, max=2**24, help="Most counters.")] = 16_384,
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    limit: options.Readings = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Count calls of functions, tracepoints and instructions, of the kernel, programs and libraries."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.calls import calls  # noqa: PLC0415

    run(
        lambda: calls(
            *targets,
            by=() if by is None else by.split(","),
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
        counting(views.calls, interval, duration, limit),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
