"""Executed programs, a line each."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ebpflab.records import ExecEvent
from ebpflab.views.table import Column, header, line, printable, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def command_line(event: ExecEvent) -> str:
    """Show the arguments as a shell would take them, so that blanks in them can be told from those between them."""
    if event.argv is None:
        return "(not readable)"
    return " ".join(shlex.quote(printable(argument)) for argument in event.argv) + (
        " ..." if event.argv_truncated else ""
    )


_TIME = Column[ExecEvent]("TIME", 12, lambda event: time_of_day(event.time), right=False)
_COLUMNS = (
    Column[ExecEvent]("PID", 7, lambda event: str(event.pid)),
    Column[ExecEvent]("PPID", 7, lambda event: str(event.ppid)),
    Column[ExecEvent]("UID", 6, lambda event: str(event.uid)),
    Column[ExecEvent]("COMM", 15, lambda event: printable(event.comm), right=False),
    Column[ExecEvent]("ARGV", 0, command_line, right=False),
)


def lines(events: Iterable[ExecEvent], *, timestamp: bool = False) -> Iterator[str]:
    """Yield the header, and a line for each event."""
    columns = (_TIME, *_COLUMNS) if timestamp else _COLUMNS
    yield header(columns)
    for event in events:
        yield line(columns, event)
