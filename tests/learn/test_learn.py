"""What `ebpflab learn` says and does around the lessons."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ebpflab import features
from ebpflab.learn import lesson, lessons

from tests.kernel.lab import WITH_TRACEFS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.learn.conftest import Learner

ROOT = Path(__file__).parents[2]
NO_KPROBES = any(hook.name == "kprobe" and hook.answer == "no" for hook in features())


def test_the_list_has_every_lesson_and_its_progress(learner: Callable[[], Learner]) -> None:
    someone = learner()
    assert [line.split()[:2] for line in someone.learn().stdout.splitlines()[1:]] == [
        [each.stem, "-"] for each in lessons()
    ]
    progress = Path(someone.env["XDG_DATA_HOME"], "ebpflab/learn.json")
    progress.parent.mkdir(parents=True)
    passed = {"passed": "2026-11-28T12:00:00+00:00", "variant": "kprobe"}
    progress.write_text(json.dumps({"ex1_kprobe_open": passed}), encoding="utf-8")
    assert "2026-11-28" in someone.learn("list").stdout.splitlines()[1]
    assert someone.learn("next").stdout.splitlines()[1] == "ebpflab learn start ex2_kprobe_counter"
    progress.write_text("{", encoding="utf-8")
    damaged = someone.learn("list")
    assert (damaged.returncode, damaged.stdout) == (1, "")
    assert "learn.json is damaged" in damaged.stderr
    assert damaged.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("start", "ex9"), "there is no lesson ex9; there are ex1_kprobe_open, "),
        (("start", "ex1_kprobe_open", "--variant", "fentry"), "has no variant fentry; it has kprobe, raw_tracepoint"),
        (("start", "ex1_kprobe_open", "."), "is there and not empty; name another folder"),
        (("check",), "is not the folder of a lesson; `ebpflab learn start LESSON` makes one"),
        (("hint", "nowhere"), "nowhere is not the folder of a lesson"),
    ],
)
def test_what_cannot_be_is_one_sentence(learner: Callable[[], Learner], arguments: tuple[str, ...], says: str) -> None:
    someone = learner()
    (someone.folder / "file").touch()
    done = someone.learn(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert done.stderr.startswith("ebpflab: ")


def test_hints_come_one_by_one_and_the_solution_is_a_diff(learner: Callable[[], Learner]) -> None:
    someone = learner().started("ex4_xdp_counter")
    hints = lesson("ex4_xdp_counter").hints()
    for number, hint in enumerate([*hints, hints[-1]], 1):
        done = someone.learn("hint")
        assert done.stdout.rstrip("\n") == hint
        assert f"hint {min(number, len(hints))} of {len(hints)}" in done.stderr
    diff = someone.learn("solution").stdout
    assert diff.startswith("--- a/src/ebpf.rs\n+++ b/src/ebpf.rs\n")
    assert "+    Some(match unsafe { *protocol } {" in diff.splitlines()
    before = someone.source.read_bytes()
    assert someone.learn("solution", "--write").returncode == 0
    assert someone.source.with_name("ebpf.rs.orig").read_bytes() == before


def test_what_does_not_compile_shows_the_compilers_words(learner: Callable[[], Learner]) -> None:
    someone = learner().started("ex4_xdp_counter")
    someone.source.write_text(someone.source.read_text(encoding="utf-8") + "\nlet it = be;\n", encoding="utf-8")
    done = someone.learn("check")
    assert (done.returncode, done.stdout) == (1, "")
    assert "it does not compile; the compiler says:\nerror: expected item, found keyword `let`" in done.stderr
    assert "src/ebpf.rs:" in done.stderr


def test_without_a_toolchain_setup_is_named(learner: Callable[[], Learner]) -> None:
    someone = learner().started("ex4_xdp_counter")
    someone.env.update({"PATH": "/usr/bin:/bin", "CARGO_HOME": "/nowhere"})
    for arguments in (("check",), ("setup", "--check")):
        done = someone.learn(*arguments)
        assert (done.returncode, done.stdout) == (77, "")
        assert (
            "building programs for BPF does not work: there is no bpf-linker; run `ebpflab learn setup`" in done.stderr
        )


def test_setup_says_what_there_is(learner: Callable[[], Learner]) -> None:
    done = learner().learn("setup", "--check")
    assert done.returncode == 0
    assert "rustc 1." in done.stdout
    assert "bpf-linker " in done.stdout


@pytest.mark.skipif(not NO_KPROBES, reason="this kernel has kprobes")
def test_a_kernel_without_the_hook_is_told_at_start_and_at_the_check(learner: Callable[[], Learner]) -> None:
    someone = learner()
    started = someone.learn("start", "ex1_kprobe_open")
    assert "ex1_kprobe_open by kprobe cannot be checked on this machine" in started.stderr
    assert "has ex1_kprobe_open by raw_tracepoint" in started.stderr
    assert someone.learn("start", "ex1_kprobe_open", "other", "--variant", "kprobe").returncode == 0
    checked = someone.learn("check", "other")
    assert (checked.returncode, checked.stdout) == (77, "")
    offered = "`ebpflab learn start ex1_kprobe_open ex1_kprobe_open_raw_tracepoint --variant raw_tracepoint`"
    assert offered in checked.stderr


#: What each user side says of the workload.
SAID = {
    "ex1_kprobe_open": "opens /etc/hostname",
    "ex2_kprobe_counter": rf"pid {os.getpid()} opened \d{{3}}",
    "ex3_tracepoint_exec": "executes /usr/bin/true",
    "ex4_xdp_counter": "icmp [1-9]",
    "ex5_dashboard": "/usr/bin/true",
    "raw_tracepoint": rf"pid {os.getpid()} made system call \d+ \d{{3,}} times",
    "percpu_hash_map": rf"pid {os.getpid()} opened \d{{3,}} files, by CPU \(",
    "lpm_trie": "127.0.0.1/32 [1-9]",
    "program_array": r"refused 0 missed [1-9]\d* ports .*\b9: [1-9]",
    "loss_accounting": r"seen [5-9]\d\d = submitted \d+ \+ dropped [1-9]",
    "tc": "other [1-9]",
    "cgroup_skb": r"SENT .*\b9: [1-9]",
    "uprobe": rf"pid {os.getpid()}: a64l\(abc\) = 166374",
    "co_re": rf"started by {os.getpid()}, executes /usr/bin/true",
    "verifier": r"PORTS .*\b9: [1-9]",
    "kretprobe": rf"pid {os.getpid()} cannot open /etc/hostname/name: Not a directory",
}
#: What is given to a user side.
MOUNTS = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
ARGUMENTS = {
    "loss_accounting": [str(os.getpid())],
    "cgroup_skb": [next(mount[1] for mount in MOUNTS if mount[2] == "cgroup2"), "1"],
}


def _said(command: list[str], stem: str, folder: Path, env: dict[str, str]) -> tuple[int | None, str]:
    """Run a user side until it says what it should, while its workload goes on; return its status and what it said."""
    said = ""
    with subprocess.Popen(
        [*WITH_TRACEFS, *command], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout
        for line in running.stdout:
            said += line
            if re.search(SAID[stem], line):
                running.kill()
                return None, said
            for _ in range(500):
                Path("/etc/hostname").read_bytes()
            with contextlib.suppress(NotADirectoryError):
                Path("/etc/hostname/name").read_bytes()
            ctypes.CDLL(None).a64l(b"abc")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"", ("127.0.0.1", 9))
            subprocess.run(["/usr/bin/true"], check=True)
            subprocess.run(["ping", "-q", "-c", "1", "127.0.0.1"], check=True, capture_output=True)
        return running.wait(), said


@pytest.mark.parametrize("stem", SAID)
def test_the_user_side_in_python_says_what_happens(learner: Callable[[], Learner], stem: str) -> None:
    someone = learner().started(stem)
    someone.learn("solution", "--write")
    command = [sys.executable, "-u", "user.py", *ARGUMENTS.get(stem, [])]
    status, said = _said(command, stem, someone.folder, someone.env)
    assert status is None, said


@pytest.mark.parametrize("stem", SAID)
def test_the_binary_of_the_course_says_what_happens(stem: str) -> None:
    """`cargo run --bin STEM` at the top: where the kernel has no kprobes it says that."""
    env = os.environ | {"RUST_LOG": "info"}
    command = ["cargo", "run", "-q", "--bin", stem, "--", *ARGUMENTS.get(stem, [])]
    status, said = _said(command, stem, ROOT, env)
    if NO_KPROBES and lesson(stem).variants[0].name == "kprobe":
        assert (status, said.splitlines()[-1]) == (
            1,
            "this kernel has no kprobes (it is built without CONFIG_KPROBES), so nothing can be attached",
        )
    else:
        assert status is None, said
