"""A dashboard over events that are always the same: for the tests, and for the picture in the README."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ebpflab import Ledger
from ebpflab.views.dashboard import Dashboard
from ebpflab.views.live import OwnCpu

from tests.support import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpflab import ActivityEvent, ExecEvent, ExitEvent, OpenEvent

START = 1_700_000_000_000_000_000
SIZE = (100, 30)
KILLED, KEEPS_RUNNING = 4, 7
LIBRARIES = ["/etc/ld.so.cache", "/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/locale/locale-archive"]


def _open(number: int, pid: int, comm: str, path: str, ret: int = 3) -> OpenEvent:
    error = "ENOENT" if ret < 0 else None
    return replace(
        examples.OPEN, time=START + number, pid=pid, tid=pid, comm=comm, path=path, full_path=path, ret=ret, error=error
    )


def _exec(number: int, pid: int, comm: str, argv: tuple[str, ...]) -> ExecEvent:
    return replace(examples.EXEC, time=START + number, pid=pid, ppid=4000, comm=comm, filename=argv[0], argv=argv)


def _exit(number: int, pid: int, comm: str, exit_code: int | None, signal: int | None) -> ExitEvent:
    return replace(
        examples.EXIT, time=START + number, pid=pid, ppid=4000, comm=comm, exit_code=exit_code, signal=signal
    )


def build() -> list[ActivityEvent]:
    """Make 300 events of a build: 20 compilers with an exec, 11 opens and an end each, and a make."""
    events: list[ActivityEvent] = []
    for job in range(20):
        pid = 4001 + job
        events.append(_exec(len(events), pid, "cc1", ("cc1", "-O2", "-o", f"job {job}.o", f"job{job}.c")))
        for number in range(11):
            path = LIBRARIES[number] if number < len(LIBRARIES) else f"/usr/include/header{number}.h"
            missing = number == 2
            events.append(_open(len(events), pid, "cc1", path, -2 if missing else 3))
        # One of them is killed, one does not end.
        if job != KEEPS_RUNNING:
            killed = job == KILLED
            events.append(_exit(len(events), pid, "cc1", None if killed else 0, 9 if killed else None))
        events += [_open(len(events), 4000, "make", f"job{job}.c") for _ in range(3 if job == KEEPS_RUNNING else 2)]
    return events


class Example(Dashboard):
    """A dashboard that is drawn only when asked, a second apart."""

    def __init__(self, events: list[ActivityEvent]) -> None:
        """Draw these events."""
        self.done = threading.Event()
        self.fed = threading.Event()
        ledger = Ledger(312, 12, 300, 0, 0, 0, 0, 0, 0, 0, 300, 300)
        seconds = itertools.count()
        title = "ebpflab dashboard · kernel 6.18.0 · by raw_tracepoint"
        own = OwnCpu(clock=itertools.count().__next__, cpu=itertools.count(0, 0.021).__next__)
        clock = lambda: float(next(seconds))  # noqa: E731  it is short
        super().__init__(self._source(events), lambda: ledger, title, refresh=10**6, clock=clock, own=own)

    def _source(self, events: list[ActivityEvent]) -> Iterator[ActivityEvent]:
        yield from events
        self.fed.set()
        # As a live source does, it waits for more.
        self.done.wait()


async def screenshot(events: list[ActivityEvent], *keys: str) -> tuple[str, Example]:
    """Draw the events, press the keys, and return the screen as SVG."""
    app = Example(events)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        app.fed.wait()
        app.tick()
        await pilot.press(*keys)
        await pilot.pause()
        picture = app.export_screenshot()
        app.done.set()
    return picture, app
