"""Tables for terminals: one list of columns drives the header and the rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: numbers are set right, and free text comes last, unpadded (`width` 0)."""

    title: str
    width: int
    cell: Callable[[Row], str]
    right: bool = True


def table(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> str:
    """Return the header and a line for each row."""
    return "\n".join([header(columns), *(line(columns, row) for row in rows)])


def header(columns: Sequence[Column[Row]]) -> str:
    """Return the titles."""
    return _aligned(columns, [column.title for column in columns])


def line(columns: Sequence[Column[Row]], row: Row) -> str:
    """Return the line of a row."""
    return _aligned(columns, [column.cell(row) for column in columns])


def _aligned(columns: Sequence[Column[Row]], cells: list[str]) -> str:
    parts = [
        cell.rjust(column.width) if column.right else cell.ljust(column.width)
        for column, cell in zip(columns, cells, strict=True)
    ]
    return "  ".join(parts).rstrip()


def printable(text: str) -> str:
    r"""Return text that a terminal may be given: what is not printable becomes an escape such as `\x1b`."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


#: JSON lets them stand in strings, and a terminal obeys them.
_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


def harmless(json: str) -> str:
    """Return JSON that a terminal may be given: no control character is left in it."""
    return json.translate(_CONTROLS)


def time_of_day(time: int) -> str:
    """Return the local time of day, to the millisecond, of nanoseconds since the epoch."""
    return f"{datetime.fromtimestamp(time // 10**9).astimezone():%H:%M:%S}.{time // 10**6 % 1000:03}"
