"""Which capabilities each tool needs to attach and then to run: the table in docs/kernel-support.md is from here."""

from __future__ import annotations

import json
import os
import re
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest
from ebpflab.doctor import TOOLS

from tests.kernel import lab
from tests.support import identity, nobody

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.kernel.conftest import Start

#: Those that tools might need, by their numbers; CAP_SYS_ADMIN first, since it stands for others.
CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_SYS_RESOURCE": 24, "CAP_NET_ADMIN": 12, "CAP_PERFMON": 38, "CAP_BPF": 39}
#: Those, and what it takes to see what processes have mapped, and to read their files.
KEPT = {**CAPABILITIES, "CAP_SYS_PTRACE": 19, "CAP_DAC_READ_SEARCH": 2}
#: Of each tool what is attached, and the arguments of its command.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "calls": ("raw_tracepoint:sys_enter",),
    "cgroup": ("/",),
    "flows": ("--iface", "IFACE"),
    "latency": ("libc:getppid",),
    "returns": ("libc:getppid",),
    "stacks": ("raw_tracepoint:cpuhp_enter",),
    "trace": ("libc:getppid",),
    "traffic": ("--iface", "IFACE"),
    "xdp": ("--iface", "IFACE"),
}
FIELDS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def attach(tool: str, iface: str) -> Callable[[], ebpflab.Session]:
    tools: dict[str, Callable[[], ebpflab.Session]] = {
        "calls": lambda: ebpflab.calls("raw_tracepoint:sys_enter"),
        "cgroup": lambda: ebpflab.cgroup("/"),
        "count": ebpflab.counts,
        "dashboard": ebpflab.activity,
        "exec": ebpflab.execs,
        "flows": lambda: ebpflab.flows(iface),
        "latency": lambda: ebpflab.latency("libc:getppid"),
        "open": ebpflab.opens,
        "returns": lambda: ebpflab.returns("libc:getppid"),
        "runqueue": ebpflab.runqueue,
        "stacks": lambda: ebpflab.stacks("raw_tracepoint:cpuhp_enter"),
        "syscalls": ebpflab.syscalls,
        "trace": lambda: ebpflab.trace("libc:getppid"),
        "traffic": lambda: ebpflab.traffic(iface),
        "xdp": lambda: ebpflab.xdp(iface),
    }
    return tools[tool]


def ordinary(*capabilities: int) -> Callable[[], None]:
    """Become nobody, with these capabilities and with as much locked memory as the kernel gives everybody."""

    def become() -> None:
        # MLOCK_LIMIT, include/uapi/linux/resource.h
        limit = 8 << 20 if lab.RELEASE >= (5, 16) else 64 << 10
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
        identity.nobody(*capabilities)()

    return become


def missing(attach: Callable[[], ebpflab.Session]) -> tuple[str, ...] | None:
    """Attach, and read to the end; return what is said to be missing, or None if it works."""
    try:
        with attach() as session:
            assert session.stop().ledger.balanced
    except ebpflab.PrivilegeError as error:
        return tuple(error.missing_caps)
    except ebpflab.NotSupportedError as error:
        # A policy or a limit that a capability is above: kernel.perf_event_paranoid, RLIMIT_MEMLOCK.
        return tuple(set(re.findall(r"CAP_\w+", str(error))))
    return None


def capabilities(pid: int) -> set[str]:
    """Return the capabilities that any thread of a process has in any of its sets."""
    found = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for field in FIELDS:
            found |= of_line((task / "status").read_text(), field)
    known = {name for name, number in KEPT.items() if found & 1 << number}
    assert found == sum(1 << KEPT[name] for name in known), hex(found)
    return known


@pytest.mark.smoke
@pytest.mark.parametrize("tool", TOOLS)
def test_the_least_to_attach_and_to_run(
    start: Start, iface: str, record_property: Callable[[str, object], None], tool: str
) -> None:
    needed = {name: CAPABILITIES[name] for name in CAPABILITIES if name in effective()}
    for name, number in list(needed.items()):
        del needed[name]
        lacking = identity.in_child(ordinary(*needed.values()), lambda: missing(attach(tool, iface)))
        if lacking is not None:
            assert lacking == (name,)
            needed[name] = number
    arguments = [iface if word == "IFACE" else word for word in ARGUMENTS.get(tool, ())]
    running = start(tool, *arguments).attached()
    kept = capabilities(running.process.pid)
    ended = running.stop()
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.ledger["seen"] >= 0
    record_property("needs", {tool: [", ".join(sorted(needed)), ", ".join(sorted(kept)) or "none"]})


def test_a_thread_that_writes_packets_keeps_none(start: Start, iface: str, tmp_path: Path) -> None:
    options = ("--iface", iface, "--pcap", str(tmp_path / "packets.pcapng"), "--pcap-sample", "1")
    running = start("xdp", *options).attached()
    (task,) = [
        task
        for task in Path(f"/proc/{running.process.pid}/task").iterdir()
        if (task / "comm").read_text() == "ebpflab-pcap\n"
    ]
    assert lab.eventually(lambda: not any(of_line((task / "status").read_text(), field) for field in FIELDS))
    assert running.stop().status == 0


@pytest.mark.native
def test_all_are_kept_where_that_is_asked_for(start: Start) -> None:
    tool = start("count", "--keep-capabilities").attached()
    status = Path(f"/proc/{tool.process.pid}/status").read_text()
    assert of_line(status, "CapEff") == of_line(Path("/proc/self/status").read_text(), "CapEff")
    assert tool.stop().status == 0


def of_line(status: str, field: str) -> int:
    """Return a field of /proc/PID/status that is hexadecimal."""
    (value,) = [line.split("\t")[1] for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(value, 16)


def effective() -> set[str]:
    """Return what this thread has, of those that tools might need."""
    held = of_line(Path("/proc/thread-self/status").read_text(), "CapEff")
    return {name for name, number in CAPABILITIES.items() if held & 1 << number}


@pytest.mark.native
def test_a_recording_in_the_folder_of_somebody_else(start: Start, opener: lab.Opener, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, identity.NOBODY, identity.NOBODY)
    tool = start("open", "-p", str(opener.pid), "-o", str(theirs / "runs"), "--rotate-seconds", "0.1").attached()
    opener.do("opens", 23)
    ended = tool.stop()
    assert ended.status == 0
    assert ended.ledger["shown"] == 23


@pytest.mark.native
def test_rules_in_the_file_of_somebody_else_are_read_again(start: Start, loopback: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("10.0.0.0/8\n")
    rules.chmod(0o600)
    os.chown(rules, identity.NOBODY, identity.NOBODY)
    tool = start(
        "xdp", "--iface", "lo", "--block-file", str(rules), "-i", "0.05", wrapper=lab.netns_exec(loopback)
    ).attached()
    rules.write_text("10.0.0.0/8\n192.0.2.0/24\n")
    tool.process.send_signal(1)
    tool.until(lambda record: len(record["firewall"]["rules"]) == 2)
    assert tool.stop().status == 0


@pytest.mark.native
def test_a_session_in_python_keeps_its_capabilities_until_told() -> None:
    def held() -> tuple[int, int, str]:
        with ebpflab.counts() as counter:
            before = len(effective())
            counter.give_up_capabilities()
            after = len(effective())
            with pytest.raises(ValueError, match="CAP_NONE"):
                counter.give_up_capabilities("CAP_NONE")
            assert counter.stop().ledger.balanced
        try:
            ebpflab.counts()
        except ebpflab.PrivilegeError as error:
            return before, after, str(error)
        return before, after, ""

    before, after, said = identity.in_child(lambda: None, held)
    assert (before, after) == (len(effective()), 0)
    assert "CAP_BPF" in said


#: What nobody has and runs, what the line that is printed gives him in the end, and what is seen of the run with that.
LINES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "nothing": ((), ("count", "-d", "0.2", "--json"), "+bpf,+perfmon"),
    "one of two": (("bpf",), ("count", "-d", "0.2", "--json"), "+perfmon,+bpf"),
    "for packets": ((), ("xdp", "--iface", "IFACE", "-d", "0.2", "--json"), "+bpf,+perfmon,+net_admin"),
    "for uprobes": (
        ("bpf", "perfmon"),
        ("latency", "libc:getppid", "-d", "0.2", "--json"),
        "+sys_admin,+perfmon,+bpf",
    ),
    "to list programs": ((), ("programs", "--json"), "+sys_admin"),
    "by the doctor": ((), ("doctor", "count", "--json"), "+bpf,+perfmon"),
}


@pytest.mark.native
@pytest.mark.parametrize("case", LINES)
def test_the_line_that_is_printed_works_where_it_is_pasted(case: str, iface: str) -> None:
    held, words, given = LINES[case]
    arguments = [iface if word == "IFACE" else word for word in words]

    def tried() -> tuple[subprocess.CompletedProcess[str], str, subprocess.CompletedProcess[str]]:
        lacking = nobody.run("ebpflab", *arguments, capabilities=held)
        said = json.loads(lacking.stdout)["fix"] if lacking.stdout else lacking.stderr.rstrip("\n")
        line = said.rpartition("run: ")[2]
        return lacking, line, nobody.run("sh", "-c", line, capabilities=held)

    lacking, line, able = identity.in_child(nobody.prepare, tried)
    assert lacking.returncode == 77, lacking
    venv = f"{nobody.PLACE}/venv/bin"
    assert line == (
        f"sudo setpriv --reuid={identity.NOBODY} --regid={identity.NOBODY} --init-groups --inh-caps={given} "
        f"--ambient-caps={given} {venv}/python {venv}/ebpflab {' '.join(arguments)}"
    )
    assert (able.returncode, able.stderr) == (0, ""), able
    records = [json.loads(text) for text in able.stdout.splitlines()]
    if words[0] == "doctor":
        assert [record["works"] for record in records] == [True]
    elif words[0] != "programs":
        assert [record["type"] for record in (records[0], records[-1])] == ["attached", "summary"]
