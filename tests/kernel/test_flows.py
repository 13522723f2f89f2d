"""`flows` on a live kernel, beside senders that know what they send."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab
from tests.kernel.network import Peers, interface_counters, tcp_exchange, udp_exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.conftest import Start

HOOKS = ("tcx", "clsact") if lab.has_tcx() else ("clsact",)
#: An IPv4 packet with nothing in its datagram, from 10.0.0.1:1000 to 10.0.0.2:53.
DATAGRAM = bytes.fromhex("4500001c00000000401100000a0000010a00000203e8003500080000")
FLOWS = ("flows", "--iface", "wire", "-i", "60")


@pytest.fixture(params=HOOKS)
def hook(request: pytest.FixtureRequest) -> str:
    """Every hook of this kernel."""
    kind: str = request.param
    return kind


def flows(record: lab.Record) -> dict[tuple[object, ...], tuple[int, int]]:
    """Return packets and bytes by all that makes a flow."""
    fields = ("direction", "protocol", "source", "source_port", "destination", "destination_port", "vlan")
    found = {tuple(row[field] for field in fields): (row["packets"], row["bytes"]) for row in record["counts"]}
    assert len(found) == len(record["counts"])
    return found


def sums(record: lab.Record, direction: str) -> tuple[int, int]:
    """Return packets and bytes of a direction."""
    rows = [row for row in record["counts"] if row["direction"] == direction]
    return sum(row["packets"] for row in rows), sum(row["bytes"] for row in rows)


@pytest.mark.smoke
def test_23_datagrams_each_way_over_ipv4_and_ipv6(start: Start, peers: Peers, hook: str) -> None:
    tool = start(*FLOWS, "--hook", hook, wrapper=lab.netns_exec(peers.left)).attached()
    expected = {}
    for left, right in ((peers.left4, peers.right4), (peers.left6, peers.right6)):
        ports = udp_exchange(peers, left, right, sent=[100] * 23, answered=[300] * 7)
        header = 14 + (40 if ":" in left else 20) + 8
        expected["egress", "udp", left, ports[0], right, ports[1], None] = (23, 23 * (header + 100))
        expected["ingress", "udp", right, ports[1], left, ports[0], None] = (7, 7 * (header + 300))
    ended = tool.stop()
    assert {flow: count for flow, count in flows(ended.summary).items() if flow[1] == "udp"} == expected
    # Neighbours are known beforehand, so nothing else is said.
    assert ended.ledger["seen"] == 60
    assert (ended.status, ended.stderr) == (0, "")
    assert {each["kind"] for each in tool.first["hooks"]} == {hook}


def test_tcp_and_udp_are_what_the_interface_counts(start: Start, peers: Peers, hook: str) -> None:
    before = interface_counters(peers.left, "wire")
    tool = start(*FLOWS, "--hook", hook, wrapper=lab.netns_exec(peers.left)).attached()
    for left, right in ((peers.left4, peers.right4), (peers.left6, peers.right6)):
        tcp_exchange(peers, left, right, sent=3_000_000, answered=1_000_001)
        udp_exchange(peers, left, right, sent=[1, 1472, 40_000], answered=[512])
    subprocess.run([*lab.netns_exec(peers.left), "ping", "-q", "-c", "3", "-i", "0.01", peers.right4], check=True)
    ended = tool.stop()
    after = interface_counters(peers.left, "wire")
    received, sent = sums(ended.summary, "ingress"), sums(ended.summary, "egress")
    assert received == (after.rx_packets - before.rx_packets, after.rx_bytes - before.rx_bytes)
    assert sent == (after.tx_packets - before.tx_packets, after.tx_bytes - before.tx_bytes)
    assert ended.ledger["seen"] == received[0] + sent[0]
    # Each datagram of 40,000 bytes is sent as fragments, of which the first alone has ports.
    later = [flow for flow in flows(ended.summary) if flow[1] == "udp" and flow[3] is None]
    assert {flow[2] for flow in later} == {peers.left4, peers.left6}
    protocols = Counter(str(flow[1]) for flow in flows(ended.summary))
    assert set(protocols) == {"tcp", "udp", "icmp"}


@pytest.mark.parametrize("tags", ["8100002a", "88a800078100002a"], ids=["one-tag", "two-tags"])
def test_vlans_are_told_by_the_outermost(start: Start, peers: Peers, hook: str, tags: str) -> None:
    frame = bytes(12) + bytes.fromhex(tags + "0800") + DATAGRAM
    tools = [start(*FLOWS, "--hook", hook, wrapper=lab.netns_exec(end)).attached() for end in (peers.left, peers.right)]

    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("wire", 0))
            for _ in range(23):
                assert raw.send(frame) == len(frame)

    lab.in_namespace(peers.left, send)
    flow = ("udp", "10.0.0.1", 1000, "10.0.0.2", 53, {"8100002a": 42, "88a800078100002a": 7}[tags])
    assert flows(tools[0].stop().summary) == {("egress", *flow): (23, 23 * len(frame))}
    # The receiving kernel takes the outermost tag out of the frame, and keeps it beside it.
    assert flows(tools[1].stop().summary) == {("ingress", *flow): (23, 23 * (len(frame) - 4))}


@contextlib.contextmanager
def tun(name: str) -> Iterator[int]:
    """Make a tunnel interface in this network namespace; what is written to it has no link header."""
    tunsetiff, iff_tun, iff_no_pi = 0x400454CA, 0x0001, 0x1000
    fd = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(fd, tunsetiff, struct.pack("16sH", name.encode(), iff_tun | iff_no_pi))
        yield fd
    finally:
        os.close(fd)


def test_an_interface_without_link_headers(start: Start, loopback: str, hook: str) -> None:
    six = bytes.fromhex("6000000000083a40") + bytes(15) + b"\1" + bytes(15) + b"\2" + bytes(8)

    def run() -> lab.Ended:
        with tun("tun0") as fd:
            lab.ip("link", "set", "tun0", "up")
            lab.ip("address", "add", "10.0.0.2/24", "dev", "tun0")
            arguments = ("flows", "--iface", "tun0", "-i", "60", "--hook", hook)
            tool = start(*arguments, wrapper=lab.netns_exec(loopback)).attached()
            for _ in range(23):
                os.write(fd, DATAGRAM)
            for _ in range(3):
                os.write(fd, six)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.bind(("10.0.0.2", 4000))
                udp.sendto(bytes(10), ("10.0.0.9", 5000))
            return tool.stop()

    found = flows(lab.in_namespace(loopback, run).summary)
    assert found["ingress", "udp", "10.0.0.1", 1000, "10.0.0.2", 53, None] == (23, 23 * 28)
    assert found["ingress", "icmpv6", "::1", None, "::2", None, None] == (3, 3 * 48)
    assert found["egress", "udp", "10.0.0.2", 4000, "10.0.0.9", 5000, None] == (1, 38)


def test_a_full_map_is_counted(start: Start, peers: Peers, hook: str) -> None:
    tool = start(*FLOWS, "--hook", hook, "--max-entries", "2", wrapper=lab.netns_exec(peers.left)).attached()
    for _ in range(5):
        udp_exchange(peers, peers.left4, peers.right4, sent=[10] * 3, answered=[])
    ended = tool.stop()
    assert (ended.ledger["seen"], ended.ledger["submitted"], ended.ledger["map_full"]) == (15, 6, 9)
    assert [row["packets"] for row in ended.summary["counts"]] == [3, 3]
    assert (ended.status, ended.stderr) == (0, "ebpflab: lost: map_full 9\n")


@pytest.mark.native
def test_readings_end_at_their_limit(start: Start, peers: Peers) -> None:
    arguments = ("flows", "--iface", "wire", "-i", "0.02", "--limit", "3")
    ended = start(*arguments, wrapper=lab.netns_exec(peers.left)).ended()
    assert [record["type"] for record in ended.records] == ["attached", "flows", "flows", "flows", "summary"]
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.native
def test_from_python(peers: Peers, hook: str) -> None:
    def count() -> list[ebpflab.FlowCount]:
        with ebpflab.flows("wire", hook=hook) as counter:  # type: ignore[arg-type]
            ports = udp_exchange(peers, peers.left4, peers.right4, sent=[100] * 23, answered=[])
            (flow,) = counter.read()
            assert (flow.source, flow.source_port, flow.destination_port) == (peers.left4, *ports)
            assert (flow.packets, flow.bytes) == (23, 23 * 142)
            assert flow.rate > 0
            (again,) = counter.read()
            assert again.rate == 0
        assert counter.ledger.balanced
        return counter.stop().counts

    assert [flow.packets for flow in lab.in_namespace(peers.left, count)] == [23]


def tc(namespace: str) -> dict[str, object]:
    """Return all that tc(8) tells of the interface, and the bpf_links that there are."""
    return {
        "qdisc": lab.tc(namespace, "qdisc", "show", "dev", "wire"),
        "ingress": lab.tc(namespace, "filter", "show", "dev", "wire", "ingress"),
        "egress": lab.tc(namespace, "filter", "show", "dev", "wire", "egress"),
        "links": {number for kind, number in lab.kernel_ids() if kind == "link"},
    }


#: A filter of somebody else's: a classic BPF program that takes every packet, so that no filter after it sees any.
THEIRS = ("prio", "7", "protocol", "all", "bpf", "bytecode", "1,6 0 0 4294967295", "classid", "1:1")
END = {
    "interrupted": lambda tool: tool.stop(),
    "killed": lambda tool: tool.kill(),
}


@pytest.mark.parametrize("end", END)
def test_tc_is_as_it_was(start: Start, peers: Peers, hook: str, end: str) -> None:
    before = tc(peers.left)
    assert "clsact" not in str(before["qdisc"])
    tool = start(*FLOWS, "--hook", hook, wrapper=lab.netns_exec(peers.left)).attached()
    assert ("clsact" in str(tc(peers.left)["qdisc"])) == (hook == "clsact")
    assert tc(peers.left) != before
    END[end](tool)
    assert lab.eventually(lambda: tc(peers.left) == before)
    assert lab.eventually(lambda: not guards())


@pytest.mark.parametrize("end", END)
def test_what_others_have_in_clsact_stays(start: Start, peers: Peers, hook: str, end: str) -> None:
    lab.tc(peers.left, "qdisc", "add", "dev", "wire", "clsact")
    for direction in ("ingress", "egress"):
        lab.tc(peers.left, "filter", "add", "dev", "wire", direction, *THEIRS)
    before = tc(peers.left)
    assert "bytecode" in str(before["egress"])
    tool = start(*FLOWS, "--hook", hook, wrapper=lab.netns_exec(peers.left)).attached()
    udp_exchange(peers, peers.left4, peers.right4, sent=[10] * 23, answered=[10])
    ended = END[end](tool)
    assert lab.eventually(lambda: tc(peers.left) == before)
    if end == "interrupted":
        # It sees what they would have let pass without asking further.
        assert ended.ledger["seen"] == 24


def test_filters_that_come_later_keep_the_qdisc(start: Start, peers: Peers) -> None:
    tool = start(*FLOWS, "--hook", "clsact", wrapper=lab.netns_exec(peers.left)).attached()
    lab.tc(peers.left, "filter", "add", "dev", "wire", "egress", *THEIRS)
    assert tool.stop().status == 0
    after = tc(peers.left)
    assert ("clsact" in str(after["qdisc"]), "bytecode" in str(after["egress"])) == (True, True)
    assert "flows" not in f"{after['ingress']}{after['egress']}"


@pytest.mark.parametrize("first", [0, 1])
def test_two_at_once(start: Start, peers: Peers, hook: str, first: int) -> None:
    before = tc(peers.left)
    tools = [start(*FLOWS, "--hook", hook, wrapper=lab.netns_exec(peers.left)).attached() for _ in range(2)]
    udp_exchange(peers, peers.left4, peers.right4, sent=[10] * 23, answered=[])
    assert tools.pop(first).stop().ledger["seen"] == 23
    udp_exchange(peers, peers.left4, peers.right4, sent=[10] * 23, answered=[])
    ended = tools.pop().stop()
    assert (ended.ledger["seen"], ended.status) == (46, 0)
    # Whoever made the qdisc, the last takes it away.
    assert lab.eventually(lambda: tc(peers.left) == before)


def test_a_program_that_somebody_else_detaches(start: Start, peers: Peers, hook: str) -> None:
    arguments = ("flows", "--iface", "wire", "-i", "0.05", "-d", "20", "--hook", hook)
    before = lab.kernel_ids()
    tool = start(*arguments, wrapper=lab.netns_exec(peers.left)).attached()
    if hook == "clsact":
        lab.tc(peers.left, "filter", "del", "dev", "wire", "ingress")
    else:
        (link,) = [
            link.id
            for link in ebpflab.links()
            if ("link", link.id) not in before and (link.target or "").startswith("tcx_ingress")
        ]
        subprocess.run(["bpftool", "link", "detach", "id", str(link)], check=True)
    ended = tool.ended()
    expected = "ebpflab: the program flows_ingress on wire ingress went away while it was watched\n"
    assert (ended.status, ended.stderr) == (1, expected)


def test_an_interface_that_goes_away(start: Start, peers: Peers, hook: str) -> None:
    arguments = ("flows", "--iface", "wire", "-i", "0.05", "-d", "20", "--hook", hook)
    tool = start(*arguments, wrapper=lab.netns_exec(peers.left)).attached()
    lab.ip("-n", peers.left, "link", "delete", "wire")
    ended = tool.ended()
    assert (ended.status, ended.stderr) == (1, "ebpflab: interface wire went away while it was watched\n")


def test_the_guard_has_nothing_but_what_it_needs(start: Start, peers: Peers) -> None:
    tool = start(*FLOWS, "--hook", "clsact", wrapper=lab.netns_exec(peers.left)).attached()
    (guard,) = guards()
    held = sorted(str(fd.readlink()).split(":")[0] for fd in Path(f"/proc/{guard}/fd").iterdir())
    assert held == ["anon_inode", "net", "socket"]
    # What is sent to the group of the parent is not for it.
    assert os.getpgid(guard) == guard != os.getpgid(tool.process.pid)
    tool.stop()
    assert guards() == []


def test_what_two_kills_leave_behind_is_told(start: Start, peers: Peers) -> None:
    tool = start(*FLOWS, "--hook", "clsact", wrapper=lab.netns_exec(peers.left)).attached()
    (guard,) = guards()
    os.kill(guard, signal.SIGKILL)
    tool.kill()
    assert "flows_ingress" in lab.tc(peers.left, "filter", "show", "dev", "wire", "ingress")
    assert lab.eventually(lambda: {"flows_ingress", "flows_egress"} <= left())
    # The fix.
    for direction in ("ingress", "egress"):
        lab.tc(peers.left, "filter", "del", "dev", "wire", direction)
    assert lab.eventually(lambda: not left())


def left() -> set[str]:
    """Return the names of our programs that no process holds, as doctor finds them."""
    (feature,) = (feature for feature in ebpflab.features() if feature.group == "leftovers")
    told = feature.found.partition("held by no process: ")[2] if feature.answer == "no" else ""
    return {program.partition(" ")[0] for program in told.split(", ") if program}


def guards() -> list[int]:
    """Return the guard processes that there are."""
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            found += [int(comm.parent.name)] if comm.read_text() == "ebpflab-guard\n" else []
    return found
