"""The command line. The root registers the commands; each command is a file of its own."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

from ebpflab.cli import completion
from ebpflab.cli.output import complain

#: Each command, and where its function is.
COMMANDS = {
    "btf": ("inspect", "btf"),
    "calls": ("calls", "command"),
    "cgroup": ("cgroup", "command"),
    "cost": ("inspect", "cost"),
    "count": ("count", "command"),
    "dashboard": ("dashboard", "command"),
    "doctor": ("doctor", "command"),
    "exec": ("exec", "command"),
    "explain": ("explain", "command"),
    "flows": ("flows", "command"),
    "latency": ("latency", "command"),
    "learn": ("learn", "command"),
    "links": ("inspect", "links"),
    "maps": ("inspect", "maps"),
    "open": ("open", "command"),
    "programs": ("inspect", "programs"),
    "query": ("query", "command"),
    "recover": ("recover", "command"),
    "replay": ("replay", "command"),
    "returns": ("returns", "command"),
    "run": ("objects", "run"),
    "runqueue": ("runqueue", "command"),
    "stacks": ("stacks", "command"),
    "syscalls": ("syscalls", "command"),
    "trace": ("trace", "command"),
    "tracepoints": ("inspect", "tracepoints"),
    "traffic": ("traffic", "command"),
    "verifier": ("verifier", "command"),
    "xdp": ("xdp", "command"),
}


def app(*names: str) -> typer.Typer:
    """Return the command line with these commands, or all."""
    made = typer.Typer(
        help="Typed events out of the running Linux kernel.",
        epilog="Each tool attaches its own BPF programs and takes them away when it ends. They need root, or the"
        " capabilities that the command's error message names; query, recover and replay read files and need nothing.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback(invoke_without_command=True)(_root)
    for name in names or COMMANDS:
        module, function = COMMANDS[name]
        found = getattr(importlib.import_module(f"ebpflab.cli.{module}"), function)
        if isinstance(found, typer.Typer):
            made.add_typer(found, name=name)
        else:
            made.command(name)(found)
    return made


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415  only asked for here

        typer.echo(f"ebpflab {version('ebpflab')}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Typed events out of the running Linux kernel."""
    del version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line: bad usage is one sentence and status 2, Ctrl-C before anything is attached is 130."""
    # Of the others none is imported where one is named: half of the time until it starts would go there.
    named = [name for name in (sys.argv[1:] or completion.words())[:1] if name in COMMANDS]
    try:
        status = app(*named)(prog_name="ebpflab", standalone_mode=False)
    except typer.TyperException as error:
        complain(error.format_message())
        status = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    sys.exit(status)
