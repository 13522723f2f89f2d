"""`returns` on a live kernel, beside workloads that know what their calls returned."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest
from rich.console import Console

from tests.kernel import lab

if TYPE_CHECKING:
    from tests.kernel.conftest import Start
    from tests.kernel.tls import Talk

#: Long enough that only the last reading is of interest.
SELDOM = ("-i", "60")
#: Each bucket up to a large one, its edges among them, and what is below zero.
VALUES = [*(-(2**40), -5, -1, 0, 0, 0, 1, 1, 2, 3, 4, 7, 8, 100, 127, 128), *(2**31 - 1, 2**31, 2**40, 2**62)]


def power(value: int) -> int:
    """Return where the bucket of a value begins: what bit_length is of the value, and no line of the tool."""
    return 1 << (value.bit_length() - 1) if value else 0


def buckets(row: lab.Record) -> dict[int, int]:
    """Return the counts of the buckets that have any, by where they begin."""
    return {bucket["start"]: bucket["count"] for bucket in row["buckets"] if bucket["count"]}


def expected(values: list[int]) -> dict[int, int]:
    """Return the same of known values."""
    starts = [power(value) for value in values if value >= 0]
    return {start: starts.count(start) for start in starts}


def only_row(ended: lab.Ended) -> lab.Record:
    """Return the only row."""
    (row,) = ended.summary["counts"]
    assert isinstance(row, dict)
    return row


@pytest.mark.smoke
def test_each_value_is_in_its_bucket(start: Start, caller: lab.Caller) -> None:
    tool = start("returns", "libc:atol", *SELDOM, "--pid", str(caller.pid)).attached()
    returned = caller.do("longs", [str(value) for value in VALUES])
    assert returned == VALUES
    ended = tool.stop()
    row = only_row(ended)
    assert buckets(row) == expected(returned)
    assert row["negative"] == sum(value < 0 for value in returned)
    found = {name: row[name] for name in ("count", "sum", "min", "max")}
    assert found == {
        "count": len(returned),
        "sum": sum(returned),
        "min": min(returned),
        "max": max(returned),
    }
    assert row["buckets"][0] == {"start": 0, "below": 1, "count": 3}
    assert all(one["below"] == other["start"] for one, other in zip(row["buckets"], row["buckets"][1:], strict=False))
    assert ended.ledger["submitted"] == len(returned)
    assert (ended.ledger["pending"], ended.status, ended.stderr) == (0, 0, "")


@pytest.mark.parametrize("sign", ["signed", "unsigned"])
def test_an_int_leaves_more_in_the_register(start: Start, caller: lab.Caller, sign: str) -> None:
    texts = [*("5", "-5", "0"), str(2**32 + 7), str(-(2**32) + 9)]
    options = ("--bits", "32", *(["--unsigned"] if sign == "unsigned" else []))
    tool = start("returns", "libc:atoi", *options, *SELDOM, "--pid", str(caller.pid)).attached()
    returned = caller.do("ints", texts)
    assert returned == [5, -5, 0, 7, 9]
    row = only_row(tool.stop())
    if sign == "unsigned":
        returned = [value % 2**32 for value in returned]
    assert buckets(row) == expected(returned)
    found = {name: row[name] for name in ("count", "negative", "sum", "min", "max")}
    assert found == {
        "count": 5,
        "negative": sum(value < 0 for value in returned),
        "sum": sum(returned),
        "min": min(returned),
        "max": max(returned),
    }


def test_linear_steps(start: Start, caller: lab.Caller) -> None:
    tool = start("returns", "libc:atol", *SELDOM, "--linear", "10", "--pid", str(caller.pid)).attached()
    caller.do("longs", [str(value) for value in (-3, 20, 29, 30, 55, 9_999, 10_000, 70_000)])
    row = only_row(tool.stop())
    assert buckets(row) == {20: 2, 30: 1, 50: 1, 9_990: 1, 10_000: 2}
    assert row["buckets"][-1] == {"start": 10_000, "below": None, "count": 2}
    assert (row["negative"], row["count"]) == (1, 8)


def test_calls_in_calls_of_the_same_function(start: Start, caller: lab.Caller) -> None:
    tool = start("returns", "libc:lfind", *SELDOM, "--pid", str(caller.pid)).attached()
    depth = caller.do("nested", 20)
    ended = tool.stop()
    assert only_row(ended)["count"] == depth == 20
    assert (ended.ledger["unpaired"], ended.ledger["pending"]) == (0, 0)


@pytest.mark.native
def test_calls_of_threads_of_all_cpus(start: Start, caller: lab.Caller) -> None:
    tool = start("returns", "libc:llabs", *SELDOM, "--pid", str(caller.pid)).attached()
    done = caller.do("threads", 50_000)
    ended = tool.stop()
    row = only_row(ended)
    # It is given 1.
    assert (row["count"], row["sum"], buckets(row)) == (done, done, {1: done})
    assert (ended.ledger["unpaired"], ended.ledger["pending"]) == (0, 0)


def test_by_name(start: Start, caller: lab.Caller) -> None:
    tool = start("returns", "libc:llabs", *SELDOM, "--by", "comm", "--pid", str(caller.pid)).attached()
    caller.do("named", ["first", "last"])
    caller.do("calls", 7)
    rows = tool.stop().summary["counts"]
    assert {row["comm"]: row["count"] for row in rows} == {"first": 1, "last": 8}


def test_a_call_that_has_not_returned_is_pending() -> None:
    caller = lab.Caller()
    try:
        with ebpflab.returns("libc:usleep", pid=caller.pid) as counter:
            caller.begin("sleeps", (1, 1_000_000))
            assert lab.eventually(lambda: counter.ledger.pending == 1)
            summary = counter.stop()
        assert (summary.ledger.seen, summary.ledger.pending, summary.counts) == (1, 1, [])
        assert summary.ledger.balanced
        caller.answer()
    finally:
        caller.close()


def test_from_a_repl(caller: lab.Caller) -> None:
    with ebpflab.returns("libc:atol", pid=caller.pid) as counter:
        assert counter.histogram() == ebpflab.ValueHistogram(0, (), ())
        caller.do("longs", ["-1", "1", "5", "6"])
        histogram = counter.histogram()
    assert histogram == ebpflab.ValueHistogram(1, (1, 2, 4, 8), (1, 0, 2))
    console = Console(width=100)
    with console.capture() as capture:
        console.print(histogram)
    assert [line.split()[:-1] for line in capture.get().splitlines()] == [
        ["below", "0", "1"],
        ["1", "1"],
        ["2", "to", "3"],
        ["4", "to", "7", "2"],
    ]


def test_what_cannot_be_counted_says_why(start: Start) -> None:
    for target, word in (
        ("raw_tracepoint:sys_enter", "a tracepoint does not return"),
        ("libc:*labs", "it may stand for several functions"),
        ("libc:no_such_function", "there is no function"),
        ("schedule", "schedule returns nothing: it is a void function"),
    ):
        ended = start("returns", target).ended()
        assert (ended.status, ended.records) == (1, [])
        assert word in ended.stderr
    for arguments, word in (
        ({"linear": 0}, "a step of 1 at least"),
        ({"bits": 12}, "a value has 8, 16, 32 or 64 bits"),
        ({"unsigned": True}, "say how many"),
        ({"bits": 64, "unsigned": True}, "values of 64 bits are signed"),
    ):
        with pytest.raises(ValueError, match=word):
            ebpflab.returns("libc:atol", **arguments)


@pytest.mark.native
def test_how_much_tls_sends_and_receives(start: Start, tls: Talk) -> None:
    """As in docs/recipes.md: sizes, and nothing of what is sent."""
    options = ("--bits", "32", "--by", "pid", *SELDOM)
    tools = [start("returns", f"ssl:{function}", *options).attached() for function in ("SSL_write", "SSL_read")]
    # s_client takes no more than 8,192 at a time.
    sizes = [1, 100, 5_000, 8_192]
    for size in sizes:
        tls.say(b"s" * size)
    sent, received = ({row["pid"]: row for row in ended.summary["counts"]} for ended in (tool.stop() for tool in tools))
    assert buckets(sent[tls.client.pid]) == expected(sizes)
    assert (sent[tls.client.pid]["count"], sent[tls.client.pid]["sum"]) == (len(sizes), sum(sizes))
    # Where there was nothing to read yet it returned -1.
    assert received[tls.server.pid]["sum"] + received[tls.server.pid]["negative"] == sum(sizes)


@pytest.mark.smoke
@pytest.mark.parametrize("hook", ["fentry", "kprobe"])
@pytest.mark.parametrize("function", ["do_sys_openat2", "security_file_open"])
def test_what_functions_of_the_kernel_return(opener: lab.Opener, hook: str, function: str) -> None:
    """A long that is a file descriptor or an error, and an int of which the kernel tells that it is one."""
    if reason := lab.probe(hook):
        pytest.skip(reason)
    # On a tmpfs: overlayfs, which the guests have elsewhere, opens the file that is below it, too.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        Path(folder, "file").touch()
        paths = [f"{folder}/{name}" for name in ("file", "missing/file", "file")]
        with ebpflab.returns(f"{hook}:{function}", pid=opener.pid) as counter:
            results = opener.do("syscalls", [["openat", path, 0, 0, -100] for path in paths * 23])
            summary = counter.stop()
    (row,) = summary.counts
    ledger = summary.ledger
    assert ledger.balanced
    lacking = (ledger.missed or 0) if lab.preemptible() else 0
    opened = [result for result in results if result >= 0]
    assert len(results) == 69
    assert len(opened) == 46
    returned = results if function == "do_sys_openat2" else [0] * len(opened)
    assert len(returned) - lacking <= row.count <= len(returned)
    assert row.negative <= sum(value < 0 for value in returned)
    if not lacking:
        assert (row.count, row.sum, row.min, row.max) == (len(returned), sum(returned), min(returned), max(returned))
        assert {bucket.start: bucket.count for bucket in row.buckets if bucket.count} == expected(returned)
