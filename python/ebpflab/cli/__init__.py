"""The command line. The root registers the commands; each command is a file of its own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ebpflab.cli import (
    cgroup,
    count,
    dashboard,
    doctor,
    exec,
    explain,
    flows,
    inspect,
    open,
    query,
    recover,
    replay,
    verifier,
    xdp,
)
from ebpflab.cli.output import complain

app = typer.Typer(
    help="Typed events out of the running Linux kernel.",
    epilog="Each tool attaches its own BPF programs and takes them away when it ends. They need root, or the"
    " capabilities that the command's error message names; query, recover and replay read files and need nothing.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("cgroup")(cgroup.command)
app.command("count")(count.command)
app.command("dashboard")(dashboard.command)
app.command("doctor")(doctor.command)
app.command("exec")(exec.command)
app.command("explain")(explain.command)
app.command("flows")(flows.command)
app.command("links")(inspect.links)
app.command("maps")(inspect.maps)
app.command("open")(open.command)
app.command("programs")(inspect.programs)
app.command("query")(query.command)
app.command("recover")(recover.command)
app.command("replay")(replay.command)
app.command("verifier")(verifier.command)
app.command("xdp")(xdp.command)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415  only asked for here

        typer.echo(f"ebpflab {version('ebpflab')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Typed events out of the running Linux kernel."""
    del version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line: bad usage is one sentence and status 2, Ctrl-C before anything is attached is 130."""
    try:
        status = app(prog_name="ebpflab", standalone_mode=False)
    except typer.TyperException as error:
        complain(error.format_message())
        status = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    sys.exit(status)
