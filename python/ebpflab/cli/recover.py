"""`ebpflab recover`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings, or folders of them.")],
) -> None:
    """End recordings whose writer was killed, with all that can be read of them. Whole ones stay as they are."""
    raise typer.Exit(max((_recover(file) for path in files for file in _unfinished(path)), default=0))


def _unfinished(path: Path) -> list[Path]:
    """Return the files of a folder that were not ended."""
    return sorted(path.rglob("*.unfinished")) if path.is_dir() else [path]


def _recover(file: Path) -> int:
    """Recover one; return the status of the command."""
    from ebpflab.cli.output import StdoutError, complain, write_text  # noqa: PLC0415  so that --help stays quick
    from ebpflab.cli.run import FAILED, unwritten  # noqa: PLC0415
    from ebpflab.recordings import recover  # noqa: PLC0415

    try:
        rows = recover(file)
        write_text(f"{file} is whole" if rows is None else f"{file} is recovered, with {rows} events")
    except StdoutError as error:
        return unwritten(error)
    except (OSError, ValueError) as error:
        complain(str(error))
        return FAILED
    return 0
