"""`ebpflab xdp`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, cast

import typer

from ebpflab.cli import options
from ebpflab.cli.output import complain
from ebpflab.cli.run import Options, counting, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpflab.tools.xdp import PacketCounter


# A list alone breaks typer on Python 3.10, where list[str] passes for a class.
def _ranges(texts: list[str] | None) -> list[str]:
    if texts:
        from ebpflab import _ebpflab  # noqa: PLC0415  so that --help stays quick

        try:
            list(map(_ebpflab.check_cidr, texts))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return texts or []


_RULES = "Rules"
_FILE = "Packet file"
_PIN = "Without a process"


def command(
    iface: options.AnyIface = None,
    mode: Annotated[
        Literal["auto", "skb", "drv", "hw"],
        typer.Option(help="Generic (skb), native (drv) or offloaded (hw) XDP; auto: native if possible, else generic."),
    ] = "auto",
    block: Annotated[
        list[str],
        typer.Option(
            metavar="CIDR",
            callback=_ranges,
            help="Drop what comes from these addresses; may be given often. The longest prefix applies.",
            rich_help_panel=_RULES,
        ),
    ] = [],  # noqa: B006  never changed
    block_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Ranges to block, one a line, # comments; SIGHUP reads it again.",
            rich_help_panel=_RULES,
        ),
    ] = None,
    allow: Annotated[
        list[str],
        typer.Option(
            metavar="CIDR",
            callback=_ranges,
            help="Pass what comes from these all the same; in a tie this applies.",
            rich_help_panel=_RULES,
        ),
    ] = [],  # noqa: B006  never changed
    max_rules: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1 << 24, help="Room for rules at SIGHUP.", rich_help_panel=_RULES),
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1 << 14, help="Show the busiest N sources.")
    ] = None,
    pcap: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write dropped packets to a pcapng file.", rich_help_panel=_FILE),
    ] = None,
    pcap_sample: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=2**32 - 1, help="Instead every Nth packet.", rich_help_panel=_FILE),
    ] = None,
    pcap_snaplen: Annotated[
        int | None,
        typer.Option(metavar="BYTES", min=1, max=2**32 - 1, help="Most bytes of a packet.", rich_help_panel=_FILE),
    ] = None,
    pin: Annotated[
        bool,
        typer.Option("--pin", help="Leave it there, and end: rules and counts stay, in files.", rich_help_panel=_PIN),
    ] = False,
    pinned: Annotated[
        bool, typer.Option("--pinned", help="Show what was left, on all interfaces or one.", rich_help_panel=_PIN)
    ] = False,
    unpin: Annotated[
        bool, typer.Option("--unpin", help="Take it away, from all interfaces or one.", rich_help_panel=_PIN)
    ] = False,
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Count packets and bytes that arrive on an interface, by protocol, and drop those that rules block."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab._ebpflab import pin_xdp, pinned_xdp, unpin_xdp  # noqa: PLC0415
    from ebpflab.tools.rules import optional_lists  # noqa: PLC0415
    from ebpflab.tools.xdp import xdp  # noqa: PLC0415

    if pcap is None and (pcap_sample is not None or pcap_snaplen is not None):
        raise typer.BadParameter("--pcap-sample and --pcap-snaplen are for --pcap")
    has_rules = bool(block or allow or block_file is not None)
    if pcap is not None and pcap_sample is None and not has_rules:
        raise typer.BadParameter("--pcap writes dropped packets, and there are no rules; or take --pcap-sample")
    if max_rules is not None and not has_rules:
        raise typer.BadParameter("--max-rules is for rules, and there are none")
    if pin + pinned + unpin > 1:
        raise typer.BadParameter("it is one of --pin, --pinned and --unpin")
    if pinned or unpin:
        if has_rules or pcap is not None or top is not None or duration is not None:
            raise typer.BadParameter("--pinned and --unpin are about what is there, with --iface or alone")
        _without_process(lambda: (unpin_xdp if unpin else pinned_xdp)(iface), json=json, verbose=verbose)
    if iface is None:
        raise typer.BadParameter("--iface says which interface; see `ip link`")
    if pin:
        if pcap is not None or top is not None or duration is not None:
            raise typer.BadParameter("--pin leaves rules and counts by protocol; --pcap, --top and -d need a process")
        rules = optional_lists(block if has_rules else None, allow if has_rules else None, block_file)
        _without_process(lambda: [pin_xdp(iface, mode, rules, max_rules)], json=json, verbose=verbose)
    run(
        lambda: xdp(
            iface,
            mode=mode,
            block=block if has_rules else None,
            allow=allow if has_rules else None,
            block_file=block_file,
            max_rules=max_rules,
            top=top,
            pcap=pcap,
            pcap_sample=pcap_sample,
            pcap_snaplen=pcap_snaplen,
        ),
        counting(views.xdp, interval, duration),
        Options(json, verbose, fail_on_loss, keep_capabilities),
        None
        if block_file is None
        else lambda session: _reload(cast("PacketCounter", session), block, allow, block_file),
    )


def _without_process(done: Callable[[], list[dict[str, Any]]], *, json: bool, verbose: bool) -> NoReturn:
    """Do what needs no process to stay, write what is or was pinned, and leave with a status."""
    from ebpflab.cli.output import StdoutError, write, write_text  # noqa: PLC0415  so that --help stays quick
    from ebpflab.cli.run import explain, unwritten  # noqa: PLC0415
    from ebpflab.errors import EbpflabError  # noqa: PLC0415
    from ebpflab.tools.pinned import typed  # noqa: PLC0415
    from ebpflab.views import xdp as view  # noqa: PLC0415

    try:
        for raw in done():
            if json:
                write(raw["json"])
            else:
                write_text(view.pinned(typed(raw)))
    except StdoutError as error:
        raise typer.Exit(unwritten(error)) from None
    except (EbpflabError, OSError, ValueError) as error:
        raise typer.Exit(explain(error, verbose=verbose)) from None
    raise typer.Exit


def _reload(session: PacketCounter, block: list[str], allow: list[str], block_file: str) -> None:
    """Read the file again; where that fails the rules stay as they are."""
    from ebpflab.errors import EbpflabError  # noqa: PLC0415  so that --help stays quick

    try:
        session.replace(block=block, allow=allow, block_file=block_file)
    except (EbpflabError, OSError, ValueError) as error:
        complain(f"the rules stay as they were: {error}")
    else:
        complain(f"read {block_file} again")
