"""`ebpflab replay` on recordings of every kind: what people see, JSON lines, and another recording."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support import recorded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

LOST = "ebpflab: lost while it was recorded: dropped 1\n"


@pytest.mark.parametrize("kind", recorded.FORMATS)
def test_people_see_the_events(run: Run, tmp_path: Path, kind: str) -> None:
    done = run("replay", str(recorded.write(tmp_path, kind)), "--speed", "max")
    # The others are recordings of a replay, which loses nothing.
    assert (done.returncode, done.stderr) == (0, LOST if kind == "jsonl" else "")
    kinds = [line.split()[0] for line in done.stdout.splitlines()]
    expected = [recorded.KINDS[type(event)] for event in recorded.EVENTS]
    assert [kind for kind in kinds if kind in {"open", "exec", "exit"}] == expected


def test_json_lines_are_those_that_were_recorded(run: Run, tmp_path: Path) -> None:
    done = run("replay", str(recorded.write(tmp_path)), "--speed", "max", "--json")
    assert (done.returncode, done.stderr) == (0, LOST)
    first, *events, last = done.stdout.splitlines(keepends=True)
    assert json.loads(first) == recorded.ATTACHED
    assert events == [recorded.line(event) for event in recorded.EVENTS]
    assert json.loads(last)["ledger"]["shown"] == len(events)


def test_it_is_recorded_again(run: Run, tmp_path: Path) -> None:
    again = tmp_path / "again.arrow"
    done = run("replay", str(recorded.write(tmp_path, "parquet")), "--speed", "max", "-o", str(again))
    assert done.returncode == 0
    assert done.stderr.endswith(f"ebpflab: recorded {len(recorded.EVENTS)} events to {again}\n")
    assert again.stat().st_size > 0
