"""Every tool by every hook: the same workload gives the same, and what is attached is what was asked for.

The cells of docs/kernel-support.md are the outcomes of the tests here that are marked as such.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.kernel import lab
from tests.kernel.network import Peers, udp_exchange

if TYPE_CHECKING:
    from tests.kernel.conftest import Start

pytestmark = pytest.mark.smoke

AT_FDCWD = -100


def cells(tool: str, hooks: tuple[str, ...] = lab.HOOKS) -> pytest.MarkDecorator:
    """Run a test by each hook, and make its outcomes cells of the table."""
    marked = [pytest.param(hook, marks=pytest.mark.cell(tool, hook)) for hook in hooks]
    return pytest.mark.parametrize("hook", marked)


#: The kinds of programs of `open`, where they are not one of the kind that the hook is called by.
OF_OPEN = {"fentry": {"fentry", "fexit"}, "kprobe": {"kprobe", "raw_tracepoint"}, "kretprobe": {"kprobe", "kretprobe"}}

#: What the names of the programs begin with that the hook is of.
STEMS = {
    "open": "open",
    "calls": "calls",
    "count": "count",
    "dashboard": "open",
    "latency": "latency",
    "returns": "returns",
    "runqueue": "runqueue",
    "stacks": "stacks",
    "syscalls": "syscalls",
    "trace": "trace",
}

#: Keeps a value for whoever reads the reports of the tests.
Record = Callable[[str, object], None]


def attached(tool: lab.Tool, hook: str, kinds: set[str], record_property: Record) -> None:
    """Wait until it counts; what it says is attached is what the kernel lists, and what was asked for."""
    lab.skip_unless_able(tool, hook)
    as_kernel = {"kretprobe": "kprobe", "uprobe": "kprobe", "uretprobe": "kprobe"}
    told = {(each["program"][:15], as_kernel.get(each["kind"], each["kind"])) for each in tool.first["hooks"]}
    assert lab.hooked(tool.process.pid) == told
    assert {each["kind"] for each in tool.first["hooks"] if each["program"].startswith(STEMS[tool.name])} == kinds
    verified(tool, record_property)


def verified(tool: lab.Tool, record_property: Record) -> None:
    """Keep for the matrix how long the verifier took."""
    counts = lab.verified(tool.process.pid)
    assert bool(counts) == lab.TELLS_VERIFIED
    record_property("verified", {f"{tool.name} {program}": count for program, count in counts.items()})


def opened(opener: lab.Opener) -> list[tuple[str, int]]:
    """Make 23 opens; return their paths and results."""
    paths = [f"{opener.folder}/file"] * 20 + [f"{opener.folder}/missing/file"] * 3
    results = opener.do("syscalls", [("openat", path, 0, 0, AT_FDCWD) for path in paths])
    assert sum(result >= 0 for result in results) == 20
    return list(zip(paths, results, strict=True))


@cells("open")
def test_open_sees_the_same_23_opens(start: Start, opener: lab.Opener, hook: str, record_property: Record) -> None:
    tool = start("open", "--hook", hook, "--pid", str(opener.pid), wrapper=lab.WITH_TRACEFS)
    attached(tool, hook, OF_OPEN.get(hook, {hook}), record_property)
    expected = opened(opener)
    ended = tool.stop()
    assert [(event["path"], event["ret"]) for event in ended.events] == expected
    who = {tuple(event[field] for field in ("pid", "tid", "flags", "mode", "dirfd")) for event in ended.events}
    assert who == {(opener.pid, opener.pid, 0, 0, AT_FDCWD)}
    assert (ended.ledger["submitted"], ended.ledger["faults"], ended.ledger["pending"]) == (23, 0, 0)
    assert (ended.ledger["missed"] is not None) == lab.counts_missed(hook)
    assert (ended.status, ended.stderr) == (0, "")


@cells("count")
def test_count_counts_the_same_23_opens(start: Start, opener: lab.Opener, hook: str, record_property: Record) -> None:
    tool = start("count", "-i", "60", "--hook", hook, "--pid", str(opener.pid), wrapper=lab.WITH_TRACEFS)
    attached(tool, hook, {hook}, record_property)
    opened(opener)
    ended = tool.stop()
    assert [(row["pid"], row["count"]) for row in ended.summary["counts"]] == [(opener.pid, 23)]
    assert ended.ledger["submitted"] == 23
    assert (ended.ledger["missed"] is not None) == lab.counts_missed(hook)
    assert (ended.status, ended.stderr) == (0, "")


@cells("count -x", tuple(hook for hook in lab.HOOKS if hook != "kprobe"))
def test_count_counts_the_same_3_failures(start: Start, opener: lab.Opener, hook: str, record_property: Record) -> None:
    tool = start("count", "-x", "-i", "60", "--hook", hook, "--pid", str(opener.pid), wrapper=lab.WITH_TRACEFS)
    attached(tool, hook, {"fexit" if hook == "fentry" else hook}, record_property)
    opened(opener)
    ended = tool.stop()
    assert [(row["pid"], row["count"]) for row in ended.summary["counts"]] == [(opener.pid, 3)]
    assert (ended.status, ended.stderr) == (0, "")


@cells("dashboard")
def test_the_dashboard_has_the_same_opens_and_execs(
    start: Start, opener: lab.Opener, hook: str, record_property: Record
) -> None:
    tool = start("dashboard", "--hook", hook, wrapper=lab.WITH_TRACEFS)
    attached(tool, hook, OF_OPEN.get(hook, {hook}), record_property)
    expected = opened(opener)
    for _ in range(3):
        subprocess.run(["/bin/true", hook], check=True)
    ended = tool.stop()
    opens = [event for event in ended.events if event["type"] == "open" and event["pid"] == opener.pid]
    execs = [event for event in ended.events if event["type"] == "exec" and event["argv"] == ["/bin/true", hook]]
    assert [(event["path"], event["ret"]) for event in opens] == expected
    assert len(execs) == 3
    assert ended.ledger["dropped"] == 0
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.parametrize("hook", lab.HOOKS)
def test_kill_9_leaves_nothing(start: Start, hook: str) -> None:
    """Not everywhere is what holds a program a link: before 5.15 kprobes and tracepoints are perf events."""
    before = lab.kernel_ids()
    tool = start("open", "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    tool.kill()
    assert lab.left_behind(before) == set()


@cells("exec", ("tracepoint", "raw_tracepoint"))
def test_exec_sees_the_same_23_execs(start: Start, runner: lab.Runner, hook: str, record_property: Record) -> None:
    program = runner.do("link", "known-program")
    tool = start("exec", "--hook", hook, "-n", "known-program", wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    assert [kind for name, kind in lab.hooked(tool.process.pid) if name.startswith("exec")] == [hook]
    verified(tool, record_property)
    pids = runner.do("run", [(program, [hook, str(number)]) for number in range(23)])
    ended = tool.stop()
    assert [event["pid"] for event in ended.events] == pids
    assert [event["argv"] for event in ended.events] == [[hook, str(number)] for number in range(23)]
    assert {(event["ppid"], event["filename"]) for event in ended.events} == {(runner.pid, program)}
    assert (ended.ledger["submitted"], ended.status, ended.stderr) == (23, 0, "")


@cells("syscalls", ("raw_tracepoint",))
def test_syscalls_counts_the_same_23_opens(
    start: Start, opener: lab.Opener, hook: str, record_property: Record
) -> None:
    tool = start("syscalls", "-i", "60", "--pid", str(opener.pid))
    attached(tool, hook, {hook}, record_property)
    opened(opener)
    ended = tool.stop()
    (row,) = [row for row in ended.summary["counts"] if row["syscall"] == "openat"]
    assert (row["count"], row["failed"], row["errors"]) == (23, 3, [{"error": "ENOENT", "count": 3}])
    assert (ended.status, ended.stderr) == (0, "")


#: For each hook of `calls` a target that the workloads come to, and another one beside it that they do not.
TARGETS = {
    "fentry": ("fentry:do_sys_openat2", "fentry:vfs_rename"),
    "kprobe": ("kprobe:do_sys_openat2", "kprobe:vfs_rename"),
    "raw_tracepoint": ("raw_tracepoint:task_rename", "raw_tracepoint:sched_process_exec"),
    "tracepoint": ("tracepoint:syscalls:sys_enter_openat", "tracepoint:syscalls:sys_enter_openat2"),
    "uprobe": ("libc:llabs", "libc:labs"),
}


@cells("calls", tuple(TARGETS))
def test_calls_counts_the_same_23_calls(
    start: Start, opener: lab.Opener, caller: lab.Caller, hook: str, record_property: Record
) -> None:
    pid = caller.pid if hook in {"raw_tracepoint", "uprobe"} else opener.pid
    tool = start("calls", *TARGETS[hook], "-i", "60", "--pid", str(pid), wrapper=lab.WITH_TRACEFS)
    attached(tool, hook, {hook}, record_property)
    opened(opener)
    if hook == "uprobe":
        caller.do("calls", 23)
    else:
        caller.do("named", [f"name-{number}" for number in range(23)])
    ended = tool.stop()
    (row,) = ended.summary["counts"]
    assert (row["target"].rpartition(":")[2], row["count"]) == (TARGETS[hook][0].rpartition(":")[2], 23)
    assert (ended.ledger["missed"] is not None) == lab.counts_missed(hook)
    assert (ended.status, ended.stderr) == (0, "")


#: For each hook of `stacks` what is asked for, and the innermost function.
STACKS = {
    "fentry": ("fentry:do_sys_openat2", "do_sys_openat2"),
    "kprobe": ("kprobe:do_sys_openat2", "do_sys_openat2"),
    "raw_tracepoint": ("raw_tracepoint:task_rename", "__set_task_comm"),
    "tracepoint": ("tracepoint:task:task_rename", "__set_task_comm"),
    "uprobe": ("libc:llabs", "llabs"),
}


@cells("stacks", tuple(STACKS))
def test_stacks_counts_the_same_23_calls(
    start: Start, opener: lab.Opener, caller: lab.Caller, hook: str, record_property: Record
) -> None:
    target, innermost = STACKS[hook]
    pid = caller.pid if hook in {"raw_tracepoint", "tracepoint", "uprobe"} else opener.pid
    arguments = ("--by", "pid", "-i", "60", "--pid", str(pid))
    tool = start("stacks", target, *arguments, wrapper=lab.WITH_TRACEFS)
    attached(tool, hook, {hook}, record_property)
    opened(opener)
    if hook == "uprobe":
        caller.do("calls", 23)
    else:
        caller.do("named", [f"name-{number}" for number in range(23)])
    ended = tool.stop()
    rows = ended.summary["counts"]
    assert {(row["kernel"] or row["user"])[0] for row in rows} == {innermost}
    assert sum(row["count"] for row in rows) == ended.ledger["submitted"] == 23
    assert (ended.status, ended.stderr) == (0, "")


@cells("stacks", ("perf_event",))
def test_stacks_samples_a_process(start: Start, caller: lab.Caller, hook: str, record_property: Record) -> None:
    tool = start("stacks", "--sample", "49", "--by", "pid", "-i", "60", "--pid", str(caller.pid))
    lab.skip_unless_able(tool, hook)
    # Before there are links for it the kernel lists it nowhere.
    assert lab.RELEASE < (5, 15) or lab.hooked(tool.process.pid) == {("stacks_clock", hook)}
    verified(tool, record_property)
    # So many at once that starting the threads takes little of the time.
    while lab.cpu_seconds(caller.pid) < 1:
        caller.do("threads", 1_000_000)
    ended = tool.stop()
    rows = ended.summary["counts"]
    assert sum(row["count"] for row in rows) == ended.ledger["submitted"] > 0
    assert {row["pid"] for row in rows} == {caller.pid}
    assert any({"llabs", "lfind"} & set(row["user"]) for row in rows)
    assert (ended.status, ended.stderr) == (0, "")


#: For each hook of `latency` and `returns` a function that the workloads call, and the kinds of its programs.
TIMED = {
    "fentry": ("fentry:do_sys_openat2", {"fentry", "fexit"}),
    "kprobe": ("kprobe:do_sys_openat2", {"kprobe", "kretprobe"}),
    "uprobe": ("libc:lfind", {"uprobe", "uretprobe"}),
}


@cells("latency", tuple(TIMED))
def test_latency_measures_the_same_23_calls(
    start: Start, opener: lab.Opener, caller: lab.Caller, hook: str, record_property: Record
) -> None:
    target, kinds = TIMED[hook]
    pid = caller.pid if hook == "uprobe" else opener.pid
    tool = start("latency", target, "-i", "60", "--pid", str(pid), wrapper=lab.WITH_TRACEFS)
    attached(tool, hook, kinds, record_property)
    opened(opener)
    caller.do("nested", 23)
    ended = tool.stop()
    (row,) = ended.summary["counts"]["rows"]
    assert row["count"] == sum(bucket["count"] for bucket in row["buckets"]) == 23
    assert 0 < row["p50_ns"] <= row["p90_ns"] <= row["p99_ns"] <= row["max_ns"] <= row["total_ns"]
    assert (ended.ledger["submitted"], ended.ledger["pending"], ended.ledger["unpaired"]) == (23, 0, 0)
    assert (ended.status, ended.stderr) == (0, "")


@cells("returns", tuple(TIMED))
def test_returns_counts_the_same_23_results(
    start: Start, opener: lab.Opener, caller: lab.Caller, hook: str, record_property: Record
) -> None:
    target, kinds = TIMED[hook]
    pid = caller.pid if hook == "uprobe" else opener.pid
    tool = start("returns", target, "-i", "60", "--pid", str(pid), wrapper=lab.WITH_TRACEFS)
    attached(tool, hook, kinds, record_property)
    results = [result for _, result in opened(opener)]
    if hook == "uprobe":
        # Where lfind found what it looked for.
        results = [1] * caller.do("nested", 23)
    ended = tool.stop()
    (row,) = ended.summary["counts"]
    assert row["negative"] + sum(bucket["count"] for bucket in row["buckets"]) == row["count"] == len(results) == 23
    assert row["negative"] == sum(result < 0 for result in results)
    assert (row["sum"], row["min"], row["max"]) == (sum(results), min(results), max(results))
    assert (ended.ledger["submitted"], ended.ledger["pending"], ended.ledger["unpaired"]) == (23, 0, 0)
    assert (ended.status, ended.stderr) == (0, "")


@cells("trace", tuple(TIMED))
def test_trace_sees_the_same_23_calls(
    start: Start, opener: lab.Opener, caller: lab.Caller, hook: str, record_property: Record
) -> None:
    target, kinds = TIMED[hook]
    pid = caller.pid if hook == "uprobe" else opener.pid
    read = () if hook == "uprobe" else ("--string", "arg1")
    tool = start("trace", target, *read, "--pid", str(pid), wrapper=lab.WITH_TRACEFS)
    attached(tool, hook, kinds, record_property)
    known: list[tuple[str | None, int]] = list(opened(opener))
    if hook == "uprobe":
        known = [(None, 1)] * caller.do("nested", 23)
    ended = tool.stop()
    assert [(event["data"], event["value"]) for event in ended.events] == known
    assert len(known) == 23
    assert (ended.ledger["submitted"], ended.ledger["pending"], ended.ledger["unpaired"]) == (23, 0, 0)
    assert (ended.status, ended.stderr) == (0, "")


@cells("runqueue", ("raw_tracepoint",))
def test_runqueue_sees_who_is_woken_23_times(
    start: Start, caller: lab.Caller, hook: str, record_property: Record
) -> None:
    assert lab.eventually(lambda: lab.asleep(caller.pid))
    tool = start("runqueue", "-i", "60", "--pid", str(caller.pid))
    attached(tool, hook, {hook}, record_property)
    _, before = lab.waits(caller.pid)
    caller.do("sleeps", (23, 1_000))
    assert lab.eventually(lambda: lab.asleep(caller.pid))
    _, after = lab.waits(caller.pid)
    ended = tool.stop()
    (row,) = ended.summary["counts"]["rows"]
    assert row["count"] == after - before >= 24
    assert row["count"] == sum(bucket["count"] for bucket in row["buckets"]) == ended.ledger["submitted"]
    assert (ended.ledger["pending"], ended.ledger["unpaired"]) == (0, 0)
    assert (ended.status, ended.stderr) == (0, "")


@cells("cgroup", ("cgroup_skb",))
def test_cgroup_counts_the_same_23_datagrams(start: Start, hook: str) -> None:
    mount = lab.cgroup_mount("v2")
    assert mount
    group = lab.Cgroup(mount, f"ebpflab-{os.getpid()}-{hook}")
    try:
        tool = start("cgroup", str(group.path), "-i", "60").attached()
        assert lab.hooked(tool.process.pid) == {("cgroup_ingress", hook), ("cgroup_egress", hook)}
        script = 'echo 0 >"$1/cgroup.procs"; exec ping -q -c 23 -i 0.01 127.0.0.1'
        subprocess.run(["sh", "-c", script, "sh", group.path], check=True, stdout=subprocess.DEVNULL)
        ended = tool.stop()
        # Requests leave a socket of the cgroup, and answers come to it.
        found = {row["direction"]: (row["protocol"], row["packets"], row["bytes"]) for row in _groups(ended)}
        assert found == {"egress": ("icmp", 23, 23 * 84), "ingress": ("icmp", 23, 23 * 84)}
        assert (ended.status, ended.stderr) == (0, "")
    finally:
        group.close()


def _groups(ended: lab.Ended) -> list[lab.Record]:
    rows: list[lab.Record] = ended.summary["counts"]["groups"]
    return rows


@cells("flows", ("tcx", "clsact"))
def test_flows_counts_the_same_23_datagrams(start: Start, peers: Peers, hook: str) -> None:
    tool = start("flows", "--iface", "wire", "--hook", hook, "-i", "60", wrapper=lab.netns_exec(peers.left))
    lab.skip_unless_able(tool, hook)
    assert {each["kind"] for each in tool.first["hooks"]} == {hook}
    if hook == "tcx":
        assert lab.hooked(tool.process.pid) == {("flows_ingress", "sched_cls"), ("flows_egress", "sched_cls")}
    else:
        for way in ("ingress", "egress"):
            assert f"flows_{way} direct-action" in lab.tc(peers.left, "filter", "show", "dev", "wire", way)
    ports = udp_exchange(peers, peers.left4, peers.right4, sent=[100] * 23, answered=[])
    ended = tool.stop()
    (flow,) = ended.summary["counts"]
    assert (flow["direction"], flow["source_port"], flow["destination_port"]) == ("egress", *ports)
    assert (flow["packets"], flow["bytes"]) == (23, 23 * 142)
    assert (ended.status, ended.stderr) == (0, "")


@cells("traffic", ("tcx", "clsact"))
def test_traffic_counts_the_same_23_datagrams(start: Start, peers: Peers, hook: str) -> None:
    tool = start("traffic", "--iface", "wire", "--hook", hook, "-i", "60", wrapper=lab.nsenter(peers.left))
    lab.skip_unless_able(tool, hook)
    programs = {("sockets_made", "cgroup_sock"), ("sockets_closed", "cgroup_sock"), ("accepts_exit", "raw_tracepoint")}
    if hook == "tcx":
        programs |= {("traffic_ingress", "sched_cls"), ("traffic_egress", "sched_cls")}
    assert lab.hooked(tool.process.pid) == programs
    udp_exchange(peers, peers.left4, peers.right4, sent=[100] * 23, answered=[])
    ended = tool.stop()
    (row,) = ended.summary["counts"]["processes"]
    assert (row["pid"], row["direction"], row["protocol"]) == (os.getpid(), "egress", "udp")
    assert (row["packets"], row["bytes"]) == (23, 23 * 142)
    assert (ended.status, ended.stderr) == (0, "")


@cells("xdp", ("skb", "drv"))
def test_xdp_counts_the_same_23_packets(
    start: Start, wire: tuple[str, str], hook: str, record_property: Record
) -> None:
    left, right = wire
    lab.ip("-n", left, "address", "add", "192.0.2.1/24", "dev", "wire")
    lab.ip("-n", right, "address", "add", "192.0.2.2/24", "dev", "wire")
    tool = start("xdp", "--iface", "wire", "--mode", hook, "-i", "60", wrapper=lab.netns_exec(left))
    assert tool.record()["mode"] == {"asked": hook, "got": hook}
    assert lab.hooked(tool.process.pid) == {("xdp_count", "xdp")}
    verified(tool, record_property)
    ping = [*lab.netns_exec(left), "ping", "-q", "-c", "23", "-i", "0.01", "192.0.2.2"]
    subprocess.run(ping, check=True, stdout=subprocess.DEVNULL)
    ended = tool.stop()
    assert ended.summary["counts"]["icmp"] == {"packets": 23, "bytes": 23 * 98}
    assert (ended.status, ended.stderr) == (0, "")
