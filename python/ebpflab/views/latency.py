"""How long calls or waits take: percentiles, and histograms."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from ebpflab.views import who
from ebpflab.views.table import Column, printable, table, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ebpflab.records import LatencyCount, LatencyCounts, Reading, SlowCall, Summary

#: Rows of a table; the others are summed up below it.
ROWS = 20
#: The longest bar.
BAR = 40

_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns"))


def duration(ns: int) -> str:
    """Return nanoseconds with three digits, in the unit that fits."""
    for unit, name in _UNITS:
        if ns >= unit:
            number = ns / unit
            return f"{number:.{max(0, 3 - len(str(int(number))))}f} {name}" if unit > 1 else f"{ns} ns"
    return "0 ns"


def _columns(what: str) -> tuple[Column[LatencyCount], ...]:
    return (
        Column(what.upper(), 10, lambda row: str(row.count)),
        Column(f"{what.upper()}/S", 9, lambda row: f"{row.rate:.0f}"),
        Column("P50", 8, lambda row: duration(row.p50_ns)),
        Column("P90", 8, lambda row: duration(row.p90_ns)),
        Column("P99", 8, lambda row: duration(row.p99_ns)),
        Column("MAX", 8, lambda row: duration(row.max_ns)),
    )


def frames(readings: Iterable[Reading[LatencyCounts]], what: str = "calls") -> Iterator[str]:
    """Yield a table and the histogram for each reading."""
    for reading in readings:
        yield _text(reading.counts, what)


def totals(summary: Summary[LatencyCounts], what: str = "calls") -> str:
    """Return those of a whole run, with rates over all of it."""
    rows = tuple(replace(row, rate=row.count / summary.duration_s) for row in summary.counts.rows)
    return _text(replace(summary.counts, rows=rows), what)


def slow(readings: Iterable[Reading[LatencyCounts]]) -> Iterator[str]:
    """Yield a line for each call or wait that took long, as they come."""
    for reading in readings:
        yield from (_slow(call) for call in reading.counts.slow)


def _text(counts: LatencyCounts, what: str) -> str:
    from ebpflab.tools.latency import Histogram  # noqa: PLC0415  it asks this module for its text

    text = "".join(f"{_slow(call)}\n" for call in counts.slow)
    text += table((*_columns(what), *who.columns(counts.rows)), counts.rows[:ROWS])
    others = counts.rows[ROWS:]
    if others:
        text += f"\n{len(others)} more with {sum(row.count for row in others)} {what}"
    if counts.rows:
        text += f"\n{Histogram.of(counts.rows)}"
    if counts.slow_lost:
        text += f"\n{counts.slow_lost} more {what} that took long, since the start"
    return text


def _slow(call: SlowCall) -> str:
    return f"{time_of_day(call.time)}  {duration(call.latency_ns):>8}  {call.pid:>7}  {printable(call.comm)}"


def bars(edges: Sequence[int], counts: Sequence[int]) -> str:
    """Return a line with a bar for each bucket."""
    pairs = itertools.pairwise(edges)
    labels = [f"{duration(start):>8} to {duration(end):>8}" for start, end in pairs]
    return drawn(labels, counts)


def drawn(labels: Iterable[str], counts: Sequence[int]) -> str:
    """Return lines of labels, counts and bars."""
    longest = max(counts, default=0)
    lines = []
    for label, count in zip(labels, counts, strict=True):
        bar = "#" * -(-count * BAR // longest) if count else ""
        lines.append(f"{label}  {count:>10}  {bar}".rstrip())
    return "\n".join(lines)
