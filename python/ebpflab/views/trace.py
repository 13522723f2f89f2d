"""Calls of a function, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.records import TraceEvent
from ebpflab.views.container import container as container_of
from ebpflab.views.table import Column, header, line, printable, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def data(event: TraceEvent) -> str:
    """Return what was read, made harmless."""
    if event.data_fault:
        return "(not readable)"
    return printable(event.data or "") + ("..." if event.data_truncated else "")


_TIME = Column[TraceEvent]("TIME", 12, lambda event: time_of_day(event.time), right=False)
_CONTAINER = Column[TraceEvent]("CONTAINER", 15, container_of, right=False)
_COLUMNS = (
    Column[TraceEvent]("PID", 7, lambda event: str(event.pid)),
    Column[TraceEvent]("COMM", 15, lambda event: printable(event.comm), right=False),
    Column[TraceEvent]("US", 10, lambda event: f"{event.latency_ns / 1_000:.1f}"),
    # An address of user memory has 15 digits.
    Column[TraceEvent]("RETURNED", 15, lambda event: "" if event.value is None else str(event.value)),
    Column[TraceEvent]("DATA", 0, data, right=False),
)


def lines(events: Iterable[TraceEvent], *, timestamp: bool = False, container: bool = False) -> Iterator[str]:
    """Yield the header, and a line for each event."""
    columns = (*([_TIME] if timestamp else []), *([_CONTAINER] if container else []), *_COLUMNS)
    yield header(columns)
    for event in events:
        yield line(columns, event)
