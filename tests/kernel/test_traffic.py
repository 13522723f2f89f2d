"""`traffic` on a live kernel, beside processes that know what they send, and a look at the wire that counts it too."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab
from tests.kernel.network import Counters, Peers, interface_counters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.conftest import Start

HOOKS = ("tcx", "clsact") if lab.has_tcx() else ("clsact",)
TRAFFIC = ("traffic", "--iface", "wire", "-i", "60")
IPPROTOS = {6: "tcp", 17: "udp"}
#: Direction, protocol and the port on this side.
Talk = tuple[str, str, int]
#: Packets and bytes by process, direction and protocol.
Shares = dict[tuple[int, str, str], tuple[int, int]]


class Talker(lab.Workload):
    """Talks through sockets when told to."""

    script = "talker.py"


class Tap:
    """Counts what passes on the wire, as the kernel shows it to packet sockets."""

    def __init__(self, namespace: str) -> None:
        """Start counting."""
        self._socket = lab.in_namespace(namespace, self._open)
        self._lock = threading.Lock()
        self._seen: Counter[Talk] = Counter()
        self._bytes: Counter[Talk] = Counter()
        self._is_over = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    @staticmethod
    def _open() -> socket.socket:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        so_rcvbufforce = 33
        tap.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, 1 << 26)
        every = 3
        tap.bind(("wire", every))
        tap.settimeout(0.05)
        return tap

    def _read(self) -> None:
        buffer = bytearray(128)
        while not self._is_over:
            with contextlib.suppress(TimeoutError):
                size, _, _, (_, ethertype, kind, *_) = self._socket.recvmsg_into([buffer], 0, socket.MSG_TRUNC)
                self._count(bytes(buffer), ethertype, size, is_sent=kind == socket.PACKET_OUTGOING)

    def _count(self, frame: bytes, ethertype: int, size: int, *, is_sent: bool) -> None:
        is_four = ethertype == 0x0800
        protocol = IPPROTOS.get(frame[23 if is_four else 20], "")
        port = struct.unpack_from("!HH", frame, 34 if is_four else 54)[0 if is_sent else 1]
        talk = ("egress" if is_sent else "ingress", protocol, port)
        with self._lock:
            self._seen[talk] += 1
            self._bytes[talk] += size

    def take(self, owners: dict[int, int]) -> Shares:
        """Return what has passed since the last time, of each process that these ports are of."""
        with self._lock:
            seen, size = self._seen, self._bytes
            self._seen, self._bytes = Counter(), Counter()
        shares: Shares = {}
        for talk, packets in seen.items():
            direction, protocol, port = talk
            if port in owners:
                key = (owners[port], direction, protocol)
                before = shares.get(key, (0, 0))
                shares[key] = (before[0] + packets, before[1] + size[talk])
        return shares

    def passed(self, port: int) -> int:
        """Return how many packets of a port have passed since the last time."""
        with self._lock:
            return sum(packets for talk, packets in self._seen.items() if talk[2] == port)

    def close(self) -> None:
        """End; none was lost."""
        self._is_over = True
        self._thread.join()
        packet_statistics = 6
        _, lost = struct.unpack("II", self._socket.getsockopt(263, packet_statistics, 8))
        self._socket.close()
        assert lost == 0


@pytest.fixture
def tap(peers: Peers) -> Iterator[Tap]:
    """A look at the wire on the left."""
    made = Tap(peers.left)
    yield made
    made.close()


class Hosts:
    """Processes on the left and on the right."""

    def __init__(self, peers: Peers, stack: contextlib.ExitStack) -> None:
        """Start none yet."""
        self._peers = peers
        self._stack = stack

    def left(self) -> Talker:
        """Start one on the left."""
        return self._start(self._peers.left)

    def right(self) -> Talker:
        """Start one on the right."""
        return self._start(self._peers.right)

    def _start(self, namespace: str) -> Talker:
        talker = Talker()
        self._stack.callback(talker.close)
        talker.do("enter", namespace)
        return talker


@pytest.fixture
def hosts(peers: Peers) -> Iterator[Hosts]:
    """Whom the tests have talk."""
    with contextlib.ExitStack() as stack:
        yield Hosts(peers, stack)


def shares(record: lab.Record) -> Shares:
    """Return packets and bytes by process."""
    rows = record["counts"]["processes"]
    found = {(row["pid"], row["direction"], row["protocol"]): (row["packets"], row["bytes"]) for row in rows}
    assert len(found) == len(rows)
    return found


def of_none(record: lab.Record) -> dict[tuple[str, str], tuple[int, int]]:
    """Return packets and bytes of no process, by direction and reason."""
    rows = record["counts"]["unattributed"]
    found = {(row["direction"], row["reason"]): (row["packets"], row["bytes"]) for row in rows}
    assert len(found) == len(rows)
    return found


def both(*several: Shares) -> Shares:
    """Add them up."""
    total: Shares = {}
    for each in several:
        for key, (packets, size) in each.items():
            before = total.get(key, (0, 0))
            total[key] = (before[0] + packets, before[1] + size)
    return total


def assert_all_is_counted(ended: lab.Ended, before: Counters, after: Counters) -> None:
    """What was counted in both directions is what the interface counted, and what the tool says that it did."""
    counts = ended.summary["counts"]
    rows = [*counts["processes"], *counts["unattributed"]]
    sums = {
        direction: tuple(
            sum(row[what] for row in rows if row["direction"] == direction) for what in ("packets", "bytes")
        )
        for direction in ("ingress", "egress")
    }
    assert sums["ingress"] == (after.rx_packets - before.rx_packets, after.rx_bytes - before.rx_bytes)
    assert sums["egress"] == (after.tx_packets - before.tx_packets, after.tx_bytes - before.tx_bytes)
    assert tuple(counts["received"].values()) == sums["ingress"]
    assert tuple(counts["sent"].values()) == sums["egress"]
    assert ended.ledger["seen"] == sums["ingress"][0] + sums["egress"][0]


def exchange(one: Talker, names: tuple[str, str], other: Talker, sent: int, answered: int) -> None:
    """Send so many bytes over a connection, and back: never more at once than the other side keeps for its reader."""
    talkers = (one, other)
    for sender, receiver, size in ((0, 1, sent), (1, 0, answered)):
        for start in range(0, size, 16_384):
            step = min(size - start, 16_384)
            talkers[sender].do("send", [names[sender], step])
            talkers[receiver].do("receive", [names[receiver], step])


@pytest.mark.smoke
def test_processes_over_tcp_and_udp_and_what_is_of_none(start: Start, peers: Peers, hosts: Hosts, tap: Tap) -> None:
    asker, loader, server = hosts.left(), hosts.left(), hosts.right()
    before = interface_counters(peers.left, "wire")
    tool = start(*TRAFFIC, wrapper=lab.nsenter(peers.left)).attached()
    # What a resolver does: a question and an answer.
    own = asker.do("udp", ["ask", peers.left4, 0])
    server.do("udp", ["dns", peers.right4, 53])
    asker.do("send_to", ["ask", peers.right4, 53, [29] * 23])
    server.do("receive_from", ["dns", [29] * 23])
    server.do("send_to", ["dns", peers.left4, own, [512] * 7])
    asker.do("receive_from", ["ask", [512] * 7])
    port = server.do("listen", ["listener", peers.right6])
    connection = loader.do("connect", ["load", peers.left6, peers.right6, port])
    server.do("accept", ["serve", "listener"])
    exchange(loader, ("load", "serve"), server, 100_001, 300_000)
    ping = [*lab.netns_exec(peers.left), "ping", "-q", "-c", "3", "-i", "0.01", peers.right4]
    subprocess.run(ping, check=True, stdout=subprocess.DEVNULL)
    ended = tool.stop()
    after = interface_counters(peers.left, "wire")
    found = shares(ended.summary)
    assert found[asker.pid, "egress", "udp"] == (23, 23 * (42 + 29))
    assert found[asker.pid, "ingress", "udp"] == (7, 7 * (42 + 512))
    assert found[loader.pid, "ingress", "tcp"][1] > 300_000
    assert found == tap.take({own: asker.pid, connection: loader.pid})
    assert of_none(ended.summary) == {
        ("egress", "other_protocol"): (3, 3 * 98),
        ("ingress", "other_protocol"): (3, 3 * 98),
    }
    assert_all_is_counted(ended, before, after)
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.parametrize("hook", HOOKS)
def test_sockets_from_before_the_start(start: Start, peers: Peers, hosts: Hosts, tap: Tap, hook: str) -> None:
    left, server = hosts.left(), hosts.right()
    own = left.do("udp", ["ask", peers.left4, 0])
    listening = left.do("listen", ["listener", peers.left4])
    port = server.do("listen", ["listener", peers.right6])
    connection = left.do("connect", ["load", peers.left6, peers.right6, port])
    server.do("accept", ["serve", "listener"])
    accepted = server.do("connect", ["client", peers.right4, peers.left4, listening])
    left.do("accept", ["accepted", "listener"])
    tap.take({})
    before = interface_counters(peers.left, "wire")
    tool = start(*TRAFFIC, "--hook", hook, wrapper=lab.nsenter(peers.left)).attached()
    left.do("send_to", ["ask", peers.right4, 53, [100] * 3])
    exchange(left, ("load", "serve"), server, 20_000, 10_000)
    exchange(left, ("accepted", "client"), server, 10_000, 20_000)
    left.do("close", "accepted")
    server.do("close", "client")
    assert lab.eventually(lambda: tap.passed(listening) > 8)
    ended = tool.stop()
    after = interface_counters(peers.left, "wire")
    assert accepted
    found = shares(ended.summary)
    assert set(found) == {
        (left.pid, way, kind) for way, kind in (("ingress", "tcp"), ("egress", "tcp"), ("egress", "udp"))
    }
    assert_all_is_counted(ended, before, after)
    told = tap.take({own: left.pid, connection: left.pid, listening: left.pid})
    # Nobody listens on port 53, and the answers that say so are ICMP.
    assert {reason for _, reason in of_none(ended.summary)} <= {"other_protocol", "no_socket"}
    assert found[left.pid, "egress", "udp"] == told[left.pid, "egress", "udp"] == (3, 3 * 142)
    assert {each["kind"] for each in tool.first["hooks"]} == {hook, "cgroup_sock", "raw_tracepoint"}


def test_a_connection_is_of_who_accepts_it_and_a_socket_of_who_made_it(
    start: Start, peers: Peers, hosts: Hosts, tap: Tap
) -> None:
    parent, client = hosts.left(), hosts.right()
    tool = start(*TRAFFIC, wrapper=lab.nsenter(peers.left)).attached()
    before = interface_counters(peers.left, "wire")
    own = parent.do("udp", ["ask", peers.left4, 0])
    port = parent.do("listen", ["listener", peers.left4])
    client.do("connect", ["client", peers.right4, peers.left4, port])
    # Three for the connection, which are those of the one who listens.
    assert lab.eventually(lambda: tap.passed(port) == 3)
    expected = tap.take({port: parent.pid})
    child = parent.do(
        "in_fork",
        [["accept", ["served", "listener"]], ["send", ["served", 10_000]], ["send_to", ["ask", peers.right4, 9, [10]]]],
    )
    client.do("receive", ["client", 10_000])
    client.do("close", "client")
    # The child has ended, so what is sent after that is of its connection all the same.
    assert lab.eventually(lambda: tap.passed(port) >= 6)
    ended = tool.stop()
    after = interface_counters(peers.left, "wire")
    both_ways = tap.take({port: child, own: parent.pid})
    assert child != parent.pid
    found = shares(ended.summary)
    # The last packets of a connection may be for one that is over for the process, and has no socket but the kernel's.
    late = {
        (child, direction, "tcp"): (-packets, -size)
        for (direction, reason), (packets, size) in of_none(ended.summary).items()
        if reason in {"no_socket", "unknown_process"}
    }
    assert all(packets >= -2 for packets, _ in late.values())
    assert found == both(expected, both_ways, late)
    assert found[parent.pid, "egress", "udp"] == (1, 52)
    assert_all_is_counted(ended, before, after)


def test_what_has_no_socket_and_no_ports(start: Start, peers: Peers, hosts: Hosts) -> None:
    left, right = hosts.left(), hosts.right()
    own = left.do("udp", ["ask", peers.left4, 0])
    port = right.do("udp", ["answer", peers.right4, 0])
    before = interface_counters(peers.left, "wire")
    tool = start(*TRAFFIC, wrapper=lab.nsenter(peers.left)).attached()
    # As six fragments, of which the first alone has ports; what leaves knows its socket.
    right.do("send_to", ["answer", peers.left4, own, [8_000]])
    left.do("receive_from", ["ask", [8_000]])
    left.do("send_to", ["ask", peers.right4, port, [8_000]])
    right.do("receive_from", ["answer", [8_000]])

    def strange() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("wire", 0))
            assert raw.send(bytes(12) + b"\x88\xcc" + bytes(46)) == 60

    lab.in_namespace(peers.right, strange)
    # Nobody has that port, and the kernel says so.
    right.do("send_to", ["answer", peers.left4, 9, [58]])
    assert lab.eventually(lambda: interface_counters(peers.left, "wire").rx_packets - before.rx_packets == 8)
    ended = tool.stop()
    sizes = [*[1_514] * 5, 14 + 20 + 8_008 - 5 * 1_480]
    assert shares(ended.summary) == {
        (left.pid, "ingress", "udp"): (1, 1_514),
        (left.pid, "egress", "udp"): (6, sum(sizes)),
    }
    assert of_none(ended.summary) == {
        ("ingress", "no_ports"): (5, sum(sizes[1:])),
        ("ingress", "not_ip"): (1, 60),
        ("ingress", "no_socket"): (1, 100),
        ("egress", "other_protocol"): (1, 100 + 28),
    }
    assert_all_is_counted(ended, before, interface_counters(peers.left, "wire"))


def test_a_full_map_is_counted_and_its_bytes_are_not_lost(start: Start, peers: Peers, hosts: Hosts) -> None:
    before = interface_counters(peers.left, "wire")
    tool = start(*TRAFFIC, "--max-entries", "1", wrapper=lab.nsenter(peers.left)).attached()
    for _ in range(2):
        talker = hosts.left()
        talker.do("udp", ["ask", peers.left4, 0])
        talker.do("send_to", ["ask", peers.right4, 9, [10] * 3])
    ended = tool.stop()
    assert (ended.ledger["map_full"], [*shares(ended.summary).values()]) == (3, [(3, 3 * 52)])
    assert of_none(ended.summary)["egress", "map_full"] == (3, 3 * 52)
    assert_all_is_counted(ended, before, interface_counters(peers.left, "wire"))
    assert (ended.status, ended.stderr) == (0, "ebpflab: lost: map_full 3\n")


def test_sockets_from_before_that_cannot_be_asked_for(start: Start, peers: Peers, hosts: Hosts) -> None:
    old = hosts.left()
    old.do("udp", ["old", peers.left4, 0])
    tool = start(*TRAFFIC, "-d", "2", wrapper=(*lab.nsenter(peers.left), *lab.IN_PID_NAMESPACE)).attached()
    old.do("udp", ["new", peers.left4, 0])
    for name, count in (("old", 3), ("new", 5)):
        old.do("send_to", [name, peers.right4, 9, [10] * count])
    ended = tool.ended()
    assert of_none(ended.summary)["egress", "unknown_process"] == (3, 3 * 52)
    assert shares(ended.summary) == {(old.pid, "egress", "udp"): (5, 5 * 52)}
    told = "ebpflab: processes have other ids outside of this PID namespace: packets of sockets from before are counted"
    assert ended.stderr.startswith(told)


def test_readings_from_python(peers: Peers, hosts: Hosts) -> None:
    talker = hosts.left()
    own = talker.do("udp", ["ask", peers.left4, 0])

    def count() -> ebpflab.TrafficCounts:
        with ebpflab.traffic("wire") as counter:
            talker.do("send_to", ["ask", peers.right4, own, [100] * 23])
            (row,) = (row for row in counter.read().processes if row.pid == talker.pid)
            assert (row.direction, row.protocol, row.packets, row.bytes) == ("egress", "udp", 23, 23 * 142)
            assert row.comm == Path(f"/proc/{talker.pid}/comm").read_text()[:-1]
            assert row.rate > 0
            assert counter.read().processes[0].rate == 0
        assert counter.ledger.balanced
        return counter.stop().counts

    counts = lab.in_namespace(peers.left, count)
    assert [row.packets for row in counts.processes] == [23]
    of_none = sum(row.bytes for row in counts.unattributed if row.direction == "egress")
    assert counts.sent.bytes == 23 * 142 + of_none


def test_lo_leaves_out_its_link_headers(start: Start, loopback: str) -> None:
    before = interface_counters(loopback, "lo")
    tool = start("traffic", "--iface", "lo", "-i", "60", wrapper=lab.nsenter(loopback)).attached()
    with contextlib.closing(Talker()) as talker:
        talker.do("enter", loopback)
        port = talker.do("udp", ["ask", "127.0.0.1", 0])
        talker.do("send_to", ["ask", "127.0.0.1", port, [100] * 23])
        talker.do("receive_from", ["ask", [100] * 23])
    ended = tool.stop()
    each = {(talker.pid, direction, "udp"): (23, 23 * 128) for direction in ("ingress", "egress")}
    assert shares(ended.summary) == each
    assert_all_is_counted(ended, before, interface_counters(loopback, "lo"))


def test_two_at_once_and_one_that_is_killed(start: Start, peers: Peers, hosts: Hosts) -> None:
    before = lab.tc(peers.left, "qdisc", "show", "dev", "wire")
    talker = hosts.left()
    tools = [start(*TRAFFIC, wrapper=lab.nsenter(peers.left)).attached() for _ in range(2)]
    talker.do("udp", ["ask", peers.left4, 0])
    talker.do("send_to", ["ask", peers.right4, 9, [10] * 3])
    tools[0].kill()
    talker.do("send_to", ["ask", peers.right4, 9, [10] * 3])
    ended = tools[1].stop()
    assert shares(ended.summary) == {(talker.pid, "egress", "udp"): (6, 6 * 52)}
    assert lab.eventually(lambda: lab.tc(peers.left, "qdisc", "show", "dev", "wire") == before)


def test_an_interface_that_goes_away(start: Start, peers: Peers) -> None:
    arguments = ("traffic", "--iface", "wire", "-i", "0.05", "-d", "20")
    tool = start(*arguments, wrapper=lab.nsenter(peers.left)).attached()
    lab.ip("-n", peers.left, "link", "delete", "wire")
    ended = tool.ended()
    assert (ended.status, ended.stderr) == (1, "ebpflab: interface wire went away while it was watched\n")
