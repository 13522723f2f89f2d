"""The busiest cgroups, and what was denied."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ebpflab.records import CgroupCounts, DeniedCount, GroupCount
from ebpflab.views.table import Column, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpflab.records import Reading, Summary


def _place(row: GroupCount) -> str:
    if row.container is not None:
        return printable(f"{row.container.runtime} {row.container.name or row.container.id[:12]}")
    return "(removed)" if row.cgroup_path is None else printable(row.cgroup_path)


#: Groups in a table; the others are summed up below it.
ROWS = 20

_COLUMNS = (
    Column[GroupCount]("DIR", 3, lambda row: {"ingress": "in", "egress": "out"}[row.direction], right=False),
    Column[GroupCount]("PACKETS", 10, lambda row: str(row.packets)),
    Column[GroupCount]("BYTES", 13, lambda row: str(row.bytes)),
    Column[GroupCount]("BYTES/S", 11, lambda row: f"{row.rate:.0f}"),
    Column[GroupCount]("PROTO", 6, lambda row: row.protocol, right=False),
    Column[GroupCount]("CGROUP", 0, _place, right=False),
)
_DENIED = (
    Column[DeniedCount]("DENIED", 15, lambda row: str(row.packets)),
    Column[DeniedCount]("BYTES", 13, lambda row: str(row.bytes)),
    Column[DeniedCount]("RULE", 0, lambda row: row.rule, right=False),
)


def frames(readings: Iterable[Reading[CgroupCounts]]) -> Iterator[str]:
    """Yield a table of the busiest for each reading."""
    for reading in readings:
        yield _table(reading.counts)


def totals(summary: Summary[CgroupCounts]) -> str:
    """Return the table of a whole run, with rates over all of it."""
    groups = tuple(replace(row, rate=row.bytes / summary.duration_s) for row in summary.counts.groups)
    return _table(replace(summary.counts, groups=groups))


def _table(counts: CgroupCounts) -> str:
    text = table(_COLUMNS, counts.groups[:ROWS])
    others = counts.groups[ROWS:]
    if others:
        packets, size = sum(row.packets for row in others), sum(row.bytes for row in others)
        text += f"\n{len(others)} more counters with {packets} packets and {size} bytes"
    if counts.denied:
        text += "\n" + table(_DENIED, counts.denied)
    return text
