"""What is loaded, for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ebpflab.records import Link, Map, Program
from ebpflab.views.table import Column, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpflab.records import Holder


def _bytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1_024:.0f}K"


def _holders(holders: tuple[Holder, ...]) -> str:
    return ", ".join(f"{printable(holder.comm or '?')} {holder.pid}" for holder in holders) or "-"


_PROGRAMS = (
    Column[Program]("ID", 6, lambda row: str(row.id)),
    Column[Program]("TYPE", 14, lambda row: row.kind, right=False),
    Column[Program]("NAME", 15, lambda row: printable(row.name), right=False),
    Column[Program]("LOADED", 8, lambda row: f"{datetime.fromtimestamp(row.loaded // 10**9).astimezone():%H:%M:%S}"),
    Column[Program]("INSNS", 6, lambda row: str(row.instructions)),
    Column[Program]("MEMORY", 6, lambda row: _bytes(row.memory_bytes)),
)
_RUNS = (
    Column[Program]("RUNS", 9, lambda row: str(row.run_count)),
    Column[Program]("NS/RUN", 7, lambda row: f"{row.run_time_ns / row.run_count:.0f}" if row.run_count else "-"),
)
_HELD = Column[Program]("HELD BY", 0, lambda row: _holders(row.holders), right=False)
_MAPS = (
    Column[Map]("ID", 6, lambda row: str(row.id)),
    Column[Map]("TYPE", 16, lambda row: row.kind, right=False),
    Column[Map]("NAME", 15, lambda row: printable(row.name), right=False),
    Column[Map]("KEY", 4, lambda row: str(row.key_bytes)),
    Column[Map]("VALUE", 6, lambda row: str(row.value_bytes)),
    Column[Map]("MOST", 8, lambda row: str(row.max_entries)),
    Column[Map]("MEMORY", 7, lambda row: _bytes(row.memory_bytes)),
    Column[Map]("HELD BY", 0, lambda row: _holders(row.holders), right=False),
)
_LINKS = (
    Column[Link]("ID", 6, lambda row: str(row.id)),
    Column[Link]("TYPE", 14, lambda row: row.kind, right=False),
    Column[Link]("PROGRAM", 7, lambda row: str(row.program)),
    Column[Link]("TARGET", 30, lambda row: printable(row.target or "?"), right=False),
    Column[Link]("HELD BY", 0, lambda row: _holders(row.holders), right=False),
)


def programs(rows: Iterable[Program], *, stats: bool) -> str:
    """Return a line for each program; with `stats` how often it ran and how long a run took."""
    return table((*_PROGRAMS, *(_RUNS if stats else ()), _HELD), rows)


def maps(rows: Iterable[Map]) -> str:
    """Return a line for each map."""
    return table(_MAPS, rows)


def links(rows: Iterable[Link]) -> str:
    """Return a line for each link."""
    return table(_LINKS, rows)
