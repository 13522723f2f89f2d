"""What works on this kernel and machine, for this process: found out by trying, never by running a tool."""

from __future__ import annotations

from ebpflab import _ebpflab
from ebpflab.records import Feature, HookVerdict, Verdict

#: The tools that there are verdicts on.
TOOLS = (
    "calls",
    "cgroup",
    "count",
    "dashboard",
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
)


def features() -> tuple[Feature, ...]:
    """Try what the kernel, the machine and the privileges of this process allow.

    Small programs and maps of every kind are loaded and taken away again; nothing is mounted or changed. Where only
    the privileged may ask, the answer is `unknown`.
    """
    return tuple(Feature(**feature) for feature in _ebpflab.features())


def verdict(tool: str) -> Verdict:
    """Find out whether a tool (one of `TOOLS`) works here, and by which hook.

    Its maps are made and taken away; in the place of its programs others that do nothing are attached for a moment.
    For `xdp` nothing is attached, since that is a matter of the interface; for `flows` and `traffic` it is `lo`,
    for `cgroup` and `traffic` the cgroup on top of v2.

    Raises:
        ValueError: There is no such tool.

    """
    raw = _ebpflab.verdict(tool)
    return Verdict(**raw | {"hooks": tuple(HookVerdict(**hook) for hook in raw["hooks"])})
