"""`syscalls` on a live kernel, beside a workload that knows what it calls, and beside strace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.conftest import Start

#: Long enough that only the last reading is of interest.
SELDOM = ("-i", "60")


def of(ended: lab.Ended, syscall: str) -> lab.Record:
    """Return the only row of a system call."""
    (row,) = [row for row in ended.summary["counts"] if row["syscall"] == syscall]
    assert isinstance(row, dict)
    return row


def test_23_calls_are_23_with_their_errors(start: Start, caller: lab.Caller) -> None:
    tool = start("syscalls", *SELDOM, "--pid", str(caller.pid)).attached()
    assert {(hook["kind"], hook["target"]) for hook in tool.first["hooks"]} == {
        ("raw_tracepoint", "sys_enter"),
        ("raw_tracepoint", "sys_exit"),
    }
    called, failed = caller.do("getppids", 23), caller.do("fails", 7)
    assert lab.eventually(caller.sleeps)
    ended = tool.stop()
    row = of(ended, "getppid")
    assert (row["count"], row["failed"], row["errors"]) == (called, 0, [])
    assert 0 < row["max_ns"] <= row["total_ns"]
    row = of(ended, "close")
    assert (row["failed"], row["errors"]) == (failed, [{"error": "EBADF", "count": failed}])
    # It waits for the next command.
    assert ended.ledger["pending"] == 1
    assert lab.none_missed(ended.ledger)
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.native
def test_a_million_calls_of_all_cpus_are_a_million(start: Start, caller: lab.Caller) -> None:
    tool = start("syscalls", *SELDOM, "--pid", str(caller.pid)).attached()
    done = caller.do("syscall_threads", 1_000_000 // (os.cpu_count() or 1))
    done += caller.do("getppids", 1_000_000 - done)
    ended = tool.stop()
    assert of(ended, "getppid")["count"] == done == 1_000_000
    assert (ended.ledger["unpaired"], ended.ledger["map_full"]) == (0, 0)
    assert lab.none_missed(ended.ledger)


def test_how_long_a_call_takes(start: Start, caller: lab.Caller) -> None:
    tool = start("syscalls", *SELDOM, "--pid", str(caller.pid)).attached()
    caller.do("naps", 100)
    caller.do("naps", 1)
    row = of(tool.stop(), "poll")
    assert row["count"] == 2
    assert row["max_ns"] >= 100e6
    assert row["total_ns"] >= 101e6


def test_only_failures(start: Start, caller: lab.Caller) -> None:
    tool = start("syscalls", *SELDOM, "--pid", str(caller.pid), "-x").attached()
    caller.do("getppids", 23)
    caller.do("fails", 7)
    ended = tool.stop()
    assert [(row["syscall"], row["count"], row["failed"]) for row in ended.summary["counts"]] == [("close", 7, 7)]
    assert ended.ledger["submitted"] == 7
    assert ended.ledger["filtered"] >= 23


def test_by_process_and_call(start: Start, caller: lab.Caller) -> None:
    tool = start("syscalls", *SELDOM, "--by", "pid,syscall", "--tree", str(caller.pid)).attached()
    caller.do("forks", 3)
    counts = tool.stop().summary["counts"]
    children = {row["pid"]: row["count"] for row in counts if row["syscall"] == "getppid"}
    assert caller.pid not in children
    assert sorted(children.values()) == [1, 1, 1]
    # A call that never returns is counted when it is made.
    ends = {row["pid"] for row in counts if row["syscall"] == "exit_group"}
    assert ends == set(children)


def test_by_name_alone(start: Start, caller: lab.Caller) -> None:
    tool = start("syscalls", *SELDOM, "--by", "comm", "--pid", str(caller.pid)).attached()
    caller.do("named", ["caf\udce9", "last"])
    counts = tool.stop().summary["counts"]
    assert {lab.raw(row, "comm") for row in counts} >= {b"caf\xe9", b"last"}
    assert {(row["syscall"], row["number"], row["abi"], row["pid"]) for row in counts} == {(None,) * 4}


@pytest.mark.skipif(not lab.ia32_emulation(), reason="the kernel has no 32-bit system calls")
def test_32_bit_calls_have_their_own_names(start: Start, opener: lab.Opener) -> None:
    tool = start("syscalls", *SELDOM, "--pid", str(opener.pid)).attached()
    opener.do("compat", 23)
    counts = {(row["abi"], row["syscall"]): row["count"] for row in tool.stop().summary["counts"]}
    of_i386 = {name: count for (abi, name), count in counts.items() if abi == "i386"}
    assert of_i386 == {"open": 23, "creat": 23, "openat": 23, "openat2": 23, "readlink": 23}


def test_a_full_map_is_counted(start: Start, caller: lab.Caller) -> None:
    tool = start("syscalls", *SELDOM, "--pid", str(caller.pid), "--max-entries", "1", "--fail-on-loss").attached()
    caller.do("getppids", 23)
    caller.do("fails", 7)
    ended = tool.stop()
    assert len(ended.summary["counts"]) == 1
    assert ended.ledger["map_full"] >= 7
    assert ended.status == 3


#: Processes, threads, programs that there are and are not, one that kills itself, a signal that interrupts, errors.
SCRIPT = """
import os, signal, subprocess, threading, time
def work():
    for _ in range(50):
        os.getppid(); os.stat('/')
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
for command in (['/bin/true'], ['/bin/ls', '/missing'], ['/bin/sh', '-c', 'cat /etc/passwd | wc -l; kill -9 $$']):
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try: os.execv('/missing', ['/missing'])
except OSError: pass
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.05)
time.sleep(0.3)
"""
#: strace counts a call when it returns; these never do.
NOT_OF_STRACE = {"exit", "exit_group"}


@pytest.mark.native
def test_the_counts_are_those_of_strace(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "strace"
    tool = start("syscalls", *SELDOM, "--by", "comm,pid,syscall").attached()
    # -C: each call, whose process is of interest, and the table that -c makes.
    subprocess.run(
        ["strace", "-C", "-f", "-e", "signal=none", "-o", file, sys.executable, "-ISE", "-c", SCRIPT], check=True
    )
    ended = tool.stop()
    calls, _, table = file.read_text().partition("% time")
    pids = {int(line.split()[0]) for line in calls.splitlines() if line}
    # Before it becomes the program, what strace starts is strace, and is not watched.
    rows = [row for row in ended.summary["counts"] if row["pid"] in pids and row["comm"] != "strace"]
    counted, failed = Counter[str](), Counter[str]()
    for row in rows:
        counted[row["syscall"]] += row["count"]
        failed[row["syscall"]] += row["failed"]
    traced, errors = Counter[str](), Counter[str]()
    # Seconds, calls, errors (if there were any) and names, between two lines.
    for line in table.splitlines()[2:-2]:
        fields = line.split()
        traced[fields[-1]] = int(fields[3])
        errors[fields[-1]] = int(fields[4]) if len(fields) == 6 else 0
    assert sum(traced.values()) > 1_000
    # The process that kills itself does not come back from that; to the kernel the call returns.
    assert counted["kill"] == traced["kill"] + 1
    others = NOT_OF_STRACE | {"kill"}
    assert {name: count for name, count in counted.items() if name not in others} == traced - Counter(kill=1)
    assert +failed == +errors
    # 4 threads end, and all processes but the one that is killed.
    assert counted["exit"] == 4
    assert counted["exit_group"] == len({line.split()[0] for line in calls.splitlines() if "+++ exited" in line}) - 4


def test_from_a_repl(caller: lab.Caller) -> None:
    with ebpflab.syscalls(pid=caller.pid) as counter:
        caller.do("getppids", 23)
        rows = {row.syscall: row for row in counter.read()}
        assert rows["getppid"].count == 23
        caller.do("fails", 7)
    summary = counter.stop()
    assert summary.ledger.balanced
    (close,) = [row for row in summary.counts if row.syscall == "close"]
    assert close.errors == (ebpflab.ErrorCount("EBADF", 7),)
    with pytest.raises(ValueError, match="by uid"):
        ebpflab.syscalls(by=("uid",))
