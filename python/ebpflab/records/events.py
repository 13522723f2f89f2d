"""Events, which are native, and what they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ebpflab._ebpflab import ExecEvent, ExitEvent, OpenEvent, TraceEvent

__all__ = ["ActivityEvent", "Container", "ExecEvent", "ExitEvent", "OpenEvent", "TraceEvent"]

#: One of the dashboard's events.
ActivityEvent: TypeAlias = OpenEvent | ExecEvent | ExitEvent


@dataclass(frozen=True, slots=True)
class Container:
    """A container, known by the path of its cgroup.

    `id` has 64 hexadecimal digits; `runtime` is `docker`, `podman`, `containerd` or `cri-o`. `name` is what Docker or
    Podman call it; None as long as they have not told.
    """

    id: str
    runtime: str
    name: str | None
