"""The answer to a query, as a table or as JSON lines."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ebpflab.views.table import harmless, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpflab.recordings import Answer


def _plain(value: Any) -> Any:  # noqa: ANN401  whatever SQL has
    """Make JSON of what JSON does not have."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _cell(value: Any) -> str:  # noqa: ANN401
    return printable(
        value if isinstance(value, str) else json.dumps(value, default=_plain, ensure_ascii=False).strip('"')
    )


def lines(answer: Answer) -> Iterator[str]:
    """Yield a line of JSON for each row."""
    for row in answer.rows:
        record = dict(zip(answer.columns, row, strict=True))
        yield harmless(json.dumps(record, default=_plain, ensure_ascii=False, separators=(",", ":"))) + "\n"


def table(answer: Answer) -> Iterator[str]:
    """Yield the header, and a line for each row; numbers are set right."""
    rows = [[_cell(value) for value in row] for row in answer.rows]
    columns = list(zip(answer.columns, *rows, strict=True))
    widths = [max(map(len, cells)) for cells in columns]
    right = [all(isinstance(value, int | float) for value in of) for of in zip(*answer.rows, strict=True)] or [
        False
    ] * len(widths)
    for cells in ([printable(name) for name in answer.columns], *rows):
        aligned = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, right, strict=True)
        ]
        yield "  ".join(aligned).rstrip() + "\n"
