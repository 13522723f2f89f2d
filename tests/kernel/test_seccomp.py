"""The seccomp profile of the slim image: what its commands call, and nothing else without a reason."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from tests.kernel.conftest import Start

pytestmark = pytest.mark.native

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "docs/examples/ebpflab-seccomp.json"

#: What the profile allows though the commands may not call it on the machine of the test, by the reason. A call that
#: is neither seen nor named here has no place in the profile.
UNSEEN = {
    "runc and Go, between loading the profile and starting the command: seen of runc 1.1.5 by strace": {
        *("capget", "capset", "chdir", "epoll_ctl", "execve", "faccessat2", "fstat", "fstatfs", "getcwd", "getpid"),
        *("getppid", "nanosleep", "sched_yield", "setgid", "setgroups", "setuid", "tgkill"),
    },
    "aarch64, which has no access, epoll_wait, mkdir, poll, readlink, rename, select and unlink": {
        *("epoll_pwait", "faccessat", "mkdirat", "ppoll", "pselect6", "readlinkat", "renameat", "unlinkat"),
    },
    "glibc from 2.28 on, which starts threads, waits and asks for files by other calls in other versions": {
        *("access", "clone", "clone3", "clock_nanosleep", "lstat", "newfstatat", "rseq", "select", "stat", "statx"),
    },
    "glibc, where the kernel does not tell the time without a call": {"clock_gettime", "gettimeofday"},
    "glibc, for memory, by how much there is": {"madvise", "mremap"},
    "Python's site, outside of a virtual environment": {"getegid", "geteuid", "getgid", "getuid"},
    "Python from 3.13 on, for how many threads there may be, and whether memory is overcommitted": {
        *("open", "sched_getaffinity"),
    },
    "the kernel, after a signal": {"restart_syscall", "rt_sigreturn"},
    "exec by tracepoints, where there is a tracefs": {"perf_event_open"},
    "names of containers, where Docker or Podman has a socket that may be opened: it is given a time to answer": {
        "setsockopt",
    },
    "xdp --pcap, which cuts off half a packet where the disk is full": {"ftruncate"},
}

#: What the services of docker-compose.slim.yml are for, and the same with files and in a terminal.
RUNS = (
    *(("--json", *run) for run in (("open",), ("exec",), ("count",), ("dashboard",), ("xdp", "--iface", "IFACE"))),
    *(("terminal", *run) for run in (("open",), ("exec",), ("count",), ("dashboard",), ("xdp", "--iface", "IFACE"))),
    ("lacking", "xdp", "--iface", "IFACE"),
    ("", "open", "-o", "FOLDER/opens.parquet"),
    ("", "exec", "-o", "FOLDER/execs.jsonl"),
    ("", "open", "-o", "FOLDER/many", "--rotate-seconds", "0.3"),
    ("", "xdp", "--iface", "IFACE", "--pcap", "FOLDER/packets.pcapng", "--pcap-sample", "1"),
)
#: Root with no capability.
WITHOUT = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
_CALL = re.compile(r"\d+ +(?:<\.\.\. )?(\w+)[( ]")


def allowed() -> set[str]:
    (rule,) = json.loads(PROFILE.read_text())["syscalls"]
    names: list[str] = rule["names"]
    assert names == sorted(set(names))
    return set(names)


def in_terminal(command: list[str]) -> int:
    """Run a command in a terminal of its own; return its status."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        try:
            while os.read(ours, 1 << 16):
                pass
        except OSError:
            # EIO: nobody has the other end any more.
            pass
    os.close(ours)
    return process.returncode


def calls(run: tuple[str, ...], folder: Path, iface: str) -> set[str]:
    """Return what a run calls, from the start of Python to its end."""
    trace = folder / "trace"
    how, *words = run
    arguments = [word.replace("FOLDER", str(folder)).replace("IFACE", iface) for word in words]
    command = ["strace", "-f", "-qq", "-e", "signal=none", "-o", str(trace), *lab.EBPFLAB, *arguments, "-d", "0.7"]
    if how == "terminal":
        status = in_terminal(command)
    else:
        # Who lacks capabilities is told how to have them, for which there is more to find out.
        command = [*WITHOUT, *command] if how == "lacking" else [*command, *filter(None, [how])]
        status = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode
    assert status == (77 if how == "lacking" else 0), run
    found = {match[1] for line in trace.read_text(errors="replace").splitlines() if (match := _CALL.match(line))}
    assert {"execve", "exit_group"} <= found
    return found


@pytest.mark.usefixtures("noise")
def test_the_profile_has_what_the_commands_call_and_no_more(tmp_path: Path, iface: str) -> None:
    seen: dict[str, tuple[str, ...]] = {}
    for run in RUNS:
        seen |= dict.fromkeys(calls(run, tmp_path, iface), run)
    lacking = {name: run for name, run in seen.items() if name not in allowed()}
    assert not lacking, "the profile does not allow what commands call"
    explained = set().union(*UNSEEN.values())
    assert allowed() - set(seen) - explained == set(), "nobody was seen to call it, and there is no reason for it"
    assert explained - allowed() == set(), "a reason for what is not allowed"


def in_service(*capabilities: str, profile: Path = PROFILE) -> tuple[str, ...]:
    """Return the wrapper that makes of a command what Docker makes of it: root with these capabilities, the profile."""
    bounding = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    launcher = str(ROOT / "tests/support/seccomp.py")
    return ("setpriv", f"--bounding-set={bounding}", "--inh-caps=-all", sys.executable, launcher, str(profile))


@pytest.mark.parametrize(
    ("tool", "capabilities"),
    [
        (("open",), ("bpf", "perfmon")),
        (("exec",), ("bpf", "perfmon")),
        (("count", "-i", "0.2"), ("bpf", "perfmon")),
        (("dashboard",), ("bpf", "perfmon")),
        (("xdp", "--iface", "IFACE", "-i", "0.2"), ("bpf", "perfmon", "net_admin")),
    ],
    ids=["open", "exec", "count", "dashboard", "xdp"],
)
def test_the_commands_of_the_service_run_under_it(
    start: Start, opener: lab.Opener, iface: str, tool: tuple[str, ...], capabilities: tuple[str, ...]
) -> None:
    words = [iface if word == "IFACE" else word for word in tool]
    running = start(*words, wrapper=in_service(*capabilities)).attached()
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    # SECCOMP_MODE_FILTER.
    assert "Seccomp:\t2\n" in status
    assert "NoNewPrivs:\t1\n" in status
    opener.do("opens", 23)
    subprocess.run(["/bin/true"], check=True)
    if tool[0] in {"count", "xdp"}:
        running.until(lambda record: record["type"] in {"counts", "xdp"})
    ended = running.stop(signal.SIGINT)
    assert (ended.status, ended.stderr) == (0, "")
    ledger = ended.ledger
    if tool[0] in {"open", "dashboard"}:
        assert sum(event["type"] == "open" and event["pid"] == opener.pid for event in ended.events) == 23
    if tool[0] in {"exec", "dashboard"}:
        assert [event for event in ended.events if event["type"] == "exec" and event["ppid"] == os.getpid()]
    if tool[0] == "count":
        assert ledger["seen"] > 0


def test_the_dashboard_has_its_screen_under_it() -> None:
    assert in_terminal([*in_service("bpf", "perfmon"), *lab.EBPFLAB, "dashboard", "-d", "1"]) == 0


def test_without_a_call_that_it_needs_a_command_ends(tmp_path: Path) -> None:
    """The profile is in force: taking bpf(2) out of it ends what works with it."""
    profile = json.loads(PROFILE.read_text())
    profile["syscalls"][0]["names"].remove("bpf")
    (tmp_path / "without").write_text(json.dumps(profile))
    done = lab.run(("count", "-d", "0.2"), in_service("bpf", "perfmon", profile=tmp_path / "without"))
    assert (done.returncode, done.stdout) == (77, "")
    assert "seccomp filter that forbids bpf(2)" in done.stderr
