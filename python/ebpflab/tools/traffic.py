"""Packets and bytes by process on an interface."""

from __future__ import annotations

from typing import Any, Literal

from ebpflab import _ebpflab
from ebpflab.records import PacketCount, ProcessCount, TrafficCounts, UnattributedCount
from ebpflab.session import CountSession


class TrafficCounter(CountSession[TrafficCounts]):
    """Counts by process, protocol and direction, and of no process by the reason."""

    def _counts(self, raw: Any) -> TrafficCounts:  # noqa: ANN401
        processes, unattributed, received, sent = raw
        return TrafficCounts(
            tuple(ProcessCount(*row) for row in processes),
            tuple(UnattributedCount(*row) for row in unattributed),
            PacketCount(*received),
            PacketCount(*sent),
        )


def traffic(
    iface: str, *, hook: Literal["tcx", "clsact"] | None = None, max_entries: int | None = None
) -> TrafficCounter:
    """Count what an interface receives and sends over TCP and UDP by process, and all else by why it is of none.

    A packet is of the process that made its socket, or accepted the connection; in sum these are the packets and bytes
    that the interface itself counts. A packet is a frame as the kernel hands it to the interface or gets it from it:
    one that is merged of several, or that the interface is to cut, counts as one. `hook` forces `tcx` or `clsact` for
    packets. `max_entries` is the most counters that the map holds (16,384), one for each process, protocol and
    direction; packets of further ones are `ledger.map_full`.

    Raises:
        AttachError: There is no such interface.
        NotSupportedError: This kernel has none of the hooks, or not the one asked for, or no hierarchy of cgroups v2 is
            mounted.
        PrivilegeError: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed.
        ValueError: There is no such hook, or an argument is out of its range.

    """
    return TrafficCounter(_ebpflab.attach_traffic(iface, hook, max_entries))
