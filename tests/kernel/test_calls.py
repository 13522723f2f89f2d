"""`calls` on a live kernel, beside workloads that know what they call."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from tests.kernel.conftest import Start

#: Long enough that only the last reading is of interest.
SELDOM = ("-i", "60")


def counts(ended: lab.Ended) -> dict[str, int]:
    """Return the counts by target."""
    return {row["target"]: row["count"] for row in ended.summary["counts"]}


def skip_without(hook: str) -> None:
    """Skip where this kernel cannot hook its functions."""
    if reason := lab.probe(hook):
        pytest.skip(reason)


def test_23_calls_of_a_function_of_libc(start: Start, caller: lab.Caller) -> None:
    targets = ("libc:llabs", "uprobe:libc:labs")
    tool = start("calls", *targets, *SELDOM, "--pid", str(caller.pid)).attached()
    assert [(hook["kind"], hook["target"]) for hook in tool.first["hooks"]] == [
        ("uprobe", "libc:llabs"),
        ("uprobe", "libc:labs"),
    ]
    called, others = caller.do("calls", 23), caller.do("others", 7)
    ended = tool.stop()
    expected = {"libc:llabs": called, "libc:labs": others}
    assert counts(ended) == expected
    assert ended.ledger["submitted"] == called + others
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.native
def test_a_million_calls_of_all_cpus_are_a_million(start: Start, caller: lab.Caller) -> None:
    tool = start("calls", "libc:llabs", *SELDOM, "--pid", str(caller.pid)).attached()
    done = caller.do("threads", 1_000_000 // (os.cpu_count() or 1))
    done += caller.do("calls", 1_000_000 - done)
    ended = tool.stop()
    assert counts(ended) == {"libc:llabs": 1_000_000}
    assert done == 1_000_000
    assert lab.none_missed(ended.ledger)


@pytest.mark.native
@pytest.mark.parametrize("target", ["raw_tracepoint:task_rename", "tracepoint:task:task_rename"])
@pytest.mark.parametrize("number", [23, 1_000, 1_000_000])
def test_tracepoints_of_all_cpus_are_counted(start: Start, caller: lab.Caller, target: str, number: int) -> None:
    caller.do("renames", 1)
    tool = start("calls", target, *SELDOM, "--pid", str(caller.pid), wrapper=lab.WITH_TRACEFS).attached()
    caller.do("renames", number)
    ended = tool.stop()
    assert counts(ended) == {target: number + lab.names_given_to_threads()}
    assert lab.none_missed(ended.ledger)


@pytest.mark.native
def test_calls_of_a_tracepoint_of_all_cpus(start: Start, opener: lab.Opener) -> None:
    number = 100_000
    target = "tracepoint:syscalls:sys_enter_openat"
    tool = start("calls", target, *SELDOM, "--pid", str(opener.pid), wrapper=lab.WITH_TRACEFS).attached()
    done = sum(opener.do("threads", number // (os.cpu_count() or 1)).values())
    done += opener.do("opens", number - done)
    ended = tool.stop()
    assert counts(ended) == {target: done}
    assert done == number
    assert lab.none_missed(ended.ledger)


def test_23_calls_of_tracepoints(start: Start, opener: lab.Opener) -> None:
    targets = ("tracepoint:syscalls:sys_enter_openat", "tracepoint:syscalls:sys_enter_creat*")
    tool = start("calls", *targets, *SELDOM, "--pid", str(opener.pid), wrapper=lab.WITH_TRACEFS).attached()
    calls = opener.do("calls", 23)
    opens = opener.do("opens", 7)
    ended = tool.stop()
    found = counts(ended)
    assert found.pop("tracepoint:syscalls:sys_enter_openat") == 23 + opens
    assert found == ({"tracepoint:syscalls:sys_enter_creat": 23} if calls == 4 * 23 else {})


def test_23_calls_of_raw_tracepoints(start: Start, caller: lab.Caller) -> None:
    targets = ("raw_tracepoint:task_rename", "raw_tracepoint:sched_process_fork")
    tool = start("calls", *targets, *SELDOM, "--pid", str(caller.pid), wrapper=lab.WITHOUT_TRACEFS).attached()
    caller.do("named", [f"name-{number}" for number in range(23)])
    caller.do("forks", 7)
    assert counts(tool.stop()) == dict(zip(targets, (23, 7), strict=True))


@pytest.mark.parametrize(
    "number", [pytest.param(1_000, marks=pytest.mark.smoke), pytest.param(1_000_000, marks=pytest.mark.full)]
)
@pytest.mark.parametrize("hook", ["fentry", "kprobe"])
def test_calls_of_a_function_of_the_kernel_of_all_cpus(
    start: Start, opener: lab.Opener, hook: str, number: int
) -> None:
    skip_without(hook)
    tool = start("calls", f"{hook}:do_sys_openat2", *SELDOM, "--pid", str(opener.pid)).attached()
    done = sum(opener.do("threads", number // (os.cpu_count() or 1)).values())
    ended = tool.stop()
    assert done - lab.may_lack(ended.ledger) <= counts(ended)["do_sys_openat2"] <= done


@pytest.mark.full
def test_a_wildcard_over_functions_of_the_kernel(start: Start, opener: lab.Opener) -> None:
    skip_without("kprobe")
    # Two wildcards that overlap, and a function that one of them has already.
    targets = ("do_sys_*", "tcp_*", "do_sys_open*", "kprobe:do_sys_openat2")
    tool = start("calls", *targets, *SELDOM, "--pid", str(opener.pid)).attached()
    kinds = Counter(hook["kind"] for hook in tool.first["hooks"])
    assert len({hook["target"] for hook in tool.first["hooks"]}) == kinds.total() > 300
    at_once = [link for link in ebpflab.links() if link.kind == "kprobe_multi"]
    if " register_fprobe_ips\n" in Path("/proc/kallsyms").read_text(encoding="ascii"):
        told = [int((link.target or "0 functions").removesuffix(" functions")) for link in at_once]
        assert sum(told) in {0, kinds["kprobe_multi"]}, "the kernel tells how many from 6.6 on"
        assert kinds["kprobe_multi"] > 300
    else:
        assert (set(kinds), at_once) == ({"kprobe"}, [])
    done = opener.do("opens", 23)
    ended = tool.stop()
    assert counts(ended)["do_sys_openat2"] == done
    assert sum(counts(ended).values()) == ended.ledger["submitted"]
    assert not [link for link in ebpflab.links() if link.kind == "kprobe_multi"]


@pytest.mark.skipif(lab.probe("kprobe") is None or lab.probe("fentry") is None, reason="the kernel can do it")
def test_without_hooks_for_its_functions_the_kernel_is_told_what_it_lacks(start: Start) -> None:
    ended = start("calls", "vfs_read").ended()
    assert (ended.status, ended.records) == (77, [])
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("ebpflab: counting calls of the kernel function vfs_read cannot work here: fentry: ")
    for word in ("kprobe: this kernel is built without kprobes", "CONFIG_KPROBE_EVENTS", "instead", "uprobe:"):
        assert word in ended.stderr


def test_by_name_and_process(start: Start, caller: lab.Caller) -> None:
    tool = start("calls", "libc:llabs", *SELDOM, "--by", "comm,pid", "--pid", str(caller.pid)).attached()
    caller.do("named", ["caf\udce9", "first", "last"])
    caller.do("calls", 7)
    rows = tool.stop().summary["counts"]
    found = {(row["pid"], lab.raw(row, "comm")): row["count"] for row in rows}
    assert found == {(caller.pid, b"caf\xe9"): 1, (caller.pid, b"first"): 1, (caller.pid, b"last"): 8}


def test_by_cgroup(start: Start, caller: lab.Caller) -> None:
    mount = lab.cgroup_mount("v2")
    assert mount
    group = lab.Cgroup(mount, f"ebpflab-{os.getpid()}-calls")
    try:
        group.take(caller.pid)
        tool = start("calls", "libc:llabs", *SELDOM, "--by", "cgroup", "--pid", str(caller.pid)).attached()
        caller.do("calls", 23)
        (row,) = tool.stop().summary["counts"]
        assert row["count"] == 23
        if lab.cgroup_id(caller.pid):
            assert (row["cgroup"], row["cgroup_path"]) == (group.path.stat().st_ino, f"/{group.path.name}")
    finally:
        group.close()


def test_a_wildcard_over_a_library(start: Start, caller: lab.Caller) -> None:
    tool = start("calls", "libc:*labs", *SELDOM, "--pid", str(caller.pid)).attached()
    caller.do("calls", 23)
    caller.do("others", 7)
    assert counts(tool.stop()) == {"libc:llabs": 23, "libc:labs": 7}


def test_instructions_and_paths(caller: lab.Caller) -> None:
    (library,) = {
        line.split(maxsplit=5)[5]
        for line in Path(f"/proc/{caller.pid}/maps").read_text().splitlines()
        if "/libc.so" in line or "/libc-2" in line
    }
    by_path = f"uprobe:{library}:llabs"
    with ebpflab.calls(by_path, pid=caller.pid) as counter:
        caller.do("calls", 23)
        assert [(row.target, row.count) for row in counter.top(1)] == [(f"{library}:llabs", 23)]
    for target, word in (
        (f"{library}:+0x0", "no code"),
        (f"{library}:lllabs", "there is llabs"),
        ("no-such-binary:main", "no program or library no-such-binary"),
        ("/etc/passwd:main", "no ELF file"),
        ("raw_tracepoint:sys_entre", "there is sys_enter"),
        ("vfs_raed", "there is vfs_read"),
        ("vfs_read extra", "no spaces"),
    ):
        with pytest.raises(ValueError, match=word):
            ebpflab.calls(target)
    with pytest.raises(ValueError, match="say what to count"):
        ebpflab.calls()


def test_processes_that_start_later_are_counted(start: Start) -> None:
    tool = start("calls", "libc:llabs", *SELDOM, "--name", "counted-later").attached()
    later = lab.Caller()
    try:
        later.do("named", ["counted-later"])
        later.do("calls", 22)
        assert counts(tool.stop()) == {"libc:llabs": 23}
    finally:
        later.close()


def test_bad_usage_is_told(start: Start) -> None:
    for arguments in (("calls",), ("calls", "kprobe:"), ("calls", "libc:llabs", "--by", "uid")):
        ended = start(*arguments).ended()
        assert (ended.status, ended.records) == (2, [])
        assert ended.stderr.count("\n") == 1


def test_of_several_targets_one_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"no function in .* of this name: no_such_function"):
        ebpflab.calls("libc:llabs", "libc:no_such_function", pid=os.getpid())
