"""`count` on a live kernel, beside a workload that knows what it opens."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from tests.kernel.conftest import Start

#: Long enough that only the last reading is of interest.
SELDOM = ("-i", "60")


def of(ended: lab.Ended, pid: int) -> int:
    """Return the count of a process."""
    return sum(row["count"] for row in ended.summary["counts"] if row["pid"] == pid)


@pytest.mark.native
@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_million_opens_of_all_cpus_are_a_million(start: Start, opener: lab.Opener, attempt: int) -> None:
    del attempt
    tool = start("count", *SELDOM, "--pid", str(opener.pid)).attached()
    cpus = os.cpu_count() or 1
    done = opener.do("threads", 1_000_000 // cpus)
    rest = 1_000_000 - sum(done.values())
    assert opener.do("opens", rest) == rest
    ended = tool.stop()
    assert len(done) == cpus
    assert [(row["pid"], row["count"]) for row in ended.summary["counts"]] == [(opener.pid, 1_000_000)]
    assert ended.ledger["submitted"] == 1_000_000
    assert lab.none_missed(ended.ledger)
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.native
def test_a_full_map_is_counted(start: Start, opener: lab.Opener) -> None:
    opener.do("name", "twenty-thousand")
    tool = start("count", *SELDOM, "--name", "twenty-thousand", "--fail-on-loss").attached()
    opener.do("forks", 20_000)
    ended = tool.stop()
    ledger = ended.ledger
    assert ledger["seen"] - ledger["filtered"] == 20_000
    assert len(ended.summary["counts"]) == ledger["submitted"] == 10_240
    assert ledger["map_full"] == 20_000 - 10_240
    assert {row["count"] for row in ended.summary["counts"]} == {1}
    assert (ended.status, ended.stderr) == (3, "ebpflab: lost: map_full 9760\n")


@pytest.mark.native
def test_loss_is_said_but_fails_only_when_asked(start: Start, opener: lab.Opener) -> None:
    opener.do("name", "three-forks")
    tool = start("count", *SELDOM, "--name", "three-forks", "--max-entries", "1").attached()
    opener.do("forks", 3)
    ended = tool.stop()
    assert (ended.ledger["submitted"], ended.ledger["map_full"]) == (1, 2)
    assert (ended.status, ended.stderr) == (0, "ebpflab: lost: map_full 2\n")


def test_each_call_that_opens_is_counted(start: Start, opener: lab.Opener) -> None:
    tool = start("count", *SELDOM, "--pid", str(opener.pid)).attached()
    done = opener.do("calls", 23) + opener.do("fails", 7)
    assert done in {4 * 30, 2 * 30}
    assert of(tool.stop(), opener.pid) == done


def test_calls_that_only_share_a_number_are_not_counted(start: Start, opener: lab.Opener) -> None:
    tool = start("count", *SELDOM, "--pid", str(opener.pid), "--hook", "raw_tracepoint").attached()
    opener.do("others", 23)
    assert opener.do("opens", 7) == of(tool.stop(), opener.pid)


@pytest.mark.smoke
@pytest.mark.skipif(not lab.ia32_emulation(), reason="the kernel has no 32-bit system calls")
@pytest.mark.parametrize("hook", ["fentry", "kprobe", "raw_tracepoint"])
def test_32_bit_callers_are_counted(start: Start, opener: lab.Opener, hook: str) -> None:
    tool = start("count", *SELDOM, "--pid", str(opener.pid), "--hook", hook)
    lab.skip_unless_able(tool, hook)
    assert opener.do("compat", 23) == of(tool.stop(), opener.pid) == 92


def test_only_failures(start: Start, opener: lab.Opener) -> None:
    tool = start("count", *SELDOM, "--pid", str(opener.pid), "--failed").attached()
    opener.do("calls", 23)
    failed = opener.do("fails", 7)
    ended = tool.stop()
    assert failed in {4 * 7, 2 * 7}
    assert of(ended, opener.pid) == ended.ledger["submitted"] == failed


def test_only_one_thread(start: Start, opener: lab.Opener) -> None:
    # The main thread has the id of the process.
    tool = start("count", *SELDOM, "--tid", str(opener.pid)).attached()
    in_threads = opener.do("threads", 23)
    opener.do("opens", 7)
    ended = tool.stop()
    assert str(opener.pid) not in in_threads
    assert ended.ledger["submitted"] == of(ended, opener.pid) == 7
    assert ended.ledger["filtered"] >= sum(in_threads.values())


def test_only_one_user(start: Start, opener: lab.Opener) -> None:
    uid = 2_000_000_000 + os.getpid()
    tool = start("count", *SELDOM, "--uid", str(uid)).attached()
    opener.do("opens", 7)
    assert opener.do("uid", uid) == uid
    opener.do("opens", 23)
    ended = tool.stop()
    assert ended.ledger["submitted"] == of(ended, opener.pid) == 23


@pytest.mark.native
def test_a_user_by_name(start: Start, opener: lab.Opener) -> None:
    tool = start("count", *SELDOM, "--uid", "root", "--pid", str(opener.pid)).attached()
    opener.do("opens", 23)
    assert of(tool.stop(), opener.pid) == 23


def test_only_one_name(start: Start, opener: lab.Opener) -> None:
    # Neither a name that begins with it nor one that it begins with.
    tool = start("count", *SELDOM, "--name", "exactly-this").attached()
    for name, opens in (("exactly-this", 23), ("exactly-this-1", 5), ("exactly", 7)):
        opener.do("name", name)
        opener.do("opens", opens)
    ended = tool.stop()
    assert ended.ledger["submitted"] == of(ended, opener.pid) == 23


def test_all_conditions_must_hold(start: Start, opener: lab.Opener) -> None:
    tool = start("count", *SELDOM, "--pid", str(opener.pid), "--name", "no-such-name").attached()
    opener.do("opens", 23)
    ended = tool.stop()
    assert (ended.ledger["submitted"], ended.summary["counts"]) == (0, [])
    assert ended.ledger["filtered"] >= 23


@pytest.mark.native
def test_the_tool_does_not_count_itself(start: Start) -> None:
    tool = start("count", "-i", "0.01").attached()
    pid = tool.process.pid
    # Reading the names of processes in /proc opens files.
    for _ in range(10):
        tool.record()
    assert of(tool.stop(), pid) == 0


@pytest.mark.native
def test_rates_and_names(start: Start, opener: lab.Opener) -> None:
    opener.do("name", "caf\udce9 [x/0:1]")
    tool = start("count", "-i", "0.05", "--pid", str(opener.pid)).attached()
    opener.do("opens", 23)
    (row,) = tool.until(lambda record: bool(record["counts"]))["counts"]
    assert row["comm"] == "caf\ufffd [x/0:1]"
    assert row["comm_bytes"] == "Y2Fm6SBbeC8wOjFd"
    assert row["rate"] > 0
    # Nothing is opened any more, so the rate of some later reading is 0, and the count stays.
    (row,) = tool.until(lambda record: record["counts"][0]["rate"] == 0)["counts"]
    assert row["count"] == 23
    assert tool.stop().status == 0


@pytest.mark.parametrize("failed", [False, True], ids=["all", "failed"])
@pytest.mark.parametrize("hook", lab.HOOKS)
def test_every_hook_counts_the_same(start: Start, opener: lab.Opener, hook: str, failed: bool) -> None:
    if failed and hook == "kprobe":
        # A kprobe at entry knows no result; that is no matter of the kernel.
        ended = start("count", "--hook", hook, "-x").ended()
        assert ended.status == 77
        assert ended.stderr.count("\n") == 1
        return
    options = ("--hook", hook, "--pid", str(opener.pid), *(("-x",) if failed else ()))
    tool = start("count", *SELDOM, *options, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    succeeded, fails = opener.do("calls", 23), opener.do("fails", 7)
    ended = tool.stop()
    assert of(ended, opener.pid) == ended.ledger["submitted"] == (fails if failed else succeeded + fails)
    assert ended.status == 0


@pytest.mark.smoke
def test_without_tracefs_there_are_no_tracepoints(start: Start) -> None:
    ended = start("count", "--hook", "tracepoint", wrapper=lab.WITHOUT_TRACEFS).ended()
    assert (ended.status, ended.records) == (77, [])
    assert ended.stderr.startswith("ebpflab: count by tracepoint cannot work here: ")
    assert "mount -t tracefs" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("failed", [False, True], ids=["all", "failed"])
def test_raw_tracepoints_need_no_tracefs(start: Start, opener: lab.Opener, failed: bool) -> None:
    options = ("--hook", "raw_tracepoint", "--pid", str(opener.pid), *(("-x",) if failed else ()))
    tool = start("count", *SELDOM, *options, wrapper=lab.WITHOUT_TRACEFS).attached()
    fails = opener.do("fails", 23)
    assert of(tool.stop(), opener.pid) == fails


@pytest.mark.parametrize(
    ("option", "tracepoint", "program"),
    [((), "sys_enter", "count_sys_enter"), (("-x",), "sys_exit", "count_sys_exit")],
    ids=["all", "failed"],
)
def test_what_is_attached_is_what_the_kernel_lists(
    start: Start, option: tuple[str, ...], tracepoint: str, program: str
) -> None:
    before = lab.kernel_ids()
    tool = start("count", *SELDOM, *option, "--hook", "raw_tracepoint")
    told = tool.record()["hooks"]
    assert told == [{"program": program, "kind": "raw_tracepoint", "target": tracepoint, "reason": "asked for"}]
    programs = {found["id"]: found for found in lab.kernel_list("prog") if ("prog", found["id"]) not in before}
    links = [found for found in lab.kernel_list("link") if found.get("prog_id") in programs]
    assert [(link["type"], link["tp_name"]) for link in links] == [("raw_tracepoint", tracepoint)]
    # The kernel keeps 15 bytes of a name, and bpftool may know the rest from BTF.
    assert program.startswith(programs[links[0]["prog_id"]]["name"])
    assert tool.stop().status == 0


def test_the_default_hook_is_told_with_its_reason(start: Start) -> None:
    tool = start("count", "-d", "0.1")
    (hook,) = {(hook["kind"], hook["reason"]) for hook in tool.record()["hooks"]}
    first = next(kind for kind in lab.DEFAULTS if lab.probe(kind) is None)
    assert hook[0] == first
    for passed_over in lab.DEFAULTS[: lab.DEFAULTS.index(first)]:
        assert f"{passed_over}: " in hook[1]
    assert tool.ended().status == 0


@pytest.mark.native
def test_from_a_repl(opener: lab.Opener) -> None:
    with ebpflab.counts(pid=opener.pid) as counter:
        opener.do("opens", 23)
        assert [(row.pid, row.count) for row in counter.top(1)] == [(opener.pid, 23)]
        assert counter.top(0) == []
        assert "seen" in repr(counter)
    summary = counter.stop()
    assert summary.ledger.balanced
    assert sum(row.count for row in summary.counts) == 23


@pytest.mark.native
def test_names_are_as_os_fsdecode_gives_them(opener: lab.Opener) -> None:
    opener.do("name", "caf\udce9")
    with ebpflab.counts(name="caf\udce9") as by_text, ebpflab.counts(name=b"caf\xe9") as by_bytes:
        opener.do("opens", 23)
        for counter in (by_text, by_bytes):
            assert [(row.comm, row.count) for row in counter.read()] == [("caf\udce9", 23)]


@pytest.mark.native
def test_a_process_that_ended_keeps_its_count(opener: lab.Opener) -> None:
    opener.do("name", "short-lived")
    with ebpflab.counts(name="short-lived") as counter:
        opener.do("forks", 3)
        rows = counter.read()
        assert [row.count for row in rows] == [1, 1, 1]
        assert {row.comm for row in rows} == {None}


@pytest.mark.native
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hook": "usdt"}, "no hook usdt"),
        ({"name": "sixteen-bytes-xx"}, "at most 15 bytes"),
        ({"max_entries": 0}, "1 to 16777216 entries, not 0"),
        ({"max_entries": 2**24 + 1}, "1 to 16777216 entries"),
        ({"name": ""}, "empty name"),
        ({"name": "a\0b"}, "NUL"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_arguments_are_value_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ebpflab.counts(**options)


@pytest.mark.native
def test_time_of_a_reading_is_wall_clock() -> None:
    with ebpflab.counts(pid=os.getpid()) as counter:
        before = time.time_ns()
        reading = next(counter.readings(interval=0.01))
        assert before <= reading.time <= time.time_ns()
