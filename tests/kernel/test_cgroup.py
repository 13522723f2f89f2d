"""`cgroup` on a live kernel, beside a process in a cgroup of its own that knows what it sends."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, TypeVar

import ebpflab
import pytest

from tests.kernel import lab
from tests.kernel.network import Peers, interface_counters, tcp_exchange, udp_exchange
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kernel.conftest import Start

Result = TypeVar("Result")


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup of v2, with one below it called `inner`."""
    mount = lab.cgroup_mount("v2")
    assert mount
    outer = lab.Cgroup(mount, f"ebpflab-{os.getpid()}")
    inner = lab.Cgroup(outer.path, "inner")
    yield outer.path
    inner.close()
    outer.close()


def within(cgroup: Path, function: Callable[[], Result]) -> Result:
    """Call a function in a process of its own in a cgroup: sockets are of the cgroup in which they are made."""

    def enter_and_call() -> Result:
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        return function()

    return identity.in_child(lambda: None, enter_and_call)


def groups(record: lab.Record) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Return packets and bytes by cgroup, protocol and direction."""
    rows = record["counts"]["groups"]
    found = {(row["cgroup_path"], row["protocol"], row["direction"]): (row["packets"], row["bytes"]) for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.smoke
def test_23_datagrams_of_a_cgroup_and_of_one_below(start: Start, peers: Peers, group: Path) -> None:
    tool = start("cgroup", str(group), "-i", "60").attached()
    inner = group / "inner"
    four = (peers.left4, peers.right4)
    six = (peers.left6, peers.right6)
    within(group, lambda: udp_exchange(peers, *four, sent=[100] * 23, answered=[300] * 7))
    within(inner, lambda: udp_exchange(peers, *six, sent=[100] * 5, answered=[]))
    # Of no cgroup that was asked for.
    udp_exchange(peers, *four, sent=[100] * 3, answered=[])
    ended = tool.stop()
    outer = f"/{group.name}"
    assert groups(ended.summary) == {
        # Both ends of it are in the cgroup.
        (outer, "udp", "egress"): (30, 23 * 128 + 7 * 328),
        (outer, "udp", "ingress"): (30, 23 * 128 + 7 * 328),
        (f"{outer}/inner", "udp", "egress"): (5, 5 * 148),
        (f"{outer}/inner", "udp", "ingress"): (5, 5 * 148),
    }
    ids = {row["cgroup_path"]: row["cgroup"] for row in ended.summary["counts"]["groups"]}
    assert ids == {outer: group.stat().st_ino, f"{outer}/inner": inner.stat().st_ino}
    assert ended.ledger["seen"] == 70
    assert (ended.status, ended.stderr) == (0, "")


def test_tcp_and_udp_are_what_the_interface_counts_less_link_headers(start: Start, peers: Peers, group: Path) -> None:
    before = interface_counters(peers.left, "wire")
    tool = start("cgroup", str(group), "-i", "60").attached()

    def talk() -> None:
        for left, right in ((peers.left4, peers.right4), (peers.left6, peers.right6)):
            tcp_exchange(peers, left, right, sent=3_000_000, answered=1_000_001)
            udp_exchange(peers, left, right, sent=[1, 1400], answered=[512])

    within(group, talk)
    ended = tool.stop()
    after = interface_counters(peers.left, "wire")
    rows = ended.summary["counts"]["groups"]
    # The other end is in the cgroup too: what one end sent the other received.
    packets = after.tx_packets - before.tx_packets + after.rx_packets - before.rx_packets
    octets = after.tx_bytes - before.tx_bytes + after.rx_bytes - before.rx_bytes - 14 * packets
    passed = {
        direction: (
            packets - sum(row["packets"] for row in rows if row["direction"] == direction),
            octets - sum(row["bytes"] for row in rows if row["direction"] == direction),
        )
        for direction in ("ingress", "egress")
    }
    # Kernels before 6.12 do not ask programs about the SYN-ACK of IPv6 on its way out (docs/tools/cgroup.md).
    unasked = (1, 80) if lab.RELEASE < (6, 12) else (0, 0)
    assert passed == {"ingress": (0, 0), "egress": unasked}


SENT, REFUSED = [0], [errno.EPERM]


def send(address: str, port: int, count: int = 1) -> list[int]:
    """Send datagrams; return the error of each, 0 for none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        return [_send(udp, (address, port)) for _ in range(count)]


def _send(udp: socket.socket, to: tuple[str, int]) -> int:
    try:
        udp.sendto(bytes(10), to)
    except OSError as error:
        return error.errno or -1
    return 0


@pytest.mark.smoke
def test_rules_deny_that_cgroup_alone(start: Start, group: Path) -> None:
    rules = ("127.1.0.0/16", "127.2.0.0/16:53", "127.3.0.0/16:53/tcp", "[::1]:53/udp")
    tool = start("cgroup", str(group), "-i", "60", *(word for rule in rules for word in ("--deny", rule))).attached()

    def talk() -> None:
        assert send("127.1.2.3", 9, 23) == REFUSED * 23
        assert send("127.2.0.1", 53, 5) == REFUSED * 5
        assert send("127.2.0.1", 54) == SENT
        assert send("127.3.0.1", 53) == SENT
        assert send("::1", 53, 3) == REFUSED * 3
        assert send("::1", 54) == SENT
        assert send("127.4.0.1", 9) == SENT
        with socket.socket() as tcp:
            tcp.settimeout(0.2)
            with pytest.raises(TimeoutError):
                tcp.connect(("127.3.0.1", 53))

    within(group / "inner", talk)
    assert send("127.1.2.3", 9) == SENT
    ended = tool.stop()
    denied = {row["rule"]: (row["packets"], row["bytes"]) for row in ended.summary["counts"]["denied"]}
    assert denied["127.1.0.0/16"] == (23, 23 * 38)
    assert denied["127.2.0.0/16:53"] == (5, 5 * 38)
    assert denied["[::1]:53/udp"] == (3, 3 * 58)
    assert denied["127.3.0.0/16:53/tcp"][0] >= 1
    assert groups(ended.summary)[f"/{group.name}/inner", "udp", "egress"][0] == 4
    assert ended.status == 0
    # The rules went with the tool.
    assert within(group, lambda: send("127.1.2.3", 9)) == SENT


def test_rules_deny_what_comes_from_there(start: Start, group: Path) -> None:
    tool = start("cgroup", str(group), "-i", "60", "--deny", "127.0.0.9:4321").attached()

    def talk() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            udp.settimeout(5)
            for source in ("127.0.0.9:4321", "127.0.0.8:4321"):
                host, _, port = source.partition(":")
                # Of the parent: whoever sends is in no cgroup with rules.
                subprocess.run(
                    [sys.executable, "-c", SENDER, host, port, str(udp.getsockname()[1]), str(os.getppid())], check=True
                )
            assert udp.recvfrom(10)[1] == ("127.0.0.8", 4321)

    within(group, talk)
    (denied,) = tool.stop().summary["counts"]["denied"]
    assert (denied["packets"], denied["bytes"]) == (1, 29)


#: Goes to the cgroup of another process first.
SENDER = """
import pathlib, socket, sys
host, port, to, pid = sys.argv[1:]
path = [line.split("::")[1] for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines() if "::" in line][0]
mount = [line.split()[4] for line in open("/proc/self/mountinfo") if " - cgroup2 " in line][0]
pathlib.Path(mount + path, "cgroup.procs").write_text("0")
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind((host, int(port)))
udp.sendto(b"x", ("127.0.0.1", int(to)))
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_rules_end_with_the_tool_however_it_ends(start: Start, group: Path, end: signal.Signals) -> None:
    tool = start("cgroup", str(group), "-i", "60", "--deny", "127.1.0.0/16").attached()
    assert within(group, lambda: send("127.1.0.1", 9)) == REFUSED
    tool.process.send_signal(end)
    tool.process.wait()
    assert lab.eventually(lambda: attached_to(group) == (0, 0))
    assert within(group, lambda: send("127.1.0.1", 9)) == SENT


def attached_to(cgroup: Path) -> tuple[int, int]:
    """Return how many programs the kernel lists on a cgroup, for what comes in and for what goes out."""
    return lab.programs_on(cgroup, lab.INGRESS), lab.programs_on(cgroup, lab.EGRESS)


def test_two_at_once_each_deny(start: Start, group: Path) -> None:
    first = start("cgroup", str(group), "-i", "60", "--deny", "127.1.0.0/16").attached()
    second = start("cgroup", f"/{group.name}", "-i", "60", "--deny", "127.2.0.0/16").attached()
    assert attached_to(group) == (2, 2)
    assert within(group, lambda: send("127.1.0.1", 9) + send("127.2.0.1", 9)) == REFUSED * 2
    assert first.stop().status == 0
    assert within(group, lambda: send("127.1.0.1", 9) + send("127.2.0.1", 9)) == SENT + REFUSED
    assert second.stop().status == 0


def test_a_full_map_is_counted_and_lets_pass(start: Start, group: Path) -> None:
    tool = start("cgroup", str(group), "-i", "60", "--max-entries", "1").attached()
    assert within(group, lambda: send("127.1.0.1", 9)) == SENT
    assert within(group / "inner", lambda: send("127.1.0.1", 9)) == SENT
    ended = tool.stop()
    assert (ended.ledger["submitted"], ended.ledger["map_full"]) == (1, ended.ledger["seen"] - 1)
    assert ended.ledger["map_full"] >= 1
    assert ended.stderr.startswith("ebpflab: lost: map_full ")


def test_a_cgroup_that_goes_away(start: Start, group: Path) -> None:
    lost = lab.Cgroup(group, "lost")
    tool = start("cgroup", str(lost.path), "-i", "0.05", "-d", "20").attached()
    lost.close()
    ended = tool.ended()
    assert (ended.status, ended.stderr) == (1, f"ebpflab: cgroup {lost.path} went away while it was watched\n")


@pytest.mark.native
def test_what_is_no_cgroup_of_v2(start: Start, tmp_path: Path) -> None:
    ended = start("cgroup", str(tmp_path)).ended()
    assert (ended.status, ended.records) == (1, [])
    assert ended.stderr.startswith(f"ebpflab: there is no cgroup {tmp_path}, ")


@pytest.mark.native
def test_a_cgroup_of_v1_is_refused(start: Start) -> None:
    mount = lab.cgroup_mount("v1")
    assert mount
    ended = start("cgroup", str(mount)).ended()
    assert (ended.status, ended.records) == (1, [])
    assert ended.stderr.startswith(f"ebpflab: cgroup {mount} is of v1, and programs on packets know only v2, ")


@pytest.mark.native
def test_from_python(group: Path) -> None:
    with ebpflab.cgroup(group, deny=["127.1.0.0/16"]) as counter:
        assert within(group, lambda: send("127.1.0.1", 9)) == REFUSED
        assert within(group, lambda: send("127.4.0.1", 9)) == SENT
        counts = counter.read()
    assert counts.denied == (ebpflab.DeniedCount("127.1.0.0/16", 1, 38),)
    sent = [row for row in counts.groups if row.direction == "egress" and row.protocol == "udp"]
    assert [(row.cgroup_path, row.packets, row.bytes) for row in sent] == [(f"/{group.name}", 1, 38)]
    assert counter.ledger.balanced
    with pytest.raises(ValueError, match="host is no rule"):
        ebpflab.cgroup(group, deny=["host"])
    with pytest.raises(ValueError, match="room for 64 rules, not for 65"):
        ebpflab.cgroup(group, deny=["10.0.0.0/8"] * 65)
