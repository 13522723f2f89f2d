"""A network that nobody else is on: lo of a network namespace of its own, and frames of known protocols."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
import time
from typing import TYPE_CHECKING

from ebpflab.errors import PrivilegeError
from ebpflab.learn.work import draw

if TYPE_CHECKING:
    from typing_extensions import Self

_CLONE_NEWNET = 0x4000_0000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33
#: How long frames may take to come around.
_PATIENCE = 2.0
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806


class Loopback:
    """The thread is in a network namespace of its own, whose lo is up, until the end of the block."""

    def __init__(self) -> None:
        """Enter it.

        Raises:
            PrivilegeError: This process may not, which takes CAP_SYS_ADMIN.

        """
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._call(self._libc.unshare(_CLONE_NEWNET), "make a network namespace")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            asked = struct.pack("16sh14x", b"lo", 0)
            (flags,) = struct.unpack_from("h", fcntl.ioctl(control, _SIOCGIFFLAGS, asked), 16)
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
        self._sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._sender.bind(("lo", 0))
        self._receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._receiver.bind(("lo", _ETH_P_ALL))
        self._receiver.settimeout(0.1)
        # Room for all frames that a check sends, on their way out and in.
        self._receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)

    @staticmethod
    def _call(result: int, what: str) -> None:
        number = ctypes.get_errno()
        if result != 0 and number == errno.EPERM:
            fix = "run it as root"
            raise PrivilegeError(f"cannot {what}: CAP_SYS_ADMIN is missing; {fix}", ["CAP_SYS_ADMIN"], fix)
        if result != 0:
            raise OSError(number, f"cannot {what}: {os.strerror(number)}")

    def send(self, frames: list[bytes]) -> list[bytes]:
        """Send frames, and return those that came around, past whatever program is there."""
        arrived: list[bytes] = []
        for frame in frames:
            self._send(frame)
        end = time.monotonic() + _PATIENCE
        while len(arrived) < len(frames) and time.monotonic() < end:
            try:
                frame, address = self._receiver.recvfrom(1 << 16)
            except TimeoutError:
                continue
            # What is sent is seen on its way out too.
            if address[2] != socket.PACKET_OUTGOING:
                arrived.append(frame)
        return arrived

    def _send(self, frame: bytes) -> None:
        try:
            self._sender.send(frame)
        except OSError as error:
            # What is dropped on its way out, the sender is told so.
            if error.errno != errno.ENOBUFS:
                raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Go back."""
        self._sender.close()
        self._receiver.close()
        self._call(self._libc.setns(self._before, _CLONE_NEWNET), "go back to the network namespace from before")
        os.close(self._before)


def ethernet(kind: int, content: bytes) -> bytes:
    """Return a frame."""
    return bytes(12) + struct.pack("!H", kind) + content


def ipv4(protocol: int, payload: bytes = b"", source: str = "192.0.2.1", options: int = 0) -> bytes:
    """Return a frame with a packet to where nobody is, so that nobody answers; with so many words of options."""
    size = 20 + 4 * options
    # A time to live that is no number of a protocol that is counted.
    first = struct.pack(
        "!BBHHHBBH", 0x45 + options, 0, size + len(payload), draw(0, 0xFFFF), 0, draw(64, 255), protocol, 0
    )
    addresses = socket.inet_aton(source) + socket.inet_aton("198.51.100.7")
    # An option of one byte that says nothing.
    return ethernet(IPV4, first + addresses + b"\x01" * (4 * options) + payload)


def ipv6(protocol: int, tenth: int) -> bytes:
    """Return a frame with a packet of IPv6, of which the tenth byte (of the source address) is given."""
    source = bytes([0x20, tenth]) + bytes(14)
    return ethernet(IPV6, struct.pack("!IHBB", 6 << 28, 0, protocol, 64) + source + b"\x20\x01\x0d\xb8" + bytes(12))
