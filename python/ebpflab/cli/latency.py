"""`ebpflab latency`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ebpflab.cli import completion, options
from ebpflab.cli.calls import check_target
from ebpflab.cli.output import write_text
from ebpflab.cli.run import Options, counting, run

if TYPE_CHECKING:
    from ebpflab.records import LatencyCounts
    from ebpflab.session import CountSession


def _above_zero(number: float | None) -> float | None:
    if number is not None and not 0 < number < float("inf"):
        raise typer.BadParameter(f"{number} is no number above 0")
    return number


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            callback=check_target,
            autocompletion=completion.targets,
            help="vfs_read, libc:malloc and so on (docs/targets.md).",
        ),
    ],
    by: options.By = None,
    linear: Annotated[
        float | None,
        typer.Option(metavar="US", callback=_above_zero, help="Steps of so many microseconds, not powers of two."),
    ] = None,
    slower: Annotated[
        float | None,
        typer.Option(
            metavar="MS", callback=_above_zero, help="Show each call that takes longer, and the table at the end."
        ),
    ] = None,
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    tree: options.Tree = None,
    cgroup: options.Cgroup = None,
    container: options.Container = None,
    max_entries: Annotated[int, typer.Option(metavar="N", min=1, max=2**24, help="Most buckets of all.")] = 16_384,
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    limit: options.Readings = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Measure how long calls of a function of the kernel, a program or a library take."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.latency import latency  # noqa: PLC0415

    def show(session: CountSession[LatencyCounts]) -> None:
        for line in views.latency.slow(session.readings(interval, duration, limit)):
            write_text(line)

    output = counting(views.latency, interval, duration, limit)
    run(
        lambda: latency(
            target,
            by=() if by is None else by.split(","),
            linear=None if linear is None else linear / 1e6,
            slower=None if slower is None else slower / 1e3,
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
        output if slower is None else replace(output, show=show),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
