"""`ebpflab programs`, `ebpflab maps`, `ebpflab links`."""

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


def maps(json: options.Json = False) -> None:
    """List the BPF maps that are there, of whomever, and who holds them."""
    from ebpflab import _ebpflab, inspect  # noqa: PLC0415  so that --help stays quick
    from ebpflab.views import inspect as view  # noqa: PLC0415

    _write(_ebpflab.maps_json if json else lambda: view.maps(inspect.maps()))


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
    except (EbpflabError, OSError) as error:
        raise typer.Exit(explain(error, verbose=False)) from None
