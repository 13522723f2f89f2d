from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

from typing_extensions import Self

from ebpflab.recordings import Keep
from ebpflab.records import Container
from ebpflab.tools.only import Only
from ebpflab.tools.rules import Lists
from ebpflab.tools.xdp import Capture

__all__ = [
    "Batcher",
    "Costs",
    "Events",
    "ExecEvent",
    "ExitEvent",
    "OpenEvent",
    "PacketProgram",
    "RecordBatch",
    "Recorder",
    "Replay",
    "ReplayEvents",
    "Session",
    "Stats",
    "Table",
    "TraceEvent",
    "UserEvents",
    "UserMap",
    "UserObject",
    "attach_calls",
    "attach_cgroup",
    "attach_count",
    "attach_dashboard",
    "attach_exec",
    "attach_flows",
    "attach_latency",
    "attach_open",
    "attach_returns",
    "attach_runqueue",
    "attach_stacks",
    "attach_syscalls",
    "attach_trace",
    "attach_traffic",
    "attach_xdp",
    "btf_layout",
    "btf_type",
    "btf_type_json",
    "check_cidr",
    "check_rules",
    "check_targets",
    "complete_target",
    "explain",
    "features",
    "features_json",
    "flame_graph",
    "links",
    "links_json",
    "map_entries",
    "map_entries_json",
    "maps",
    "maps_json",
    "pin_xdp",
    "pinned_xdp",
    "programs",
    "programs_json",
    "recover",
    "schemas",
    "tracepoints",
    "tracepoints_json",
    "unpin_xdp",
    "verdict",
    "verdict_json",
    "verifier_kinds",
    "verify",
    "zoo_json",
    "zoo_trials_json",
]

@final
class Session:
    def attached(self) -> dict[str, Any]: ...
    def attached_json(self) -> bytes: ...
    def fileno(self) -> int: ...
    @property
    def stopped(self) -> bool: ...
    def wait(self, timeout: float | None) -> bool: ...
    def read(self) -> tuple[int, Any, dict[str, Any]]: ...
    def replace_rules(self, lists: Lists) -> None: ...
    def give_up_capabilities(self, kept: list[str]) -> None: ...
    def warnings(self) -> list[str]: ...
    def read_json(self) -> bytes: ...
    def next_waiting(self) -> Any: ...  # noqa: ANN401  an event of the tool, or None
    def read_events(self) -> list[Any]: ...
    def events(self, timeout: float | None, limit: int) -> Events: ...
    def is_readable(self) -> bool: ...
    def next_json(self, most: int) -> bytes: ...
    def ledger(self) -> dict[str, Any]: ...
    def stop(self) -> dict[str, Any]: ...
    def stop_json(self) -> bytes: ...
    def close(self) -> None: ...

@final
class Events(Iterator[Any]):
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...  # noqa: ANN401

@final
class UserObject:
    def __new__(cls, path: str, pinned: dict[str, str]) -> UserObject: ...
    def programs(self) -> list[tuple[str, str, str, str | None]]: ...
    def maps(self) -> list[str]: ...
    def globals(self) -> list[str]: ...
    def kernel_fields(self) -> list[str]: ...
    def global_value(self, name: str) -> Any: ...  # noqa: ANN401  by its type
    def set_global(self, name: str, value: object) -> None: ...
    def is_loaded(self) -> bool: ...
    def load(self) -> None: ...
    def attach(self, program: str, target: str | None) -> str: ...
    def about(self, program: str) -> tuple[int, int | None, int, int]: ...
    def missed(self, program: str) -> int | None: ...
    def put(self, array: str, slot: int, program: str) -> None: ...
    def pin_map(self, name: str, path: str) -> None: ...
    def pin_program(self, name: str, path: str) -> None: ...
    def map(self, name: str) -> UserMap: ...
    def events(self, name: str, of: str | None, size: int) -> UserEvents: ...
    def close(self) -> None: ...

@final
class UserMap:
    def kind(self) -> str: ...
    def get(self, key: object) -> tuple[Any, tuple[Any, ...]] | None: ...
    def set(self, key: object, value: object) -> None: ...
    def remove(self, key: object) -> bool: ...
    def entries(self) -> list[tuple[Any, Any, tuple[Any, ...]]]: ...

@final
class UserEvents:
    def fds(self) -> list[int]: ...
    def read(self) -> list[Any]: ...
    def lost(self) -> int | None: ...
    def close(self) -> None: ...

@final
class Costs:
    def __new__(cls) -> Costs: ...
    def read(self) -> list[dict[str, Any]]: ...
    def read_json(self) -> bytes: ...
    def close(self) -> None: ...

@final
class Stats:
    def __new__(cls) -> Stats: ...
    def programs(self) -> list[dict[str, Any]]: ...
    def programs_json(self) -> bytes: ...
    def close(self) -> None: ...

@final
class ReplayEvents(Iterator[Any]):
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...  # noqa: ANN401

@final
class RecordBatch:
    @property
    def num_rows(self) -> int: ...
    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]: ...
    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...

@final
class Table:
    def __new__(cls, path: str) -> Table: ...
    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...

@final
class Batcher:
    def __new__(cls, source: Session | Replay, rows: int) -> Batcher: ...
    def next(self, seconds: float) -> RecordBatch | None: ...

@final
class Recorder:
    def __new__(
        cls,
        source: Session | Replay,
        path: str,
        command: list[str],
        overwrite: bool,
        rotate: tuple[int | None, float | None] | None,
    ) -> Recorder: ...
    def run(self, duration: float | None, limit: int) -> None: ...
    def finish(self) -> int: ...

@final
class Replay:
    def __new__(cls, path: str, keep: Keep, speed: float | None) -> Replay: ...
    def recording_json(self) -> bytes: ...
    def recorded_json(self) -> bytes | None: ...
    def attached_json(self) -> bytes: ...
    @property
    def stopped(self) -> bool: ...
    def wait(self, timeout: float | None) -> bool: ...
    def due(self) -> float: ...
    def read_events(self) -> list[Any]: ...
    def events(self, timeout: float | None, limit: int) -> ReplayEvents: ...
    def next_waiting(self) -> Any: ...  # noqa: ANN401  the same, or None
    def next_json(self, most: int) -> bytes: ...
    def ledger(self) -> dict[str, Any]: ...
    def stop(self) -> dict[str, Any]: ...
    def stop_json(self) -> bytes: ...
    def close(self) -> None: ...

def recover(path: str) -> int | None: ...

@final
class PacketProgram:
    @staticmethod
    def xdp(rules: Lists | None, max_rules: int | None, top: int | None) -> PacketProgram: ...
    @staticmethod
    def open(elf: bytes, kind: str, name: str | None) -> PacketProgram: ...
    @property
    def name(self) -> str: ...
    def run(self, packet: bytes, repeat: int) -> tuple[int, bytes, int]: ...
    def read(self) -> tuple[int, Any, dict[str, Any]]: ...
    def replace_rules(self, lists: Lists) -> None: ...

def attach_calls(targets: list[str], only: Only, by: list[str], max_entries: int | None) -> Session: ...
def attach_cgroup(cgroup: str, deny: list[str], max_entries: int | None) -> Session: ...
def attach_count(only: Only, hook: str | None, max_entries: int | None) -> Session: ...
def attach_dashboard(only: Only, hook: str | None, buffer: int | None) -> Session: ...
def attach_exec(only: Only, hook: str | None, buffer: int | None, exits: bool) -> Session: ...
def attach_flows(iface: str, hook: str | None, max_entries: int | None) -> Session: ...
def attach_latency(
    target: str,
    only: Only,
    by: list[str],
    step_ns: int | None,
    slower_ns: int | None,
    max_entries: int | None,
) -> Session: ...
def attach_open(only: Only, hook: str | None, buffer: int | None) -> Session: ...
def attach_returns(
    target: str,
    only: Only,
    by: list[str],
    step: int | None,
    bits: int | None,
    unsigned: bool,
    max_entries: int | None,
) -> Session: ...
def attach_runqueue(
    only: Only,
    by: list[str],
    step_ns: int | None,
    slower_ns: int | None,
    max_entries: int | None,
) -> Session: ...
def attach_stacks(
    targets: list[str],
    sample_hz: int | None,
    only: Only,
    by: list[str],
    max_entries: int | None,
) -> Session: ...
def attach_trace(
    target: str,
    only: Only,
    string: str | None,
    payload: str | None,
    bits: int | None,
    unsigned: bool,
    buffer: int | None,
) -> Session: ...
def attach_traffic(iface: str, hook: str | None, max_entries: int | None) -> Session: ...
def attach_syscalls(only: Only, by: list[str], max_entries: int | None) -> Session: ...
def attach_xdp(
    iface: str,
    mode: str,
    rules: Lists | None,
    max_rules: int | None,
    top: int | None,
    capture: Capture | None,
) -> Session: ...
def check_cidr(text: str) -> str: ...
def check_rules(rules: list[str]) -> None: ...
def check_targets(targets: list[str]) -> None: ...
def complete_target(text: str) -> list[str]: ...
def explain(log: str, elf: bytes | None, program: str | None) -> bytes: ...
def features() -> list[dict[str, Any]]: ...
def features_json() -> bytes: ...
def flame_graph(lines: str, title: str, unit: str) -> str: ...
def links() -> list[dict[str, Any]]: ...
def links_json() -> bytes: ...
def map_entries(number: int, per_cpu: bool) -> list[dict[str, Any]]: ...
def map_entries_json(number: int, per_cpu: bool) -> bytes: ...
def tracepoints(pattern: str | None) -> list[dict[str, Any]]: ...
def tracepoints_json(pattern: str | None) -> bytes: ...
def btf_type(name: str) -> dict[str, Any]: ...
def btf_type_json(name: str) -> bytes: ...
def btf_layout(name: str, python: bool) -> str: ...
def maps() -> list[dict[str, Any]]: ...
def maps_json() -> bytes: ...
def pin_xdp(iface: str, mode: str, rules: Lists | None, max_rules: int | None) -> dict[str, Any]: ...
def pinned_xdp(iface: str | None) -> list[dict[str, Any]]: ...
def programs() -> list[dict[str, Any]]: ...
def programs_json() -> bytes: ...
def schemas() -> list[dict[str, Any]]: ...
def unpin_xdp(iface: str | None) -> list[dict[str, Any]]: ...
def verdict(tool: str) -> dict[str, Any]: ...
def verdict_json(tool: str) -> bytes: ...
def verifier_kinds() -> list[dict[str, Any]]: ...
def verify(elf: bytes) -> list[tuple[str, int | None]]: ...
def zoo_json() -> bytes: ...
def zoo_trials_json(name: str | None) -> bytes: ...

# What follows is written by scripts/docs.py from crates/loader/src/records.rs; CI compares.

@final
@dataclass(frozen=True, init=False)
class ExecEvent:
    """A program that is about to run; or, with `exec -x`, a call of execve or execveat that failed, when it
    returned."""

    time: int
    """When: nanoseconds since the epoch."""
    cpu: int
    """CPU it happened on."""
    pid: int
    """Process id, in the initial PID namespace."""
    ns_pid: int
    """Process id in the PID namespace of the process itself (its container)."""
    ppid: int
    """The parent's process id, in the initial PID namespace."""
    parent_comm: str
    """Name of the parent: of its first thread."""
    uid: int
    """Real user id, in the initial user namespace."""
    gid: int
    """Real group id, in the initial user namespace."""
    loginuid: int | None
    """Id of the user who logged in, whoever the process has become since (loginuid, audit(8)); None where nobody did,
    and on kernels that do not tell."""
    comm: str
    """Name of the process from now on; of a call that failed, of the thread that made it."""
    cgroup: int
    """Id of the cgroup: in the v2 hierarchy, or, where it is not mounted or nobody lives in it, in the v1 hierarchy
    with the controller memory, or else pids, cpu, any."""
    cgroup_path: str | None
    """Where the cgroup is in that hierarchy; None where it is not known: the hierarchy is not mounted, or too many were
    made and removed at once."""
    container: Container | None
    """The container that the cgroup is of; None where it is of none."""
    filename: str | None
    """The file as it was given (for execveat the kernel puts `/dev/fd/N/` before it, unless the call failed); None
    where it could not be read."""
    exe: str | None
    """The file that runs, for a script that is its interpreter: the names from the file itself up to the root of the
    process (its chroot, its container), so that links, mounts and `..` are gone. Without a `/` in front for what is not
    below that root. None for a call that failed, and where `path_fault` says so."""
    cwd: str | None
    """The working directory, in the same way: where a relative `filename` starts from."""
    path_truncated: bool
    """`filename` has more than 4,095 bytes, and these are its first; or `exe` or `cwd` has more than 4,095 bytes, or
    both together about 780 names, and this is its end, without a `/` in front."""
    path_fault: str | None
    """What could not be had: `filename`, `exe`, `cwd`, `filename and exe` and so on, `filename, exe and cwd`; None
    where nothing is missing."""
    path_notes: tuple[str, ...]
    """What is special: `unlinked` (the executable has no name, any more or ever: it was removed, or is a memfd),
    `outside_root` (it is not below the root of the process), `cwd_unlinked` (the working directory was removed),
    `cwd_outside_root`."""
    argv: tuple[str, ...] | None
    """All arguments, the program's own name first; None where they could not be read."""
    argc: int | None
    """How many arguments there are, those included that `argv` lacks; None where that could not be read, and for a call
    that failed where `argv` is cut."""
    argv_truncated: bool
    """The arguments have more than 8,192 bytes (for a call that failed: or there are more than 128), and these are the
    first, the last of them cut."""
    ret: int
    """0, or the negative errno of a call that failed."""
    error: str | None
    """Name of the errno, `ENOENT` and so on; None for a program that runs."""
    def __new__(
        cls,
        time: int,
        cpu: int,
        pid: int,
        ns_pid: int,
        ppid: int,
        parent_comm: str,
        uid: int,
        gid: int,
        loginuid: int | None,
        comm: str,
        cgroup: int,
        cgroup_path: str | None,
        container: Container | None,
        filename: str | None,
        exe: str | None,
        cwd: str | None,
        path_truncated: bool,
        path_fault: str | None,
        path_notes: tuple[str, ...],
        argv: tuple[str, ...] | None,
        argc: int | None,
        argv_truncated: bool,
        ret: int,
        error: str | None,
    ) -> Self: ...
    def to_dict(self) -> dict[str, Any]: ...

@final
@dataclass(frozen=True, init=False)
class ExitEvent:
    """A process that ended: its last thread did. Also one that never executed a program."""

    time: int
    """When: nanoseconds since the epoch."""
    cpu: int
    """CPU it happened on."""
    pid: int
    """Process id, in the initial PID namespace."""
    ns_pid: int
    """Process id in the PID namespace of the process itself (its container)."""
    ppid: int
    """The parent's process id, in the initial PID namespace."""
    uid: int
    """Real user id, in the initial user namespace."""
    gid: int
    """Real group id, in the initial user namespace."""
    comm: str
    """Name of the thread that ended last."""
    cgroup: int
    """Id of the cgroup: in the v2 hierarchy, or, where it is not mounted or nobody lives in it, in the v1 hierarchy
    with the controller memory, or else pids, cpu, any."""
    cgroup_path: str | None
    """Where the cgroup is in that hierarchy; None where it is not known: the hierarchy is not mounted, or too many were
    made and removed at once."""
    container: Container | None
    """The container that the cgroup is of; None where it is of none."""
    exit_code: int | None
    """What it exited with, 0 to 255; None if a signal killed it."""
    signal: int | None
    """Number of the signal that killed it; None if it exited by itself."""
    core: bool
    """Whether the signal made it dump its memory."""
    duration_ns: int
    """From the start of the process (its fork), in nanoseconds."""
    exec_duration_ns: int | None
    """From the last time that it executed a program, in nanoseconds; None where `exec_time` is."""
    exec_time: int | None
    """When it last executed a program: the `time` of that event. None if it never did, or not since this tool was
    attached, and where 32,768 other processes were remembered."""
    def __new__(
        cls,
        time: int,
        cpu: int,
        pid: int,
        ns_pid: int,
        ppid: int,
        uid: int,
        gid: int,
        comm: str,
        cgroup: int,
        cgroup_path: str | None,
        container: Container | None,
        exit_code: int | None,
        signal: int | None,
        core: bool,
        duration_ns: int,
        exec_duration_ns: int | None,
        exec_time: int | None,
    ) -> Self: ...
    def to_dict(self) -> dict[str, Any]: ...

@final
@dataclass(frozen=True, init=False)
class TraceEvent:
    """A call of a function that is traced, when it returned."""

    time: int
    """When it returned: nanoseconds since the epoch."""
    cpu: int
    """CPU it returned on."""
    pid: int
    """Process id, in the initial PID namespace."""
    tid: int
    """Thread id, in the initial PID namespace."""
    ns_pid: int
    """Process id in the PID namespace of the process itself (its container)."""
    uid: int
    """Real user id, in the initial user namespace."""
    gid: int
    """Real group id, in the initial user namespace."""
    comm: str
    """Name of the thread."""
    cgroup: int
    """Id of the cgroup: in the v2 hierarchy, or, where it is not mounted or nobody lives in it, in the v1 hierarchy
    with the controller memory, or else pids, cpu, any."""
    cgroup_path: str | None
    """Where the cgroup is in that hierarchy; None where it is not known: the hierarchy is not mounted, or too many were
    made and removed at once."""
    container: Container | None
    """The container that the cgroup is of; None where it is of none."""
    value: int | None
    """What the call returned; None for a function that returns nothing."""
    latency_ns: int
    """From entry to return, in nanoseconds."""
    data: str | None
    """The string, or the bytes, that were asked for, as they are at the return; None where none were, where the address
    is NULL, where the call returned no number of bytes above 0, and where `data_fault` is true."""
    data_truncated: bool
    """There are more than 4,095 bytes, and these are the first."""
    data_fault: bool
    """The memory could not be read."""
    def __new__(
        cls,
        time: int,
        cpu: int,
        pid: int,
        tid: int,
        ns_pid: int,
        uid: int,
        gid: int,
        comm: str,
        cgroup: int,
        cgroup_path: str | None,
        container: Container | None,
        value: int | None,
        latency_ns: int,
        data: str | None,
        data_truncated: bool,
        data_fault: bool,
    ) -> Self: ...
    def to_dict(self) -> dict[str, Any]: ...

@final
@dataclass(frozen=True, init=False)
class OpenEvent:
    """A call of open, creat, openat or openat2, when it returned."""

    time: int
    """When it returned: nanoseconds since the epoch."""
    cpu: int
    """CPU it returned on."""
    pid: int
    """Process id, in the initial PID namespace."""
    tid: int
    """Thread id, in the initial PID namespace."""
    ns_pid: int
    """Process id in the PID namespace of the process itself (its container)."""
    uid: int
    """Real user id, in the initial user namespace."""
    gid: int
    """Real group id, in the initial user namespace."""
    comm: str
    """Name of the thread."""
    cgroup: int
    """Id of the cgroup: in the v2 hierarchy, or, where it is not mounted or nobody lives in it, in the v1 hierarchy
    with the controller memory, or else pids, cpu, any."""
    cgroup_path: str | None
    """Where the cgroup is in that hierarchy; None where it is not known: the hierarchy is not mounted, or too many were
    made and removed at once."""
    container: Container | None
    """The container that the cgroup is of; None where it is of none."""
    path: str | None
    """The path as given; None where it could not be read."""
    full_path: str | None
    """Where that is, from the root of the process that opened it (its chroot, its container): of an opened file, the
    names from the file itself up, so that links, mounts and `..` are gone; of one that could not be opened, the folder
    that the path starts from and the path as given. Without a `/` in front for what is not below that root. None for
    what has no name (a pipe) and where `path_fault` says why."""
    path_truncated: bool
    """The path as given has more than 4,095 bytes, and these are its first; or the whole path has more than 8,191 bytes
    or about 780 names, and this is its end, without a `/` in front."""
    path_fault: str | None
    """What could not be had: `path` (its memory could not be read), `folder` (that it starts from), `file` (the
    descriptor was closed or replaced meanwhile), `path and file`; None where nothing is missing."""
    path_notes: tuple[str, ...]
    """What is special: `tmpfile` (made by `O_TMPFILE`, its name is not its own), `unlinked` (the name is gone),
    `magic_link` (the path leads through a link of procfs to a file that was open already; known by the usual names of
    those links), `outside_root` (not below the root of the process)."""
    dirfd: int
    """File descriptor of the folder that a relative path starts from; -100 (`AT_FDCWD`) is the working directory."""
    flags: int
    """`O_RDONLY` and so on, or-ed, as the kernel takes them: without bits that mean nothing, and without `O_LARGEFILE`,
    which it adds itself."""
    flag_names: tuple[str, ...]
    """The same by their names, the access mode first."""
    mode: int
    """Permission bits for a file that may be created, before the umask; 0 for others."""
    ret: int
    """The new file descriptor, or a negative errno."""
    error: str | None
    """Name of the errno, `ENOENT` and so on; None for an opened file."""
    latency_ns: int
    """From entry to return, in nanoseconds."""
    inode: int | None
    """Inode number of the opened file; None where none was opened."""
    device: int | None
    """Device of the opened file's file system, as `st_dev` of stat(2) has it; None where none was opened. (On btrfs and
    overlayfs stat(2) may give another.)"""
    def __new__(
        cls,
        time: int,
        cpu: int,
        pid: int,
        tid: int,
        ns_pid: int,
        uid: int,
        gid: int,
        comm: str,
        cgroup: int,
        cgroup_path: str | None,
        container: Container | None,
        path: str | None,
        full_path: str | None,
        path_truncated: bool,
        path_fault: str | None,
        path_notes: tuple[str, ...],
        dirfd: int,
        flags: int,
        flag_names: tuple[str, ...],
        mode: int,
        ret: int,
        error: str | None,
        latency_ns: int,
        inode: int | None,
        device: int | None,
    ) -> Self: ...
    def to_dict(self) -> dict[str, Any]: ...
