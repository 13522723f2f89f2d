"""`trace` on a live kernel, beside workloads that know what their calls were given and returned."""

from __future__ import annotations

import base64
import os
import tempfile
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.conftest import Start
    from tests.kernel.tls import Talk

#: Bytes that are read at most.
MOST = 4_095


def read(event: lab.Record) -> bytes | None:
    """Return the bytes of an event."""
    if "data_bytes" in event:
        return base64.b64decode(event["data_bytes"])
    data = event["data"]
    return None if data is None else str(data).encode()


@pytest.mark.smoke
def test_each_call_with_the_string_that_it_was_given(start: Start, caller: lab.Caller) -> None:
    tool = start("trace", "libc:atol", "--string", "arg0", "--pid", str(caller.pid)).attached()
    texts = ["7", "", "-23", "caf\u00e9", "1" * MOST, "2" * (MOST + 1), "0" * 9_000]
    returned = caller.do("longs", texts)
    ended = tool.stop()
    assert [read(event) for event in ended.events] == [text.encode()[:MOST] for text in texts]
    assert [event["value"] for event in ended.events] == returned
    assert [event["data_truncated"] for event in ended.events] == [len(text.encode()) > MOST for text in texts]
    assert {(event["pid"], event["tid"], event["data_fault"]) for event in ended.events} == {
        (caller.pid, caller.pid, False)
    }
    assert all(0 < event["latency_ns"] < 10**9 for event in ended.events)
    assert (ended.ledger["submitted"], ended.ledger["truncated"]) == (len(texts), 2)
    assert (ended.ledger["pending"], ended.ledger["unpaired"], ended.status, ended.stderr) == (0, 0, 0, "")


@pytest.mark.smoke
def test_the_string_that_is_returned(caller: lab.Caller) -> None:
    with ebpflab.trace("libc:getenv", string="return", pid=caller.pid) as calls:
        returned = caller.do("variables", ["EBPFLAB_ONE", "EBPFLAB_NONE", "EBPFLAB_EMPTY", "EBPFLAB_ODD"])
        events = list(calls.events(timeout=10, limit=4))
    assert returned == ["one", None, "", "caf\udce9"]
    # NULL is no string, and no fault.
    assert [(event.data, event.data_fault) for event in events] == [(text, False) for text in returned]
    assert events[1].value == 0
    assert os.fsencode(events[3].data or "") == b"caf\xe9"


@pytest.mark.smoke
def test_as_many_bytes_as_the_call_returns(start: Start, caller: lab.Caller) -> None:
    tool = start("trace", "libc:read", "--payload", "arg1", "--pid", str(caller.pid), "-x").attached()
    other = start("trace", "libc:write", "--payload", "arg1", "--pid", str(caller.pid)).attached()
    sizes = [1, 23, MOST, MOST + 1, 20_000]
    texts = caller.do("pipes", sizes)
    known = [text.encode() for text in texts]
    assert [len(text) for text in known] == sizes
    written = other.stop()
    # What the workload says of it all is written, too, when it is done.
    events = written.events[: len(sizes)]
    assert [read(event) for event in events] == [text[:MOST] for text in known]
    assert [(event["value"], event["data_truncated"]) for event in events] == [(size, size > MOST) for size in sizes]
    # Of those that failed, which alone were asked for, there is one: what it was to read is not there.
    failed = tool.stop()
    assert [(event["value"], event["data"], event["data_fault"]) for event in failed.events] == [(-1, None, False)]
    assert failed.ledger["filtered"] >= len(sizes)
    warned = (
        "ebpflab: --payload shows what programs read and write: passwords, keys and what people say to each other\n"
    )
    assert (failed.status, failed.stderr, written.status, written.stderr) == (0, warned, 0, warned)


def test_memory_that_is_not_there_is_told(start: Start, caller: lab.Caller) -> None:
    """labs is given 1, which is no address."""
    tool = start("trace", "libc:labs", "--string", "arg0", "--pid", str(caller.pid)).attached()
    caller.do("others", 3)
    ended = tool.stop()
    assert [(event["data"], event["data_fault"], event["value"]) for event in ended.events] == [(None, True, 1)] * 3
    assert (ended.ledger["faults"], ended.ledger["submitted"]) == (3, 3)


def test_an_int_leaves_more_in_the_register(caller: lab.Caller) -> None:
    texts = [*("5", "-5", "0"), str(2**32 + 7), str(-(2**32) + 9)]
    with ebpflab.trace("libc:atoi", string="arg0", bits=32, pid=caller.pid) as calls:
        returned = caller.do("ints", texts)
        events = list(calls.events(timeout=10, limit=len(texts)))
    assert [(event.data, event.value) for event in events] == list(zip(texts, returned, strict=True))


def test_calls_in_calls_of_the_same_function(caller: lab.Caller) -> None:
    with ebpflab.trace("libc:lfind", pid=caller.pid) as calls:
        depth = caller.do("nested", 20)
        events = list(calls.events(timeout=10, limit=depth))
        summary = calls.stop()
    assert summary.ledger.submitted == depth == 20
    assert (summary.ledger.unpaired, summary.ledger.pending) == (0, 0)
    # The innermost returns first, and each takes longer than the one in it.
    assert [event.latency_ns for event in events] == sorted(event.latency_ns for event in events)
    assert {(event.data, event.data_truncated, event.data_fault) for event in events} == {(None, False, False)}


@pytest.mark.native
def test_calls_of_threads_of_all_cpus(start: Start, caller: lab.Caller) -> None:
    tool = start("trace", "libc:llabs", "--buffer", str(64 << 20), "--pid", str(caller.pid)).attached()
    done = caller.do("threads", 50_000)
    ended = tool.stop()
    assert (len(ended.events), ended.ledger["dropped"]) == (done, 0)
    assert {event["value"] for event in ended.events} == {1}
    assert (ended.ledger["unpaired"], ended.ledger["pending"]) == (0, 0)


@pytest.mark.smoke
@pytest.mark.parametrize("hook", ["fentry", "kprobe"])
def test_what_functions_of_the_kernel_are_given(opener: lab.Opener, caller: lab.Caller, hook: str) -> None:
    """A string of the process, and one of the kernel."""
    if reason := lab.probe(hook):
        pytest.skip(reason)
    # On a tmpfs: overlayfs, which the guests have elsewhere, looks up names by itself.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = f"{folder}/missing"
        asked = [["openat", path, 0, 0, -100]] * 23
        with ebpflab.trace(f"{hook}:do_sys_openat2", string="arg1", pid=opener.pid) as calls:
            results = opener.do("syscalls", asked)
            events = list(calls.events(timeout=30, limit=len(asked)))
    assert [(event.data, event.value) for event in events] == [(path, result) for result in results]
    names = ["one", "", "a-name-of-15-by"]
    with ebpflab.trace(f"{hook}:__set_task_comm", string="arg1", pid=caller.pid) as calls:
        caller.do("named", names)
        events = list(calls.events(timeout=30, limit=len(names)))
    # A void function.
    assert [(event.data, event.value) for event in events] == [(name, None) for name in names]


def test_a_recording_is_shown_as_it_was(start: Start, caller: lab.Caller, tmp_path: Path) -> None:
    recording = tmp_path / "calls.parquet"
    tool = start("trace", "libc:atol", "--string", "arg0", "--pid", str(caller.pid), "-o", str(recording)).attached()
    texts = ["7", "-23", "text"]
    returned = caller.do("longs", texts)
    assert tool.stop().status == 0
    with ebpflab.replay(recording, speed=None) as replay:
        assert replay.attached.command == "trace"
        events = list(replay.events(timeout=10))
    assert [(event.data, event.value) for event in events if isinstance(event, ebpflab.TraceEvent)] == list(
        zip(texts, returned, strict=True)
    )
    ended = start("replay", str(recording), "--speed", "max").ended()
    assert [(event["data"], event["value"]) for event in ended.events] == list(zip(texts, returned, strict=True))


@pytest.mark.native
def test_what_tls_sends_before_it_is_encrypted(start: Start, tls: Talk) -> None:
    """As in docs/recipes.md."""
    options = ("--payload", "arg1", "--bits", "32", "--pid", str(tls.client.pid))
    tool = start("trace", "ssl:SSL_write", *options).attached()
    said = [b"hello\n", b"\xff\x00secret", b"s" * 5_000]
    for text in said:
        tls.say(text)
    ended = tool.stop()
    assert [read(event) for event in ended.events] == [text[:MOST] for text in said]
    assert [event["value"] for event in ended.events] == [len(text) for text in said]


def test_what_cannot_be_traced_says_why(start: Start) -> None:
    for target, word in (
        ("raw_tracepoint:sys_enter", "a tracepoint does not return"),
        ("libc:*labs", "it may stand for several functions"),
        ("libc:no_such_function", "there is no function"),
    ):
        ended = start("trace", target).ended()
        assert (ended.status, ended.records) == (1, [])
        assert word in ended.stderr
    wrong: dict[str, Any]
    for wrong, word in (
        ({"string": "arg6"}, "an address is arg0 to arg5, or return"),
        ({"string": "arg0", "payload": "arg1"}, "either a string is read, or a payload"),
        ({"payload": "return"}, "what the call returns is its length"),
        ({"bits": 12}, "a value has 8, 16, 32 or 64 bits"),
    ):
        with pytest.raises(ValueError, match=word):
            ebpflab.trace("libc:atol", **wrong)
    with pytest.raises(ValueError, match="it is a void function"):
        ebpflab.trace("kfree", string="return")
    with pytest.raises(ValueError, match="it is a void function"):
        ebpflab.trace("kfree", payload="arg0")
    with pytest.raises(ValueError, match="vfs_read has no arg4: its arguments take 4 words"):
        ebpflab.trace("vfs_read", string="arg4")
