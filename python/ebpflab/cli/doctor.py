"""`ebpflab doctor`."""

from __future__ import annotations

from json import loads
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ebpflab.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

Tool = Annotated[
    Literal[
        "calls",
        "cgroup",
        "count",
        "dashboard",
        "exec",
        "flows",
        "latency",
        "open",
        "returns",
        "runqueue",
        "stacks",
        "syscalls",
        "trace",
        "traffic",
        "xdp",
    ]
    | None,
    typer.Argument(metavar="[TOOL]", help="Explain which hook this tool takes here, and why not the others."),
]


def command(tool: Tool = None, json: options.Json = False) -> None:
    """Say what works on this kernel and machine, what it costs where it does not, and what mends it.

    Whoever lacks privileges is told what cannot be known without them. With TOOL the exit status is 77 if that tool
    does not work here.
    """
    from ebpflab.cli.output import StdoutError  # noqa: PLC0415  so that --help stays quick
    from ebpflab.cli.run import UNABLE, unwritten  # noqa: PLC0415

    try:
        works = (_lines if json else _text)(tool)
    except StdoutError as error:
        raise typer.Exit(unwritten(error)) from None
    raise typer.Exit(0 if works or tool is None else UNABLE)


def _tools(tool: str | None) -> Sequence[str]:
    from ebpflab.doctor import TOOLS  # noqa: PLC0415

    return TOOLS if tool is None else (tool,)


def _lines(tool: str | None) -> bool:
    """Write JSON lines; return whether every tool asked about works."""
    from ebpflab import _ebpflab  # noqa: PLC0415
    from ebpflab.cli.output import write  # noqa: PLC0415

    if tool is None:
        write(_ebpflab.features_json())
    works = True
    for name in _tools(tool):
        line = _ebpflab.verdict_json(name)
        write(line)
        works &= loads(line)["works"]
    return works


def _text(tool: str | None) -> bool:
    """Write it for people; return whether every tool asked about works."""
    from ebpflab.cli.output import write_text  # noqa: PLC0415
    from ebpflab.doctor import features, verdict  # noqa: PLC0415
    from ebpflab.views import doctor  # noqa: PLC0415

    if tool is None:
        write_text(doctor.features(features()))
    verdicts = [verdict(name) for name in _tools(tool)]
    write_text("\n".join(doctor.verdict(each, hooks=tool is not None) for each in verdicts))
    return all(each.works for each in verdicts)
