"""What people see: views eat any iterator of readings or events, live or replayed, and give text.

`dashboard` is imported where it is needed, since it needs Textual.
"""

from ebpflab.views import (
    activity,
    calls,
    cgroup,
    count,
    exec,
    flows,
    latency,
    open,
    returns,
    runqueue,
    stacks,
    syscalls,
    trace,
    traffic,
    xdp,
)

__all__ = [
    "activity",
    "calls",
    "cgroup",
    "count",
    "exec",
    "flows",
    "latency",
    "open",
    "returns",
    "runqueue",
    "stacks",
    "syscalls",
    "trace",
    "traffic",
    "xdp",
]
