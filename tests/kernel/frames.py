"""Frames of every kind, as bytes, with the protocol that each is to be counted as."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import NamedTuple


class Frame(NamedTuple):
    """A frame and what it is."""

    what: str
    protocol: str
    data: bytes


IPV4, ARP, VLAN, IPV6, QINQ, LLDP = 0x0800, 0x0806, 0x8100, 0x86DD, 0x88A8, 0x88CC
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
HOP_BY_HOP, ROUTING, FRAGMENT, AH, NO_NEXT_HEADER, DESTINATION = 0, 43, 44, 51, 59, 60

# Ports or type and code first; what follows is nobody's concern here.
TCP_HEADER = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 5 << 4, 2, 100, 0, 0)
UDP_HEADER = struct.pack("!HHHH", 1, 2, 8, 0)
ECHO = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
ARP_REQUEST = struct.pack("!HHBBH", 1, IPV4, 6, 4, 1) + bytes(20)
HEADERS = {ICMP: ECHO, TCP: TCP_HEADER, UDP: UDP_HEADER, ICMPV6: ECHO, SCTP: bytes(12)}


def ethernet(ethertype: int, payload: bytes, tags: tuple[int, ...] = ()) -> bytes:
    """To everybody, so that any interface takes it; each tag is the ethertype that announces it."""
    types = b"".join(struct.pack("!HH", tag, 7) for tag in tags)
    return b"\xff" * 6 + b"\x02\0\0\0\0\x01" + types + struct.pack("!H", ethertype) + payload


def ipv4(
    protocol: int,
    payload: bytes | None = None,
    *,
    options: bytes = b"",
    offset: int = 0,
    version: int = 4,
    words: int | None = None,
    total: int | None = None,
    source: str = "10.0.0.1",
) -> bytes:
    """An IPv4 packet; `words` and `total` are the lengths that it states, if not the right ones."""
    payload = HEADERS[protocol] if payload is None else payload
    words = 5 + len(options) // 4 if words is None else words
    total = 20 + len(options) + len(payload) if total is None else total
    addresses = ip_address(source).packed + b"\x0a\0\0\2"
    header = struct.pack("!BBHHHBBH8s", version << 4 | words, 0, total, 1, offset, 64, protocol, 0, addresses)
    return header + options + payload


def ipv6(
    next_header: int,
    payload: bytes | None = None,
    *,
    version: int = 6,
    length: int | None = None,
    source: str = "::",
) -> bytes:
    """An IPv6 packet; `length` is the one it states, if not the right one."""
    payload = HEADERS[next_header] if payload is None else payload
    length = len(payload) if length is None else length
    return (
        struct.pack("!IHBB", version << 28, length, next_header, 64) + ip_address(source).packed + bytes(16) + payload
    )


def extension(next_header: int, units: int = 0) -> bytes:
    """An extension header of 8 bytes and as many further units of 8."""
    return struct.pack("!BB", next_header, units) + bytes(6 + 8 * units)


def fragment(next_header: int, offset: int, rest: bytes) -> bytes:
    """A fragment header, offset in units of 8 bytes, and what follows it."""
    return struct.pack("!BBHI", next_header, 0, offset << 3 | 1, 1) + rest


AUTHENTICATION = struct.pack("!BB", UDP, 4) + bytes(22)
EXTENDED = extension(ROUTING) + extension(DESTINATION, 2) + extension(FRAGMENT, 1) + fragment(TCP, 0, TCP_HEADER)


def udp_from(source: str) -> bytes:
    """A whole frame with a UDP packet from an address."""
    if ip_address(source).version == 4:
        return ethernet(IPV4, ipv4(UDP, source=source))
    return ethernet(IPV6, ipv6(UDP, source=source))


FRAMES = [
    Frame("tcp over IPv4", "tcp", ethernet(IPV4, ipv4(TCP))),
    Frame("a full frame", "tcp", ethernet(IPV4, ipv4(TCP, TCP_HEADER + bytes(1460)))),
    Frame("padded to 60 bytes", "tcp", ethernet(IPV4, ipv4(TCP)).ljust(60, b"\0")),
    Frame("IPv4 options", "tcp", ethernet(IPV4, ipv4(TCP, options=bytes(4)))),
    Frame("a later fragment", "tcp", ethernet(IPV4, ipv4(TCP, b"12345678", offset=185))),
    Frame("a first fragment", "tcp", ethernet(IPV4, ipv4(TCP, offset=0x2000))),
    Frame("tcp over IPv6", "tcp", ethernet(IPV6, ipv6(TCP))),
    Frame("IPv6 extension headers", "tcp", ethernet(IPV6, ipv6(HOP_BY_HOP, EXTENDED))),
    Frame("one tag", "tcp", ethernet(IPV4, ipv4(TCP), (VLAN,))),
    Frame("two tags", "tcp", ethernet(IPV6, ipv6(TCP), (QINQ, VLAN))),
    Frame("udp over IPv4", "udp", ethernet(IPV4, ipv4(UDP))),
    Frame("most options", "udp", ethernet(IPV4, ipv4(UDP, options=bytes(40)))),
    Frame("the last fragment", "udp", ethernet(IPV4, ipv4(UDP, b"1", offset=1))),
    Frame("udp over IPv6", "udp", ethernet(IPV6, ipv6(UDP))),
    Frame("an authentication header", "udp", ethernet(IPV6, ipv6(AH, AUTHENTICATION + UDP_HEADER))),
    Frame("a later IPv6 fragment", "udp", ethernet(IPV6, ipv6(FRAGMENT, fragment(UDP, 100, b"12345678")))),
    Frame("one provider tag", "udp", ethernet(IPV4, ipv4(UDP), (QINQ,))),
    Frame("icmp", "icmp", ethernet(IPV4, ipv4(ICMP))),
    Frame("icmp in two tags", "icmp", ethernet(IPV4, ipv4(ICMP), (VLAN, VLAN))),
    Frame("icmpv6", "icmp", ethernet(IPV6, ipv6(ICMPV6))),
    Frame("icmpv6 after a header", "icmp", ethernet(IPV6, ipv6(HOP_BY_HOP, extension(ICMPV6) + ECHO))),
    Frame("arp", "arp", ethernet(ARP, ARP_REQUEST)),
    Frame("arp in a tag", "arp", ethernet(ARP, ARP_REQUEST, (VLAN,))),
    Frame("arp cut short", "other", ethernet(ARP, ARP_REQUEST[:-1])),
    Frame("sctp", "other", ethernet(IPV4, ipv4(SCTP))),
    Frame("icmpv6 over IPv4", "other", ethernet(IPV4, ipv4(ICMPV6))),
    Frame("icmp over IPv6", "other", ethernet(IPV6, ipv6(ICMP))),
    Frame("no next header", "other", ethernet(IPV6, ipv6(NO_NEXT_HEADER, b""))),
    Frame("lldp", "other", ethernet(LLDP, bytes(46))),
    Frame("a link header alone", "other", ethernet(IPV4, b"")),
    Frame("a tag cut short", "other", ethernet(VLAN, b"\0\7")),
    Frame("three tags", "other", ethernet(IPV4, ipv4(TCP), (QINQ, VLAN, VLAN))),
    Frame("an IPv4 header cut short", "other", ethernet(IPV4, ipv4(TCP)[:19])),
    Frame("a tcp header cut short", "other", ethernet(IPV4, ipv4(TCP, TCP_HEADER[:19]))),
    Frame("more stated than there", "other", ethernet(IPV4, ipv4(UDP, total=29))),
    Frame("options that are not there", "other", ethernet(IPV4, ipv4(UDP, words=8))),
    Frame("a header of 16 bytes", "other", ethernet(IPV4, ipv4(UDP, words=4))),
    Frame("version 6 as IPv4", "other", ethernet(IPV4, ipv4(UDP, version=6))),
    Frame("version 4 as IPv6", "other", ethernet(IPV6, ipv6(UDP, version=4))),
    Frame("an IPv6 header cut short", "other", ethernet(IPV6, ipv6(UDP)[:39])),
    Frame("more than there in IPv6", "other", ethernet(IPV6, ipv6(UDP, length=9))),
    Frame(
        "an extension past the end", "other", ethernet(IPV6, ipv6(HOP_BY_HOP, struct.pack("!BB", UDP, 3) + bytes(14)))
    ),
]
