"""Opened files, a line each."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ebpflab.records import OpenEvent
from ebpflab.views.table import Column, header, line, printable, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def result(ret: int) -> str:
    """Name the errno, or show the file descriptor."""
    # A signal came first; the kernel makes the call again, or ends it with EINTR (include/linux/errno.h).
    if -516 <= ret <= -512:  # noqa: PLR2004
        return "RESTART"
    return str(ret) if ret >= 0 else errno.errorcode.get(-ret, str(ret))


def path(event: OpenEvent) -> str:
    """Return the path, made harmless."""
    if event.path is None:
        return "(not readable)"
    return printable(event.path) + ("..." if event.path_truncated else "")


_TIME = Column[OpenEvent]("TIME", 12, lambda event: time_of_day(event.time), right=False)
_COLUMNS = (
    Column[OpenEvent]("PID", 7, lambda event: str(event.pid)),
    Column[OpenEvent]("COMM", 15, lambda event: printable(event.comm), right=False),
    Column[OpenEvent]("RESULT", 8, lambda event: result(event.ret)),
    Column[OpenEvent]("PATH", 0, path, right=False),
)


def lines(events: Iterable[OpenEvent], *, timestamp: bool = False) -> Iterator[str]:
    """Yield the header, and a line for each event."""
    columns = (_TIME, *_COLUMNS) if timestamp else _COLUMNS
    yield header(columns)
    for event in events:
        yield line(columns, event)
