"""The typed records that tools give out. Their fields are declared once, in crates/loader/src/records.rs.

Events are native: they keep the kernel's record and look into it when a field is asked for. For all else they are
frozen dataclasses like the others; `help` tells what each field is.
"""

from __future__ import annotations

from dataclasses import dataclass
from json import loads
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ebpflab._ebpflab import ExecEvent, ExitEvent, OpenEvent, TraceEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Attached",
    "Container",
    "Counts",
    "ExecEvent",
    "ExitEvent",
    "Feature",
    "Hook",
    "HookVerdict",
    "Ledger",
    "Ledgers",
    "Mode",
    "OpenEvent",
    "PacketCount",
    "PidCount",
    "Reading",
    "Summary",
    "TraceEvent",
    "Verdict",
]

Counts = TypeVar("Counts")


@dataclass(frozen=True, slots=True)
class MapEntry:
    """An entry of a map, decoded by the map's type information; what has none is bytes.

    `value` of a map with a value on each CPU is what they make together: numbers are added up, of all else it is what
    those CPUs have that have any (no zeros), or None where it is not the same. `values` has them apart, by CPU, where
    that was asked for.
    """

    key: Any
    value: Any
    values: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class TracepointField:
    """A field of a tracepoint's record: its type in C, and where it is, in bytes."""

    name: str
    c_type: str
    offset: int
    bytes: int
    signed: bool


@dataclass(frozen=True, slots=True)
class TracepointArgument:
    """An argument of a raw tracepoint: its type in C, its number from 0 on, and its size in bytes."""

    name: str
    c_type: str
    index: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """A tracepoint of this kernel.

    `category` and `fields` (of its record) are None where tracefs does not tell them, `arguments` (what a raw
    tracepoint gets) where the kernel's types do not.
    """

    category: str | None
    name: str
    fields: tuple[TracepointField, ...] | None
    arguments: tuple[TracepointArgument, ...] | None


@dataclass(frozen=True, slots=True)
class BtfMember:
    """A member of a struct or a union.

    `offset` is in bytes from the start of the outermost struct, `bytes` the size of its type. A bit field has `bits`
    bits, the first is `bit` of the byte at `offset`. `members` are those of a struct or a union in it.
    """

    name: str
    c_type: str
    offset: int
    bytes: int
    bit: int | None
    bits: int | None
    members: tuple[BtfMember, ...]


@dataclass(frozen=True, slots=True)
class BtfEnumerator:
    """A value of an enum, and its name."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class BtfType:
    """A type of the kernel, or a function.

    `kind` is `struct`, `union`, `enum`, `typedef`, `int`, `float` or `function`. `bytes` is its size, None for what has
    none; `target` what a typedef is a name of, or the declaration of a function.
    """

    name: str
    kind: str
    bytes: int | None
    target: str | None
    members: tuple[BtfMember, ...]
    enumerators: tuple[BtfEnumerator, ...]


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
    """What `verdict` says about one kind of hook of a tool, for one `part` of it (`opens`, `execs`, `packets`)."""

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
class SourceLine:
    """A line of a program's source.

    `file` is as the compiler named it, or, out of a kernel's log, the name alone; `text` is empty where nothing has it.
    """

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """An instruction on the way to a refusal.

    `text` is the instruction, None where the log does not list it. `source` is the line that it comes from; where that
    is in a library, `library`, it is the nearest line of the program's own. `note` is `taken` or `not taken` for a
    jump, in a register's history what the verifier knew of it afterwards.
    """

    instruction: int
    text: str | None
    source: SourceLine | None
    library: SourceLine | None
    note: str | None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> ExplainedStep:
        """Return what one line of JSON has."""
        lines = {name: SourceLine(**raw[name]) if raw[name] else None for name in ("source", "library")}
        return cls(**{**raw, **lines})


@dataclass(frozen=True, slots=True)
class RegisterHistory:
    """A register that a refusal is about: what the verifier knew of it, if it tells, and how it became that."""

    register: str
    state: str | None
    history: tuple[ExplainedStep, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the verifier refused a program.

    `kind` is the stable name of the refusal (docs/verifier.md), `unknown` where the log is of none of them: then `log`
    is the whole of it. `cause` is `environment`, `program` or `unknown`. `reason` is the verifier's own, `meaning` and
    `fix` are ebpflab's, `suggestion` and `causal_path` the kernel's (from 7.3 on, for some). `at` is the instruction
    that was refused, None where the log names none; `path` are the last of the `jumps` that led there.
    """

    kind: str
    title: str
    cause: str
    program: str | None
    reason: str
    meaning: str
    fix: str
    suggestion: str | None
    causal_path: str | None
    at: ExplainedStep | None
    path: tuple[ExplainedStep, ...]
    jumps: int
    registers: tuple[RegisterHistory, ...]
    log: str | None

    @classmethod
    def from_json(cls, line: str | bytes) -> Explanation:
        """Return what a line of JSON has."""
        return cls.of(loads(line))

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Explanation:
        """Return what one line of JSON has."""
        parts = {
            "at": ExplainedStep.of(raw["at"]) if raw["at"] else None,
            "path": tuple(map(ExplainedStep.of, raw["path"])),
            "registers": tuple(
                RegisterHistory(it["register"], it["state"], tuple(map(ExplainedStep.of, it["history"])))
                for it in raw["registers"]
            ),
        }
        return cls(**{name: value for name, value in {**raw, **parts}.items() if name != "type"})


@dataclass(frozen=True, slots=True)
class Broken:
    """A program of the zoo that verifiers refuse, and its mended twin.

    `refused_by` are the kernels of the matrix that refuse it, `accepted_because` says why the others do not. `line` is
    the line of `file` that is refused; `source` and `mended` are the two functions.
    """

    name: str
    what: str
    kind: str
    title: str
    refused_by: tuple[str, ...]
    accepted_because: str | None
    file: str
    line: int
    source: str
    mended: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What this kernel makes of a program of the zoo.

    `refused_here` is whether it should be refused, by what is known of kernels of this age; `explanation` and `log` are
    None where it was not. `verified_instructions` is how many of the mended twin's the verifier went through, None
    before Linux 5.16.
    """

    name: str
    refused_here: bool
    explanation: Explanation | None
    log: str | None
    verified_instructions: int | None


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
class Recording:
    """How a recording was made.

    `version` is that of the fields, `host` the machine, `command` the command line (empty where it was recorded from
    Python and not told), `start` when it began in nanoseconds since the epoch.
    """

    version: int
    host: str
    command: tuple[str, ...]
    start: int
    attached: Attached


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a recording ended, `end` in nanoseconds since the epoch, and how many events it has.

    `recovered` says that its writer was killed, and `recover` ended it: then `end` is the time of its last event, and
    `ledger` None. So it is of one that goes on in another file of its folder (`continued`): the last has the ledger of
    the whole run.
    """

    end: int
    rows: int
    continued: bool
    recovered: bool
    ledger: Ledger | None
    ledgers: Ledgers | None


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
class Cost:
    """What programs of ours, and the process that reads from them, cost while it was measured.

    `of` is `process`; or `pinned` for programs that no process holds; or `all` for all of these. `programs_percent` (of
    the runs) and `reader_percent` (of the process) are of one CPU.
    """

    of: str
    pid: int | None
    comm: str | None
    programs: int
    seconds: float
    runs: int
    run_time_ns: int
    programs_percent: float
    reader_percent: float
    memory_bytes: int


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
class RuleCount:
    """What a rule did with packets from a range of addresses, of which it had the longest prefix.

    `action` is `block` or `allow`. `active` says whether it is in force; it is not where it was replaced. `bytes` are
    those of whole frames.
    """

    cidr: str
    action: str
    active: bool
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Firewall:
    """What rules did with packets since the start.

    `active` is how many rules are in force. `dropped` and `passed` are all packets; `unmatched` are those of `passed`
    that no rule is about. `rules` has the busiest first: of more than 1,000 those that met a packet, and of those that
    were replaced as well.
    """

    active: int
    dropped: PacketCount
    passed: PacketCount
    unmatched: PacketCount
    rules: tuple[RuleCount, ...]


@dataclass(frozen=True, slots=True)
class PinnedXdp:
    """An XDP program that is pinned: it stays until it is unpinned.

    `iface` is None where the interface has gone, or is in another network namespace; `mode` (`skb`, `drv` or `hw`)
    where the program is attached no more, or that is not known. `folder` holds the program, its link and its maps.
    `counts` and `firewall` are since it was pinned; there is no `firewall` where it has no rules.
    """

    iface: str | None
    folder: str
    program: int
    mode: str | None
    counts: dict[str, PacketCount]
    firewall: Firewall | None


@dataclass(frozen=True, slots=True)
class SourceCount:
    """Packets from an address; `bytes` are those of whole frames."""

    address: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Where packets came from since the start: the busiest sources, and how many were counted at all.

    `untracked` are packets of sources that there was no room to count.
    """

    top: tuple[SourceCount, ...]
    tracked: int
    untracked: PacketCount


@dataclass(frozen=True, slots=True)
class GroupCount:
    """Packets and bytes of one cgroup, protocol and direction since the start.

    `cgroup` is the id of the cgroup of the sockets, `cgroup_path` where it is in the hierarchy of v2, None if it was
    removed before it was read, and `container` the container that it is of, if any. `direction` is `ingress` (received)
    or `egress` (sent). `bytes` are those from the network header on; `rate` is bytes per second since the last reading.
    """

    cgroup: int
    cgroup_path: str | None
    container: Container | None
    direction: str
    protocol: str
    packets: int
    bytes: int
    rate: float


@dataclass(frozen=True, slots=True)
class DeniedCount:
    """Packets and bytes that a rule denied; `rule` is as it was given."""

    rule: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CgroupCounts:
    """Packets that passed, those with most bytes first, and packets that were denied, by rule."""

    groups: tuple[GroupCount, ...]
    denied: tuple[DeniedCount, ...]


@dataclass(frozen=True, slots=True)
class FlowCount:
    """Packets and bytes of one flow on an interface since the start.

    `direction` is `ingress` (received) or `egress` (sent). `protocol` is what IP packets carry (`tcp`, `udp`, `icmp`,
    `icmpv6`, ...), and of frames that are not IP what they are (`arp`, ...). Addresses are None where there are none,
    ports also for all fragments but the first, `vlan` outside of VLANs. `bytes` are those of whole frames, link headers
    included; `rate` is bytes per second since the last reading.
    """

    direction: str
    protocol: str
    source: str | None
    source_port: int | None
    destination: str | None
    destination_port: int | None
    vlan: int | None
    packets: int
    bytes: int
    rate: float


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
class ProcessCount:
    """Packets and bytes of one process, protocol and direction on an interface since the start.

    `pid` is the process that made or accepted the sockets, in the initial PID namespace, and `comm` the name that its
    thread had then. `direction` is `ingress` (received) or `egress` (sent), `protocol` is `tcp` or `udp`. `bytes` are
    those of whole frames, link headers included but on lo; `rate` is bytes per second since the last reading.
    """

    pid: int
    comm: str
    direction: str
    protocol: str
    packets: int
    bytes: int
    rate: float


@dataclass(frozen=True, slots=True)
class UnattributedCount:
    """Packets and bytes of no process since the start, and why.

    `reason` is `not_ip` (or malformed), `other_protocol` (neither TCP nor UDP), `no_ports` (a later fragment that
    arrives, or one that is cut), `no_socket` (nobody here has one for it), `unknown_process` (of a socket of the
    kernel's own, or from before the start that could not be asked for), or `map_full` (no room for another process).
    """

    direction: str
    reason: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TrafficCounts:
    """Packets of TCP and UDP by process, those with most bytes first, and all others by why they are of none.

    Together these are all packets of the interface; `received` and `sent` are what the interface itself has counted
    since the start. That is read after the others, so packets that pass meanwhile are a difference.
    """

    processes: tuple[ProcessCount, ...]
    unattributed: tuple[UnattributedCount, ...]
    received: PacketCount
    sent: PacketCount


@dataclass(frozen=True, slots=True)
class CallCount:
    """Calls of a target since the start, and of whom, as far as they are told apart; the rest of that is None.

    `target` is what was called: `vfs_read`, `libc:malloc`, `tracepoint:sched:sched_switch`. `comm` is the name of the
    thread, or, where only processes are told apart, of the process (None if it was gone before it was read). `rate` is
    calls per second since the last reading.
    """

    target: str
    pid: int | None
    comm: str | None
    cgroup: int | None
    cgroup_path: str | None
    container: Container | None
    count: int
    rate: float


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How many calls failed in one way: the name of the errno, `ENOENT` and so on, and how many."""

    error: str
    count: int


@dataclass(frozen=True, slots=True)
class BucketCount:
    """Calls or waits that took `from_ns` nanoseconds or more, and less than `below_ns`; None for all that is longer."""

    from_ns: int
    below_ns: int | None
    count: int


@dataclass(frozen=True, slots=True)
class LatencyCount:
    """How long calls of a function, or waits, took since the start, and whose, as far as they are told apart.

    `p50_ns`, `p90_ns` and `p99_ns` are what so many in a hundred did not take longer than, to a sixteenth, `max_ns` is
    the longest. `buckets` goes from the first that has one to the last. `rate` is how many per second since the last
    reading.
    """

    pid: int | None
    comm: str | None
    cgroup: int | None
    cgroup_path: str | None
    container: Container | None
    count: int
    total_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int
    buckets: tuple[BucketCount, ...]
    rate: float


@dataclass(frozen=True, slots=True)
class SlowCall:
    """A call or a wait that took long, and when it ended: nanoseconds since the epoch."""

    time: int
    pid: int
    tid: int
    comm: str
    latency_ns: int


@dataclass(frozen=True, slots=True)
class LatencyCounts:
    """How long calls or waits took, the most frequent first, and those that took long since the reading before.

    `slow_lost` is how many of these there was no room to tell since the start; they are in the counts all the same.
    """

    rows: tuple[LatencyCount, ...]
    slow: tuple[SlowCall, ...]
    slow_lost: int


@dataclass(frozen=True, slots=True)
class ValueBucket:
    """Calls that returned `start` or more, and less than `below`; None for all that is more."""

    start: int
    below: int | None
    count: int


@dataclass(frozen=True, slots=True)
class ReturnCount:
    """What calls of a function returned since the start, and whose, as far as they are told apart.

    `sum`, `min` and `max` are of all values. Those below zero are `negative` and in no bucket; `buckets` goes from the
    first that has a value to the last. `rate` is calls per second since the last reading.
    """

    pid: int | None
    comm: str | None
    cgroup: int | None
    cgroup_path: str | None
    container: Container | None
    count: int
    sum: int
    min: int
    max: int
    negative: int
    buckets: tuple[ValueBucket, ...]
    rate: float


@dataclass(frozen=True, slots=True)
class StackCount:
    """How often a stack was seen since the start, and whose, as far as they are told apart; the rest of that is None.

    `kernel` and `user` are its functions, the innermost first: `[unknown]` for one without a name, `FILE+0xPLACE` for
    code of a file without names, `[truncated]` for all that come behind 127. `comm` is the name of the thread, or,
    where only processes are told apart, of the process (None if it was gone before it was read).
    """

    pid: int | None
    comm: str | None
    cgroup: int | None
    cgroup_path: str | None
    container: Container | None
    kernel: tuple[str, ...]
    user: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class SyscallCount:
    """System calls since the start that have the same of all that they are told apart by; the rest of that is None.

    `syscall`, `number` and `abi` (`x86_64`, `i386`, `x32`, `aarch64`, `arm`) are what was called. `comm` is the name of
    the thread, or, where only processes are told apart, of the process (None if it was gone before it was read).

    `failed` of `count` ended with an error, by `errors`. `total_ns` is how long all took together, `max_ns` the
    longest, `rate` calls per second since the last reading.
    """

    syscall: str | None
    number: int | None
    abi: str | None
    pid: int | None
    comm: str | None
    cgroup: int | None
    cgroup_path: str | None
    container: Container | None
    count: int
    failed: int
    errors: tuple[ErrorCount, ...]
    total_ns: int
    max_ns: int
    rate: float


@dataclass(frozen=True, slots=True)
class Reading(Generic[Counts]):
    """Counts since the start, and when they were read: nanoseconds since the epoch.

    `firewall`, `sources` and `capture` (what became of packets for a file) are those of `xdp`, if it
    was asked for them.
    """

    time: int
    counts: Counts
    firewall: Firewall | None = None
    sources: Sources | None = None
    capture: Ledger | None = None


@dataclass(frozen=True, slots=True)
class Summary(Generic[Counts]):
    """A whole run: its ledger, how long it took in seconds, and the final counts of a tool that counts.

    `ledgers` has the ledger of each kind of events, for a tool that has several; `ledger` is their sum. `firewall`,
    `sources` and `capture` (what became of packets for a file: `shown` are those in it) are those of `xdp`, if it was
    asked for them.
    """

    ledger: Ledger
    duration_s: float
    counts: Counts
    ledgers: Ledgers | None = None
    firewall: Firewall | None = None
    sources: Sources | None = None
    capture: Ledger | None = None
