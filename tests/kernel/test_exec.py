"""`exec` on a live kernel, beside a workload that knows what it executes."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from tests.kernel.conftest import Start

HOOKS = ("tracepoint", "raw_tracepoint")
#: Most bytes of arguments, their closing NULs counted.
MOST = 8_192
#: What each CPU's buffer is at least: a power of two that holds the largest record.
SMALLEST = 32_768
#: Arguments as os.fsdecode gives them.
ARGUMENTS: tuple[list[str], ...] = (
    *([], ["plain"], ["two words", " ", "  "], ["new\nline", "\n"], ["tab\t", "\x1b[31mred", "\x7f"]),
    *([""], ["", "", ""], ["", "last"], ["first", ""], ["-x", "--json"], ["a=b", "$HOME", "*", "'", '"', "\\"]),
    *(
        ["café"],
        ["\u65e5\u672c", "\U0001f980"],
        ["\ufffd"],
        ["caf\udce9"],
        ["\udcff\udcfe", "plain"],
        ["plain", "\udcc3"],
    ),
    *(["\udced\udca0\udc80"], [str(number) for number in range(300)], ["x" * 4_096], ["y"] * 2_000),
    *(["\u202ecod"], ["{}", "null"]),
)

Asked = list[tuple[str, list[str]]]


def arguments(event: lab.Record) -> list[bytes]:
    """Return the arguments of an event, as they were."""
    return lab.raw_list(event, "argv")


@pytest.mark.smoke
@pytest.mark.parametrize("hook", HOOKS)
def test_each_run_is_an_event_that_has_it_all(start: Start, runner: lab.Runner, hook: str) -> None:
    assert len(ARGUMENTS) == 23
    program = runner.do("link", "known-program")
    asked: Asked = [(program, [f"name {number}", *argv]) for number, argv in enumerate(ARGUMENTS)]
    wrapper = lab.WITH_TRACEFS if hook == "tracepoint" else lab.WITHOUT_TRACEFS
    tool = start("exec", "--hook", hook, "-n", "known-program", wrapper=wrapper).attached()
    before = time.time_ns()
    pids = runner.do("run", asked)
    after = time.time_ns()
    ended = tool.stop()
    events = ended.events
    assert [event["pid"] for event in events] == pids
    assert len(events) == 23
    assert [arguments(event) for event in events] == [list(map(os.fsencode, argv)) for _, argv in asked]
    same = {tuple(event[field] for field in ("type", "ppid", "uid", "gid", "comm", "filename")) for event in events}
    assert same == {("exec", runner.pid, os.getuid(), os.getgid(), "known-program", program)}
    assert not any(event["argv_truncated"] for event in events)
    # The clocks are two, so a little may be between them.
    times = [before - 10**9, *(event["time"] for event in events), after + 10**9]
    assert times == sorted(set(times))
    assert {event["cgroup"] for event in events} <= {lab.cgroup_id(runner.pid) or events[0]["cgroup"]}
    assert {event["cpu"] for event in events} <= set(range(os.cpu_count() or 1))
    ledger = ended.ledger
    assert (ledger["submitted"], ledger["shown"], ledger["faults"], ledger["truncated"]) == (23, 23, 0, 0)
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.smoke
def test_the_hook_is_told_with_its_reason(start: Start) -> None:
    hook, *_ = start("exec", wrapper=lab.WITH_TRACEFS).record()["hooks"]
    assert hook == {
        "program": "exec_tp",
        "kind": "tracepoint",
        "target": "sched:sched_process_exec",
        "reason": "first choice",
    }
    hook, *_ = start("exec", wrapper=lab.WITHOUT_TRACEFS).record()["hooks"]
    assert (hook["program"], hook["kind"], hook["target"]) == ("exec_raw_tp", "raw_tracepoint", "sched_process_exec")
    assert "tracepoint: " in hook["reason"]


@pytest.mark.native
def test_bytes_beside_the_text_only_where_it_is_not_the_same(start: Start, runner: lab.Runner) -> None:
    program = runner.do("link", "known-program")
    tool = start("exec", "-n", "known-program").attached()
    runner.do("run", [(program, argv) for argv in (["plain", "\ufffd"], ["plain", "caf\udce9"], [])])
    text, mixed, nothing = tool.stop().events
    assert (text["argv"], "argv_bytes" in text) == (["plain", "\ufffd"], False)
    assert (mixed["argv"], mixed["argv_bytes"]) == (["plain", "caf\ufffd"], ["cGxhaW4=", "Y2Fm6Q=="])
    # From 5.18 on the kernel gives a program that was given no name an empty one.
    assert nothing["argv"] in ([""], [])


@pytest.mark.native
@pytest.mark.parametrize("name", ["two words", "new\nline", "caf\udce9", "\u65e5\u672c", "longer-than-fifteen-bytes"])
@pytest.mark.parametrize("hook", HOOKS)
def test_names_of_programs(start: Start, runner: lab.Runner, hook: str, name: str) -> None:
    program = runner.do("link", name)
    comm = os.fsencode(name)[:15]
    options = ("--hook", hook, "-n", os.fsdecode(comm))
    tool = start("exec", *options, wrapper=lab.WITH_TRACEFS).attached()
    pids = runner.do("run", [(program, ["argument"])])
    (event,) = tool.stop().events
    assert (event["pid"], lab.raw(event, "filename"), lab.raw(event, "comm")) == (*pids, os.fsencode(program), comm)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_script_is_what_was_executed(start: Start, runner: lab.Runner, hook: str) -> None:
    script = runner.do("script", "known-script")
    tool = start("exec", "--hook", hook, "-n", "known-script", wrapper=lab.WITH_TRACEFS).attached()
    pids = runner.do("run", [(script, ["name", "a b"])])
    (event,) = tool.stop().events
    # The kernel puts the interpreter and its argument in the place of the name.
    assert (event["pid"], event["filename"]) == (*pids, script)
    assert event["argv"] == ["/bin/true", "-flag", script, "a b"]


@pytest.mark.native
def test_a_program_that_is_not_there_is_no_event(start: Start, runner: lab.Runner) -> None:
    program = runner.do("link", "known-program")
    tool = start("exec", "-n", "known-program").attached()
    pids = runner.do("run", [(f"{runner.folder}/missing", ["x"]), (program, ["y"]), (runner.folder, ["z"])])
    assert [(event["pid"], event["argv"]) for event in tool.stop().events] == [(*pids, ["y"])]


@pytest.mark.parametrize("hook", HOOKS)
def test_arguments_that_do_not_fit_are_marked(start: Start, runner: lab.Runner, hook: str) -> None:
    program = runner.do("link", "known-program")
    first, rest = "a" * 4_000, MOST - len("name\0") - 4_001
    whole = ["name", first, "b" * (rest - 1)]
    asked = [whole, ["name", first, "b" * rest], ["name", first, "b" * rest, "more"], ["name", "c" * 100_000]]
    # One ends where there is no more room.
    asked.append([*whole, "more"])
    tool = start("exec", "--hook", hook, "-n", "known-program", wrapper=lab.WITH_TRACEFS).attached()
    runner.do("run", [(program, argv) for argv in asked])
    ended = tool.stop()
    assert [(event["argv"], event["argv_truncated"]) for event in ended.events] == [
        (whole, False),
        (["name", first, "b" * rest], True),
        (["name", first, "b" * rest], True),
        (["name", "c" * (MOST - len("name\0"))], True),
        (whole, True),
    ]
    assert (ended.ledger["truncated"], ended.ledger["faults"]) == (4, 0)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_thread_that_is_not_the_first(start: Start, runner: lab.Runner, hook: str) -> None:
    program = runner.do("link", "known-program")
    tool = start("exec", "--hook", hook, "-n", "known-program", wrapper=lab.WITH_TRACEFS).attached()
    pid = runner.do("thread", (program, ["a", "b"]))
    (event,) = tool.stop().events
    assert (event["pid"], event["ppid"], event["argv"]) == (pid, runner.pid, ["a", "b"])


@pytest.mark.parametrize("option", ["-p", "-t"])
def test_only_one_process(start: Start, runner: lab.Runner, option: str) -> None:
    program = runner.do("link", "known-program")
    wanted, other = (runner.do("hold", (program, [name])) for name in ("wanted", "other"))
    tool = start("exec", option, str(wanted)).attached()
    assert runner.do("go", other)
    assert runner.do("go", wanted)
    ended = tool.stop()
    assert [(event["pid"], event["argv"]) for event in ended.events] == [(wanted, ["wanted"])]
    assert ended.ledger["filtered"] >= 1


def test_only_one_user(start: Start, runner: lab.Runner) -> None:
    uid = 2_000_000_000 + os.getpid()
    program = runner.do("link", "known-program")
    tool = start("exec", "-u", str(uid)).attached()
    runner.do("run", [(program, ["root"])])
    pid = runner.do("user", (program, ["user"], uid))
    (event,) = tool.stop().events
    assert (event["pid"], event["uid"], event["argv"]) == (pid, uid, ["user"])


def test_only_one_name(start: Start, runner: lab.Runner) -> None:
    # The new name is asked for: neither one that begins with it nor one that it begins with.
    programs = [runner.do("link", name) for name in ("exactly-this", "exactly-this-1", "exactly")]
    tool = start("exec", "-n", "exactly-this").attached()
    pids = runner.do("run", [(program, ["x"]) for program in programs])
    assert [(event["pid"], event["comm"]) for event in tool.stop().events] == [(pids[0], "exactly-this")]


@pytest.mark.native
def test_a_limit_ends_it(start: Start, runner: lab.Runner) -> None:
    program = runner.do("link", "known-program")
    tool = start("exec", "-n", "known-program", "--limit", "7").attached()
    runner.do("run", [(program, [str(number)]) for number in range(23)])
    ended = tool.ended()
    assert [event["argv"] for event in ended.events] == [[str(number)] for number in range(7)]
    assert ended.ledger["shown"] == 7
    assert ended.status == 0


@pytest.mark.native
def test_a_duration_ends_it(start: Start) -> None:
    ended = start("exec", "-n", "no-such-name", "-d", "0.3").ended()
    assert 0.3 <= ended.summary["duration_s"] < 5
    assert ended.events == []
    assert ended.status == 0


@pytest.mark.parametrize("hook", HOOKS)
def test_a_flood_that_does_not_fit_is_accounted_for(start: Start, runner: lab.Runner, hook: str) -> None:
    program = runner.do("link", "known-flood")
    options = ("--hook", hook, "-n", "known-flood", "--buffer", "1", "--fail-on-loss")
    tool = start("exec", *options, wrapper=lab.WITH_TRACEFS)
    buffer = tool.record()["buffer"]
    # A buffer for each CPU that is there.
    assert buffer == SMALLEST * (os.cpu_count() or 1)
    asked: Asked = [(program, [str(number), "x" * 2_000]) for number in range(500)]
    with tool.paused():
        pids = runner.do("run", asked)
    # From here on there is room again.
    later = runner.do("run", asked[:7])
    ended = tool.stop()
    ledger = ended.ledger
    assert len(pids) == 500
    assert ledger["seen"] - ledger["filtered"] == ledger["submitted"] + ledger["dropped"] == 507
    assert ledger["dropped"] >= 500 - buffer // 2_000
    assert len(ended.events) == ledger["submitted"] == ledger["shown"] > 0
    assert (ledger["unpaired"], ledger["pending"]) == (0, 0)
    assert lab.none_missed(ledger)
    # What came through is right, and it is not only what came first.
    known = {pid: ["x" * 2_000] for pid in [*pids, *later]}
    assert all(known[event["pid"]] == event["argv"][1:] for event in ended.events)
    assert ended.stderr == f"ebpflab: lost: dropped {ledger['dropped']}\n"
    assert ended.status == 3


def test_what_fits_is_not_lost(start: Start, runner: lab.Runner) -> None:
    program = runner.do("link", "known-flood")
    tool = start("exec", "-n", "known-flood", "--fail-on-loss").attached()
    with tool.paused():
        pids = runner.do("run", [(program, [str(number)]) for number in range(500)])
    ended = tool.stop()
    # Each CPU has a buffer of its own; together they are in the order of time.
    assert [event["pid"] for event in ended.events] == pids
    assert (ended.ledger["dropped"], ended.status, ended.stderr) == (0, 0, "")


@pytest.mark.native
def test_from_python_arguments_are_as_os_fsdecode_gives_them(runner: lab.Runner) -> None:
    program = runner.do("link", "caf\udce9")
    with ebpflab.execs(name=b"caf\xe9") as session:
        pids = runner.do("run", [(program, ["x", *argv]) for argv in ARGUMENTS])
        events = list(session.events(limit=len(ARGUMENTS)))
    assert [event.argv for event in events] == [("x", *argv) for argv in ARGUMENTS]
    assert [event.pid for event in events] == pids
    assert {(event.filename, event.comm) for event in events} == {(program, "caf\udce9")}
