"""Runs: how they begin, how they end, however they end, and what of them is left."""

from __future__ import annotations

import collections
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

    AnySession = ebpflab.CountSession[Any] | ebpflab.EventSession[Any]
    Events = ebpflab.EventSession[ebpflab.OpenEvent]

pytestmark = pytest.mark.native

#: The contract is 200 ms; a machine that is busy with other things is given twice as long.
SOON = 0.4
COUNTERS = ("count", "xdp")
SOURCES = ("open", "exec")
THAT_COUNT = pytest.mark.parametrize("tool", COUNTERS)
WITH_EVENTS = pytest.mark.parametrize("tool", SOURCES)
TOOLS = pytest.mark.parametrize("tool", [*COUNTERS, *SOURCES, "dashboard"])


@pytest.fixture
def command(tool: str, request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The arguments of a tool that watches something of our own."""
    return (tool, "--iface", request.getfixturevalue("iface")) if tool == "xdp" else (tool,)


@pytest.fixture
def attach(tool: str, request: pytest.FixtureRequest) -> Callable[[], AnySession]:
    """The same from Python."""
    attachers: dict[str, Callable[[], AnySession]] = {
        "count": ebpflab.counts,
        "dashboard": ebpflab.activity,
        "exec": ebpflab.execs,
        "open": ebpflab.opens,
        "xdp": lambda: ebpflab.xdp(iface),
    }
    iface = request.getfixturevalue("iface") if tool == "xdp" else ""
    return attachers[tool]


@pytest.fixture
def attach_counter(attach: Callable[[], ebpflab.CountSession[Any]]) -> Callable[[], ebpflab.CountSession[Any]]:
    """The same of a tool that counts."""
    return attach


@pytest.fixture
def attach_silent(tool: str) -> Callable[[], ebpflab.EventSession[Any]]:
    """The same of a tool that has events, of which there are none."""
    tools: dict[str, Callable[..., ebpflab.EventSession[Any]]] = {"exec": ebpflab.execs, "open": ebpflab.opens}
    return lambda: tools[tool](name="no-such-name")


def every(seconds: float, tool: str) -> tuple[str, ...]:
    """Return the option for an interval, of which tools that have events know nothing."""
    return ("-i", str(seconds)) if tool in COUNTERS else ()


def quiet(tool: str) -> tuple[str, ...]:
    """Return options that make it say nothing but the first and the last line."""
    return every(60, tool) or ("-n", "no-such-name")


def our_kernel_ids(before: set[tuple[str, int]]) -> set[str]:
    return {kind for kind, _ in lab.kernel_ids() - before}


@THAT_COUNT
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
def test_a_signal_ends_it_with_a_summary(
    start: Start, command: tuple[str, ...], tool: str, number: signal.Signals
) -> None:
    running = start(*command, *quiet(tool)).attached()
    asked = time.monotonic()
    running.process.send_signal(number)
    assert running.record()["type"] == "summary"
    assert time.monotonic() - asked < SOON
    ended = running.ended()
    assert ended.ledger["pending"] == 0
    assert (ended.status, ended.stderr) == (0, "")


@TOOLS
def test_ctrl_c_twice(start: Start, command: tuple[str, ...], tool: str) -> None:
    for _ in range(3):
        running = start(*command, *quiet(tool)).attached()
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
def test_ctrl_c_at_any_moment_leaves_nothing(start: Start, command: tuple[str, ...], tool: str) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    moments = random.Random(seed)  # noqa: S311  no secret
    before = lab.kernel_ids()
    for _ in range(6):
        running = start(*command, *every(0.01, tool))
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
@pytest.mark.usefixtures("noise")
def test_lines_have_the_fields_that_are_declared(start: Start, command: tuple[str, ...], tool: str) -> None:
    declared = {schema["tag"]: schema["fields"] for schema in _ebpflab.schemas() if schema["tag"]}
    running = start(*command, *every(0.05, tool)).attached()
    running.record()
    ended = running.stop()
    assert len(ended.records) >= 3
    for record in ended.records:
        fields = declared[record["type"]]
        needed = [field["name"] for field in fields if not field["type"].endswith(", optional")]
        bytes_beside = {field["name"] + "_bytes" for field in fields if "text" in field["type"]}
        assert set(needed) <= set(record) - {"type"} - bytes_beside <= {field["name"] for field in fields}
        assert next(iter(record)) == "type"


@TOOLS
def test_people_see_tables_and_the_ledger(command: tuple[str, ...]) -> None:
    done = subprocess.run([*lab.EBPFLAB, *command, "-d", "0.1"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("ledger: seen ")
    assert done.stderr.startswith(f"ebpflab: {command[0]} attached by ")
    # Paths and arguments, which come last, are as long as they are.
    first_lines = slice(None) if command[0] in COUNTERS else slice(1)
    assert max(map(len, done.stdout.splitlines()[first_lines])) < 80


@TOOLS
def test_kill_9_at_any_moment_leaves_nothing(start: Start, command: tuple[str, ...], tool: str) -> None:
    began = time.monotonic()
    assert start(*command).attached().stop().status == 0
    usual = time.monotonic() - began
    seed = time.time_ns()
    print(f"seed {seed}, a usual run takes {usual:.2f} s")
    moments = random.Random(seed)  # noqa: S311  no secret
    before, attached = lab.kernel_ids(), 0
    for _ in range(10):
        running = start(*command, *every(0.01, tool))
        time.sleep(moments.uniform(0, 1.5 * usual))
        ended = running.kill()
        attached += bool(ended.records)
        assert ended.status == -signal.SIGKILL
        left = lab.left_behind(before)
        assert not left, f"seed {seed}: {left}"
    assert 0 < attached < 10, f"seed {seed}: {attached} of 10 were attached already"


@TOOLS
@pytest.mark.usefixtures("noise")
@pytest.mark.parametrize("json_lines", [True, False], ids=["json", "table"])
def test_a_closed_pipe_ends_it_quietly(command: tuple[str, ...], tool: str, json_lines: bool) -> None:
    arguments = [*lab.EBPFLAB, *command, *every(0.05, tool), *(["--json"] if json_lines else [])]
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
def test_a_full_disk_is_one_sentence(command: tuple[str, ...], tool: str, json_lines: bool) -> None:
    arguments = [*lab.EBPFLAB, *command, *every(0.05, tool), *(["--json"] if json_lines else [])]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    *talk, sentence = done.stderr.splitlines()
    assert sentence == "ebpflab: cannot write to standard output: No space left on device"
    assert json_lines == (not talk)
    assert all(line.startswith((f"ebpflab: {tool} attached", "ebpflab: this hook")) for line in talk)


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


@THAT_COUNT
def test_after_the_end_only_the_whole_run_can_be_had(attach_counter: Callable[[], ebpflab.CountSession[Any]]) -> None:
    with attach_counter() as session:
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
        hooks = ", ".join(sorted(f"{hook.kind} {hook.target}" for hook in session.attached.hooks))
        assert repr(session).startswith(f"<ebpflab {tool} on {hooks}, running, seen ")
    assert repr(session) == f"<ebpflab {tool} on {hooks}, stopped, seen {session.ledger.seen}>"


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


@THAT_COUNT
def test_its_file_descriptor_says_when_it_has_ended(attach_counter: Callable[[], ebpflab.CountSession[Any]]) -> None:
    with attach_counter() as session:
        assert select.select([session], [], [], 0) == ([], [], [])
        session.stop()
        assert select.select([session], [], [], 10) == ([session], [], [])


@THAT_COUNT
def test_json_lines_end_with_a_summary(attach_counter: Callable[[], ebpflab.CountSession[Any]], tool: str) -> None:
    with attach_counter() as session:
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


@THAT_COUNT
@pytest.mark.parametrize("end", ["stop", "close"])
def test_ending_it_in_another_thread_ends_the_loop(
    attach_counter: Callable[[], ebpflab.CountSession[Any]], end: str
) -> None:
    with attach_counter() as session, in_a_moment(getattr(session, end)):
        began = time.monotonic()
        assert list(session.readings(interval=60)) == []
        assert time.monotonic() - began < 0.2 + SOON
    assert session.ledger.balanced


@THAT_COUNT
def test_ending_it_in_another_thread_ends_json_lines(attach_counter: Callable[[], ebpflab.CountSession[Any]]) -> None:
    with attach_counter() as session, in_a_moment(session.stop):
        lines = [json.loads(line)["type"] for line in session.json_lines(interval=60)]
    assert lines == ["attached", "summary"]


@THAT_COUNT
def test_ctrl_c_arrives_in_a_loop(attach_counter: Callable[[], ebpflab.CountSession[Any]]) -> None:
    asked = 0.0

    def interrupt() -> None:
        nonlocal asked
        asked = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    with attach_counter() as session:
        with in_a_moment(interrupt), pytest.raises(KeyboardInterrupt):
            list(session.readings(interval=60))
        assert time.monotonic() - asked < SOON
        # The session is not harmed by it.
        session.read()


@THAT_COUNT
def test_several_threads_may_use_a_session(attach_counter: Callable[[], ebpflab.CountSession[Any]]) -> None:
    errors: list[BaseException] = []

    def use() -> None:
        try:
            for _ in session.readings(interval=0.001):
                assert session.ledger.seen >= 0
        except BaseException as error:  # noqa: BLE001  told by the other thread
            errors.append(error)

    with attach_counter() as session:
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


def test_several_event_sessions_at_once(opener: lab.Opener, runner: lab.Runner) -> None:
    before, program = lab.kernel_ids(), runner.do("link", "at-once")
    with contextlib.ExitStack() as stack:
        opens = [stack.enter_context(ebpflab.opens(pid=opener.pid)) for _ in range(3)]
        execs = [stack.enter_context(ebpflab.execs(name="at-once")) for _ in range(2)]
        opener.do("opens", 23)
        opens[0].stop()
        pids = runner.do("run", [(program, [str(number)]) for number in range(7)])
        opener.do("opens", 7)
        sessions: list[ebpflab.Session] = [*opens, *execs]
        for each in sessions:
            each.stop()
        assert [len(list(session)) for session in opens] == [23, 30, 30]
        assert [[event.pid for event in session] for session in execs] == [pids, pids]
    assert not lab.left_behind(before)


@WITH_EVENTS
@pytest.mark.usefixtures("noise")
def test_a_run_of_events_has_a_beginning_and_an_end(start: Start, command: tuple[str, ...], tool: str) -> None:
    ended = start(*command, "-d", "0.5").ended()
    first, last = ended.records[0], ended.records[-1]
    assert (first["type"], first["command"], first["kernel"]) == ("attached", tool, os.uname().release)
    assert first["hooks"]
    assert first["buffer"] > 0
    assert {event["type"] for event in ended.events} == {tool}
    assert last["type"] == "summary"
    assert "counts" not in last
    assert 0.5 <= last["duration_s"] < 5
    assert ended.ledger["shown"] == ended.ledger["received"] == len(ended.events)
    assert (ended.status, ended.stderr) == (0, "")


@WITH_EVENTS
@pytest.mark.parametrize("end", ["stop", "close"])
def test_ending_it_in_another_thread_ends_a_loop_over_events(
    attach_silent: Callable[[], ebpflab.EventSession[Any]], end: str
) -> None:
    with attach_silent() as session, in_a_moment(getattr(session, end)):
        began = time.monotonic()
        assert list(session) == []
        assert time.monotonic() - began < 0.2 + SOON
    assert list(session) == []
    assert session.ledger.balanced


@WITH_EVENTS
@pytest.mark.usefixtures("noise")
@pytest.mark.parametrize("end", ["stop", "close"])
def test_ending_it_in_another_thread_ends_a_busy_loop(attach: Callable[[], AnySession], end: str) -> None:
    with attach() as session, in_a_moment(getattr(session, end)):
        assert isinstance(session, ebpflab.EventSession)
        events = sum(1 for _ in session)
    assert 0 < events <= session.ledger.received
    assert events == session.ledger.shown
    if end == "stop":
        assert events == session.ledger.received
    assert session.ledger.balanced


@WITH_EVENTS
def test_ending_it_in_another_thread_ends_json_lines_of_events(
    attach_silent: Callable[[], ebpflab.EventSession[Any]],
) -> None:
    with attach_silent() as session, in_a_moment(session.stop):
        lines = [json.loads(line)["type"] for line in session.json_lines()]
    assert lines == ["attached", "summary"]


@WITH_EVENTS
def test_ctrl_c_arrives_in_a_loop_over_no_events(attach_silent: Callable[[], ebpflab.EventSession[Any]]) -> None:
    asked = 0.0

    def interrupt() -> None:
        nonlocal asked
        asked = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    def loop() -> None:
        for event in session:
            pytest.fail(f"{event}")

    with attach_silent() as session:
        with in_a_moment(interrupt), pytest.raises(KeyboardInterrupt):
            loop()
        assert time.monotonic() - asked < SOON
        # The session is not harmed by it.
        assert not session.stopped
        assert session.stop().ledger.balanced


@pytest.mark.parametrize("consume", [list, lambda events: collections.deque(events, maxlen=0)], ids=["list", "deque"])
def test_ctrl_c_arrives_while_events_do(opener: lab.Opener, consume: Callable[[Iterator[Any]], object]) -> None:
    """Even where all the looping is done in C, and something is always there to be had."""
    asked, over = 0.0, threading.Event()

    def interrupt() -> None:
        nonlocal asked
        asked = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    def flood() -> None:
        while not over.is_set():
            opener.do("opens", 1_000)

    flooding = threading.Thread(target=flood)
    with ebpflab.opens(pid=opener.pid) as session:
        flooding.start()
        try:
            with in_a_moment(interrupt), pytest.raises(KeyboardInterrupt):
                consume(iter(session))
            assert time.monotonic() - asked < SOON
        finally:
            over.set()
            flooding.join()
        assert session.ledger.received > 0


@pytest.fixture
def happen(tool: str, opener: lab.Opener, runner: lab.Runner) -> Callable[[int], None]:
    """Make that many events for `attach_ours`."""
    program = runner.do("link", "ours")

    def work(number: int) -> None:
        if tool == "open":
            opener.do("opens", number)
        else:
            runner.do("run", [(program, ["ours"])] * number)

    return work


@pytest.fixture
def attach_ours(tool: str, opener: lab.Opener) -> Callable[[], ebpflab.EventSession[Any]]:
    """Attach to what `happen` makes, and to nothing else."""
    return lambda: ebpflab.opens(pid=opener.pid) if tool == "open" else ebpflab.execs(name="ours")


@WITH_EVENTS
def test_its_file_descriptor_says_when_events_wait(
    attach_ours: Callable[[], ebpflab.EventSession[Any]], happen: Callable[[int], None]
) -> None:
    def readable(seconds: float) -> bool:
        return bool(select.select([session.fileno()], [], [], seconds)[0])

    with attach_ours() as session:
        assert not readable(0)
        happen(1)
        assert readable(10)
        next(iter(session))
        assert not readable(0)
        happen(3)
        for left in (3, 2, 1):
            # Whoever has taken them out of the buffer.
            assert readable(1), f"{left} are to be had"
            next(iter(session))
        assert not readable(0)
        session.stop()
        assert readable(10)


@WITH_EVENTS
def test_an_event_that_waits_is_had_by_a_thread_that_waits(
    attach_ours: Callable[[], ebpflab.EventSession[Any]], happen: Callable[[int], None]
) -> None:
    """One thread may take many events out of the buffer and leave after the first of them."""
    had: list[Any] = []
    made = 0

    def all_had() -> bool:
        return len(had) == made

    with attach_ours() as session:
        waiting = threading.Thread(target=lambda: had.extend(session))
        waiting.start()
        try:
            for _ in range(20):
                visitor = threading.Thread(target=lambda: had.append(next(iter(session))))
                visitor.start()
                while visitor.is_alive():
                    happen(5)
                    made += 5
                    visitor.join(0.05)
                assert lab.eventually(all_had), f"{made - len(had)} events wait, and so does a thread"
        finally:
            session.stop()
            waiting.join()


def test_threads_share_events(opener: lab.Opener) -> None:
    had: list[list[int]] = [[] for _ in range(3)]
    with ebpflab.opens(pid=opener.pid) as session:
        threads = [
            threading.Thread(target=lambda times: times.extend(event.time for event in session), args=(times,))
            for times in had
        ]
        for thread in threads:
            thread.start()
        for _ in range(20):
            opener.do("opens", 500)
        session.stop()
        for thread in threads:
            thread.join()
    # One thread opens, so no two have the same time.
    together = [moment for times in had for moment in times]
    assert len(together) == len(set(together)) == session.ledger.submitted == 10_000
    # Each has its own in their order.
    assert all(times == sorted(times) for times in had)


def test_a_loop_that_is_left_loses_nothing(opener: lab.Opener) -> None:
    with ebpflab.opens(pid=opener.pid) as session:
        opener.do("opens", 2_000)
        first = [event.time for event in session.events(limit=23)]
        for event in session:
            first.append(event.time)
            break
        opener.do("opens", 7)
        session.stop()
        rest = [event.time for event in session]
    assert (len(first), len(rest)) == (24, 2_007 - 24)
    assert first + rest == sorted({*first, *rest})
    assert session.ledger.shown == session.ledger.received == 2_007


def test_a_timeout_and_a_limit_end_a_loop(opener: lab.Opener) -> None:
    with ebpflab.opens(pid=opener.pid) as session:
        opener.do("opens", 23)
        assert len(list(session.events(limit=7, timeout=60))) == 7
        assert not session.stopped
        assert len(list(session.events(timeout=0.1))) == 16
        # The time is over, the run is not.
        assert not session.stopped
        session.stop()
        assert list(session.events()) == []
    assert session.stop().ledger.shown == 23


def test_after_the_end_the_rest_of_the_events_can_be_had(opener: lab.Opener) -> None:
    with ebpflab.opens(pid=opener.pid) as session:
        opener.do("opens", 5_000)
        summary = session.stop()
        assert (summary.ledger.received, summary.ledger.shown, summary.counts) == (5_000, 0, None)
        # Those after the end are not seen any more.
        opener.do("opens", 7)
        assert len(list(session)) == 5_000
        assert session.stop().ledger.shown == session.ledger.shown == 5_000
    session.close()
    assert list(session) == []
    assert session.ledger.received == 5_000


def test_closing_it_drops_what_waits(opener: lab.Opener) -> None:
    with ebpflab.opens(pid=opener.pid) as session:
        opener.do("opens", 23)
        next(iter(session))
    assert list(session) == []
    assert (session.ledger.received, session.ledger.shown) == (23, 1)
    assert session.ledger.balanced


@pytest.mark.parametrize("buffer", [2**32, 2**31 + 1])
@pytest.mark.parametrize("attach_any", [ebpflab.opens, ebpflab.execs], ids=["opens", "execs"])
def test_a_buffer_that_is_too_large_is_a_value_error(attach_any: Callable[..., AnySession], buffer: int) -> None:
    with pytest.raises(ValueError, match="larger than the kernel makes"):
        attach_any(buffer=buffer)


@TOOLS
def test_a_forked_child_can_do_nothing_to_it(attach: Callable[[], AnySession]) -> None:
    with attach() as session:
        child = os.fork()
        if child == 0:
            # Leaving the block, as a worker that ends does, and asking for anything else.
            with contextlib.suppress(ebpflab.ClosedError), session:
                session.stop()
            os._exit(0 if session.stopped else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert not session.stopped
        seen = session.ledger.seen
        os.close(os.open("/", os.O_RDONLY))
        subprocess.run(["true"], check=True)
        if session.attached.command != "xdp":
            assert session.ledger.seen > seen


@THAT_COUNT
@pytest.mark.parametrize("times", [{"interval": 0}, {"interval": -1}, {"interval": 1, "duration": float("nan")}])
def test_readings_need_times_above_zero(attach: Callable[[], Any], times: dict[str, float]) -> None:
    with attach() as session, pytest.raises(ValueError, match="must be more than 0 and finite"):
        next(session.readings(**times))


@WITH_EVENTS
def test_reading_takes_what_waits_and_no_more(attach: Callable[[], Any]) -> None:
    with attach() as session:
        for _ in range(23):
            subprocess.run(["true"], check=True)
        found = session.read()
        assert len(found) >= 23
        assert session.stop().ledger.shown == len(found)


@TOOLS
def test_stdout_that_is_closed_is_no_traceback_for_people_either(command: tuple[str, ...]) -> None:
    arguments = ["sh", "-c", 'exec "$@" >&-', "sh", *lab.EBPFLAB, *command, "-d", "0.1"]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "cannot write to standard output" in ended.stderr


@TOOLS
def test_stderr_that_is_full_costs_no_data(command: tuple[str, ...]) -> None:
    arguments = ["sh", "-c", 'exec "$@" 2>/dev/full', "sh", *lab.EBPFLAB, *command, "-d", "0.1"]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[-1].startswith("ledger: seen ")
