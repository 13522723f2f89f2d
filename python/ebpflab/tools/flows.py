"""Packets and bytes by flow on an interface."""

from __future__ import annotations

from typing import Any, Literal

from ebpflab import _ebpflab
from ebpflab.records import FlowCount
from ebpflab.session import CountSession


class FlowCounter(CountSession[list[FlowCount]]):
    """Counts by flow, those with most bytes first."""

    def _counts(self, raw: Any) -> list[FlowCount]:  # noqa: ANN401
        return [FlowCount(*row) for row in raw]


def flows(iface: str, *, hook: Literal["tcx", "clsact"] | None = None, max_entries: int | None = None) -> FlowCounter:
    """Count what an interface receives and sends, by addresses, ports, protocol, VLAN and direction.

    A packet is a frame as the kernel hands it to the interface or gets it from it: one that is merged of several, or
    that the interface is to cut, counts as one. `hook` forces `tcx` or `clsact`; `attached` says which was taken and
    why. `max_entries` is the most flows that the map holds (16,384); packets of further ones are `ledger.map_full`.

    Raises:
        AttachError: There is no such interface.
        NotSupportedError: This kernel has none of the hooks, or not the one asked for.
        PrivilegeError: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed.
        ValueError: There is no such hook, or an argument is out of its range.

    """
    return FlowCounter(_ebpflab.attach_flows(iface, hook, max_entries))
