"""Flows on an interface."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlowCount:
    """Packets and bytes of one flow on an interface since the start.

    `direction` is `ingress` (received) or `egress` (sent). `protocol` is what IP packets carry (`tcp`, `udp`, `icmp`,
    `icmpv6`, ...), and of frames that are not IP what they are (`arp`, ...). Addresses are None where there are none,
    ports also for all fragments but the first, `vlan` outside of VLANs. `bytes` are those of whole frames, link headers
    included; `rate` is bytes per second since the last reading.
    """

    direction: str
    protocol: str
    source: str | None
    source_port: int | None
    destination: str | None
    destination_port: int | None
    vlan: int | None
    packets: int
    bytes: int
    rate: float
