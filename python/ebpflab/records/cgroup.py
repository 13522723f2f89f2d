"""Traffic of cgroups."""

from __future__ import annotations

from dataclasses import dataclass

from ebpflab.records.events import Container


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
