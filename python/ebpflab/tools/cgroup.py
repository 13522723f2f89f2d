"""Packets and bytes of a cgroup, and rules that deny some."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ebpflab import _ebpflab
from ebpflab.records import CgroupCounts, DeniedCount, GroupCount
from ebpflab.session import CountSession

if TYPE_CHECKING:
    from collections.abc import Iterable


class CgroupCounter(CountSession[CgroupCounts]):
    """Counts by cgroup, protocol and direction, and by rule."""

    def _counts(self, raw: Any) -> CgroupCounts:  # noqa: ANN401
        groups, denied = raw
        return CgroupCounts(tuple(GroupCount(*row) for row in groups), tuple(DeniedCount(*row) for row in denied))


def cgroup(path: str | os.PathLike[str], *, deny: Iterable[str] = (), max_entries: int | None = None) -> CgroupCounter:
    """Count what the sockets of a cgroup of v2 and those below it send and receive.

    `path` is the directory of the cgroup, or its path below the mount of v2. `deny` are rules, `CIDR`, `CIDR:PORT` or
    `CIDR:PORT/PROTO` (an IPv6 range with a port in brackets): packets to and from these addresses, and these ports of
    theirs, are denied as long as this runs; at most 64. `max_entries` is the most counters that the map holds (16,384),
    one for each cgroup, protocol and direction; packets of further ones are `ledger.map_full`.

    Raises:
        AttachError: A program there, or above, allows no others beside it.
        NotSupportedError: No hierarchy of v2 is mounted.
        PrivilegeError: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed.
        ValueError: There is no such cgroup, it is one of v1, a rule is none, or an argument is out of its range.

    """
    return CgroupCounter(_ebpflab.attach_cgroup(os.fspath(path), list(deny), max_entries))
