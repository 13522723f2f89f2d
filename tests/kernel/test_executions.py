"""`exec` beside a workload that executes, fails to, and ends in every way: what each record says, field by field."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.conftest import Start

pytestmark = pytest.mark.smoke

HOOKS = ("tracepoint", pytest.param("raw_tracepoint", marks=pytest.mark.full))
#: Fields that are bytes, and those that are lists of them.
TEXTS = {"comm", "parent_comm", "filename", "exe", "cwd"}
LISTS = {"argv"}


@pytest.fixture
def executions() -> Iterator[lab.Executions]:
    """A process that executes in every way when told to."""
    workload = lab.Executions()
    yield workload
    workload.close()


def compare(events: list[lab.Record], done: list[dict[str, Any]]) -> None:
    """Compare each record with what was done."""
    assert [(event["type"], event["pid"]) for event in events] == [(known["type"], known["pid"]) for known in done]
    for event, known in zip(events, done, strict=True):
        assert {field: value(event, field) for field in known} == known


def but_for_skipped(done: list[dict[str, Any]], ended: lab.Ended) -> list[dict[str, Any]]:
    """Return what was done without that for which the kernel skipped a program, as it may where it preempts them.

    Those are no more than the tool tells.
    """
    happened = {(event["type"], event["pid"]) for event in ended.events}
    seen = [known for known in done if (known["type"], known["pid"]) in happened]
    assert len(done) - len(seen) <= (ended.ledger["missed"] or 0)
    return seen if lab.preemptible() else done


def value(event: lab.Record, field: str) -> object:
    """Return a field; texts as os.fsdecode gives them."""
    if field in LISTS and event[field] is not None:
        return [os.fsdecode(text) for text in lab.raw_list(event, field)]
    if field in TEXTS and event[field] is not None:
        return os.fsdecode(lab.raw(event, field) or b"")
    return event[field]


def of(pids: set[int], events: list[lab.Record]) -> list[lab.Record]:
    """Return the records of some processes."""
    return [event for event in events if event["pid"] in pids]


def ledgers(ended: lab.Ended) -> dict[str, Any]:
    """Return the ledgers of a run, by kind; each adds up."""
    found: dict[str, Any] = ended.summary["ledgers"]
    terms = ("filtered", "submitted", "dropped", "unpaired", "pending")
    for ledger in found.values():
        assert ledger["seen"] == sum(ledger[term] for term in terms), ledger
        assert ledger["submitted"] == ledger["received"] == ledger["shown"]
    for term in ("seen", *terms):
        assert ended.ledger[term] == sum(ledger[term] for ledger in found.values())
    return found


def check_times(events: list[lab.Record]) -> None:
    """Each exit tells when its process last executed something, if it did; and how long all that took."""
    executed: dict[int, int] = {}
    for event in events:
        if event["type"] == "exec":
            executed[event["pid"]] = event["time"]
            continue
        assert event["exec_time"] == executed.pop(event["pid"], None)
        if event["exec_time"] is not None:
            assert event["exec_duration_ns"] == event["time"] - event["exec_time"]
            assert 0 < event["exec_duration_ns"] < event["duration_ns"]
        else:
            assert event["exec_duration_ns"] is None
        assert 0 < event["duration_ns"] < 60 * 10**9
    assert not executed


@pytest.mark.parametrize("hook", HOOKS)
def test_every_kind_of_exec_and_its_end(start: Start, executions: lab.Executions, hook: str) -> None:
    tool = start("exec", "--exits", "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    done = executions.do("executions")
    ended = tool.stop()
    done = but_for_skipped(done, ended)
    events = of({known["pid"] for known in done}, ended.events)
    compare(events, done)
    check_times(events)
    ledger = ledgers(ended)
    assert ledger["exec"]["submitted"] >= sum(known["type"] == "exec" for known in done)
    assert ledger["exec"]["truncated"] >= sum(known.get("argv_truncated", False) for known in done) > 0
    assert (ended.ledger["faults"], ended.ledger["dropped"], ended.status, ended.stderr) == (0, 0, 0, "")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_kind_of_end_without_an_exec(start: Start, executions: lab.Executions, hook: str) -> None:
    tool = start("exec", "--exits", "-n", "executed", "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    done = executions.do("ends")
    ended = tool.stop()
    done = but_for_skipped(done, ended)
    compare(ended.events, done)
    check_times(ended.events)
    assert ledgers(ended)["exit"]["submitted"] == len(done)
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.parametrize("hook", HOOKS)
def test_only_ends_that_are_failures(start: Start, executions: lab.Executions, hook: str) -> None:
    tool = start("exec", "--exits", "-x", "-n", "executed", "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    done = [known for known in executions.do("ends") if known["exit_code"] != 0]
    ended = tool.stop()
    done = but_for_skipped(done, ended)
    compare(ended.events, done)
    assert ledgers(ended)["exec"]["submitted"] == 0


@pytest.mark.parametrize("hook", HOOKS)
def test_every_kind_of_failure(start: Start, executions: lab.Executions, hook: str) -> None:
    tool = start("exec", "-x", "-n", "executed", "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    done = executions.do("failures")
    ended = tool.stop()
    done = but_for_skipped(done, ended)
    compare(ended.events, done)
    errors = {event["error"] for event in ended.events}
    assert errors == {"ENOENT", "EACCES", "ENOEXEC", "E2BIG", "EBADF", "EFAULT", "ELOOP", "ENAMETOOLONG", "ENOTDIR"}
    ledger = ended.ledger
    # Those that succeed are seen too.
    assert ledger["seen"] - ledger["filtered"] == ledger["submitted"] == len(done)
    assert ledger["filtered"] > 0
    assert ledger["faults"] == sum(known["argv"] is None or known["filename"] is None for known in done)
    assert ledger["truncated"] == sum(known["argv_truncated"] or known["path_truncated"] for known in done)
    assert (ledger["pending"], ledger["unpaired"], ended.status, ended.stderr) == (0, 0, 0, "")


@pytest.mark.full
@pytest.mark.parametrize("hook", HOOKS)
def test_of_threads_that_execute_at_once_one_wins_and_the_others_are_accounted_for(
    start: Start, executions: lab.Executions, hook: str
) -> None:
    tool = start("exec", "-x", "-n", "executed", "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    assert executions.do("race", 50) == 50
    ended = tool.stop()
    # Killed by the winner before they came to it. The kernel would have made the call again; where the signal comes
    # while it makes room for the arguments it gives up (fs/exec.c, `get_arg_page`).
    assert {event["error"] for event in ended.events} <= {"E2BIG", "EAGAIN", "ERESTARTNOHAND", "ERESTARTNOINTR"}
    may_lack = lab.may_lack(ended.ledger)
    assert ended.ledger["filtered"] + may_lack >= 50
    assert ended.ledger["pending"] + ended.ledger["unpaired"] <= may_lack
    assert ended.status == 0
    assert bool(ended.stderr) <= bool(may_lack)


def test_raw_tracepoints_are_the_first_choice_for_failures(start: Start) -> None:
    attached = start("exec", "-x", wrapper=lab.WITH_TRACEFS).record()
    assert [hook["target"] for hook in attached["hooks"]] == [
        *("sched_process_exec", "sys_enter", "sys_exit"),
        "cgroup_mkdir",
    ]
    assert {hook["reason"] for hook in attached["hooks"]} == {"first choice"}
    assert attached["blind_to"] == ["kernel"]


@pytest.mark.native
@pytest.mark.parametrize("hook", HOOKS)
def test_of_10_000_short_processes_each_has_its_end(start: Start, executions: lab.Executions, hook: str) -> None:
    options = ("--exits", "-n", "executed", "--hook", hook, "--buffer", str(4 << 20))
    tool = start("exec", *options, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    assert executions.do("many", 10_000) == 10_000
    ended = tool.stop()
    execs = {event["pid"]: event["time"] for event in ended.events if event["type"] == "exec"}
    exits = [event for event in ended.events if event["type"] == "exit"]
    # Ids come back, but not that soon.
    assert len(execs) == len(exits) == len(ended.events) // 2 == 10_000
    assert {event["pid"]: event["exec_time"] for event in exits} == execs
    assert {event["exit_code"] for event in exits} == {1}
    ledger = ledgers(ended)
    assert (ledger["exec"]["submitted"], ledger["exit"]["submitted"]) == (10_000, 10_000)
    assert (ended.ledger["dropped"], ended.status, ended.stderr) == (0, 0, "")


@pytest.mark.native
def test_from_python_both_kinds_are_typed(executions: lab.Executions) -> None:
    with ebpflab.execs(exits=True) as session:
        done = executions.do("executions")
        summary = session.stop()
        pids = {known["pid"] for known in done}
        events = [event for event in session.read() if event.pid in pids]
    kinds = {"exec": ebpflab.ExecEvent, "exit": ebpflab.ExitEvent}
    assert [(type(event), event.pid) for event in events] == [(kinds[known["type"]], known["pid"]) for known in done]
    for event, known in zip(events, done, strict=True):
        told = event.to_dict()
        for field in known.keys() - {"type"}:
            assert told[field] == (tuple(known[field]) if isinstance(known[field], list) else known[field])
    assert summary.ledgers is not None
    assert summary.ledgers.open is None
    assert summary.ledgers.exec.balanced
    assert summary.ledgers.exit.balanced
