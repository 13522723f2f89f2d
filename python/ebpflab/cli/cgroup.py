"""`ebpflab cgroup`."""

from __future__ import annotations

from typing import Annotated

import typer

from ebpflab.cli import options
from ebpflab.cli.run import Options, counting, run


def _rules(rules: list[str] | None) -> list[str]:
    from ebpflab import _ebpflab  # noqa: PLC0415  so that --help stays quick

    try:
        _ebpflab.check_rules(rules or [])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return rules or []


def command(
    cgroup: Annotated[
        str, typer.Argument(metavar="CGROUP", help="The directory of a cgroup, or its path below the mount of v2.")
    ],
    deny: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            callback=_rules,
            help="Deny packets to and from CIDR, CIDR:PORT or CIDR:PORT/PROTO ([CIDR]:PORT for IPv6). May be repeated.",
        ),
    ] = None,
    max_entries: Annotated[int, typer.Option(metavar="N", min=1, max=2**24, help="Most counters.")] = 16_384,
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    limit: options.Readings = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Count what the sockets of a cgroup send and receive, by cgroup and protocol, and deny some of it."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.cgroup import cgroup as attach  # noqa: PLC0415

    run(
        lambda: attach(cgroup, deny=deny or (), max_entries=max_entries),
        counting(views.cgroup, interval, duration, limit),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
