"""Two hosts on one wire, and what they say to each other: whole exchanges whose sizes are known."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernel import lab

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The first and the second host, and their link addresses.
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


@dataclass(frozen=True)
class Counters:
    """What the kernel counts for an interface."""

    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int


@dataclass(frozen=True)
class Peers:
    """Two network namespaces that are joined by the interface `wire`. They know each other's link address."""

    left: str
    right: str
    left4: str = "192.0.2.1"
    right4: str = "192.0.2.2"
    left6: str = "2001:db8::1"
    right6: str = "2001:db8::2"

    def prepare(self) -> None:
        """Give them their addresses; after that nobody says anything that is not asked for."""
        for end, addresses in ((self.left, (self.left4, self.left6)), (self.right, (self.right4, self.right6))):
            # Without a link-local address, from which routers would be asked for.
            for setting, value in (("disable_ipv6", "0"), ("addr_gen_mode", "1")):
                path = Path(f"/proc/sys/net/ipv6/conf/wire/{setting}")
                lab.in_namespace(end, lambda path=path, value=value: path.write_text(value))  # type: ignore[misc]
            mac, other = MACS if end == self.left else MACS[::-1]
            lab.ip("-n", end, "link", "set", "wire", "down")
            lab.ip("-n", end, "link", "set", "wire", "address", mac)
            # Whoever asks nobody for addresses need not listen for being asked: IPv6 would tell by multicast of that.
            lab.ip("-n", end, "link", "set", "wire", "up", "arp", "off", "multicast", "off")
            for address in addresses:
                length = "/64" if ":" in address else "/24"
                lab.ip("-n", end, "address", "add", address + length, "dev", "wire", *["nodad"] * (":" in address))
            for neighbour in {self.left4, self.left6, self.right4, self.right6} - set(addresses):
                lab.ip("-n", end, "neighbour", "add", neighbour, "lladdr", other, "dev", "wire", "nud", "permanent")


TCP_CLOSE = 7


def _state(sock: socket.socket) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def _socket(namespace: str, family: int, kind: int, address: str) -> socket.socket:
    """Make a socket of a network namespace, bound to an address of it."""

    def make() -> socket.socket:
        made = socket.socket(family, kind)
        made.settimeout(10)
        made.bind((address, 0))
        return made

    return lab.in_namespace(namespace, make)


def _transfer(sender: socket.socket, receiver: socket.socket, size: int) -> None:
    """Send so many bytes, as much at once as gets through."""
    chunk = bytes(65_536)
    left, pending = size, 0
    while left or pending:
        if left and pending < len(chunk):
            done = sender.send(chunk[:left])
            left, pending = left - done, pending + done
        pending -= len(receiver.recv(len(chunk)))


def udp_exchange(peers: Peers, left: str, right: str, sent: Sequence[int], answered: Sequence[int]) -> tuple[int, int]:
    """Send datagrams of these sizes from the left, and back; return the ports."""
    family = socket.AF_INET6 if ":" in left else socket.AF_INET
    ours = _socket(peers.left, family, socket.SOCK_DGRAM, left)
    theirs = _socket(peers.right, family, socket.SOCK_DGRAM, right)
    with ours, theirs:
        for sender, receiver, sizes in ((ours, theirs, sent), (theirs, ours, answered)):
            for size in sizes:
                assert sender.sendto(bytes(size), receiver.getsockname()[:2]) == size
                assert len(receiver.recv(65_536)) == size
        return ours.getsockname()[1], theirs.getsockname()[1]


def tcp_exchange(peers: Peers, left: str, right: str, sent: int, answered: int) -> None:
    """Connect from the left, send, get an answer, and close so that all of it is over at the end."""
    family = socket.AF_INET6 if ":" in left else socket.AF_INET
    listener = _socket(peers.right, family, socket.SOCK_STREAM, right)
    client = _socket(peers.left, family, socket.SOCK_STREAM, left)
    with listener, client:
        listener.listen()
        client.connect(listener.getsockname()[:2])
        server, _ = listener.accept()
        with server:
            _transfer(client, server, sent)
            _transfer(server, client, answered)
            client.shutdown(socket.SHUT_WR)
            assert server.recv(1) == b""
            server.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
            # The last acknowledgement has arrived.
            assert lab.eventually(lambda: _state(server) == TCP_CLOSE)


def interface_counters(namespace: str, iface: str) -> Counters:
    """Return what the kernel has counted for an interface of a network namespace."""

    def read() -> Counters:
        # /proc/net/dev has the same numbers as /sys/class/net/IFACE/statistics, for this thread's namespace.
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]
        (values,) = [line.split(":")[1].split() for line in lines if line.split(":")[0].strip() == iface]
        return Counters(*(int(values[column]) for column in (1, 0, 9, 8)))

    return lab.in_namespace(namespace, read)
