"""An event of each kind, for tests that need one and not its kernel."""

from __future__ import annotations

from ebpflab.records import ExecEvent, OpenEvent

OPEN = OpenEvent(
    time=1_700_000_000_000_000_000,
    cpu=1,
    pid=4211,
    tid=4212,
    ns_pid=7,
    uid=1000,
    gid=100,
    comm="python",
    cgroup=42,
    path="/etc/passwd",
    full_path="/etc/passwd",
    path_truncated=False,
    path_fault=None,
    path_notes=(),
    dirfd=-100,
    flags=0,
    flag_names=("O_RDONLY",),
    mode=0,
    ret=3,
    error=None,
    latency_ns=1_500,
    inode=1_234,
    device=2_049,
)
EXEC = ExecEvent(
    time=1_700_000_000_000_000_000,
    cpu=1,
    pid=4211,
    ns_pid=7,
    ppid=4210,
    uid=1000,
    gid=100,
    comm="ls",
    cgroup=42,
    filename="/bin/ls",
    argv=("ls", "-l"),
    argv_truncated=False,
)
