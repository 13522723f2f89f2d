"""`ebpflab xdp`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ebpflab.cli import options
from ebpflab.cli.run import Options, counting, run


def command(
    iface: Annotated[str, typer.Option("--iface", metavar="IFACE", help="The interface to watch.")],
    mode: Annotated[
        Literal["auto", "skb", "drv", "hw"],
        typer.Option(help="Generic (skb), native (drv) or offloaded (hw) XDP; auto: native if possible, else generic."),
    ] = "auto",
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Count packets and bytes that arrive on an interface, by protocol."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.xdp import xdp  # noqa: PLC0415

    run(
        lambda: xdp(iface, mode=mode),
        counting(views.xdp, interval, duration),
        Options(json, verbose, fail_on_loss),
    )
