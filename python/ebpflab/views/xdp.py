"""Packets by protocol, by rule and by source."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ebpflab.records import PacketCount, RuleCount, SourceCount
from ebpflab.views.table import Column, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpflab.records import Firewall, PinnedXdp, Reading, Sources, Summary

#: Rules that are shown, the busiest of them.
ROWS = 20


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
_RULES = (
    Column[RuleCount]("RULE", 6, lambda rule: rule.action, right=False),
    Column[RuleCount]("PACKETS", 14, lambda rule: str(rule.packets)),
    Column[RuleCount]("BYTES", 17, lambda rule: str(rule.bytes)),
    Column[RuleCount]("SOURCE", 0, lambda rule: rule.cidr if rule.active else f"{rule.cidr} (gone)", right=False),
)
_SOURCES = (
    Column[SourceCount]("", 6, lambda _: "", right=False),
    Column[SourceCount]("PACKETS", 14, lambda source: str(source.packets)),
    Column[SourceCount]("BYTES", 17, lambda source: str(source.bytes)),
    Column[SourceCount]("BUSIEST", 0, lambda source: source.address, right=False),
)
_NONE = PacketCount(0, 0)


def frames(readings: Iterable[Reading[dict[str, PacketCount]]]) -> Iterator[str]:
    """Yield tables for each reading, with rates since the one before; the first has none."""
    before: Reading[dict[str, PacketCount]] | None = None
    for reading in readings:
        seconds = (reading.time - before.time) / 1e9 if before else float("inf")
        counts = _table(reading.counts, before.counts if before else {}, seconds)
        yield "\n".join([counts, *_beside(reading.firewall, reading.sources)])
        before = reading


def totals(summary: Summary[dict[str, PacketCount]]) -> str:
    """Return the tables of a whole run, with rates over all of it."""
    counts = _table(summary.counts, {}, summary.duration_s)
    return "\n".join([counts, *_beside(summary.firewall, summary.sources)])


def pinned(pinned: PinnedXdp) -> str:
    """Return where a program is pinned, and what it has counted."""
    where = pinned.iface or "an interface that is not here"
    mode = f" in {pinned.mode} mode" if pinned.mode else ""
    head = f"pinned on {where}{mode} (program {pinned.program}), in {pinned.folder}"
    counts = table(_COLUMNS[:3], [_Row(protocol, count, 0, 0) for protocol, count in pinned.counts.items()])
    return "\n".join([head, counts, *_beside(pinned.firewall, None)])


def _table(counts: dict[str, PacketCount], before: dict[str, PacketCount], seconds: float) -> str:
    rows = []
    for protocol, count in counts.items():
        last = before.get(protocol, _NONE)
        packet_rate, byte_rate = (count.packets - last.packets) / seconds, (count.bytes - last.bytes) / seconds
        rows.append(_Row(protocol, count, packet_rate, byte_rate))
    return table(_COLUMNS, rows)


def _beside(firewall: Firewall | None, sources: Sources | None) -> Iterator[str]:
    if firewall:
        yield ""
        yield table(_RULES, firewall.rules[:ROWS])
        hidden = firewall.active - sum(rule.active for rule in firewall.rules[:ROWS])
        if hidden > 0:
            yield f"{hidden} more rules"
        dropped, passed, unmatched = (
            f"{count.packets} packets ({count.bytes} bytes)"
            for count in (firewall.dropped, firewall.passed, firewall.unmatched)
        )
        yield f"dropped {dropped}, passed {passed}, of these {unmatched} by no rule"
    if sources:
        yield ""
        yield table(_SOURCES, sources.top)
        yield f"{sources.tracked} sources; {sources.untracked.packets} packets of others, which there was no room for"
