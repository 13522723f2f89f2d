"""`ebpflab flows`."""

from __future__ import annotations

from typing import Annotated

import typer

from ebpflab.cli import options
from ebpflab.cli.run import Options, counting, run


def command(
    iface: options.Iface,
    hook: options.TcHook = None,
    max_entries: Annotated[int, typer.Option(metavar="N", min=1, max=2**24, help="Most flows to count.")] = 16_384,
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    limit: options.Readings = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Count packets and bytes that an interface receives and sends, by flow."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.flows import flows  # noqa: PLC0415

    run(
        lambda: flows(iface, hook=hook, max_entries=max_entries),
        counting(views.flows, interval, duration, limit),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
