"""What is loaded, for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ebpflab.records import Cost, Link, Map, Program
from ebpflab.views.table import Column, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ebpflab.records import Holder, MapEntry, Tracepoint, TracepointArgument, TracepointField


def _bytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1_024:.0f}K"


def _holders(holders: tuple[Holder, ...]) -> str:
    return ", ".join(f"{printable(holder.comm or '?')} {holder.pid}" for holder in holders) or "-"


def _whose(row: Cost) -> str:
    return {"process": f"{printable(row.comm or '?')} {row.pid}", "pinned": "pinned, held by nobody"}.get(
        row.of, row.of
    )


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
_COSTS = (
    Column[Cost]("PROGRAMS", 8, lambda row: str(row.programs)),
    Column[Cost]("RUNS/S", 9, lambda row: f"{row.runs / row.seconds:.0f}"),
    Column[Cost]("NS/RUN", 7, lambda row: f"{row.run_time_ns / row.runs:.0f}" if row.runs else "-"),
    Column[Cost]("CPU %", 6, lambda row: f"{row.programs_percent:.2f}"),
    Column[Cost]("READER CPU %", 12, lambda row: f"{row.reader_percent:.1f}"),
    Column[Cost]("MEMORY", 7, lambda row: _bytes(row.memory_bytes)),
    Column[Cost]("OF", 0, _whose, right=False),
)


def costs(rows: Iterable[Cost]) -> str:
    """Return a line for each running ebpflab, and one for all of them."""
    return table(_COSTS, rows)


def programs(rows: Iterable[Program], *, stats: bool) -> str:
    """Return a line for each program; with `stats` how often it ran and how long a run took."""
    return table((*_PROGRAMS, *(_RUNS if stats else ()), _HELD), rows)


def maps(rows: Iterable[Map]) -> str:
    """Return a line for each map."""
    return table(_MAPS, rows)


def links(rows: Iterable[Link]) -> str:
    """Return a line for each link."""
    return table(_LINKS, rows)


def entries(rows: Sequence[MapEntry]) -> str:
    """Return a line for each entry, keys and values as Python would show them; below it the value of each CPU."""
    keys = [shown(row.key) for row in rows]
    width = min(max(len(key) for key in ("KEY", *keys)), _WIDEST_KEY)
    lines = [f"{'KEY':{width}}  VALUE"]
    for key, row in zip(keys, rows, strict=True):
        lines.append(f"{key:{width}}  {shown(row.value)}")
        lines += [f"{f'CPU {cpu}':>{width}}  {shown(value)}" for cpu, value in enumerate(row.values or ())]
    return "\n".join(line.rstrip() for line in lines)


_WIDEST_KEY = 40


def shown(value: object) -> str:
    """Return a value of a type that only the kernel or an object knows, as Python would show it; bytes in hex."""
    if isinstance(value, bytes):
        return value.hex(" ") or "-"
    return "?" if value is None else printable(repr(value))


def tracepoints(rows: Sequence[Tracepoint], *, fields: bool) -> str:
    """Return a line for each tracepoint; with `fields` what its record has, and what a raw tracepoint gets."""
    lines: list[str] = []
    for row in rows:
        lines.append(f"{row.category}:{row.name}" if row.category else row.name)
        if fields:
            lines += [
                f"  {field.offset:6}  {field.bytes:5}  {'signed' if field.signed else '':6}  {_declared(field)}"
                for field in row.fields or ()
            ]
            lines += [
                f"  arg {argument.index:2}  {argument.bytes:5}          {_declared(argument)}"
                for argument in row.arguments or ()
            ]
    return "\n".join(printable(line) for line in lines)


def _declared(part: TracepointField | TracepointArgument) -> str:
    """Return a name and its type as C declares it."""
    if not part.name:
        return part.c_type
    before, bracket, behind = part.c_type.partition(" [")
    if "(*" in before:
        return before.replace("(*", f"(*{part.name}", 1)
    space = "" if before.endswith("*") else " "
    return f"{before}{space}{part.name}{bracket.strip()}{behind}"
