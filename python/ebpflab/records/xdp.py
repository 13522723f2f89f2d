"""Packets on an interface."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PacketCount:
    """Packets and bytes; the bytes are those of whole frames, link headers included."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RuleCount:
    """What a rule did with packets from a range of addresses, of which it had the longest prefix.

    `action` is `block` or `allow`. `active` says whether it is in force; it is not where it was replaced. `bytes` are
    those of whole frames.
    """

    cidr: str
    action: str
    active: bool
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Firewall:
    """What rules did with packets since the start.

    `active` is how many rules are in force. `dropped` and `passed` are all packets; `unmatched` are those of `passed`
    that no rule is about. `rules` has the busiest first: of more than 1,000 those that met a packet, and of those that
    were replaced as well.
    """

    active: int
    dropped: PacketCount
    passed: PacketCount
    unmatched: PacketCount
    rules: tuple[RuleCount, ...]


@dataclass(frozen=True, slots=True)
class PinnedXdp:
    """An XDP program that is pinned: it stays until it is unpinned.

    `iface` is None where the interface has gone, or is in another network namespace; `mode` (`skb`, `drv` or `hw`)
    where the program is attached no more, or that is not known. `folder` holds the program, its link and its maps.
    `counts` and `firewall` are since it was pinned; there is no `firewall` where it has no rules.
    """

    iface: str | None
    folder: str
    program: int
    mode: str | None
    counts: dict[str, PacketCount]
    firewall: Firewall | None


@dataclass(frozen=True, slots=True)
class SourceCount:
    """Packets from an address; `bytes` are those of whole frames."""

    address: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Where packets came from since the start: the busiest sources, and how many were counted at all.

    `untracked` are packets of sources that there was no room to count.
    """

    top: tuple[SourceCount, ...]
    tracked: int
    untracked: PacketCount
