"""The most frequent stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.records import StackCount
from ebpflab.views import who
from ebpflab.views.table import Column, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ebpflab.records import Reading, Summary

#: Rows of a table; the others are summed up below it.
ROWS = 20
#: Functions of a stack that are shown, the innermost.
FUNCTIONS = 6


def frames(readings: Iterable[Reading[list[StackCount]]]) -> Iterator[str]:
    """Yield a table of the most frequent for each reading."""
    for reading in readings:
        yield _table(reading.counts)


def totals(summary: Summary[list[StackCount]]) -> str:
    """Return the table of a whole run."""
    return _table(summary.counts)


def _table(counts: Sequence[StackCount]) -> str:
    all_counts = sum(row.count for row in counts)
    columns = (
        Column[StackCount]("COUNT", 9, lambda row: str(row.count)),
        Column[StackCount]("%", 5, lambda row: f"{100 * row.count / all_counts:.1f}"),
        *who.columns(counts),
        Column[StackCount]("STACK, THE INNERMOST FIRST", 0, _stack, right=False),
    )
    text = table(columns, counts[:ROWS])
    others = counts[ROWS:]
    if others:
        text += f"\n{len(others)} more with {sum(row.count for row in others)}"
    return text


def _stack(row: StackCount) -> str:
    functions = [printable(function) for function in (*row.kernel, *row.user)]
    more = len(functions) - FUNCTIONS
    if more > 0:
        functions[FUNCTIONS:] = [f"{more} more"]
    return " < ".join(functions) or "[no stack]"
