"""The busiest processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.records import PidCount
from ebpflab.views.table import Column, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpflab.records import Reading, Summary

#: Processes in a table; the others are summed up below it.
ROWS = 20

_COLUMNS = (
    Column[PidCount]("PID", 7, lambda row: str(row.pid)),
    Column[PidCount]("OPENS", 14, lambda row: str(row.count)),
    Column[PidCount]("OPENS/S", 11, lambda row: f"{row.rate:.0f}"),
    Column[PidCount]("COMM", 0, lambda row: "(gone)" if row.comm is None else printable(row.comm), right=False),
)


def frames(readings: Iterable[Reading[list[PidCount]]]) -> Iterator[str]:
    """Yield a table of the busiest for each reading."""
    for reading in readings:
        yield _table(reading.counts)


def totals(summary: Summary[list[PidCount]]) -> str:
    """Return the table of a whole run, with rates over all of it."""
    return _table([PidCount(row.pid, row.comm, row.count, row.count / summary.duration_s) for row in summary.counts])


def _table(counts: list[PidCount]) -> str:
    text = table(_COLUMNS, counts[:ROWS])
    others = counts[ROWS:]
    if others:
        text += f"\n{len(others)} more processes with {sum(row.count for row in others)} opens"
    return text
