"""What calls return: sums, and histograms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ebpflab.records import ReturnCount
from ebpflab.views import who
from ebpflab.views.latency import ROWS, drawn
from ebpflab.views.table import Column, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ebpflab.records import Reading, Summary
    from ebpflab.tools.returns import ValueHistogram

_COLUMNS = (
    Column[ReturnCount]("CALLS", 10, lambda row: str(row.count)),
    Column[ReturnCount]("CALLS/S", 9, lambda row: f"{row.rate:.0f}"),
    Column[ReturnCount]("NEGATIVE", 8, lambda row: str(row.negative)),
    Column[ReturnCount]("MIN", 10, lambda row: str(row.min)),
    Column[ReturnCount]("MAX", 10, lambda row: str(row.max)),
    Column[ReturnCount]("SUM", 14, lambda row: str(row.sum)),
)


def frames(readings: Iterable[Reading[list[ReturnCount]]]) -> Iterator[str]:
    """Yield a table and the histogram for each reading."""
    for reading in readings:
        yield _text(reading.counts)


def totals(summary: Summary[list[ReturnCount]]) -> str:
    """Return those of a whole run, with rates over all of it."""
    return _text([replace(row, rate=row.count / summary.duration_s) for row in summary.counts])


def _text(rows: Sequence[ReturnCount]) -> str:
    from ebpflab.tools.returns import ValueHistogram  # noqa: PLC0415  it asks this module for its text

    text = table((*_COLUMNS, *who.columns(rows)), rows[:ROWS])
    others = rows[ROWS:]
    if others:
        text += f"\n{len(others)} more with {sum(row.count for row in others)} calls"
    if rows:
        text += f"\n{ValueHistogram.of(rows)}"
    return text


def bars(histogram: ValueHistogram) -> str:
    """Return a line with a bar for each bucket, those below zero first."""
    labels = [_label(start, end - 1) for start, end in zip(histogram.edges, histogram.edges[1:], strict=False)]
    counts = list(histogram.counts)
    if histogram.negative:
        labels.insert(0, "below 0")
        counts.insert(0, histogram.negative)
    width = max((len(label) for label in labels), default=0)
    return drawn([label.rjust(width) for label in labels], counts)


def _label(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
