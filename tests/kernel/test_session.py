"""Runs: how they begin, how they end, however they end, and what of them is left."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import select
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest
from ebpflab import _ebpflab

from tests.kernel import lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.kernel.conftest import Start

    AnySession = ebpflab.CountSession[Any]

#: The contract is 200 ms; a machine that is busy with other things is given twice as long.
SOON = 0.4
TOOLS = pytest.mark.parametrize("tool", ["count", "xdp"])


@pytest.fixture
def command(tool: str, iface: str) -> tuple[str, ...]:
    """The arguments of a tool that watches something of our own."""
    return {"count": ("count",), "xdp": ("xdp", "--iface", iface)}[tool]


@pytest.fixture
def attach(tool: str, iface: str) -> Callable[[], AnySession]:
    """The same from Python."""
    attachers: dict[str, Callable[[], AnySession]] = {"count": ebpflab.counts, "xdp": lambda: ebpflab.xdp(iface)}
    return attachers[tool]


def our_kernel_ids(before: set[tuple[str, int]]) -> set[str]:
    return {kind for kind, _ in lab.kernel_ids() - before}


@TOOLS
def test_a_run_has_a_beginning_and_an_end(start: Start, command: tuple[str, ...], tool: str) -> None:
    ended = start(*command, "-i", "0.05", "-d", "0.3").ended()
    first, *readings, last = ended.records
    assert (first["type"], first["command"], first["kernel"]) == ("attached", tool, os.uname().release)
    assert first["hooks"]
    # Five whole intervals and the end of the duration; fewer on a machine that is late.
    assert 1 <= len(readings) <= 6
    assert {reading["type"] for reading in readings} == {{"count": "counts", "xdp": "xdp"}[tool]}
    assert last["type"] == "summary"
    assert 0.3 <= last["duration_s"] < 5
    assert ended.ledger["shown"] == ended.ledger["received"]
    assert (ended.status, ended.stderr) == (0, "")


@TOOLS
def test_what_runs_is_in_the_kernel(start: Start, command: tuple[str, ...]) -> None:
    """Else the check that nothing is left would say nothing."""
    before = lab.kernel_ids()
    running = start(*command).attached()
    assert our_kernel_ids(before) >= {"prog", "map", "link"}
    assert {kind for kind, _ in lab.held_by_others()} >= {"prog", "map", "link"}
    assert running.stop().status == 0


@TOOLS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_it_with_a_summary(start: Start, command: tuple[str, ...], number: signal.Signals) -> None:
    running = start(*command, "-i", "60").attached()
    asked = time.monotonic()
    running.process.send_signal(number)
    assert running.record()["type"] == "summary"
    assert time.monotonic() - asked < SOON
    ended = running.ended()
    assert ended.ledger["pending"] == 0
    assert (ended.status, ended.stderr) == (0, "")


@TOOLS
def test_ctrl_c_twice(start: Start, command: tuple[str, ...]) -> None:
    for _ in range(3):
        running = start(*command, "-i", "60").attached()
        presses = 0
        # Until it is gone: while it detaches and while the interpreter ends as well.
        while running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
            presses += 1
            time.sleep(0.005)
        ended = running.ended()
        assert presses >= 2
        assert ended.ledger
        assert (ended.status, ended.stderr) == (0, "")


@TOOLS
def test_ctrl_c_at_any_moment_leaves_nothing(start: Start, command: tuple[str, ...]) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    moments = random.Random(seed)  # noqa: S311  no secret
    before = lab.kernel_ids()
    for _ in range(8):
        running = start(*command, "-i", "0.01")
        time.sleep(moments.uniform(0, 0.6))
        ended = running.stop()
        if ended.records:
            assert (ended.status, ended.stderr) == (0, ""), f"seed {seed}"
            assert ended.ledger
        else:
            # Of an interpreter that has not come to our code yet nothing better can be asked.
            assert ended.status in {1, 130, -signal.SIGINT}, f"seed {seed}: {ended.stderr}"
        left = lab.left_behind(before)
        assert not left, f"seed {seed}: {left}"


@TOOLS
def test_lines_have_the_fields_that_are_declared(start: Start, command: tuple[str, ...], opener: lab.Opener) -> None:
    declared = {schema["tag"]: schema["fields"] for schema in _ebpflab.schemas() if schema["tag"]}
    running = start(*command, "-i", "0.05").attached()
    opener.do("opens", 23)
    running.record()
    ended = running.stop()
    assert len(ended.records) >= 3
    for record in ended.records:
        fields = declared[record["type"]]
        needed = [field["name"] for field in fields if not field["type"].endswith(", optional")]
        assert set(needed) <= set(record) - {"type"} <= {field["name"] for field in fields}
        assert next(iter(record)) == "type"


@TOOLS
def test_people_see_tables_and_the_ledger(command: tuple[str, ...]) -> None:
    done = subprocess.run([*lab.EBPFLAB, *command, "-d", "0.1"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("ledger: seen ")
    assert done.stderr.startswith(f"ebpflab: {command[0]} attached by ")
    assert max(map(len, done.stdout.splitlines())) < 80


@TOOLS
def test_kill_9_at_any_moment_leaves_nothing(start: Start, command: tuple[str, ...]) -> None:
    began = time.monotonic()
    assert start(*command).attached().stop().status == 0
    usual = time.monotonic() - began
    seed = time.time_ns()
    print(f"seed {seed}, a usual run takes {usual:.2f} s")
    moments = random.Random(seed)  # noqa: S311  no secret
    before, attached = lab.kernel_ids(), 0
    for _ in range(20):
        running = start(*command, "-i", "0.01")
        time.sleep(moments.uniform(0, 1.5 * usual))
        running.process.kill()
        ended = running.ended()
        attached += bool(ended.records)
        assert ended.status == -signal.SIGKILL
        left = lab.left_behind(before)
        assert not left, f"seed {seed}: {left}"
    assert 0 < attached < 20, f"seed {seed}: {attached} of 20 were attached already"


@TOOLS
@pytest.mark.parametrize("json_lines", [True, False], ids=["json", "table"])
def test_a_closed_pipe_ends_it_quietly(command: tuple[str, ...], json_lines: bool) -> None:
    arguments = [*lab.EBPFLAB, *command, "-i", "0.05", *(["--json"] if json_lines else [])]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stderr
        assert running.stdout.readline()
        running.stdout.close()
        said = running.stderr.read()
    assert running.returncode == 0
    assert all(line.startswith("ebpflab: ") for line in said.splitlines())
    assert "Traceback" not in said
    assert json_lines == (not said)


@TOOLS
@pytest.mark.parametrize("json_lines", [True, False], ids=["json", "table"])
def test_a_full_disk_is_one_sentence(command: tuple[str, ...], json_lines: bool) -> None:
    arguments = [*lab.EBPFLAB, *command, "-i", "0.05", *(["--json"] if json_lines else [])]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    *talk, sentence = done.stderr.splitlines()
    assert sentence == "ebpflab: cannot write to standard output: No space left on device"
    assert json_lines == (not talk)
    assert all(
        line.startswith(("ebpflab: count attached", "ebpflab: xdp attached", "ebpflab: this hook")) for line in talk
    )


@TOOLS
def test_stdout_that_is_closed_is_no_traceback(command: tuple[str, ...]) -> None:
    arguments = ["sh", "-c", 'exec "$@" >&-', "sh", *lab.EBPFLAB, *command, "-d", "0.1", "--json"]
    done = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


@TOOLS
def test_a_with_block(attach: Callable[[], AnySession], tool: str) -> None:
    before = lab.kernel_ids()
    with attach() as session:
        assert session.attached.command == tool
        assert our_kernel_ids(before) >= {"prog", "map", "link"}
        assert not session.stopped
    assert session.stopped
    assert not lab.left_behind(before)


@TOOLS
def test_after_the_end_only_the_whole_run_can_be_had(attach: Callable[[], AnySession]) -> None:
    with attach() as session:
        session.read()
        summary = session.stop()
        assert session.stop() == summary
    session.close()
    with pytest.raises(ebpflab.ClosedError, match="the session is closed"):
        session.read()
    assert list(session.readings()) == []
    assert [json.loads(line)["type"] for line in session.json_lines()] == ["attached", "summary"]
    assert session.ledger == summary.ledger
    assert session.ledger.balanced
    assert session.stop() == summary
    assert summary.duration_s > 0


@TOOLS
def test_repr_says_how_it_fares(attach: Callable[[], AnySession], tool: str) -> None:
    with attach() as session:
        hook = session.attached.hooks[0]
        assert repr(session).startswith(f"<ebpflab {tool} on {hook.kind} {hook.target}, running, seen ")
    assert repr(session) == f"<ebpflab {tool} on {hook.kind} {hook.target}, stopped, seen {session.ledger.seen}>"


@TOOLS
def test_an_error_in_the_block_detaches_too(attach: Callable[[], AnySession]) -> None:
    before = lab.kernel_ids()
    with pytest.raises(ZeroDivisionError), attach():
        _ = 1 // 0
    assert not lab.left_behind(before)


@TOOLS
def test_a_session_that_is_forgotten_detaches(attach: Callable[[], AnySession]) -> None:
    before = lab.kernel_ids()
    session = attach()
    assert our_kernel_ids(before) >= {"prog", "map", "link"}
    del session
    gc.collect()
    assert not lab.left_behind(before)


@TOOLS
def test_its_file_descriptor_says_when_it_has_ended(attach: Callable[[], AnySession]) -> None:
    with attach() as session:
        assert select.select([session], [], [], 0) == ([], [], [])
        session.stop()
        assert select.select([session], [], [], 10) == ([session], [], [])


@TOOLS
def test_json_lines_end_with_a_summary(attach: Callable[[], AnySession], tool: str) -> None:
    with attach() as session:
        lines = [json.loads(line) for line in session.json_lines(interval=0.01, duration=0.05)]
        assert session.stopped
    kind = {"count": "counts", "xdp": "xdp"}[tool]
    assert lines[0]["type"] == "attached"
    assert {line["type"] for line in lines[1:-1]} == {kind}
    assert lines[-1]["type"] == "summary"
    assert lines[-1]["ledger"]["seen"] == session.ledger.seen


@contextlib.contextmanager
def in_a_moment(function: Callable[[], object]) -> Iterator[None]:
    """Call a function from another thread while the block waits. The moment makes waiting likely, nothing needs it."""
    timer = threading.Timer(0.2, function)
    timer.start()
    yield
    timer.join()


@TOOLS
@pytest.mark.parametrize("end", ["stop", "close"])
def test_ending_it_in_another_thread_ends_the_loop(attach: Callable[[], AnySession], end: str) -> None:
    with attach() as session, in_a_moment(getattr(session, end)):
        began = time.monotonic()
        assert list(session.readings(interval=60)) == []
        assert time.monotonic() - began < 0.2 + SOON
    assert session.ledger.balanced


@TOOLS
def test_ending_it_in_another_thread_ends_json_lines(attach: Callable[[], AnySession]) -> None:
    with attach() as session, in_a_moment(session.stop):
        lines = [json.loads(line)["type"] for line in session.json_lines(interval=60)]
    assert lines == ["attached", "summary"]


@TOOLS
def test_ctrl_c_arrives_in_a_loop(attach: Callable[[], AnySession]) -> None:
    asked = 0.0

    def interrupt() -> None:
        nonlocal asked
        asked = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    with attach() as session:
        with in_a_moment(interrupt), pytest.raises(KeyboardInterrupt):
            list(session.readings(interval=60))
        assert time.monotonic() - asked < SOON
        # The session is not harmed by it.
        session.read()


@TOOLS
def test_several_threads_may_use_a_session(attach: Callable[[], AnySession]) -> None:
    errors: list[BaseException] = []

    def use() -> None:
        try:
            for _ in session.readings(interval=0.001):
                assert session.ledger.seen >= 0
        except BaseException as error:  # noqa: BLE001  told by the other thread
            errors.append(error)

    with attach() as session:
        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in session.readings(interval=0.01, duration=0.2):
            session.read()
    for thread in threads:
        thread.join()
    assert errors == []
    assert session.ledger.balanced


def test_several_sessions_at_once(iface: str, opener: lab.Opener) -> None:
    before = lab.kernel_ids()
    with contextlib.ExitStack() as stack:
        counters = [stack.enter_context(ebpflab.counts(pid=opener.pid)) for _ in range(3)]
        packets = stack.enter_context(ebpflab.xdp(iface))
        opener.do("opens", 23)
        counters[0].close()
        opener.do("opens", 7)
        assert packets.ledger.balanced
    totals = [sum(row.count for row in counter.stop().counts) for counter in counters]
    assert totals == [23, 30, 30]
    assert not lab.left_behind(before)
