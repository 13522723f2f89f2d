"""Recordings: events in files. `EventSession.record` makes them."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from ebpflab import _ebpflab
from ebpflab.records import ActivityEvent, Attached, Hook, Ledger, Ledgers, Mode, Recorded, Recording, TraceEvent
from ebpflab.session import EventSession, _check_positive

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence


#: How long it may take until a replay that waits in asyncio sees that it was stopped.
_STOP_SECONDS = 0.1


class Keep(TypedDict):
    """Conditions that must all hold, in the form that the native module takes; None asks for nothing."""

    pid: int | None
    tid: int | None
    uid: int | None
    comm: bytes | None
    cgroup: bytes | None
    container: str | None
    path_prefix: bytes | None
    failed: bool


class Replay(EventSession[ActivityEvent | TraceEvent]):
    """The events of a recording, as if they happened again. It is a session without a kernel, and needs no privileges.

    `attached` is what it was recorded with. The ledger is that of the replay: `seen` are the events of the file,
    `filtered` those that were not asked for; what was lost while it was recorded is in `recorded.ledger`.
    """

    def __init__(self, native: _ebpflab.Replay) -> None:
        """Wrap a native replay."""
        # It has the methods of a native session that a session with events needs.
        self._native: Any = native
        self._waiters = {}
        #: How it was recorded.
        self.recording = _recording(json.loads(native.recording_json()))
        self.attached = self.recording.attached
        ended = native.recorded_json()
        #: How the recording ended; None if it did not.
        self.recorded = _recorded(json.loads(ended)) if ended else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """None: nothing is attached, and `recorded` says how the recording fared."""
        return ()

    def fileno(self) -> int:
        """Raise OSError: a replay waits for a moment, not for a file descriptor."""
        raise OSError("a replay has no file descriptor to wait on")

    async def _readable(self, loop: asyncio.AbstractEventLoop, end: float | None) -> None:  # noqa: ARG002
        """Wait until the next event is due, or it is time, but look for a stop now and then."""
        import asyncio  # noqa: PLC0415  large, and whoever comes here has it

        left = _STOP_SECONDS if end is None else max(0.0, min(_STOP_SECONDS, end - time.monotonic()))
        await asyncio.sleep(min(self._native.due(), left))


def _recording(raw: dict[str, Any]) -> Recording:
    attached = raw["attached"]
    mode = attached.get("mode")
    return Recording(
        version=raw["version"],
        host=raw["host"],
        command=tuple(raw["command"]),
        start=raw["start"],
        attached=Attached(
            command=attached["command"],
            hooks=tuple(Hook(**hook) for hook in attached["hooks"]),
            blind_to=tuple(attached["blind_to"]),
            buffer=attached["buffer"],
            kernel=attached["kernel"],
            mode=Mode(**mode) if mode else None,
        ),
    )


def _recorded(raw: dict[str, Any]) -> Recorded:
    ledgers = {kind: Ledger(**ledger) for kind, ledger in (raw.get("ledgers") or {}).items()}
    return Recorded(
        end=raw["end"],
        rows=raw["rows"],
        continued=raw["continued"],
        recovered=raw["recovered"],
        ledger=Ledger(**raw["ledger"]) if raw["ledger"] else None,
        ledgers=Ledgers(ledgers.get("open"), ledgers["exec"], ledgers["exit"]) if ledgers else None,
    )


def replay(
    path: str | os.PathLike[str],
    *,
    speed: float | None = None,
    pid: int | None = None,
    tid: int | None = None,
    uid: int | None = None,
    name: str | bytes | None = None,
    cgroup: str | None = None,
    container: str | None = None,
    path_prefix: str | bytes | None = None,
    failed: bool = False,
) -> Replay:
    """Give the events of a recording out again, as objects of the same classes.

    With `speed` they come at the pace at which they happened, times that; without it as fast as they are read. The
    filters mean what they mean in the kernel; `cgroup` is a path as events have it, and stands for all below it.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no recording, or has no end (see `recover`), or its events do not have what a filter asks for.

    """
    _check_positive(speed=speed)
    keep: Keep = {
        "pid": pid,
        "tid": tid,
        "uid": uid,
        "comm": None if name is None else os.fsencode(name),
        "cgroup": None if cgroup is None else os.fsencode(cgroup),
        "container": container,
        "path_prefix": None if path_prefix is None else os.fsencode(path_prefix),
        "failed": failed,
    }
    return Replay(_ebpflab.Replay(os.fspath(path), keep, speed))


def recover(path: str | os.PathLike[str]) -> int | None:
    """End a recording whose writer was killed, with everything that can be read of it. A whole one stays as it is.

    Returns:
        How many events it has, or None if it was whole.

    Raises:
        OSError: The file cannot be read or written.
        ValueError: It is no recording, or damaged in a way that a kill does not leave; it stays as it is.

    """
    return _ebpflab.recover(os.fspath(path))


class QueryError(Exception):
    """A recording cannot be asked that: there is no DuckDB, or it does not understand."""


@dataclass(frozen=True)
class Answer:
    """What a query gave: the names of the columns, and the rows."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]


def query(path: str | os.PathLike[str], sql: str) -> Answer:
    """Ask a recording, or a folder of Parquet recordings, in SQL; its table is called `events`.

    Raises:
        QueryError: DuckDB is not installed, or does not understand.
        OSError: The file cannot be read.
        ValueError: It is no recording.

    """
    try:
        import duckdb  # noqa: PLC0415  optional, and large
    except ImportError:
        raise QueryError("query needs DuckDB; install it with: pip install 'ebpflab[query]'") from None
    source = Path(path)
    with duckdb.connect() as connection:
        try:
            if source.is_dir():
                glob = str(source / "**" / "*.parquet")
                connection.read_parquet(glob, hive_partitioning=True, union_by_name=True).create_view("events")
            else:
                # It says what is wrong with a file that is no recording.
                table = _ebpflab.Table(str(source))
                if source.suffix == ".parquet":
                    connection.read_parquet(str(source)).create_view("events")
                else:
                    connection.register("events", table)
            answer = connection.sql(sql)
            if answer is None:
                raise QueryError("the query has no answer; ask with select")
            return Answer(answer.columns, answer.fetchall())
        except duckdb.Error as error:
            raise QueryError(str(error).splitlines()[0]) from None
