"""Packets and bytes by protocol on an interface."""

from __future__ import annotations

from typing import Any, Literal

from ebpflab import _ebpflab
from ebpflab.records import PacketCount
from ebpflab.session import CountSession


class PacketCounter(CountSession[dict[str, PacketCount]]):
    """Counts by protocol: `tcp`, `udp`, `icmp` (v4 and v6), `arp`, `other`."""

    def _counts(self, raw: Any) -> dict[str, PacketCount]:  # noqa: ANN401
        return {protocol: PacketCount(*count) for protocol, count in raw.items()}


def xdp(iface: str, *, mode: Literal["auto", "skb", "drv", "hw"] = "auto") -> PacketCounter:
    """Count every packet that arrives on an interface.

    IPv4 with options, later fragments, IPv6 extension headers and up to two VLAN tags are seen through; what is short
    or malformed is `other`. `mode` is `skb` (generic), `drv` (native), `hw` (offloaded), or `auto`: native where the
    driver can, else generic; `attached.mode` says which it is.

    Raises:
        AttachError: There is no such interface, or it carries an XDP program already.
        NotSupportedError: The driver lacks the mode.
        PrivilegeError: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed.
        ValueError: There is no such mode.

    """
    return PacketCounter(_ebpflab.attach_xdp(iface, mode))
