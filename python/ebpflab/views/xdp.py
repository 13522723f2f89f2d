"""Packets by protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ebpflab.records import PacketCount
from ebpflab.views.table import Column, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpflab.records import Reading, Summary


class _Row(NamedTuple):
    protocol: str
    total: PacketCount
    packet_rate: float
    byte_rate: float


_COLUMNS = (
    Column[_Row]("PROTO", 6, lambda row: row.protocol, right=False),
    Column[_Row]("PACKETS", 14, lambda row: str(row.total.packets)),
    Column[_Row]("BYTES", 17, lambda row: str(row.total.bytes)),
    Column[_Row]("PACKETS/S", 12, lambda row: f"{row.packet_rate:.0f}"),
    Column[_Row]("BYTES/S", 14, lambda row: f"{row.byte_rate:.0f}"),
)
_NONE = PacketCount(0, 0)


def frames(readings: Iterable[Reading[dict[str, PacketCount]]]) -> Iterator[str]:
    """Yield a table for each reading, with rates since the one before; the first has none."""
    before: Reading[dict[str, PacketCount]] | None = None
    for reading in readings:
        seconds = (reading.time - before.time) / 1e9 if before else float("inf")
        yield _table(reading.counts, before.counts if before else {}, seconds)
        before = reading


def totals(summary: Summary[dict[str, PacketCount]]) -> str:
    """Return the table of a whole run, with rates over all of it."""
    return _table(summary.counts, {}, summary.duration_s)


def _table(counts: dict[str, PacketCount], before: dict[str, PacketCount], seconds: float) -> str:
    rows = []
    for protocol, count in counts.items():
        last = before.get(protocol, _NONE)
        packet_rate, byte_rate = (count.packets - last.packets) / seconds, (count.bytes - last.bytes) / seconds
        rows.append(_Row(protocol, count, packet_rate, byte_rate))
    return table(_COLUMNS, rows)
