"""The most frequent calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ebpflab.records import CallCount
from ebpflab.views import who
from ebpflab.views.table import Column, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ebpflab.records import Reading, Summary

#: Rows of a table; the others are summed up below it.
ROWS = 20

_COLUMNS = (
    Column[CallCount]("CALLS", 12, lambda row: str(row.count)),
    Column[CallCount]("CALLS/S", 10, lambda row: f"{row.rate:.0f}"),
)
_TARGET = Column[CallCount]("TARGET", 0, lambda row: printable(row.target), right=False)


def frames(readings: Iterable[Reading[list[CallCount]]]) -> Iterator[str]:
    """Yield a table of the most frequent for each reading."""
    for reading in readings:
        yield _table(reading.counts)


def totals(summary: Summary[list[CallCount]]) -> str:
    """Return the table of a whole run, with rates over all of it."""
    return _table([replace(row, rate=row.count / summary.duration_s) for row in summary.counts])


def _table(counts: Sequence[CallCount]) -> str:
    text = table((*_COLUMNS, *who.columns(counts), _TARGET), counts[:ROWS])
    others = counts[ROWS:]
    if others:
        text += f"\n{len(others)} more with {sum(row.count for row in others)} calls"
    return text
