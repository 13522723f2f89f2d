"""The busiest flows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ebpflab.records import FlowCount
from ebpflab.views.table import Column, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpflab.records import Reading, Summary


def _flow(row: FlowCount) -> str:
    parts = []
    if row.source is not None and row.destination is not None:
        ends = (row.source, row.source_port), (row.destination, row.destination_port)
        parts += [" > ".join(_end(address, port) for address, port in ends)]
    if row.vlan is not None:
        parts += [f"vlan {row.vlan}"]
    return " ".join(parts) or "-"


def _end(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


#: Flows in a table; the others are summed up below it.
ROWS = 20

_COLUMNS = (
    Column[FlowCount]("DIR", 3, lambda row: {"ingress": "in", "egress": "out"}[row.direction], right=False),
    Column[FlowCount]("PACKETS", 10, lambda row: str(row.packets)),
    Column[FlowCount]("BYTES", 13, lambda row: str(row.bytes)),
    Column[FlowCount]("BYTES/S", 11, lambda row: f"{row.rate:.0f}"),
    Column[FlowCount]("PROTO", 6, lambda row: row.protocol, right=False),
    Column[FlowCount]("FLOW", 0, _flow, right=False),
)


def frames(readings: Iterable[Reading[list[FlowCount]]]) -> Iterator[str]:
    """Yield a table of the busiest for each reading."""
    for reading in readings:
        yield _table(reading.counts)


def totals(summary: Summary[list[FlowCount]]) -> str:
    """Return the table of a whole run, with rates over all of it."""
    return _table([replace(row, rate=row.bytes / summary.duration_s) for row in summary.counts])


def _table(counts: list[FlowCount]) -> str:
    text = table(_COLUMNS, counts[:ROWS])
    others = counts[ROWS:]
    if others:
        packets, size = sum(row.packets for row in others), sum(row.bytes for row in others)
        text += f"\n{len(others)} more flows with {packets} packets and {size} bytes"
    return text
