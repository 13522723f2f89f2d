"""Recordings and columns without a kernel."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import threading
import time
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote

import ebpflab
import pytest
from ebpflab import ExecEvent, ExitEvent, OpenEvent

from tests.support import recorded
from tests.support.recorded import EVENTS, FORMATS, ODD

if TYPE_CHECKING:
    from pathlib import Path

    from ebpflab._ebpflab import RecordBatch


@pytest.mark.parametrize("kind", FORMATS)
def test_a_replay_gives_the_events_that_were_recorded(tmp_path: Path, kind: str) -> None:
    with ebpflab.replay(recorded.write(tmp_path, kind)) as replay:
        assert list(replay) == EVENTS
        assert replay.recording.command == tuple(recorded.RECORDING["command"])  # type: ignore[arg-type]
        assert (replay.recording.host, replay.attached.kernel) == ("web-1", "6.18.0")
        assert replay.attached.hooks == (ebpflab.Hook("open_fentry", "fentry", "do_sys_openat2", "first choice"),)
        ledger = replay.stop().ledger
    assert (ledger.seen, ledger.shown, ledger.balanced) == (len(EVENTS), len(EVENTS), True)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_recording_says_how_it_ended(tmp_path: Path, kind: str) -> None:
    ended = ebpflab.replay(recorded.write(tmp_path, kind)).recorded
    assert ended is not None
    assert ended.ledger is not None
    assert (ended.rows, ended.recovered, ended.ledger.shown) == (len(EVENTS), False, len(EVENTS))
    assert ended.ledger.balanced == (kind != "jsonl" or recorded.LEDGER["dropped"] == 1)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_replay_as_json_lines_has_the_events_as_they_were(tmp_path: Path, kind: str) -> None:
    with ebpflab.replay(recorded.write(tmp_path, kind)) as replay:
        lines = b"".join(replay.json_lines()).decode().splitlines(keepends=True)
    assert lines[1:-1] == [recorded.line(event) for event in EVENTS]
    assert json.loads(lines[0]) == recorded.ATTACHED
    assert json.loads(lines[-1])["ledger"]["shown"] == len(EVENTS)


def test_files_are_their_owners_alone_and_stay_unless_told(tmp_path: Path) -> None:
    for kind in FORMATS[1:]:
        path = recorded.write(tmp_path, kind)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        before = path.read_bytes()
        with ebpflab.replay(tmp_path / "run.jsonl") as replay, pytest.raises(FileExistsError, match="is there already"):
            replay.record(path)
        assert path.read_bytes() == before
        with ebpflab.replay(tmp_path / "run.jsonl", pid=7) as replay:
            assert replay.record(path, overwrite=True) == 3
    with ebpflab.replay(tmp_path / "run.jsonl") as replay, pytest.raises(ValueError, match="ends in"):
        replay.record(tmp_path / "run.csv")


def test_a_recording_of_a_few_events_has_just_these(tmp_path: Path) -> None:
    source = recorded.write(tmp_path)
    with ebpflab.replay(source) as replay:
        assert replay.record(tmp_path / "few.arrow", limit=4) == 4
    assert list(ebpflab.replay(tmp_path / "few.arrow")) == EVENTS[:4]


def test_filters_mean_what_they_mean_in_the_kernel(tmp_path: Path) -> None:
    path = recorded.write(tmp_path, "parquet")

    def kept(**asked: object) -> list[ebpflab.ActivityEvent]:
        return list(ebpflab.replay(path, **asked))  # type: ignore[arg-type]

    assert kept(pid=7) == [event for event in EVENTS if event.pid == 7]
    assert kept(uid=0) == [event for event in EVENTS if event.uid == 0]
    assert kept(name="caf\udce9") == kept(name=b"caf\xe9") == [EVENTS[1]]
    assert kept(container="web-1") == kept(container="0123456") == [EVENTS[1]]
    assert kept(cgroup="/system.slice") == [event for event in EVENTS if event.cgroup_path]
    assert kept(cgroup="/system") == []
    assert kept(failed=True) == [EVENTS[5], EVENTS[8], EVENTS[9]]
    others = [event for event in EVENTS if not isinstance(event, OpenEvent)]
    prefixed = kept(path_prefix="/srv/")
    assert [event for event in prefixed if isinstance(event, OpenEvent)] == [EVENTS[1], EVENTS[4]]
    assert [event for event in prefixed if not isinstance(event, OpenEvent)] == others
    with pytest.raises(ValueError, match="thread"):
        kept(tid=1)


def test_at_its_own_pace_a_replay_waits(tmp_path: Path) -> None:
    opens = [event for event in EVENTS if isinstance(event, OpenEvent)][:2]
    first, second = opens
    later = replace(second, time=first.time + 400_000_000)
    path = recorded.write(tmp_path, tool="open", events=[first, later])
    start = time.monotonic()
    assert list(ebpflab.replay(path, speed=2)) == [first, later]
    assert time.monotonic() - start >= 0.2
    with ebpflab.replay(path, speed=0.001) as replay:
        assert replay.read() == [first]
        assert list(replay.events(timeout=0.05)) == []
        assert replay.ledger.seen == 1
    with pytest.raises(ValueError, match="speed"):
        ebpflab.replay(path, speed=0)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    for kind in FORMATS:
        path = tmp_path / f"none.{kind}"
        path.write_bytes(b"nothing of the kind")
        for function in (ebpflab.replay, ebpflab.recover):
            with pytest.raises(ValueError, match="cannot be read as a recording"):
                function(path)
        with pytest.raises(FileNotFoundError):
            ebpflab.replay(tmp_path / f"missing.{kind}")


def test_a_cut_recording_is_replayed_and_recovered(tmp_path: Path) -> None:
    path = recorded.write(tmp_path)
    with path.open("r+b") as file:
        # Into the last event.
        file.truncate(path.stat().st_size - len(json.dumps(recorded.RECORDED)) - 30)
    assert list(ebpflab.replay(path)) == EVENTS[:-1]
    assert ebpflab.replay(path).recorded is None
    assert ebpflab.recover(path) == len(EVENTS) - 1
    assert ebpflab.recover(path) is None
    ended = ebpflab.replay(path).recorded
    assert ended == ebpflab.Recorded(
        EVENTS[-2].time, len(EVENTS) - 1, continued=False, recovered=True, ledger=None, ledgers=None
    )


def batch(path: Path) -> RecordBatch:
    with ebpflab.replay(path) as replay:
        (whole,) = replay.batches()
    return whole


def test_batches_have_as_many_rows_as_asked(tmp_path: Path) -> None:
    path = recorded.write(tmp_path)
    with ebpflab.replay(path) as replay:
        assert [len(batch) for batch in replay.batches(rows=4)] == [4, 4, 2]
        assert replay.ledger.shown == len(EVENTS)
    with ebpflab.replay(path) as replay:
        assert next(replay.batches(rows=3)).num_rows == 3
        # Those that were not handed out were not shown.
        assert replay.ledger.shown == 3
        with pytest.raises(ValueError, match="65536"):
            replay.batches(rows=65_537)
        with pytest.raises(ValueError, match="rows"):
            replay.batches(rows=0)


def test_pyarrow_takes_a_batch_with_its_descriptions(tmp_path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415  slow to import

    table = pa.record_batch(batch(recorded.write(tmp_path)))
    table.validate(full=True)
    assert table.column("type").to_pylist() == [recorded.KINDS[type(event)] for event in EVENTS]
    assert table.schema.metadata[b"ebpflab.version"] == b"1"
    assert table.schema.field("latency_ns").metadata[b"unit"] == b"ns"
    assert table.schema.field("time").type == pa.timestamp("ns", tz="UTC")
    fields = {name for kind in (OpenEvent, ExecEvent, ExitEvent) for name in kind.__match_args__}
    assert fields <= set(table.schema.names)
    assert all(field.metadata[b"doc"] for field in table.schema)
    rows = table.to_pylist()
    assert [row["pid"] for row in rows] == [event.pid for event in EVENTS]
    assert (rows[1]["path"], rows[1]["path_bytes"]) == ("/srv/caf\ufffd", os.fsencode(ODD))
    assert (rows[0]["path"], rows[0]["path_bytes"]) == ("/etc/passwd", None)
    assert (rows[3]["argv"], rows[3]["argv_bytes"]) == (["ls", "caf\ufffd", ""], [b"ls", b"caf\xe9", b""])
    assert (rows[1]["container"], rows[0]["container"]) == (
        {"id": recorded.WEB.id, "runtime": "docker", "name": "web-1"},
        None,
    )
    assert (rows[5]["flag_names"], rows[5]["error"]) == (["O_WRONLY", "O_CREAT", "O_TRUNC"], "ENOENT")
    # What a kind does not have is null.
    assert (rows[7]["path"], rows[0]["exit_code"], rows[7]["exit_code"]) == (None, None, 0)


def test_polars_takes_a_batch(tmp_path: Path) -> None:
    import polars as pl  # noqa: PLC0415  slow to import

    frame = pl.DataFrame(batch(recorded.write(tmp_path)))
    assert frame.height == len(EVENTS)
    assert frame.filter(pl.col("path").is_not_null())["path"].to_list()[:2] == ["/etc/passwd", "/srv/caf\ufffd"]
    assert frame["comm"].cast(pl.String).to_list()[1] == "caf\ufffd"


def test_duckdb_takes_a_batch(tmp_path: Path) -> None:
    import duckdb  # noqa: PLC0415  slow to import

    with duckdb.connect() as connection:
        connection.register("events", batch(recorded.write(tmp_path)))
        found = connection.sql("select type, count(*) from events group by type order by type").fetchall()
    assert found == [("exec", 4), ("exit", 2), ("open", 4)]


def test_pandas_takes_a_batch(tmp_path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415  slow to import

    frame = pa.record_batch(batch(recorded.write(tmp_path))).to_pandas()
    assert frame["pid"].tolist() == [event.pid for event in EVENTS]
    assert frame["time"][0] == datetime.fromtimestamp(EVENTS[0].time / 1e9, timezone.utc)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_query_asks_the_recording(tmp_path: Path, kind: str) -> None:
    path = recorded.write(tmp_path, kind)
    answer = ebpflab.query(path, "select type, max(pid) as pid from events group by type order by type")
    assert (list(answer.columns), list(answer.rows)) == (
        ["type", "pid"],
        [("exec", 4211), ("exit", 4211), ("open", 4211)],
    )
    with pytest.raises(ebpflab.QueryError, match="nowhere"):
        ebpflab.query(path, "select * from nowhere")


def test_a_query_without_duckdb_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ebpflab.QueryError, match=r"pip install 'ebpflab\[query\]'"):
        ebpflab.query(recorded.write(tmp_path), "select 1")


def spread(count: int) -> list[ebpflab.ActivityEvent]:
    """Return opens that are half a second apart."""
    return [replace(EVENTS[0], time=EVENTS[0].time + number * 500_000_000) for number in range(count)]


def test_a_recording_goes_on_from_file_to_file(tmp_path: Path) -> None:
    source = recorded.write(tmp_path, tool="open", events=spread(5))
    with ebpflab.replay(source, speed=1) as replay:
        assert replay.record(tmp_path / "runs", rotate_seconds=0.6) == 5
        ledger = replay.ledger
    paths = sorted(path for path in (tmp_path / "runs").rglob("*") if path.is_file())
    start = datetime.fromtimestamp(recorded.RECORDING["start"] // 10**9, timezone.utc)  # type: ignore[operator]
    stem = f"open-{start:%Y%m%dT%H%M%SZ}-{os.getpid()}"
    assert [path.name for path in paths] == [f"{stem}-{number:05}.parquet" for number in range(len(paths))]
    assert len(paths) > 1
    (host,) = {path.parent.parent.name for path in paths}
    assert host == f"host={quote(os.uname().nodename)}"
    assert {date.fromisoformat(path.parent.name.removeprefix("date=")) for path in paths} <= {
        datetime.now(timezone.utc).date() - timedelta(days=days) for days in (0, 1)
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert stat.S_IMODE((tmp_path / "runs").stat().st_mode) == 0o700
    parts = [ebpflab.replay(path) for path in paths]
    assert [event for part in parts for event in part] == spread(5)
    ends = [part.recorded for part in parts]
    assert [end is not None and (end.continued, end.ledger) for end in ends] == [
        *[(True, None)] * (len(ends) - 1),
        (False, ledger),
    ]
    answer = ebpflab.query(
        tmp_path / "runs", "select host, count(*), count(distinct date) > 0 from events group by host"
    )
    assert answer.rows == [(os.uname().nodename, 5, True)]


def test_a_recording_goes_on_when_a_file_is_large(tmp_path: Path) -> None:
    source = recorded.write(tmp_path, tool="open", events=spread(3))
    with ebpflab.replay(source, speed=1) as replay:
        assert replay.record(tmp_path / "runs", rotate_bytes=1) == 3
    paths = sorted((tmp_path / "runs").rglob("*.parquet"))
    assert [event for path in paths for event in ebpflab.replay(path)] == spread(3)
    assert len(paths) >= 3


def test_what_is_still_written_is_not_recovered(tmp_path: Path) -> None:
    source = recorded.write(tmp_path, tool="open", events=spread(3))
    path = tmp_path / "run.parquet"
    said = list[str]()

    def recover() -> None:
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            ebpflab.recover(path)
        except ValueError as error:
            said.append(str(error))

    thread = threading.Thread(target=recover)
    with ebpflab.replay(source, speed=1) as replay:
        thread.start()
        assert replay.record(path) == 3
    thread.join()
    assert said == [f"{path} is being written"]
    assert list(ebpflab.replay(path)) == spread(3)


def test_a_replay_in_asyncio_waits_for_its_events(tmp_path: Path) -> None:
    source = recorded.write(tmp_path, tool="open", events=spread(3))

    async def follow() -> list[ebpflab.ActivityEvent | ebpflab.TraceEvent]:
        with ebpflab.replay(source, speed=5) as replay:
            return [event async for event in replay]

    async def both() -> tuple[list[ebpflab.ActivityEvent | ebpflab.TraceEvent], int]:
        events = asyncio.ensure_future(follow())
        turns = 0
        while not events.done():
            await asyncio.sleep(0.01)
            turns += 1
        return await events, turns

    events, turns = asyncio.run(both())
    assert events == spread(3)
    # It took 0.2 s at the least, in which others had their turn.
    assert turns > 1


def test_a_replay_in_asyncio_ends_when_it_is_stopped(tmp_path: Path) -> None:
    source = recorded.write(tmp_path, tool="open", events=spread(3))

    async def follow() -> list[ebpflab.ActivityEvent | ebpflab.TraceEvent]:
        with ebpflab.replay(source, speed=0.001) as replay:
            asyncio.get_running_loop().call_later(0.2, replay.stop)
            return [event async for event in replay]

    assert asyncio.run(follow()) == spread(1)


def test_a_folder_overwrites_nothing(tmp_path: Path) -> None:
    with ebpflab.replay(recorded.write(tmp_path)) as replay, pytest.raises(ValueError, match="overwrites nothing"):
        replay.record(tmp_path / "runs", rotate_bytes=1, overwrite=True)
    with ebpflab.replay(recorded.write(tmp_path)) as replay, pytest.raises(ValueError, match="rotate_seconds"):
        replay.record(tmp_path / "runs", rotate_seconds=0)
    assert not (tmp_path / "runs").exists()


def test_a_folder_is_one_table(tmp_path: Path) -> None:
    for host in ("db", "web"):
        folder = tmp_path / "all" / f"host={host}"
        folder.mkdir(parents=True)
        recorded.write(tmp_path, "parquet").rename(folder / "run.parquet")
    answer = ebpflab.query(tmp_path / "all", "select host, count(*) from events group by host order by host")
    assert list(answer.rows) == [("db", len(EVENTS)), ("web", len(EVENTS))]
