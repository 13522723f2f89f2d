"""`ebpflab query`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording, or a folder of them.")],
    sql: Annotated[str, typer.Argument(metavar="SQL", help="What to ask; the table is called events.")],
    json: Annotated[bool, typer.Option("--json", help="Print each row as a JSON object.")] = False,
) -> None:
    """Ask a recording in SQL, by DuckDB. Needs no root.

    For example: "select comm, count(*) from events group by comm order by 2 desc".
    """
    from ebpflab.cli.output import StdoutError, complain, write  # noqa: PLC0415  so that --help stays quick
    from ebpflab.cli.run import FAILED, unwritten  # noqa: PLC0415
    from ebpflab.recordings import QueryError, query  # noqa: PLC0415
    from ebpflab.views import query as view  # noqa: PLC0415

    try:
        answer = query(file, sql)
        for text in view.lines(answer) if json else view.table(answer):
            write(text.encode(errors="backslashreplace"))
    except StdoutError as error:
        raise typer.Exit(unwritten(error)) from None
    except (QueryError, OSError, ValueError) as error:
        complain(str(error))
        raise typer.Exit(FAILED) from None
