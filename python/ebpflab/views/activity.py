"""Opened files, executed programs and processes that end as one stream, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.records import ActivityEvent, ExecEvent, ExitEvent, OpenEvent
from ebpflab.views.container import container as container_of
from ebpflab.views.exec import command_line, end, lifetime
from ebpflab.views.open import path, result
from ebpflab.views.table import Column, header, line, printable, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def kind(event: ActivityEvent) -> str:
    """Name the kind of an event."""
    match event:
        case OpenEvent():
            return "open"
        case ExecEvent():
            return "exec"
        case ExitEvent():
            return "exit"


def outcome(event: ActivityEvent) -> str:
    """Return what came of it, in a word."""
    match event:
        case OpenEvent():
            return result(event)
        case ExecEvent():
            return ""
        case ExitEvent():
            return end(event)


def what(event: ActivityEvent) -> str:
    """Return what was opened or executed, or how long it ran."""
    match event:
        case OpenEvent():
            return path(event)
        case ExecEvent():
            return command_line(event)
        case ExitEvent():
            return lifetime(event)


_TIME = Column[ActivityEvent]("TIME", 12, lambda event: time_of_day(event.time), right=False)
_CONTAINER = Column[ActivityEvent]("CONTAINER", 15, container_of, right=False)
COLUMNS = (
    Column[ActivityEvent]("KIND", 4, kind, right=False),
    Column[ActivityEvent]("PID", 7, lambda event: str(event.pid)),
    Column[ActivityEvent]("COMM", 15, lambda event: printable(event.comm), right=False),
    Column[ActivityEvent]("RESULT", 8, outcome),
    Column[ActivityEvent]("PATH OR ARGV", 0, what, right=False),
)


def lines(events: Iterable[ActivityEvent], *, timestamp: bool = False, container: bool = False) -> Iterator[str]:
    """Yield the header, and a line for each event."""
    columns = (*([_TIME] if timestamp else []), *([_CONTAINER] if container else []), *COLUMNS)
    yield header(columns)
    for event in events:
        yield line(columns, event)
