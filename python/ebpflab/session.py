"""A running tool, as Python sees it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from ebpflab import _ebpflab
from ebpflab.errors import AttachError, ClosedError
from ebpflab.records import (
    Attached,
    Counts,
    Firewall,
    Hook,
    Ledger,
    Ledgers,
    Mode,
    PacketCount,
    Reading,
    RuleCount,
    SourceCount,
    Sources,
    Summary,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Self


Event = TypeVar("Event")

_NO_LIMIT = 2**64 - 1
#: Hooks that a session names where it is shown.
_TOLD = 12
#: Events that a task may have before others get their turn.
_TURN = 64


def _check_positive(**arguments: float | None) -> None:
    for name, value in arguments.items():
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name} must be more than 0 and finite, not {value}")


class More(TypedDict):
    """What a reading of `xdp` has beside its counts."""

    firewall: Firewall | None
    sources: Sources | None
    capture: Ledger | None


def firewall(raw: dict[str, Any] | None) -> Firewall | None:
    """Make a typed record of the native one."""
    if raw is None:
        return None
    return Firewall(
        active=raw["active"],
        dropped=PacketCount(*raw["dropped"]),
        passed=PacketCount(*raw["passed"]),
        unmatched=PacketCount(*raw["unmatched"]),
        rules=tuple(RuleCount(*rule) for rule in raw["rules"]),
    )


def more(raw: dict[str, Any]) -> More:
    """Make typed records of the native ones."""
    sources, capture = raw["sources"], raw["capture"]
    return More(
        firewall=firewall(raw["firewall"]),
        sources=sources
        and Sources(
            top=tuple(SourceCount(*source) for source in sources["top"]),
            tracked=sources["tracked"],
            untracked=PacketCount(*sources["untracked"]),
        ),
        capture=capture and Ledger(**capture),
    )


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
        hooks = sorted({f"{hook.kind} {hook.target}" for hook in self.attached.hooks})
        more = f" and {len(hooks) - _TOLD} more" if len(hooks) > _TOLD else ""
        state = "stopped" if self.stopped else "running"
        return (
            f"<ebpflab {self.attached.command} on {', '.join(hooks[:_TOLD])}{more}, {state}, seen {self.ledger.seen}>"
        )

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
    def warnings(self) -> tuple[str, ...]:
        """What whoever runs it should be told: sentences, mostly none. None at all once it is closed."""
        return tuple(self._native.warnings())

    def give_up_capabilities(self, *kept: str) -> None:
        """Give up, for good, the capabilities of this thread that the session needs no longer, but those named.

        The commands do that as soon as they are attached. Each thread has capabilities of its own, and one that is
        started later begins with those of the thread that starts it. What is executed from then on gets none back.
        Names are those of capabilities(7), as `"CAP_DAC_OVERRIDE"`.

        Raises:
            ValueError: A name is none.
            OSError: The kernel refuses.

        """
        self._native.give_up_capabilities(list(kept))

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
        counts = self._counts(raw["counts"])
        return Summary(Ledger(**raw["ledger"]), raw["duration_s"], counts, ledgers, **more(raw["more"]))

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
        return self._reading().counts

    def _reading(self) -> Reading[Counts]:
        read_at, counts, beside = self._native.read()
        return Reading(read_at, self._counts(counts), **more(beside))

    def readings(
        self, interval: float = 1.0, duration: float | None = None, limit: int | None = None
    ) -> Iterator[Reading[Counts]]:
        """Yield a reading every `interval` seconds.

        It ends after `duration` seconds, `limit` readings, or when the session is stopped.

        Raises:
            AttachError: What it was attached to went away.

        """
        for _ in self._ticks(interval, duration, limit):
            try:
                reading = self._reading()
            except ClosedError:
                return
            yield reading

    def json_lines(
        self, interval: float = 1.0, duration: float | None = None, limit: int | None = None
    ) -> Iterator[bytes]:
        """Yield the run as JSON lines (docs/json.md): `attached`, the readings, and `summary`, which ends the session.

        It ends after `duration` seconds, `limit` readings, or when the session is stopped.

        Raises:
            AttachError: What it was attached to went away; the summary comes before.

        """
        yield self._native.attached_json()
        gone = None
        try:
            for _ in self._ticks(interval, duration, limit):
                yield self._native.read_json()
        except ClosedError:
            pass
        except AttachError as error:
            gone = error
        yield self._native.stop_json()
        if gone:
            raise gone

    def _ticks(self, interval: float, duration: float | None, limit: int | None) -> Iterator[None]:
        """Wait for each of the moments at which `readings` reads."""
        _check_positive(interval=interval, duration=duration, limit=limit)
        start = time.monotonic()
        end = float("inf") if duration is None else start + duration
        number = 0
        moment = start
        while moment < end and number != limit:
            number += 1
            moment = min(start + number * interval, end)
            if self._native.wait(max(0.0, moment - time.monotonic())):
                return
            yield

    def stop(self) -> Summary[Counts]:
        """End the counting and return the whole run. Asked again it returns the same."""
        return super().stop()


class EventSession(Session, Generic[Event]):
    """A tool that has events: a loop over it, `for` or `async for`, waits for them, and ends when it is stopped.

    Then those that wait can still be had. Several threads and tasks may iterate; each event goes to one of them. What a
    loop that is left has not had stays for the next.
    """

    def __init__(self, native: _ebpflab.Session) -> None:
        """Wrap a native session."""
        super().__init__(native)
        #: Tasks that wait, by their loop.
        self._waiters: dict[asyncio.AbstractEventLoop, set[asyncio.Future[None]]] = {}

    def __iter__(self) -> Iterator[Event]:
        """Yield events as they come."""
        return self._native.events(None, _NO_LIMIT)

    def __aiter__(self) -> AsyncGenerator[Event, None]:  # noqa: PYI058  it has aclose
        """Yield events as they come, and leave the loop to others meanwhile."""
        return self._as_they_come(None, _NO_LIMIT)

    def events(self, timeout: float | None = None, limit: int | None = None) -> Events[Event]:
        """Return what yields events, in a `for` loop or an `async for` loop.

        The loop ends `timeout` seconds after this call, however many events there are, or after `limit` events, or when
        the session is stopped and none is left. The session itself goes on.

        Raises:
            ValueError: One of them is not above 0.

        """
        _check_positive(timeout=timeout, limit=limit)
        most = _NO_LIMIT if limit is None else limit
        return Events(self._native.events(timeout, most), lambda: self._as_they_come(timeout, most))

    def read(self) -> list[Event]:
        """Return the events that there are now, without waiting for more."""
        return self._native.read_events()

    async def _as_they_come(self, timeout: float | None, limit: int) -> AsyncGenerator[Event, None]:
        import asyncio  # noqa: PLC0415  large, and whoever comes here has it

        end = None if timeout is None else time.monotonic() + timeout
        for number in range(limit):
            event = None
            while event is None:
                if end is not None and time.monotonic() >= end:
                    return
                # Looked at before the events: a stop takes the last of them out of the buffer first.
                stopped = self.stopped
                event = self._native.next_waiting()
                if event is None:
                    if stopped:
                        return
                    await self._readable(asyncio.get_running_loop(), end)
            yield event
            if number % _TURN == 0:
                # Where something is always there to be had, others get their turn, and so does cancellation.
                await asyncio.sleep(0)

    async def _readable(self, loop: asyncio.AbstractEventLoop, end: float | None) -> None:
        """Wait until the file descriptor is readable, or it is time."""
        waiter: asyncio.Future[None] = loop.create_future()
        waiters = self._waiters.setdefault(loop, set())
        waiters.add(waiter)
        if len(waiters) == 1:
            # A loop knows a file descriptor once: all of its tasks wait for that.
            loop.add_reader(self.fileno(), _wake, waiters)
        timer = None if end is None else loop.call_later(end - time.monotonic(), _wake, {waiter})
        try:
            # Adding it may have used up that it was readable.
            if not self._native.is_readable():
                await waiter
        finally:
            if timer is not None:
                timer.cancel()
            waiters.discard(waiter)
            if not waiters:
                loop.remove_reader(self.fileno())
                self._waiters.pop(loop, None)

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

    def batches(self, *, rows: int = 65_536, seconds: float = 1.0) -> Iterator[_ebpflab.RecordBatch]:
        """Yield events as Arrow record batches until the session is stopped and none is left.

        A batch has at most `rows` rows (65,536 at most), and less once its first event has waited for `seconds`. It is
        made without the interpreter and has the Arrow PyCapsule interface, so that polars, DuckDB, pyarrow and pandas
        take it as it is. The columns are described in docs/columns.md. A row is `shown` when its batch is handed out.
        """
        _check_positive(rows=rows, seconds=seconds)
        batcher = _ebpflab.Batcher(self._native, rows)
        return iter(lambda: batcher.next(seconds), None)

    def record(
        self,
        path: str | os.PathLike[str],
        *,
        duration: float | None = None,
        limit: int | None = None,
        overwrite: bool = False,
        rotate_bytes: int | None = None,
        rotate_seconds: float | None = None,
        command: Sequence[str] = (),
    ) -> int:
        """Record events to a file for `duration` seconds, or `limit` of them, or until the session is stopped.

        The name of the file ends in `.parquet`, `.arrow` (IPC stream) or `.jsonl`; `overwrite` replaces one that is
        there. With `rotate_bytes` or `rotate_seconds` it is a folder, where the recording goes on in another Parquet
        file when one is that large or that old, and at midnight (UTC).

        `command` is what the metadata says that the user typed. Every event is in the file a second after it
        happened at the latest, whatever happens to this process; `recover` ends a file that a kill left without an end.
        The session is stopped when it returns.

        Returns:
            How many events were recorded.

        Raises:
            OSError: The file is there already, or cannot be written.
            ValueError: Its name ends in something else, or a folder is to be overwritten.

        """
        _check_positive(duration=duration, limit=limit, rotate_bytes=rotate_bytes, rotate_seconds=rotate_seconds)
        rotate = None if rotate_bytes is None and rotate_seconds is None else (rotate_bytes, rotate_seconds)
        if rotate and overwrite:
            raise ValueError("a recording in a folder overwrites nothing")
        recorder = _ebpflab.Recorder(self._native, os.fspath(path), list(command), overwrite, rotate)
        try:
            recorder.run(duration, _NO_LIMIT if limit is None else limit)
        except KeyboardInterrupt:
            recorder.finish()
            raise
        return recorder.finish()

    def attached_json(self) -> bytes:
        """Return the first of the JSON lines."""
        return self._native.attached_json()

    def stop_json(self) -> bytes:
        """End the run and return the last of the JSON lines."""
        return self._native.stop_json()

    def stop(self) -> Summary[None]:
        """End the run and return the whole of it; events that wait can still be had."""
        return super().stop()


class Events(Generic[Event]):
    """What `EventSession.events` returns: for one loop, `for` or `async for`."""

    def __init__(self, native: Iterator[Event], begin: Callable[[], AsyncGenerator[Event, None]]) -> None:
        """Take both ways to iterate."""
        self._native = native
        self._begin = begin

    def __iter__(self) -> Iterator[Event]:
        """Return what waits for events."""
        return self._native

    def __next__(self) -> Event:
        """Wait for the next event."""
        return next(self._native)

    def __aiter__(self) -> AsyncGenerator[Event, None]:  # noqa: PYI058  it has aclose
        """Yield events as they come, and leave the loop to others meanwhile."""
        return self._begin()


def _wake(waiters: set[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
