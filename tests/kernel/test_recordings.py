"""Recordings of a live kernel, beside a workload that knows what it opens; and what a kill leaves of them."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab  # noqa: TC001  as in the other files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.conftest import Start

AT_FDCWD = -100
NAMES = ("plain", "caf\udce9", "new\nline", "\u65e5\u672c", "\udcff\udcfe", "", "x" * 4_095)
FORMATS = (pytest.param("parquet", marks=pytest.mark.smoke), "arrow", "jsonl")
#: Kills of each format: 51 together.
KILLS = 17


@pytest.mark.parametrize("kind", FORMATS)
def test_a_recording_has_what_was_opened_and_an_exact_ledger(
    start: Start, opener: lab.Opener, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"run.{kind}"
    tool = start("open", "--pid", str(opener.pid), "-o", str(path)).attached()
    before = time.time_ns()
    results = opener.do("syscalls", [("openat", name, os.O_RDONLY, 0, AT_FDCWD) for name in NAMES])
    results += opener.do("syscalls", [("openat", opener.folder, os.O_DIRECTORY, 0, AT_FDCWD)] * 16)
    after = time.time_ns()
    ended = tool.stop()
    # stdout has what comes before and after the events.
    assert (ended.status, ended.events) == (0, [])
    assert ended.stderr == f"ebpflab: recorded 23 events to {path}\n"
    with ebpflab.replay(path) as replay:
        events = list(replay)
    assert [(event.path, event.ret) for event in events if isinstance(event, ebpflab.OpenEvent)] == list(
        zip((*NAMES, *[opener.folder] * 16), results, strict=True)
    )
    assert set(results[: len(NAMES)]) == {-errno.ENOENT, -errno.ENAMETOOLONG}
    assert {event.pid for event in events} == {opener.pid}
    times = [before - 10**9, *(event.time for event in events), after + 10**9]
    assert times == sorted(times)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    recording, recorded = replay.recording, replay.recorded
    assert (recording.host, recording.attached.kernel) == (os.uname().nodename, os.uname().release)
    assert recording.command[-2:] == ("-o", str(path)) or recording.command[-3:] == ("-o", str(path), "--json")
    assert {hook.target for hook in recording.attached.hooks} == {hook["target"] for hook in tool.first["hooks"]}
    assert recorded is not None
    assert recorded.ledger == ebpflab.Ledger(**ended.ledger)
    assert (recorded.rows, ended.ledger["shown"], ended.ledger["submitted"]) == (23, 23, 23)
    assert before - 10**9 <= recording.start <= recorded.end <= time.time_ns() + 10**9


@pytest.mark.native
@pytest.mark.parametrize("kind", ["parquet", "arrow", "jsonl"])
def test_many_events_are_all_there(opener: lab.Opener, tmp_path: Path, kind: str) -> None:
    path, count = tmp_path / f"run.{kind}", 150_000
    # More than a row group has, and a ring that holds all of them.
    with ebpflab.opens(pid=opener.pid, buffer=1 << 26) as session:
        assert opener.do("opens", count) == count
        session.stop()
        assert session.record(path) == count
        ledger = session.ledger
    assert (ledger.balanced, ledger.shown, ledger.lost) == (True, count, {})
    replay = ebpflab.replay(path)
    assert replay.recorded is not None
    assert replay.recorded.ledger == ledger
    assert sum(len(batch) for batch in replay.batches()) == count


@pytest.mark.native
def test_a_dashboard_is_recorded_as_one_table(start: Start, opener: lab.Opener, tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    tool = start("dashboard", "--pid", str(opener.pid), "-o", str(path)).attached()
    opener.do("opens", 23)
    ended = tool.stop()
    with ebpflab.replay(path) as replay:
        assert sum(isinstance(event, ebpflab.OpenEvent) for event in replay) == 23
        assert replay.recorded is not None
        assert replay.recorded.ledgers is not None
        assert replay.recorded.ledgers.open == ebpflab.Ledger(**ended.summary["ledgers"]["open"])


@pytest.mark.native
def test_rows_of_batches_are_shown_when_they_are_handed_out(opener: lab.Opener) -> None:
    with ebpflab.opens(pid=opener.pid) as session:
        opener.do("opens", 23)
        batches = session.batches(rows=10, seconds=0.1)
        assert [len(next(batches)) for _ in range(3)] == [10, 10, 3]
        assert session.ledger.shown == 23
        opener.do("opens", 5)
        session.stop()
        assert [len(batch) for batch in batches] == [5]
        ledger = session.ledger
    assert (ledger.balanced, ledger.submitted, ledger.shown) == (True, 28, 28)


@pytest.mark.native
def test_a_limit_leaves_the_rest_unshown(start: Start, opener: lab.Opener, tmp_path: Path) -> None:
    path = tmp_path / "run.arrow"
    tool = start("open", "--pid", str(opener.pid), "-o", str(path), "--limit", "10").attached()
    opener.do("opens", 23)
    ended = tool.ended()
    assert (ended.status, ended.ledger["shown"]) == (0, 10)
    assert len(list(ebpflab.replay(path))) == 10


@pytest.mark.native
def test_a_file_that_is_there_is_not_replaced(start: Start, opener: lab.Opener, tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    path.write_bytes(b"mine")
    ended = start("open", "--pid", str(opener.pid), "-o", str(path)).ended()
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    assert f"{path} is there already" in ended.stderr
    assert path.read_bytes() == b"mine"


@pytest.mark.native
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["parquet", "arrow", "jsonl"])
def test_kill_9_at_any_moment_costs_a_second_at_most(opener: lab.Opener, tmp_path: Path, kind: str) -> None:
    moments = random.Random(kind)  # noqa: S311  no secret
    for number in range(KILLS):
        path = tmp_path / f"{number}.{kind}"
        done = killed_after(moments.uniform(0.05, 1.3), opener, path)
        (killed_at, count) = done[-1]
        least = max((sum_so_far for when, sum_so_far in done if when < killed_at - 1), default=0)
        if not path.exists():
            assert least == 0
            continue
        recovered = ebpflab.recover(path)
        replay = ebpflab.replay(path, pid=opener.pid, path_prefix=f"{opener.folder}/file")
        rows = sum(len(batch) for batch in replay.batches())
        # All of them are opens of the workload, and up to a second before the kill none is lacking.
        assert (recovered, replay.ledger.filtered) == (rows, 0)
        assert least <= rows <= count, (number, done[0], killed_at)
        assert replay.recorded is not None
        assert (replay.recorded.rows, replay.recorded.recovered, replay.recorded.ledger) == (rows, True, None)
        # One that is whole stays as it is.
        before = path.read_bytes()
        assert ebpflab.recover(path) is None
        assert path.read_bytes() == before


@pytest.mark.native
def test_kill_9_of_a_recording_in_a_folder(opener: lab.Opener, tmp_path: Path) -> None:
    done = killed_after(1.7, opener, tmp_path / "runs", rotate_bytes=1)
    (killed_at, count) = done[-1]
    least = max(sum_so_far for when, sum_so_far in done if when < killed_at - 1)
    (unfinished,) = (tmp_path / "runs").rglob("*.unfinished")
    ended = subprocess.run([sys.executable, "-m", "ebpflab", "recover", str(tmp_path / "runs")], check=False)
    assert ended.returncode == 0
    assert not unfinished.exists()
    ((rows,),) = ebpflab.query(tmp_path / "runs", "select count(*) from events").rows
    assert least <= rows <= count
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert len(files) > 1
    assert {path.suffix for path in files} == {".parquet"}


def killed_after(
    seconds: float, opener: lab.Opener, path: Path, *, rotate_bytes: int | None = None
) -> list[tuple[float, int]]:
    """Record in a child and kill it; return how many opens there were at what moments, the last when it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with ebpflab.opens(pid=opener.pid) as session:
                os.write(writing, b"x")
                session.record(path, rotate_bytes=rotate_bytes)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as attached:
        assert attached.read(1) == b"x"
    done = [(time.monotonic(), 0)]
    end = done[0][0] + seconds
    while time.monotonic() < end:
        count = done[-1][1] + opener.do("opens", 100)
        done.append((time.monotonic(), count))
    os.kill(child, signal.SIGKILL)
    done.append((time.monotonic(), done[-1][1]))
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    return done
