"""Packets and bytes by protocol on an interface, and rules about where they may come from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from ebpflab import _ebpflab
from ebpflab.records import PacketCount
from ebpflab.session import CountSession
from ebpflab.tools.rules import lists, optional_lists

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from ebpflab.records import Firewall, Ledger, Sources

    #: A range of addresses.
    Range = str | IPv4Address | IPv4Network | IPv6Address | IPv6Network


class Capture(TypedDict):
    """A packet file, as the native module takes it."""

    path: str
    every: int | None
    snap_len: int | None


class PacketCounter(CountSession[dict[str, PacketCount]]):
    """Counts by protocol: `tcp`, `udp`, `icmp` (v4 and v6), `arp`, `other`."""

    def _counts(self, raw: Any) -> dict[str, PacketCount]:  # noqa: ANN401
        return {protocol: PacketCount(*count) for protocol, count in raw.items()}

    def firewall(self) -> Firewall | None:
        """Return what the rules did since the start; None if there are none. Raises what `read` does."""
        return self._reading().firewall

    def sources(self) -> Sources | None:
        """Return where packets came from since the start; None if that is not counted. Raises what `read` does."""
        return self._reading().sources

    def capture(self) -> Ledger | None:
        """Write the packets that wait to the file, and return what became of all of them. Raises what `read` does."""
        return self._reading().capture

    def replace(
        self,
        *,
        block: Iterable[Range] = (),
        allow: Iterable[Range] = (),
        block_file: str | os.PathLike[str] | None = None,
    ) -> None:
        """Put other rules in force, all of them at once.

        Each packet meets the old rules or the new ones, never some of both; when it returns none meets the old ones
        any more. A rule that stays goes on counting; counts of one that goes are kept.

        Raises:
            ValueError: A range, or a line of the file, is none; there is no room for so many; the session was made
                without rules. The old ones stay in force.
            OSError: The file cannot be read; the old ones stay in force.
            ClosedError: The session was stopped.

        """
        self._native.replace_rules(lists(block, allow, block_file))


def xdp(
    iface: str,
    *,
    mode: Literal["auto", "skb", "drv", "hw"] = "auto",
    block: Iterable[Range] | None = None,
    allow: Iterable[Range] | None = None,
    block_file: str | os.PathLike[str] | None = None,
    max_rules: int | None = None,
    top: int | None = None,
    pcap: str | os.PathLike[str] | None = None,
    pcap_sample: int | None = None,
    pcap_snaplen: int | None = None,
) -> PacketCounter:
    """Count every packet that arrives on an interface, and drop those that rules block.

    IPv4 with options, later fragments, IPv6 extension headers and up to two VLAN tags are seen through; what is short
    or malformed is `other`. `mode` is `skb` (generic), `drv` (native), `hw` (offloaded), or `auto`: native where the
    driver can, else generic; `attached.mode` says which it is.

    Args:
        iface: The interface.
        mode: Where the program runs.
        block: Ranges of source addresses whose packets are dropped. Of all ranges that an address is in, the one with
            the longest prefix applies; in a tie it is allowed.
        allow: Exceptions.
        block_file: More ranges to block, one a line; what is behind `#` or `;` is a comment.
        max_rules: How many rules there is room for when they are replaced; a quarter more than now and 1,024 at least,
            unless told.
        top: Count packets by source too, and give the busiest so many.
        pcap: Write packets to this file (pcapng), each with its rule as a comment: those that are dropped.
        pcap_sample: Write every so many packets of each CPU instead, whatever becomes of them.
        pcap_snaplen: Most bytes of a packet in the file; 65,280 unless told, and never more.

    Raises:
        AttachError: There is no such interface, or it carries an XDP program already.
        NotSupportedError: The driver lacks the mode.
        PrivilegeError: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed.
        ValueError: There is no such mode; a range, or a line of the file, is none; a number is out of its range.
        OSError: A file cannot be read or written.

    """
    if pcap is None and (pcap_sample is not None or pcap_snaplen is not None):
        raise ValueError("a sample and a length are those of a packet file (pcap), and there is none")
    rules = optional_lists(block, allow, block_file)
    if pcap is not None and pcap_sample is None and rules is None:
        raise ValueError("packets that are dropped go to the packet file, and there are no rules; or take a sample")
    capture = None if pcap is None else Capture(path=os.fspath(pcap), every=pcap_sample, snap_len=pcap_snaplen)
    return PacketCounter(_ebpflab.attach_xdp(iface, mode, rules, max_rules, top, capture))
