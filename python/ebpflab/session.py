"""A running tool, as Python sees it."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ebpflab.errors import AttachError, ClosedError
from ebpflab.records import Attached, Counts, Hook, Ledger, Ledgers, Mode, Reading, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

    from ebpflab import _ebpflab

Event = TypeVar("Event")

_NO_LIMIT = 2**64 - 1


def _check_positive(**arguments: float | None) -> None:
    for name, value in arguments.items():
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name} must be more than 0 and finite, not {value}")


class Session:
    """A tool that is attached to the kernel.

    Made by the functions of this package, such as `ebpflab.xdp`. It is attached when it is made and detached by
    `close`, at the end of a `with` block, or when it is forgotten; nothing of it outlives the process. It may be
    used from several threads: stopping it in one ends the waits of the others. A process that inherits it by fork
    can only forget it.
    """

    def __init__(self, native: _ebpflab.Session) -> None:
        """Wrap a native session."""
        self._native = native
        raw = native.attached()
        #: What is attached, how and why.
        self.attached = Attached(
            command=raw["command"],
            hooks=tuple(Hook(**hook) for hook in raw["hooks"]),
            blind_to=tuple(raw["blind_to"]),
            buffer=raw["buffer"],
            kernel=raw["kernel"],
            mode=Mode(*raw["mode"]) if raw["mode"] else None,
        )

    def __enter__(self) -> Self:
        """Return the session itself: it is attached already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Name the tool, its hooks and how it fares."""
        hooks = ", ".join(sorted({f"{hook.kind} {hook.target}" for hook in self.attached.hooks}))
        state = "stopped" if self.stopped else "running"
        return f"<ebpflab {self.attached.command} on {hooks}, {state}, seen {self.ledger.seen}>"

    def fileno(self) -> int:
        """Return a file descriptor that is readable while events wait, and once the session is stopped.

        Take events until none is left when it is: a perf buffer (`execs`) tells of those in it only once.
        """
        return self._native.fileno()

    @property
    def stopped(self) -> bool:
        """Whether the session was stopped or closed."""
        return self._native.stopped

    @property
    def ledger(self) -> Ledger:
        """What became of everything seen. While it runs, terms are read one after the other; exact once stopped."""
        return Ledger(**self._native.ledger())

    def stop(self) -> Summary[Any]:
        """End the run and return the whole of it. Asked again it returns the same."""
        raw = self._native.stop()
        ledgers = raw["ledgers"] and Ledgers(
            **{kind: ledger and Ledger(**ledger) for kind, ledger in raw["ledgers"].items()}
        )
        return Summary(Ledger(**raw["ledger"]), raw["duration_s"], self._counts(raw["counts"]), ledgers)

    def _counts(self, raw: Any) -> Any:  # noqa: ANN401  each tool that counts knows its own
        """Make typed counts of the native ones; tools that have events have None."""
        return raw

    def close(self) -> None:
        """Stop and detach everything. Closing twice is fine."""
        self._native.close()


class CountSession(Session, Generic[Counts]):
    """A tool that counts in the kernel; its counts may be read at any time."""

    def _counts(self, raw: Any) -> Counts:  # noqa: ANN401
        raise NotImplementedError

    def read(self) -> Counts:
        """Return the counts since the start.

        Raises:
            AttachError: What it was attached to went away.
            ClosedError: The session was stopped.

        """
        return self._counts(self._native.read()[1])

    def readings(self, interval: float = 1.0, duration: float | None = None) -> Iterator[Reading[Counts]]:
        """Yield a reading every `interval` seconds, until `duration` seconds are over or the session is stopped.

        Raises:
            AttachError: What it was attached to went away.

        """
        for _ in self._ticks(interval, duration):
            try:
                read_at, counts = self._native.read()
            except ClosedError:
                return
            yield Reading(read_at, self._counts(counts))

    def json_lines(self, interval: float = 1.0, duration: float | None = None) -> Iterator[bytes]:
        """Yield the run as JSON lines (docs/json.md): `attached`, the readings, and `summary`, which ends the session.

        Raises:
            AttachError: What it was attached to went away; the summary comes before.

        """
        yield self._native.attached_json()
        gone = None
        try:
            for _ in self._ticks(interval, duration):
                yield self._native.read_json()
        except ClosedError:
            pass
        except AttachError as error:
            gone = error
        yield self._native.stop_json()
        if gone:
            raise gone

    def _ticks(self, interval: float, duration: float | None) -> Iterator[None]:
        """Wait for each of the moments at which `readings` reads."""
        _check_positive(interval=interval, duration=duration)
        start = time.monotonic()
        end = float("inf") if duration is None else start + duration
        number = 0
        moment = start
        while moment < end:
            number += 1
            moment = min(start + number * interval, end)
            if self._native.wait(max(0.0, moment - time.monotonic())):
                return
            yield

    def stop(self) -> Summary[Counts]:
        """End the counting and return the whole run. Asked again it returns the same."""
        return super().stop()


class EventSession(Session, Generic[Event]):
    """A tool that has events: iterating over it waits for them, and ends when it is stopped and none is left.

    Several threads may iterate; each event goes to one of them.
    """

    def __iter__(self) -> Iterator[Event]:
        """Yield events as they come."""
        return iter(self._native.next_event, None)

    def events(self, duration: float | None = None, limit: int | None = None) -> Iterator[Event]:
        """Yield events for `duration` seconds, or `limit` of them, or until the session is stopped."""
        _check_positive(duration=duration, limit=limit)
        if duration is None:
            yield from islice(self, limit)
            return
        end = time.monotonic() + duration
        for _ in range(_NO_LIMIT if limit is None else limit):
            event = None
            while event is None:
                # Looked at before the events: a stop takes the last of them out of the buffer first.
                stopped = self.stopped
                event = self._native.next_waiting()
                if event is None and (stopped or not self._native.wait(max(0.0, end - time.monotonic()))):
                    return
            yield event
            if time.monotonic() >= end:
                return

    def read(self) -> list[Event]:
        """Return the events that wait, without waiting for more."""
        return list(iter(self._native.next_waiting, None))

    def json_lines(self, duration: float | None = None, limit: int | None = None) -> Iterator[bytes]:
        """Yield the run as JSON lines (docs/json.md), many at once: `attached`, events, `summary`, which ends it.

        It ends after `duration` seconds, `limit` events, or when the session is stopped.
        """
        _check_positive(duration=duration, limit=limit)
        yield self._native.attached_json()
        end = None if duration is None else time.monotonic() + duration
        left = _NO_LIMIT if limit is None else limit
        while left:
            # Looked at before the events: a stop takes the last of them out of the buffer first.
            stopped = self._native.stopped
            lines = self._native.next_json(left)
            if lines:
                left -= lines.count(b"\n")
                yield lines
            elif stopped:
                break
            if end is not None and time.monotonic() >= end:
                self._native.stop()
            elif not lines:
                self._native.wait(None if end is None else max(0.0, end - time.monotonic()))
        yield self._native.stop_json()

    def stop(self) -> Summary[None]:
        """End the run and return the whole of it; events that wait can still be had."""
        return super().stop()
