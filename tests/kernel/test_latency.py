"""`latency` on a live kernel, beside workloads that know how long they take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import ebpflab
import pytest
from rich.console import Console

from tests.kernel import lab

if TYPE_CHECKING:
    from tests.kernel.conftest import Start

#: Long enough that only the last reading is of interest.
SELDOM = ("-i", "60")
MS = 1_000_000


def only_row(ended: lab.Ended) -> lab.Record:
    """Return the only row."""
    (row,) = ended.summary["counts"]["rows"]
    assert isinstance(row, dict)
    return row


def test_what_sleeps_10_ms_is_in_the_bucket_of_10_ms(start: Start, caller: lab.Caller) -> None:
    tool = start("latency", "libc:usleep", *SELDOM, "--pid", str(caller.pid)).attached()
    elapsed = caller.do("sleeps", (23, 10_000))
    ended = tool.stop()
    row = only_row(ended)
    assert row["count"] == 23
    # All of it is not longer than the caller says that it was, and each not shorter than it was asked for.
    assert 230 * MS <= row["total_ns"] <= elapsed
    assert min(bucket["from_ns"] for bucket in row["buckets"]) == 2**23
    assert [bucket["count"] for bucket in row["buckets"] if bucket["from_ns"] < 10 * MS] == [row["buckets"][0]["count"]]
    assert row["buckets"][0]["count"] >= 12, "most of them do not take 16 ms"
    assert 10 * MS <= row["p50_ns"] <= row["max_ns"]
    assert (ended.ledger["pending"], ended.status, ended.stderr) == (0, 0, "")


def test_calls_in_calls_of_the_same_function(start: Start, caller: lab.Caller) -> None:
    tool = start("latency", "libc:lfind", *SELDOM, "--pid", str(caller.pid)).attached()
    depth = caller.do("nested", 20)
    depth += caller.do("nested", 20)
    ended = tool.stop()
    assert only_row(ended)["count"] == depth == 40
    assert (ended.ledger["unpaired"], ended.ledger["pending"]) == (0, 0)


@pytest.mark.native
def test_calls_of_threads_of_all_cpus(start: Start, caller: lab.Caller) -> None:
    tool = start("latency", "libc:llabs", *SELDOM, "--pid", str(caller.pid)).attached()
    done = caller.do("threads", 50_000)
    ended = tool.stop()
    row = only_row(ended)
    assert row["count"] == sum(bucket["count"] for bucket in row["buckets"]) == done
    assert (ended.ledger["unpaired"], ended.ledger["pending"]) == (0, 0)


def test_a_call_that_has_not_returned_is_pending() -> None:
    caller = lab.Caller()
    try:
        with ebpflab.latency("libc:usleep", pid=caller.pid) as counter:
            caller.begin("sleeps", (1, 1_000_000))
            assert lab.eventually(lambda: counter.ledger.pending == 1)
            summary = counter.stop()
        assert (summary.ledger.seen, summary.ledger.pending, summary.counts.rows) == (1, 1, ())
        assert summary.ledger.balanced
        caller.answer()
    finally:
        caller.close()


def test_slow_calls_are_told_one_by_one(start: Start, caller: lab.Caller) -> None:
    tool = start("latency", "libc:usleep", *SELDOM, "--slower", "50", "--pid", str(caller.pid)).attached()
    caller.do("named", ["sleeper"])
    caller.do("sleeps", (5, 1_000))
    caller.do("sleeps", (2, 60_000))
    counts = tool.stop().summary["counts"]
    assert [row["count"] for row in counts["rows"]] == [7]
    slow = counts["slow"]
    assert [(call["pid"], call["tid"], call["comm"]) for call in slow] == [(caller.pid, caller.pid, "sleeper")] * 2
    assert all(call["latency_ns"] >= 60 * MS for call in slow)
    assert slow[1]["time"] - slow[0]["time"] >= 60 * MS
    assert counts["slow_lost"] == 0


def test_linear_steps(start: Start, caller: lab.Caller) -> None:
    tool = start("latency", "libc:usleep", *SELDOM, "--linear", "10000", "--pid", str(caller.pid)).attached()
    caller.do("sleeps", (3, 31_000))
    row = only_row(tool.stop())
    first = row["buckets"][0]
    assert (first["from_ns"], first["below_ns"]) == (30 * MS, 40 * MS)
    assert sum(bucket["count"] for bucket in row["buckets"]) == 3


def test_by_name(start: Start, caller: lab.Caller) -> None:
    tool = start("latency", "libc:llabs", *SELDOM, "--by", "comm", "--pid", str(caller.pid)).attached()
    caller.do("named", ["first", "last"])
    caller.do("calls", 7)
    rows = tool.stop().summary["counts"]["rows"]
    assert {row["comm"]: row["count"] for row in rows} == {"first": 1, "last": 8}


def test_what_does_not_return_cannot_be_timed(start: Start) -> None:
    for target, word in (
        ("raw_tracepoint:sys_enter", "a tracepoint does not return"),
        ("libc:*labs", "it may stand for several functions"),
        ("libc:no_such_function", "there is no function"),
    ):
        ended = start("latency", target).ended()
        assert (ended.status, ended.records) == (1, [])
        assert word in ended.stderr
    with pytest.raises(ValueError, match="linear is a nanosecond at least"):
        ebpflab.latency("libc:malloc", linear=0.0)
    with pytest.raises(ValueError, match="slower is a nanosecond at least"):
        ebpflab.latency("libc:malloc", slower=float("nan"))


def test_from_a_repl(caller: lab.Caller) -> None:
    with ebpflab.latency("libc:usleep", pid=caller.pid) as counter:
        assert counter.histogram() == ebpflab.Histogram((), ())
        caller.do("sleeps", (3, 10_000))
        histogram = counter.histogram()
    assert histogram.edges[0] == 2**23
    assert sum(histogram.counts) == 3
    assert len(histogram.edges) == len(histogram.counts) + 1
    console = Console(width=100)
    with console.capture() as capture:
        console.print(histogram)
    assert re.match(r" +8.39 ms to +16.8 ms +\d  #+\n", capture.get())


@pytest.mark.skipif(lab.probe("kprobe") is None or lab.probe("fentry") is None, reason="the kernel can do it")
def test_without_hooks_for_its_functions_it_is_told(start: Start) -> None:
    ended = start("latency", "vfs_read").ended()
    assert (ended.status, ended.records) == (77, [])
    assert ended.stderr.startswith("ebpflab: latency cannot work here: fentry: ")


@pytest.mark.smoke
@pytest.mark.parametrize("hook", ["fentry", "kprobe"])
def test_callers_that_are_blocked(opener: lab.Opener, hook: str) -> None:
    """Trampolines keep every return; kretprobes lose those of callers that are too many, which the ledger shows."""
    if reason := lab.probe(hook):
        pytest.skip(reason)
    with ebpflab.latency(f"{hook}:do_sys_openat2", tree=opener.pid) as counter:
        blocked = opener.do("block", 15)
        assert lab.eventually(lambda: counter.ledger.pending >= len(blocked), seconds=20)
        done = opener.do("opens", 23)
        opener.do("release", False)
        summary = counter.stop()
    ledger = summary.ledger
    assert ledger.balanced
    assert ledger.submitted == sum(row.count for row in summary.counts.rows)
    assert ledger.seen - ledger.filtered >= len(blocked) + done
    if hook == "fentry":
        # On preemptible kernels it may have skipped the program for a return, and then says so.
        lacking = ledger.pending + ledger.unpaired
        assert lacking <= (ledger.missed or 0)
        assert ledger.submitted + lacking >= len(blocked) + done
