"""`open` beside a workload that opens by every way that a path may take: each record, field by field."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.conftest import Start

pytestmark = pytest.mark.smoke


@pytest.fixture
def paths() -> Iterator[lab.Paths]:
    """A process that opens files by all kinds of paths when told to."""
    workload = lab.Paths()
    yield workload
    workload.close()


def compare(events: list[lab.Record], done: list[dict[str, Any]]) -> None:
    """Compare each record with what was done."""
    assert len(events) == len(done)
    for event, known in zip(events, done, strict=True):
        told = {field: event[field] for field in known if field not in {"path", "full_path", "full_end"}}
        told |= {field: text(event, field) for field in ("path", "full_path") if field in known}
        if "full_end" in known:
            # Neither from the root on nor from the middle of a name.
            whole = text(event, "full_path") or ""
            assert whole.startswith("d"), known["full_end"]
            assert whole.endswith(f"/{known['full_end']}")
            told["full_end"] = known["full_end"]
        assert told == known


def text(event: lab.Record, field: str) -> str | None:
    """Return a text as os.fsdecode gives it."""
    found = lab.raw(event, field)
    return None if found is None else os.fsdecode(found)


def look(pid: int, events: list[lab.Record]) -> int:
    """Stat each opened file that is still there, from the root of the process; return how many that are."""
    looked = 0
    for event in events:
        if event["ret"] >= 0 and not event["path_notes"] and not event["path_truncated"]:
            try:
                status = Path(f"/proc/{pid}/root{text(event, 'full_path')}").stat()
            except (FileNotFoundError, OSError):
                continue
            assert (status.st_ino, status.st_dev) == (event["inode"], event["device"])
            looked += 1
    return looked


@pytest.mark.parametrize("hook", lab.DEFAULTS)
@pytest.mark.parametrize(
    "where", [*(pytest.param(where, marks=pytest.mark.full) for where in ("tmpfs", "tmpfs chroot")), "ext4 chroot"]
)
def test_every_kind_of_path(start: Start, paths: lab.Paths, hook: str, where: str) -> None:
    kind, *chroot = where.split()
    base = paths.do("enclose", kind) if chroot else paths.folder
    tool = start("open", "-n", "attempting", "-p", str(paths.pid), "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    done = paths.do("cases", base)
    ended = tool.stop()
    compare(ended.events, done)
    assert look(paths.pid, ended.events) >= 10
    assert {event["ns_pid"] for event in ended.events} == {paths.pid}
    assert all(0 < event["latency_ns"] < 60 * 10**9 for event in ended.events)
    ledger = ended.ledger
    assert ledger["submitted"] == len(done)
    assert ledger["faults"] == sum(known["path_fault"] is not None for known in done)
    assert ledger["truncated"] == sum(known["path_truncated"] for known in done)
    assert (ended.status, ended.stderr) == (0, "")
