"""The busiest processes, what is of none, and what the interface itself counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ebpflab.records import PacketCount, ProcessCount, TrafficCounts, UnattributedCount
from ebpflab.views.table import Column, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpflab.records import Reading, Summary

#: Counters in a table; the others are summed up below it.
ROWS = 20

_SHORT = {"ingress": "in", "egress": "out"}
_COLUMNS = (
    Column[ProcessCount]("DIR", 3, lambda row: _SHORT[row.direction], right=False),
    Column[ProcessCount]("PACKETS", 10, lambda row: str(row.packets)),
    Column[ProcessCount]("BYTES", 13, lambda row: str(row.bytes)),
    Column[ProcessCount]("BYTES/S", 11, lambda row: f"{row.rate:.0f}"),
    Column[ProcessCount]("PROTO", 5, lambda row: row.protocol, right=False),
    Column[ProcessCount]("PID", 7, lambda row: str(row.pid)),
    Column[ProcessCount]("COMM", 0, lambda row: printable(row.comm), right=False),
)
_UNATTRIBUTED = (
    Column[UnattributedCount]("DIR", 3, lambda row: _SHORT[row.direction], right=False),
    Column[UnattributedCount]("PACKETS", 10, lambda row: str(row.packets)),
    Column[UnattributedCount]("BYTES", 13, lambda row: str(row.bytes)),
    Column[UnattributedCount]("OF NO PROCESS", 0, lambda row: row.reason, right=False),
)
#: Direction, what the interface counted, and how that compares.
_INTERFACE = (
    Column[tuple[str, PacketCount, str]]("DIR", 3, lambda row: _SHORT[row[0]], right=False),
    Column[tuple[str, PacketCount, str]]("PACKETS", 10, lambda row: str(row[1].packets)),
    Column[tuple[str, PacketCount, str]]("BYTES", 13, lambda row: str(row[1].bytes)),
    Column[tuple[str, PacketCount, str]]("THE INTERFACE", 0, lambda row: row[2], right=False),
)


def frames(readings: Iterable[Reading[TrafficCounts]]) -> Iterator[str]:
    """Yield a table of the busiest for each reading."""
    for reading in readings:
        yield _table(reading.counts)


def totals(summary: Summary[TrafficCounts]) -> str:
    """Return the table of a whole run, with rates over all of it."""
    processes = tuple(replace(row, rate=row.bytes / summary.duration_s) for row in summary.counts.processes)
    return _table(replace(summary.counts, processes=processes))


def _table(counts: TrafficCounts) -> str:
    text = table(_COLUMNS, counts.processes[:ROWS])
    others = counts.processes[ROWS:]
    if others:
        packets, size = sum(row.packets for row in others), sum(row.bytes for row in others)
        text += f"\n{len(others)} more counters with {packets} packets and {size} bytes"
    if counts.unattributed:
        text += "\n" + table(_UNATTRIBUTED, counts.unattributed)
    interface = (("ingress", counts.received), ("egress", counts.sent))
    rows = [(direction, counted, _compared(counts, direction, counted)) for direction, counted in interface]
    return text + "\n" + table(_INTERFACE, rows)


def _compared(counts: TrafficCounts, direction: str, counted: PacketCount) -> str:
    everything: tuple[ProcessCount | UnattributedCount, ...] = (*counts.processes, *counts.unattributed)
    rows = [row for row in everything if row.direction == direction]
    packets = counted.packets - sum(row.packets for row in rows)
    size = counted.bytes - sum(row.bytes for row in rows)
    return "the same" if packets == size == 0 else f"differs by {packets} packets and {size} bytes"
