"""Opened files and executed programs as one stream, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.records import ExecEvent, OpenEvent
from ebpflab.views.exec import command_line
from ebpflab.views.open import path, result
from ebpflab.views.table import Column, header, line, printable, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ActivityEvent = OpenEvent | ExecEvent


def what(event: ActivityEvent) -> str:
    """Return what was opened or executed."""
    return path(event) if isinstance(event, OpenEvent) else command_line(event)


_TIME = Column[ActivityEvent]("TIME", 12, lambda event: time_of_day(event.time), right=False)
COLUMNS = (
    Column[ActivityEvent]("KIND", 4, lambda event: "open" if isinstance(event, OpenEvent) else "exec", right=False),
    Column[ActivityEvent]("PID", 7, lambda event: str(event.pid)),
    Column[ActivityEvent]("COMM", 15, lambda event: printable(event.comm), right=False),
    Column[ActivityEvent]("RESULT", 8, lambda event: result(event) if isinstance(event, OpenEvent) else ""),
    Column[ActivityEvent]("PATH OR ARGV", 0, what, right=False),
)


def lines(events: Iterable[ActivityEvent], *, timestamp: bool = False) -> Iterator[str]:
    """Yield the header, and a line for each event."""
    columns = (_TIME, *COLUMNS) if timestamp else COLUMNS
    yield header(columns)
    for event in events:
        yield line(columns, event)
