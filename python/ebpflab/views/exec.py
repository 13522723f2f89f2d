"""Executed programs and processes that end, a line each."""

from __future__ import annotations

import shlex
import signal
from typing import TYPE_CHECKING

from ebpflab.records import ExecEvent, ExitEvent
from ebpflab.views.container import container as container_of
from ebpflab.views.open import result
from ebpflab.views.table import Column, header, line, printable, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Event = ExecEvent | ExitEvent


def command_line(event: ExecEvent) -> str:
    """Show the arguments as a shell would take them, so that blanks in them can be told from those between them."""
    if event.argv is None:
        return "(not readable)"
    return " ".join(shlex.quote(printable(argument)) for argument in event.argv) + (
        " ..." if event.argv_truncated else ""
    )


def end(event: ExitEvent) -> str:
    """Return the status, or the name of the signal that killed it."""
    if event.signal is None:
        return str(event.exit_code)
    try:
        return signal.Signals(event.signal).name
    except ValueError:
        # One of the real-time signals, which have no names of their own.
        return f"SIG {event.signal}"


def lifetime(event: ExitEvent) -> str:
    """Tell how long it ran: since its exec, where that is known, else since its start."""
    duration = event.duration_ns if event.exec_duration_ns is None else event.exec_duration_ns
    core = ", dumped core" if event.core else ""
    return f"after {duration / 10**9:.3f} s{core}"


def outcome(event: Event) -> str:
    """Return what came of it, in a word; nothing for a program that runs."""
    if isinstance(event, ExitEvent):
        return end(event)
    return result(event) if event.ret else ""


def filename(event: Event) -> str:
    """Return the file name of an exec, for what follows it."""
    if isinstance(event, ExitEvent):
        return ""
    return f"{printable(event.filename)}: " if event.filename is not None else "(not readable): "


def what(event: Event) -> str:
    """Return what was executed, or what there is to say of its end."""
    return lifetime(event) if isinstance(event, ExitEvent) else command_line(event)


_TIME = Column[Event]("TIME", 12, lambda event: time_of_day(event.time), right=False)
_CONTAINER = Column[Event]("CONTAINER", 15, container_of, right=False)
_KIND = Column[Event]("KIND", 4, lambda event: "exit" if isinstance(event, ExitEvent) else "exec", right=False)
_WHO = (
    Column[Event]("PID", 7, lambda event: str(event.pid)),
    Column[Event]("PPID", 7, lambda event: str(event.ppid)),
    Column[Event]("UID", 6, lambda event: str(event.uid)),
    Column[Event]("COMM", 15, lambda event: printable(event.comm), right=False),
)
_RESULT = Column[Event]("RESULT", 8, outcome)
_ARGV = Column[Event]("ARGV", 0, what, right=False)
_FILENAME = Column[Event]("FILE", 0, lambda event: f"{filename(event)}{what(event)}", right=False)


def lines(
    events: Iterable[Event],
    *,
    timestamp: bool = False,
    container: bool = False,
    failed: bool = False,
    exits: bool = False,
) -> Iterator[str]:
    """Yield the header, and a line for each event.

    With `failed` or `exits` there is a column for the result, and for exits one that tells them apart. What failed is
    told by its file name first: that of the first argument may be another.
    """
    columns = (*_WHO, _RESULT) if failed or exits else _WHO
    columns = (*columns, _FILENAME if failed else _ARGV)
    columns = (_KIND, *columns) if exits else columns
    columns = (_CONTAINER, *columns) if container else columns
    columns = (_TIME, *columns) if timestamp else columns
    yield header(columns)
    for event in events:
        yield line(columns, event)
