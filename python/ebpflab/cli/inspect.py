"""`ebpflab cost`, `ebpflab programs`, `ebpflab maps`, `ebpflab links`, `ebpflab tracepoints`, `ebpflab btf`."""

from __future__ import annotations

from contextlib import closing
from time import sleep
from typing import TYPE_CHECKING, Annotated

import typer

from ebpflab.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable

Stats = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", min=0, help="Measure for so long how often each program runs, and how long."),
]
Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**32 - 1, help="The map's id, as maps lists it.")]
PerCpu = Annotated[bool, typer.Option("--per-cpu", help="Show the values of each CPU too.")]
Pattern = Annotated[
    str | None, typer.Argument(metavar="PATTERN", help="A name, or CATEGORY:NAME; * stands for any text.")
]
TypeName = Annotated[str, typer.Argument(metavar="TYPE", help="task_struct, 'struct task_struct', pid_t, vfs_read.")]
Python = Annotated[bool, typer.Option("--python", help="Print classes of ctypes.")]


def programs(stats: Stats = None, json: options.Json = False) -> None:
    """List the BPF programs that are loaded, of whomever, and who holds them."""
    from ebpflab import _ebpflab, inspect  # noqa: PLC0415  so that --help stays quick
    from ebpflab.views import inspect as view  # noqa: PLC0415

    def lines() -> bytes:
        if stats is None:
            return _ebpflab.programs_json()
        with closing(_ebpflab.Stats()) as measured:
            sleep(stats)
            return measured.programs_json()

    _write(lines if json else lambda: view.programs(inspect.programs(stats=stats), stats=stats is not None))


Measure = Annotated[
    float,
    typer.Option(
        "-d", "--duration", metavar="SECONDS", callback=options.check_seconds, help="Measure for so many seconds."
    ),
]


def cost(duration: Measure = 1.0, json: options.Json = False) -> None:
    """Measure what the BPF programs of each running ebpflab cost, and the process that reads from them."""
    from ebpflab import _ebpflab, inspect  # noqa: PLC0415  so that --help stays quick
    from ebpflab.views import inspect as view  # noqa: PLC0415

    def lines() -> bytes:
        with closing(_ebpflab.Costs()) as measured:
            sleep(duration)
            return measured.read_json()

    _write(lines if json else lambda: view.costs(inspect.cost(duration)))


maps = typer.Typer()


@maps.callback(invoke_without_command=True)
def list_maps(context: typer.Context, json: options.Json = False) -> None:
    """List the BPF maps that are there, of whomever, and who holds them."""
    from ebpflab import _ebpflab, inspect  # noqa: PLC0415  so that --help stays quick
    from ebpflab.views import inspect as view  # noqa: PLC0415

    if context.invoked_subcommand is None:
        _write(_ebpflab.maps_json if json else lambda: view.maps(inspect.maps()))


@maps.command("dump")
def dump(id: Id, per_cpu: PerCpu = False, json: options.Json = False) -> None:  # noqa: A002  the kernel's word
    """Print what is in a map, keys and values by its type information.

    Of a map with a value on each CPU numbers are added up; what is not the same on all is shown as ?.
    """
    from ebpflab import _ebpflab, inspect  # noqa: PLC0415  so that --help stays quick
    from ebpflab.views import inspect as view  # noqa: PLC0415

    _write(
        lambda: (
            _ebpflab.map_entries_json(id, per_cpu) if json else view.entries(inspect.map_entries(id, per_cpu=per_cpu))
        )
    )


def tracepoints(pattern: Pattern = None, json: options.Json = False) -> None:
    """List the kernel's tracepoints; with a pattern also what they tell.

    Of each field of the record its offset and size in bytes, as tracefs tells it where it is mounted; then the
    arguments of the raw tracepoint.
    """
    from ebpflab import _ebpflab, inspect  # noqa: PLC0415  so that --help stays quick
    from ebpflab.views import inspect as view  # noqa: PLC0415

    def text() -> str:
        return view.tracepoints(inspect.tracepoints(pattern), fields=pattern is not None)

    _write(lambda: _ebpflab.tracepoints_json(pattern) if json else text())


def btf(name: TypeName, python: Python = False, json: options.Json = False) -> None:
    """Print a type of the kernel, or the declaration of a function, with offsets and sizes in bytes."""
    from ebpflab import _ebpflab, inspect  # noqa: PLC0415  so that --help stays quick

    if python and json:
        raise typer.BadParameter("--python and --json exclude each other")
    _write(lambda: _ebpflab.btf_type_json(name) if json else inspect.btf_layout(name, python=python))


def links(json: options.Json = False) -> None:
    """List the links that keep BPF programs attached, of whomever, and what they are attached to."""
    from ebpflab import _ebpflab, inspect  # noqa: PLC0415  so that --help stays quick
    from ebpflab.views import inspect as view  # noqa: PLC0415

    _write(_ebpflab.links_json if json else lambda: view.links(inspect.links()))


def _write(asked: Callable[[], bytes | str]) -> None:
    """Write what was asked for: lines of JSON, or text."""
    from ebpflab import EbpflabError  # noqa: PLC0415
    from ebpflab.cli.output import StdoutError, write, write_text  # noqa: PLC0415
    from ebpflab.cli.run import explain, unwritten  # noqa: PLC0415

    try:
        answer = asked()
        if isinstance(answer, bytes):
            write(answer)
        else:
            write_text(answer)
    except StdoutError as error:
        raise typer.Exit(unwritten(error)) from None
    except (EbpflabError, OSError, ValueError) as error:
        raise typer.Exit(explain(error, verbose=False)) from None
