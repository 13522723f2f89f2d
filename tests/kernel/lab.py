"""What the kernel tests share: runs of the tool, network namespaces, and what the kernel says about BPF."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import errno
import json
import os
import platform
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.support import forked, identity

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

EBPFLAB = (sys.executable, "-m", "ebpflab")
WORKLOADS = Path(__file__).parent.parent / "workloads"
#: Those that tools take by themselves, in the order of preference.
DEFAULTS = ("fentry", "kprobe", "raw_tracepoint", "tracepoint")
HOOKS = (*DEFAULTS, "kretprobe")
# `unshare` makes tracefs visible to the tool alone: the tests need it mounted nowhere, and leave it mounted nowhere.
WITH_TRACEFS = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
    '[ -d /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"',
    "sh",
)
# The same with an empty folder in its place.
WITHOUT_TRACEFS = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
    'mount -t tmpfs none /sys/kernel/tracing && mount -t tmpfs none /sys/kernel/debug && exec "$@"',
    "sh",
)
# What has it is the first process of a PID namespace of its own.
IN_PID_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")
#: Of the running kernel, as (6, 18).
RELEASE = tuple(int(number) for number in os.uname().release.split(".")[:2])
#: The kinds of cgroup hierarchies. In the matrix there is v2 alone, as Debian has it.
HIERARCHIES = ("v2", pytest.param("v1", marks=pytest.mark.native))
CLONE_NEWNET = 0x4000_0000
_LIBC = ctypes.CDLL(None, use_errno=True)

Result = TypeVar("Result")
Record = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """A run that is over."""

    status: int
    records: list[Record]
    stderr: str

    @property
    def events(self) -> list[Record]:
        """What is neither the first nor the last line."""
        assert [record["type"] for record in self.records[:1]] == ["attached"], self.stderr
        assert self.summary
        return self.records[1:-1]

    @property
    def summary(self) -> Record:
        """The last line."""
        assert self.records, self.stderr
        assert self.records[-1]["type"] == "summary"
        return self.records[-1]

    @property
    def ledger(self) -> dict[str, int]:
        """Of the summary; it adds up, or the test fails."""
        ledger: dict[str, int] = self.summary["ledger"]
        terms = ("filtered", "submitted", "dropped", "unpaired", "pending", "map_full")
        assert ledger["seen"] == sum(ledger[term] for term in terms), ledger
        assert ledger["submitted"] == ledger["received"], ledger
        return ledger


def start(arguments: tuple[str, ...], wrapper: tuple[str, ...]) -> subprocess.Popen[str] | forked.Process:
    """Start `ebpflab ARGUMENTS`, through a wrapper that must `exec` it, so that signals reach it."""
    become = _as_wrapped(wrapper)
    if become and forked.Process.possible():
        return forked.command_line(arguments, become)
    command = [*wrapper, *EBPFLAB, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _as_wrapped(wrapper: tuple[str, ...]) -> Callable[[], object] | None:
    """Return what makes of a fork what a wrapper makes of a program, if there is that.

    `ip netns exec` mounts another /sys too, at which no tool looks.
    """
    if wrapper[:-1] == netns_exec("")[:-1]:
        return lambda: enter(wrapper[-1])
    if wrapper[:1] == nsenter("")[:1] and len(wrapper) == 2:
        return lambda: enter(Path(wrapper[-1]).name)
    wrappers: dict[tuple[str, ...], Callable[[], object]]
    wrappers = {(): lambda: None, WITH_TRACEFS: identity.root, WITHOUT_TRACEFS: identity.root_without_tracefs}
    return wrappers.get(wrapper)


def run(arguments: tuple[str, ...], wrapper: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run `ebpflab ARGUMENTS` to its end."""
    running = start(arguments, wrapper)
    assert running.stdout
    assert running.stderr
    with running.stdout as out, running.stderr as err:
        text, talk = out.read(), err.read()
    return subprocess.CompletedProcess(arguments, running.wait(), text, talk)


class Tool:
    """`ebpflab ARGUMENTS --json`, running."""

    def __init__(self, *arguments: str, wrapper: tuple[str, ...] = ()) -> None:
        """Start it, through a wrapper that must `exec` it, so that signals reach it."""
        self.name = arguments[0]
        self.process = start((*arguments, "--json"), wrapper)
        assert self.process.stdout
        assert self.process.stderr
        self._out, self._err = self.process.stdout, self.process.stderr
        self._records: list[Record] = []

    @property
    def first(self) -> Record:
        """The first line."""
        return self._records[0]

    def record(self) -> Record:
        """Wait for the next line."""
        line = self._out.readline()
        assert line, f"it ended early: {self._err.read()}"
        assert line.endswith("\n"), "a line is never cut"
        self._records.append(json.loads(line))
        return self._records[-1]

    def first_line(self) -> Record | None:
        """Wait for the first line; None if there is none at all."""
        line = self._out.readline()
        self._records += [json.loads(line)] if line else []
        return self._records[0] if line else None

    def attached(self) -> Self:
        """Wait until it counts."""
        assert self.record()["type"] == "attached"
        return self

    def until(self, enough: Callable[[Record], bool]) -> Record:
        """Wait for a reading that has what is expected."""
        while not enough(record := self.record()):
            pass
        return record

    def ended(self) -> Ended:
        """Wait for its end."""
        self._records += [json.loads(line) for line in self._out]
        return Ended(self.process.wait(), self._records, but_for_missed(self._err.read()))

    @contextlib.contextmanager
    def counted(self) -> Iterator[Callable[[], tuple[Ended, int]]]:
        """Count events instead of keeping them, from now on: there may be a million.

        What it gives stops the tool, and returns the run without its events, and how many there were.
        """
        event = f'{{"type":"{self.name}",'

        def read() -> int:
            events = 0
            for line in self._out:
                if line.startswith(event):
                    events += 1
                else:
                    self._records.append(json.loads(line))
            return events

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)

            def end() -> tuple[Ended, int]:
                self.process.send_signal(signal.SIGINT)
                events = reading.result()
                return self.ended(), events

            try:
                yield end
            finally:
                self.process.kill()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Keep it from running."""
        self.process.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self, number: signal.Signals = signal.SIGINT) -> Ended:
        """End it as Ctrl-C does."""
        self.process.send_signal(number)
        return self.ended()

    def kill(self) -> Ended:
        """Kill it. A line that it was in the midst of writing, as it is where the pipe is full, is left out."""
        self.process.kill()
        self._records += [json.loads(line) for line in self._out if line.endswith("\n")]
        return Ended(self.process.wait(), self._records, but_for_missed(self._err.read()))

    def close(self) -> None:
        """Leave nothing running, whatever a test did."""
        self.process.kill()
        self.process.wait()
        self._out.close()
        self._err.close()


class Workload:
    """A process of tests/workloads that does what it is told to."""

    script: str
    #: Where its folder is; the usual place unless told.
    parent: str | None = None

    def __init__(self, wrapper: tuple[str, ...] = ()) -> None:
        """Start it, through a wrapper that may have it as a child, and wait until it is ready."""
        self._folder = tempfile.TemporaryDirectory(prefix="ebpflab-", dir=self.parent)
        #: Its own, where its files are.
        self.folder = self._folder.name
        self.process = self._start(wrapper)
        assert self.answer() == "ready"

    def _start(self, wrapper: tuple[str, ...]) -> subprocess.Popen[str] | forked.Process:
        command = [str(WORKLOADS / self.script), self.folder]
        if not wrapper and forked.Process.possible():
            return forked.script(*command)
        # -ISE: nothing of this environment, so that it is small.
        python = [*wrapper, sys.executable, "-ISE", *command]
        return subprocess.Popen(python, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def child(self) -> int:
        """The process id of the only child of its wrapper."""
        (child,) = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(child)

    def sleeps(self) -> bool:
        """Whether it waits for something: for the next command, if it has answered."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    def do(self, command: str, argument: object = None) -> Any:  # noqa: ANN401  each command has its own answer
        """Have a command done, and return its answer."""
        self.begin(command, argument)
        return self.answer()

    def begin(self, command: str, argument: object = None) -> None:
        """Have a command done, whose answer is still to be waited for."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps([command, argument]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:  # noqa: ANN401
        """Wait for the answer of the command that was begun."""
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End it, and remove its files."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait() == 0
        self._folder.cleanup()


class Opener(Workload):
    """Opens files when told to."""

    script = "opener.py"


class Caller(Workload):
    """Has functions and system calls called when told to."""

    script = "caller.py"


class Family(Workload):
    """Processes that open files when told to, parents and children."""

    script = "family.py"


class Paths(Workload):
    """Opens files by all kinds of paths when told to."""

    script = "paths.py"
    # A tmpfs: stat(2) of overlayfs, which the guests have elsewhere, tells another device than the kernel has.
    parent = "/dev/shm"  # noqa: S108  a folder of its own is made there


class Runner(Workload):
    """Executes programs when told to."""

    script = "runner.py"


class Executions(Workload):
    """Executes programs in every way, fails to, and ends in every way when told to."""

    script = "executions.py"


def cpu_seconds(pid: int) -> float:
    """Return how long a process has had a CPU."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Return how many bytes of memory a process has."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1_024


def waits(pid: int) -> tuple[int, int]:
    """Return how long the first thread of a process has waited for a CPU, in nanoseconds, and how often it got one.

    The kernel's own account (`sched_info_arrive`, kernel/sched/stats.h), which no program of ours has to do with.
    """
    _ran, waited, times = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(waited), int(times)


def asleep(pid: int) -> bool:
    """Whether the first thread of a process sleeps."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def raw(record: Record, field: str) -> bytes | None:
    """Return the bytes of a text in a record; None for null."""
    if f"{field}_bytes" in record:
        return base64.b64decode(record[f"{field}_bytes"], validate=True)
    text: str | None = record[field]
    return None if text is None else text.encode()


def raw_list(record: Record, field: str) -> list[bytes]:
    """Return the bytes of a list of texts in a record."""
    if f"{field}_bytes" in record:
        return [base64.b64decode(text, validate=True) for text in record[f"{field}_bytes"]]
    return [text.encode() for text in record[field]]


def cgroup_id(pid: int) -> int | None:
    """Return the id of a process's cgroup, where the v2 hierarchy is mounted at its usual place."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        if line.startswith("0::") and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return Path("/sys/fs/cgroup", line.removeprefix("0::/")).stat().st_ino
    return None


def cgroup_mount(version: str) -> Path | None:
    """Return where a hierarchy of cgroups is mounted: that of `v2`, or of `v1` one that needs no setting up."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        kind, _, options = fields[fields.index("-") + 1 :]
        if version == "v2" and kind == "cgroup2":
            return Path(fields[4])
        if version == "v1" and kind == "cgroup" and {"pids", "memory", "freezer"} & {*options.split(",")}:
            return Path(fields[4])
    return None


class Cgroup:
    """A cgroup of our own."""

    def __init__(self, parent: Path, name: str) -> None:
        """Make it."""
        self.path = parent / name
        self.path.mkdir()

    def take(self, pid: int) -> None:
        """Move a process into it."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Move whoever is in it up, and remove it."""
        for pid in (self.path / "cgroup.procs").read_text().split():
            (self.path.parent / "cgroup.procs").write_text(pid)
        # Who has just ended may be in it for a moment.
        assert eventually(self._is_removed)

    def _is_removed(self) -> bool:
        with contextlib.suppress(OSError):
            self.path.rmdir()
        return not self.path.exists()


def ia32_emulation() -> bool:
    """Whether `int 0x80` works: the kernel says so by the limits that it keeps for such programs."""
    return platform.machine() == "x86_64" and Path("/proc/sys/abi/vsyscall32").exists()


def possible_cpus() -> int:
    """How many CPUs there may ever be."""
    _, _, last = Path("/sys/devices/system/cpu/possible").read_text().strip().rpartition("-")
    return int(last) + 1


def preemptible() -> bool:
    """Whether a program may be preempted, and then skips the runs of others on that CPU: 7.3 has PREEMPT_LAZY."""
    preemption = Path("/sys/kernel/debug/sched/preempt")
    return preemption.exists() and any(kind in preemption.read_text() for kind in ("(lazy)", "(full)"))


def may_lack(ledger: dict[str, int]) -> int:
    """Return how many events may be lacking since the kernel skipped a run, and told so; elsewhere it skips none."""
    assert none_missed(ledger)
    return ledger["missed"] or 0


def assert_same(seen: Counter[str], expected: Counter[str], ledger: dict[str, int]) -> None:
    """Compare what was seen with what was done; what lacks for runs that were skipped, and told, is no difference.

    One run may stand for many events: where it is the fork of a process that a tree is to follow.
    """
    if may_lack(ledger):
        assert seen <= expected
    else:
        assert seen == expected


def names_given_to_threads() -> int:
    """How many names Python gives by itself to as many threads as there are CPUs: from 3.14 on each has one."""
    return (os.cpu_count() or 1) if sys.version_info >= (3, 14) else 0


def none_missed(ledger: dict[str, int]) -> bool:
    """Whether the kernel skipped no run of a program, as far as it tells: from 5.12 on it does.

    Of programs at perf events it tells from 6.7 on; test_hooks has that for each. Where programs may be preempted it
    skips some, mostly of calls that nobody asked for; that it did is told.
    """
    may_be_told = [0] if RELEASE >= (6, 7) else [0, None] if RELEASE >= (5, 12) else [None]
    return preemptible() or ledger["missed"] in may_be_told


def counts_missed(hook: str) -> bool:
    """Whether the kernel counts the runs that it skips of programs by this hook."""
    at_perf_events = hook in {"kprobe", "tracepoint", "uprobe"}
    return hook not in {"kretprobe", "uretprobe"} and ((6, 7) if at_perf_events else (5, 12)) <= RELEASE


def but_for_missed(stderr: str) -> str:
    """Return what a tool said, without what is no fault of its own: runs that were skipped, and calls left undone."""
    line = r"^ebpflab: lost: (unpaired \d+, )?missed \d+\n"
    return re.sub(line, "", stderr, flags=re.MULTILINE) if preemptible() else stderr


def probe(hook: str) -> str | None:
    """Return why this kernel cannot do a hook, found in another way than the tool does."""
    lockdown = Path("/sys/kernel/security/lockdown")
    if hook == "tcx" and not has_tcx():
        return "the kernel has no TCX"
    if hook in {"kprobe", "kretprobe"} and not Path("/sys/bus/event_source/devices/kprobe").exists():
        return "the kernel has no kprobes"
    if hook == "fentry" and not Path("/sys/kernel/btf/vmlinux").exists():
        return "the kernel has no BTF"
    if hook == "fentry" and not (lockdown.exists() and "[none]" in lockdown.read_text()):
        return "the kernel is locked down, or does not tell"
    return None


def has_tcx() -> bool:
    """Whether programs may be attached to interfaces by TCX."""
    return RELEASE >= (6, 6)


def skip_unless_able(tool: Tool, hook: str) -> None:
    """Wait until it counts. Skip where a probe agrees that the kernel cannot do it; all else is a failure."""
    line = tool.first_line()
    if line:
        assert line["hooks"]
        return
    ended = tool.ended()
    assert ended.status == 77
    assert ended.stderr.startswith(f"ebpflab: {tool.name} by {hook} cannot work here: ")
    assert ended.stderr.count("\n") == 1
    reason = probe(hook)
    assert reason, ended.stderr
    pytest.skip(reason)


def hooked(pid: int) -> set[tuple[str, str]]:
    """Return program and kind of hook of all that a process has attached, as the kernel lists it.

    Names have at most 15 bytes; a kretprobe is a kprobe to the kernel. Before 5.15 kprobes and tracepoints are perf
    events of the process, from then on links like the others.
    """
    programs = {program["id"]: program for program in kernel_list("prog")}
    holds = held(pid)
    links = [link for link in kernel_list("link") if ("link", link["id"]) in holds]
    attached = [link["prog_id"] for link in links]
    attached += [event["prog_id"] for event in _bpftool("perf", "list") if event["pid"] == pid]
    kinds = {number: str(program["type"]) for number, program in programs.items()}
    kinds |= {
        link["prog_id"]: link["attach_type"].removeprefix("trace_") for link in links if link["type"] == "tracing"
    }
    return {(str(programs[number]["name"])[:15], kinds[number]) for number in attached}


#: Whether the kernel tells how many instructions the verifier went through (`bpf_prog_show_fdinfo`).
TELLS_VERIFIED = tuple(int(number) for number in platform.release().split(".")[:2]) >= (5, 16)


def verified(pid: int) -> dict[str, int]:
    """Return how many instructions the verifier went through for each program that a process holds."""
    names = {program["id"]: str(program["name"]) for program in kernel_list("prog")}
    found = {}
    for fields in _fdinfo(Path(f"/proc/{pid}/fdinfo")):
        if "verified_insns" in fields:
            found[names[int(fields["prog_id"])]] = int(fields["verified_insns"])
    return found


def tc(namespace: str, *arguments: str) -> str:
    """Run tc(8) in a network namespace; return what it says."""
    return subprocess.run(["tc", "-n", namespace, *arguments], capture_output=True, text=True, check=True).stdout


def ip(*arguments: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *arguments], check=True)


def netns_exec(namespace: str) -> tuple[str, ...]:
    """Return the wrapper that runs a command in a network namespace."""
    return ("ip", "netns", "exec", namespace)


def nsenter(namespace: str) -> tuple[str, ...]:
    """Return the same that leaves the mounts, those of cgroups among them, where they are."""
    return ("nsenter", f"--net=/run/netns/{namespace}")


def enter(namespace: str) -> None:
    """Have this thread go to a network namespace."""
    with Path("/run/netns", namespace).open() as file:
        # os.setns is there only from Python 3.12 on.
        assert _LIBC.setns(file.fileno(), CLONE_NEWNET) == 0


def in_namespace(namespace: str, function: Callable[[], Result]) -> Result:
    """Call a function in a network namespace: in a thread of its own, which ends with it."""

    def enter_and_call() -> Result:
        enter(namespace)
        return function()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(enter_and_call).result()


@contextlib.contextmanager
def namespace(suffix: str) -> Iterator[str]:
    """Make a network namespace with IPv6 off, so that nothing is sent but what a test sends."""
    name = f"ebpflab-{os.getpid()}-{suffix}"
    ip("netns", "add", name)
    try:
        quiet = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
        in_namespace(name, lambda: quiet.write_text("1") if quiet.exists() else 0)
        yield name
    finally:
        ip("netns", "delete", name)


def _bpftool(*arguments: str) -> list[Record]:
    listing = subprocess.run(["bpftool", "-j", *arguments], capture_output=True, text=True, check=False)
    # An object that goes away while the list is made is an error to bpftool; the caller asks again.
    found: list[Record] = json.loads(listing.stdout or "[]") if listing.returncode == 0 else []
    return found


def kernel_list(kind: str) -> list[Record]:
    """Return what the kernel lists: `prog`, `map` or `link`."""
    return _bpftool(kind, "list")


def kernel_ids() -> set[tuple[str, int]]:
    """Return all programs, maps and links, by kind and id. Asked before and after every test, so not of bpftool."""
    return {(kind, number) for kind, command in _GET_NEXT_ID.items() for number in _ids(command)}


#: BPF_PROG_GET_NEXT_ID and so on, include/uapi/linux/bpf.h.
_GET_NEXT_ID = {"prog": 11, "map": 12, "link": 31}
_MAP_UPDATE_ELEM, _OBJ_GET = 2, 7
_PROG_QUERY = 16
#: BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS.
INGRESS, EGRESS = 0, 1
_SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]


def _ids(command: int) -> Iterator[int]:
    # Of union bpf_attr: start_id, next_id, open_flags.
    attr = (ctypes.c_uint32 * 3)()
    while _LIBC.syscall(ctypes.c_long(_SYS_BPF), command, attr, ctypes.sizeof(attr)) == 0:
        yield attr[1]
        attr[0] = attr[1]
    assert ctypes.get_errno() == errno.ENOENT, os.strerror(ctypes.get_errno())


def update_map(pin: Path, key: bytes, value: bytes) -> None:
    """Write an entry of a map that is pinned: bpftool cannot give each CPU a value of its own."""
    path = ctypes.create_string_buffer(os.fsencode(pin))
    # Of union bpf_attr: pathname, bpf_fd, file_flags.
    fd = _bpf(_OBJ_GET, struct.pack("=QII", ctypes.addressof(path), 0, 0))
    try:
        keys, values = (ctypes.create_string_buffer(memory, len(memory)) for memory in (key, value))
        # map_fd, key, value, flags.
        attr = struct.pack("=IIQQQ", fd, 0, ctypes.addressof(keys), ctypes.addressof(values), 0)
        _bpf(_MAP_UPDATE_ELEM, attr)
    finally:
        os.close(fd)


def _bpf(command: int, attr: bytes) -> int:
    buffer = ctypes.create_string_buffer(attr, len(attr))
    result: int = _LIBC.syscall(ctypes.c_long(_SYS_BPF), command, buffer, ctypes.sizeof(buffer))
    assert result >= 0, os.strerror(ctypes.get_errno())
    return result


def programs_on(cgroup: Path, attach_type: int) -> int:
    """Return how many programs a cgroup itself has of a type. BPF_PROG_QUERY with as much as 5.10 knows of it."""
    fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    ids = (ctypes.c_uint32 * 64)()
    try:
        # Of union bpf_attr: target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt.
        attr = bytearray(struct.pack("=IIIIQI", fd, attach_type, 0, 0, ctypes.addressof(ids), len(ids)))
        buffer = (ctypes.c_char * len(attr)).from_buffer(attr)
        failed = _LIBC.syscall(ctypes.c_long(_SYS_BPF), _PROG_QUERY, buffer, ctypes.sizeof(buffer))
        assert failed == 0, os.strerror(ctypes.get_errno())
        return int.from_bytes(attr[-4:], sys.byteorder)
    finally:
        os.close(fd)


def held_by_others() -> set[tuple[str, int]]:
    """Return those that other processes hold by a file descriptor: somebody else may use BPF beside the tests."""
    own = Path(f"/proc/{os.getpid()}/fdinfo")
    return {held for folder in Path("/proc").glob("[0-9]*/fdinfo") if folder != own for held in _held_by(folder)}


def held(pid: int) -> set[tuple[str, int]]:
    """Return the programs, maps and links that a process holds, by kind and id."""
    return _held_by(Path(f"/proc/{pid}/fdinfo"))


def _held_by(fdinfo: Path) -> set[tuple[str, int]]:
    """Return the programs, maps and links that a process holds, by kind and id."""
    kinds = ("prog", "map", "link")
    return {(kind, int(fields[f"{kind}_id"])) for fields in _fdinfo(fdinfo) for kind in kinds if f"{kind}_id" in fields}


def _fdinfo(folder: Path) -> Iterator[dict[str, str]]:
    """What the kernel tells of each file descriptor of a process that is there."""
    with contextlib.suppress(OSError):
        for info in folder.iterdir():
            with contextlib.suppress(OSError):
                lines = (line.split(":\t", 1) for line in info.read_text().splitlines())
                yield {line[0]: line[1] for line in lines if len(line) == 2}


def eventually(holds: Callable[[], bool], seconds: float = 2.0) -> bool:
    """Whether something becomes true soon: the kernel frees BPF objects some time after the last reference."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def left_behind(before: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return what is in the kernel that was not there before and that no other process holds, once it settles.

    What comes later is somebody else's, and comes and goes all the time where there are many tests.
    """
    left = new = kernel_ids() - before

    def clean() -> bool:
        nonlocal left, new
        new &= kernel_ids()
        left = new and {each for each in new - held_by_others() if not _is_program_array(*each)}
        return not left

    eventually(clean, seconds=20)
    return left


def _is_program_array(kind: str, number: int) -> bool:
    """Whether it is a map of programs; what was in it is gone, or found as a program.

    Where bpftool asks for one that is going away the kernel may lose count of who holds it, and keeps it for good
    (kernel/bpf/arraymap.c, prog_array_map_clear).
    """
    found: Any = _bpftool(kind, "show", "id", str(number)) if kind == "map" else None
    return bool(found) and found["type"] == "prog_array"


def open_files() -> dict[str, str]:
    """Return the file descriptors of this process and what they are."""
    found = {}
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[fd.name] = str(fd.readlink())
    return {fd: target for fd, target in found.items() if not target.endswith("/fd")}
