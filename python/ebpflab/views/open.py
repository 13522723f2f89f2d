"""Opened files, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.records import ExecEvent, OpenEvent
from ebpflab.views.container import container as container_of
from ebpflab.views.table import Column, header, line, printable, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def result(event: OpenEvent | ExecEvent) -> str:
    """Name the errno, or show what was returned."""
    if event.error is None:
        return str(event.ret)
    # A signal came first; the kernel makes the call again, or ends it with EINTR.
    return "RESTART" if event.error.startswith("ERESTART") else event.error


def path(event: OpenEvent) -> str:
    """Return where the file is, or at least the path as given, made harmless; then what is special about it."""
    text = event.path if event.full_path is None else event.full_path
    if text is None:
        return "(not readable)"
    # Of a path that was given too long the start is there, of a whole one the end.
    cut = event.path_truncated
    whole = f"...{printable(text)}" if cut and not text.startswith("/") else printable(text) + ("..." if cut else "")
    return f"{whole} ({', '.join(event.path_notes)})" if event.path_notes else whole


_TIME = Column[OpenEvent]("TIME", 12, lambda event: time_of_day(event.time), right=False)
_CONTAINER = Column[OpenEvent]("CONTAINER", 15, container_of, right=False)
_COLUMNS = (
    Column[OpenEvent]("PID", 7, lambda event: str(event.pid)),
    Column[OpenEvent]("COMM", 15, lambda event: printable(event.comm), right=False),
    Column[OpenEvent]("RESULT", 8, result),
    Column[OpenEvent]("PATH", 0, path, right=False),
)


def lines(events: Iterable[OpenEvent], *, timestamp: bool = False, container: bool = False) -> Iterator[str]:
    """Yield the header, and a line for each event."""
    columns = (*([_TIME] if timestamp else []), *([_CONTAINER] if container else []), *_COLUMNS)
    yield header(columns)
    for event in events:
        yield line(columns, event)
