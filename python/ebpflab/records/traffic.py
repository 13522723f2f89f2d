"""Traffic by process."""

from __future__ import annotations

from dataclasses import dataclass

from ebpflab.records.xdp import PacketCount


@dataclass(frozen=True, slots=True)
class ProcessCount:
    """Packets and bytes of one process, protocol and direction on an interface since the start.

    `pid` is the process that made or accepted the sockets, in the initial PID namespace, and `comm` the name that its
    thread had then. `direction` is `ingress` (received) or `egress` (sent), `protocol` is `tcp` or `udp`. `bytes` are
    those of whole frames, link headers included but on lo; `rate` is bytes per second since the last reading.
    """

    pid: int
    comm: str
    direction: str
    protocol: str
    packets: int
    bytes: int
    rate: float


@dataclass(frozen=True, slots=True)
class UnattributedCount:
    """Packets and bytes of no process since the start, and why.

    `reason` is `not_ip` (or malformed), `other_protocol` (neither TCP nor UDP), `no_ports` (a later fragment that
    arrives, or one that is cut), `no_socket` (nobody here has one for it), `unknown_process` (of a socket of the
    kernel's own, or from before the start that could not be asked for), or `map_full` (no room for another process).
    """

    direction: str
    reason: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TrafficCounts:
    """Packets of TCP and UDP by process, those with most bytes first, and all others by why they are of none.

    Together these are all packets of the interface; `received` and `sent` are what the interface itself has counted
    since the start. That is read after the others, so packets that pass meanwhile are a difference.
    """

    processes: tuple[ProcessCount, ...]
    unattributed: tuple[UnattributedCount, ...]
    received: PacketCount
    sent: PacketCount
