"""The typed records that tools give out. Their fields are declared once, in crates/loader/src/records.rs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Counts = TypeVar("Counts")


@dataclass(frozen=True, slots=True)
class Hook:
    """A program and where it is attached."""

    program: str
    kind: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class Feature:
    """What `features` found out about the kernel, the machine or this process, by trying it.

    `answer` is `yes`, `no` or `unknown`; `found` says what was found, or why there is no answer; `costs` what it costs
    the user and `fix` what mends it, each None where there is nothing to say.
    """

    group: str
    name: str
    answer: str
    found: str
    costs: str | None
    fix: str | None


@dataclass(frozen=True, slots=True)
class HookVerdict:
    """What `verdict` says about one kind of hook of a tool, for one `part` of it (`opens` or `execs`)."""

    part: str
    hook: str
    works: bool
    taken: bool
    reason: str | None
    fix: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a tool works here, why not, and by which of its hooks."""

    tool: str
    works: bool
    reason: str | None
    fix: str | None
    hooks: tuple[HookVerdict, ...]


@dataclass(frozen=True, slots=True)
class Mode:
    """The mode of an XDP program: the one asked for (`auto`, ...) and the one that the kernel took."""

    asked: str
    got: str


@dataclass(frozen=True, slots=True)
class Attached:
    """What is attached, how and why; `blind_to` names what these hooks cannot see."""

    command: str
    hooks: tuple[Hook, ...]
    blind_to: tuple[str, ...]
    buffer: int | None
    kernel: str
    mode: Mode | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of everything a tool saw.

    Every term is counted where it happens, none is computed from the others. `missed` is None where the kernel does
    not tell.
    """

    seen: int
    filtered: int
    submitted: int
    dropped: int
    unpaired: int
    pending: int
    map_full: int
    missed: int | None
    faults: int
    truncated: int
    received: int
    shown: int

    @property
    def balanced(self) -> bool:
        """Whether it adds up, as it does at the end of every run; while a tool runs it may be a few ahead or behind."""
        became = self.filtered + self.submitted + self.dropped + self.unpaired + self.pending + self.map_full
        return self.seen == became and self.submitted == self.received

    @property
    def lost(self) -> dict[str, int]:
        """The terms that mean loss and are not zero."""
        terms = {
            "dropped": self.dropped,
            "unpaired": self.unpaired,
            "map_full": self.map_full,
            "missed": self.missed or 0,
        }
        return {name: count for name, count in terms.items() if count}


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The ledgers of a tool with several kinds of events; `open` is None where it has none of these."""

    open: Ledger | None
    exec: Ledger
    exit: Ledger


@dataclass(frozen=True, slots=True)
class Container:
    """A container, known by the path of its cgroup.

    `id` has 64 hexadecimal digits; `runtime` is `docker`, `podman`, `containerd` or `cri-o`. `name` is what Docker or
    Podman call it; None as long as they have not told.
    """

    id: str
    runtime: str
    name: str | None


@dataclass(frozen=True, slots=True)
class ExecEvent:
    """A program that is about to run; or, with `execs(failed=True)`, a call that failed to execute one.

    `time` is in nanoseconds since the epoch; ids are those of the initial namespaces, but for `ns_pid`, which is that
    of the process's own PID namespace (its container). `parent_comm` is the name of the parent, `comm` that of the
    process from now on. `loginuid` is the user who logged in (audit(8)); None where nobody did.

    `cgroup` is the id of the cgroup, `cgroup_path` where it is in its hierarchy, None where that is not known, and
    `container` the container that it is of, if any.

    `filename` is as given; `exe` is the file that runs (for a script its interpreter), and `cwd` the working
    directory, both from the root of the process, by the names from the file itself up. `path_fault` says what of these
    could not be had, `path_truncated` that one of them is cut. `path_notes` has some of `unlinked`, `outside_root`,
    `cwd_unlinked` and `cwd_outside_root`.

    `argv` is None where it could not be read; `argv_truncated` says that the arguments have more than 8,192 bytes, and
    the last of these is cut. `argc` is how many there are all the same.

    `ret` is 0, or the negative errno of a call that failed, whose name is `error`. Such a call has no `exe`, `comm` is
    the name of the thread that made it, and of its arguments the first 128 are read, so `argc` is None where there are
    more.
    """

    time: int
    cpu: int
    pid: int
    ns_pid: int
    ppid: int
    parent_comm: str
    uid: int
    gid: int
    loginuid: int | None
    comm: str
    cgroup: int
    cgroup_path: str | None
    container: Container | None
    filename: str | None
    exe: str | None
    cwd: str | None
    path_truncated: bool
    path_fault: str | None
    path_notes: tuple[str, ...]
    argv: tuple[str, ...] | None
    argc: int | None
    argv_truncated: bool
    ret: int
    error: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ExitEvent:
    """A process that ended: its last thread did. Also one that never executed a program.

    `time` is in nanoseconds since the epoch; ids are those of the initial namespaces, but for `ns_pid`, which is that
    of the process's own PID namespace (its container). `comm` is the name of the thread that ended last.

    `cgroup` is the id of the cgroup, `cgroup_path` where it is in its hierarchy, None where that is not known, and
    `container` the container that it is of, if any.

    `exit_code` is 0 to 255, or None if a signal killed it, whose number is `signal`; `core` says that it dumped its
    memory. `duration_ns` is from the start of the process (its fork), `exec_duration_ns` from the last time that it
    executed a program, which was at `exec_time`: the `time` of that `ExecEvent`. Both are None if it never did, or not
    since the tool was attached.
    """

    time: int
    cpu: int
    pid: int
    ns_pid: int
    ppid: int
    uid: int
    gid: int
    comm: str
    cgroup: int
    cgroup_path: str | None
    container: Container | None
    exit_code: int | None
    signal: int | None
    core: bool
    duration_ns: int
    exec_duration_ns: int | None
    exec_time: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class OpenEvent:
    """A call of open, creat, openat or openat2, when it returned.

    `time` is in nanoseconds since the epoch; ids are those of the initial namespaces, but for `ns_pid`, which is that
    of the process's own PID namespace (its container). `path` is as given; `full_path` is where that is from the root
    of the process: of an opened file the names from the file itself up, of another the folder and the path as given.
    `path_fault` says what of these could not be had, `path_truncated` that one of them is cut. `path_notes` has some of
    `tmpfile`, `unlinked`, `magic_link` and `outside_root`.

    `cgroup` is the id of the cgroup, `cgroup_path` where it is in its hierarchy, None where that is not known, and
    `container` the container that it is of, if any.

    `dirfd` is -100 (AT_FDCWD) for the working directory. `ret` is the file descriptor or a negative errno, whose name
    is `error`. `latency_ns` is from entry to return. `inode` and `device` (as `st_dev` has it) are those of the opened
    file.
    """

    time: int
    cpu: int
    pid: int
    tid: int
    ns_pid: int
    uid: int
    gid: int
    comm: str
    cgroup: int
    cgroup_path: str | None
    container: Container | None
    path: str | None
    full_path: str | None
    path_truncated: bool
    path_fault: str | None
    path_notes: tuple[str, ...]
    dirfd: int
    flags: int
    flag_names: tuple[str, ...]
    mode: int
    ret: int
    error: str | None
    latency_ns: int
    inode: int | None
    device: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds something by a file descriptor; `comm` is None for one that was gone by then."""

    pid: int
    comm: str | None


@dataclass(frozen=True, slots=True)
class Program:
    """A BPF program that is loaded into the kernel, of whomever.

    `kind` is its type (`xdp`, `raw_tracepoint`; `tracing` is fentry, fexit and their kin), `name` has its first 15
    bytes, `tag` is a hash of its instructions. `loaded` is in nanoseconds since the epoch.

    `verified_instructions` is how many the verifier went through (None before Linux 5.16), `instructions` how many it
    has after that; `missed` is how often the kernel skipped a run (None before 5.12). `run_count` and `run_time_ns` are
    of the runs that were measured: ask `programs(stats=SECONDS)`.
    """

    id: int
    kind: str
    name: str
    tag: str
    loaded: int
    uid: int
    instructions: int
    jited_bytes: int
    memory_bytes: int | None
    verified_instructions: int | None
    missed: int | None
    run_count: int
    run_time_ns: int
    maps: tuple[int, ...]
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class Map:
    """A BPF map, of whomever.

    `kind` is its type (`hash`, `ringbuf`), `name` has its first 15 bytes. A value is as long on each CPU where it is a
    map with a value for each. `max_entries` of a ring buffer are its bytes; `flags` are `BPF_F_...`, or-ed.
    """

    id: int
    kind: str
    name: str
    key_bytes: int
    value_bytes: int
    max_entries: int
    flags: int
    memory_bytes: int | None
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A link, which keeps a program (its id) attached to `target` as long as somebody holds it.

    `target` is None where the kernel does not tell: of kprobes and tracepoints before Linux 6.6.
    """

    id: int
    kind: str
    program: int
    target: str | None
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class PacketCount:
    """Packets and bytes; the bytes are those of whole frames, link headers included."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PidCount:
    """How often a process opened files: `count` since the start, `rate` per second since the last reading.

    `pid` is that of the initial PID namespace; `comm` is None for a process that was gone before its name was read.
    """

    pid: int
    comm: str | None
    count: int
    rate: float


@dataclass(frozen=True, slots=True)
class Reading(Generic[Counts]):
    """Counts since the start, and when they were read: nanoseconds since the epoch."""

    time: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Summary(Generic[Counts]):
    """A whole run: its ledger, how long it took in seconds, and the final counts of a tool that counts.

    `ledgers` has the ledger of each kind of events, for a tool that has several; `ledger` is their sum.
    """

    ledger: Ledger
    duration_s: float
    counts: Counts
    ledgers: Ledgers | None = None
