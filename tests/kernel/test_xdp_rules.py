"""Rules of `xdp` on a live kernel: counts come from whoever sends, and what gets through from whoever receives."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.conftest import Start

PORT = 9_000
GOOD, BAD, SPARED = "127.1.0.1", "127.2.0.1", "127.2.3.4"
RULES = ("--block", "127.2.0.0/16", "--allow", SPARED)


def send(source: str, count: int, destination: str = "127.0.0.1") -> None:
    """Send datagrams of 23 bytes from an address."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        for _ in range(count):
            assert sender.sendto(b"x" * 23, (destination, PORT)) == 23


@contextlib.contextmanager
def receiver(address: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A socket that datagrams come to, and wait in."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as receiving:
        receiving.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        receiving.bind((address, PORT))
        yield receiving


def received(receiving: socket.socket) -> dict[str, int]:
    """Take all datagrams that wait; how many came from each address."""
    counts: dict[str, int] = {}
    receiving.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            _, (source, *_) = receiving.recvfrom(100)
            counts[source] = counts.get(source, 0) + 1
    return counts


def by_rule(record: lab.Record) -> dict[str, int]:
    """Return the packets of each rule."""
    return {f"{rule['action']} {rule['cidr']}": rule["packets"] for rule in record["firewall"]["rules"]}


@pytest.mark.smoke
def test_blocked_sources_do_not_get_through_and_others_do(start: Start, loopback: str) -> None:
    tool = start("xdp", "--iface", "lo", *RULES, "-i", "60", wrapper=lab.netns_exec(loopback)).attached()

    def traffic() -> dict[str, int]:
        with receiver() as receiving:
            for source, count in ((GOOD, 5), (BAD, 7), (SPARED, 3)):
                send(source, count)
            return received(receiving)

    assert lab.in_namespace(loopback, traffic) == {GOOD: 5, SPARED: 3}
    ended = tool.stop()
    size = 14 + 20 + 8 + 23
    firewall = ended.summary["firewall"]
    assert by_rule(ended.summary) == {"block 127.2.0.0/16": 7, f"allow {SPARED}/32": 3}
    assert firewall["dropped"] == {"packets": 7, "bytes": 7 * size}
    assert firewall["passed"] == {"packets": 8, "bytes": 8 * size}
    assert firewall["unmatched"] == {"packets": 5, "bytes": 5 * size}
    # Dropped packets are counted by protocol like others.
    assert ended.summary["counts"]["udp"] == {"packets": 15, "bytes": 15 * size}
    assert ended.ledger["seen"] == 15
    assert (ended.status, ended.stderr) == (0, "")


def addressed(wire: tuple[str, str]) -> None:
    """Give the sending end two addresses of each family, and each end the neighbours without asking."""
    left, right = wire
    for end, addresses in (
        (left, ("192.0.2.1/24", "192.0.2.2/24", "2001:db8::1/64", "2001:db8::2/64")),
        (right, ("192.0.2.9/24", "2001:db8::9/64")),
    ):
        lab.in_namespace(end, lambda: Path("/proc/sys/net/ipv6/conf/wire/disable_ipv6").write_text("0"))
        for address in addresses:
            lab.ip("-n", end, "address", "add", address, "dev", "wire", *(("nodad",) if ":" in address else ()))
    macs = {
        end: json.loads(subprocess.check_output(["ip", "-n", end, "-j", "link", "show", "wire"]))[0]["address"]
        for end in wire
    }
    for end, other, addresses in (
        (left, right, ("192.0.2.9", "2001:db8::9")),
        (right, left, ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2")),
    ):
        for address in addresses:
            lab.ip("-n", end, "neigh", "replace", address, "lladdr", macs[other], "dev", "wire", "nud", "permanent")


def pings(source: str, destination: str) -> int:
    """Send five echo requests; how many were answered."""
    command = ["ping", "-q", "-c", "5", "-i", "0.01", "-W", "0.3", "-I", source, destination]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return int(text.split(" received")[0].split()[-1])


@pytest.mark.parametrize("network", ["192.0.2.{}", "2001:db8::{}"])
def test_ping_udp_and_tcp_between_hosts(start: Start, wire: tuple[str, str], network: str) -> None:
    bad, good, other = (network.format(number) for number in (1, 2, 9))
    block, allow = {"192.0.2.{}": ("192.0.2.0/24", "/32"), "2001:db8::{}": ("2001:db8::/64", "/128")}[network]
    rules = ("--block", block, "--allow", good)
    left, right = wire
    addressed(wire)
    tool = start("xdp", "--iface", "wire", *rules, "-i", "60", wrapper=lab.netns_exec(right)).attached()
    family = socket.AF_INET6 if ":" in good else socket.AF_INET

    def make() -> tuple[socket.socket, socket.socket]:
        listening = socket.create_server((other, PORT), family=family)
        receiving = socket.socket(family, socket.SOCK_DGRAM)
        receiving.bind((other, PORT))
        return listening, receiving

    def connect(source: str) -> bool:
        try:
            socket.create_connection((other, PORT), timeout=0.5, source_address=(source, 0)).close()
        except TimeoutError:
            return False
        return True

    listening, receiving = lab.in_namespace(right, make)
    with listening, receiving:
        assert lab.in_namespace(left, lambda: [pings(source, other) for source in (good, bad)]) == [5, 0]
        for source, count in ((good, 11), (bad, 23)):
            lab.in_namespace(left, lambda source=source, count=count: send(source, count, other))  # type: ignore[misc]
        assert received(receiving) == {good: 11}
        assert lab.in_namespace(left, lambda: [connect(source) for source in (good, bad)]) == [True, False]
    ended = tool.stop()
    counted = by_rule(ended.summary)
    # Five requests, 23 datagrams, and one SYN, which is sent again only after a second.
    assert counted[f"block {block}"] == ended.summary["firewall"]["dropped"]["packets"] == 5 + 23 + 1
    # Five requests, 11 datagrams, and of the connection at the least SYN, ACK and FIN.
    assert counted[f"allow {good}{allow}"] >= 5 + 11 + 3
    assert ended.ledger["seen"] == sum(ended.summary["firewall"][what]["packets"] for what in ("dropped", "passed"))
    assert ended.status == 0
    # The interface is as it was.
    assert lab.in_namespace(left, lambda: pings(bad, other)) == 5


def test_sighup_reads_the_file_again(start: Start, loopback: str, tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("# nobody yet\n\n")
    options = ("--block-file", str(file), "-i", "0.05")
    tool = start("xdp", "--iface", "lo", *options, wrapper=lab.netns_exec(loopback)).attached()
    for content, dropped, active in ((f"{BAD}  # one\n", 3, 1), ("10.0.0.0/33\nx\n", 6, 1), ("", 6, 0)):
        file.write_text(content)
        count = len(tool._records)  # noqa: SLF001
        tool.process.send_signal(signal.SIGHUP)
        # A reading that begins after the signal comes after it was handled.
        tool.until(lambda _, count=count: len(tool._records) > count + 4)  # type: ignore[misc]  # noqa: SLF001
        lab.in_namespace(loopback, lambda: send(BAD, 3))
        record = tool.until(lambda record, wanted=dropped: record["firewall"]["dropped"]["packets"] >= wanted)  # type: ignore[misc]
        assert record["firewall"]["active"] == active
    ended = tool.stop()
    assert by_rule(ended.summary) == {f"block {BAD}/32": 6}
    said = ended.stderr
    assert said.count(f"read {file} again") == 2
    assert f"the rules stay as they were: {file}: line 1: " in said
    assert "line 2: " in said
    assert ended.status == 0


@pytest.mark.native
def test_a_thousand_reloads_under_traffic(loopback: str) -> None:
    """What both sets block never gets through, what neither blocks always does, and every packet is counted."""
    always, never, sometimes = BAD, GOOD, "127.3.0.1"
    # The same addresses by other rules, so that each reload takes some out and puts others in.
    old = ["127.2.0.0/16", "127.3.0.0/16"]
    new = ["127.2.0.0/17", "127.2.128.0/17"]
    sent: dict[str, int] = {}

    def run() -> tuple[ebpflab.Summary[dict[str, ebpflab.PacketCount]], dict[str, int]]:
        done = threading.Event()
        got: dict[str, int] = {}

        def traffic() -> None:
            with contextlib.ExitStack() as stack:
                sockets = {}
                for source in (always, never, sometimes):
                    sockets[source] = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    sockets[source].bind((source, 0))
                while not done.is_set():
                    for source, sender in sockets.items():
                        sender.sendto(b"x", ("127.0.0.1", PORT))
                        sent[source] = sent.get(source, 0) + 1
                    for source, count in received(receiving).items():
                        got[source] = got.get(source, 0) + count

        with receiver() as receiving, ebpflab.xdp("lo", block=old) as counter:
            sending = threading.Thread(target=traffic)
            sending.start()
            for number in range(1_000):
                counter.replace(block=old if number % 2 else new)
            done.set()
            sending.join()
            for source, count in received(receiving).items():
                got[source] = got.get(source, 0) + count
            return counter.stop(), got

    summary, got = lab.in_namespace(loopback, run)
    firewall = summary.firewall
    assert firewall
    assert always not in got
    assert got[never] == sent[never]
    counted = {rule.cidr: rule.packets for rule in firewall.rules}
    assert sum(counted.get(cidr, 0) for cidr in ("127.2.0.0/16", "127.2.0.0/17", "127.2.128.0/17")) == sent[always]
    # Both sets were met.
    assert min(counted["127.2.0.0/16"], counted["127.2.0.0/17"]) > 0
    assert counted["127.3.0.0/16"] + got[sometimes] == sent[sometimes]
    assert firewall.unmatched.packets == sent[never] + got[sometimes]
    assert summary.ledger.seen == firewall.dropped.packets + firewall.passed.packets == sum(sent.values())
    assert summary.ledger.balanced


def test_a_stage_that_is_taken_out_is_told(start: Start, loopback: str) -> None:
    before = lab.kernel_ids()
    tool = start("xdp", "--iface", "lo", *RULES, "-i", "60", wrapper=lab.netns_exec(loopback)).attached()
    ours = {number for kind, number in lab.kernel_ids() - before if kind == "map"}
    (stages,) = [each["id"] for each in lab.kernel_list("map") if each["id"] in ours and each["name"] == "STAGES"]
    slot = ("0x01", "0", "0", "0")
    subprocess.run(["bpftool", "map", "delete", "id", str(stages), "key", *slot], check=True)

    def traffic() -> dict[str, int]:
        with receiver() as receiving:
            send(GOOD, 5)
            send(BAD, 7)
            return received(receiving)

    # The transport is not known any more, but the rules are met all the same.
    assert lab.in_namespace(loopback, traffic) == {GOOD: 5}
    ended = tool.stop()
    assert ended.summary["counts"]["other"]["packets"] == ended.ledger["seen"] == ended.ledger["missed"] == 12
    assert ended.summary["firewall"]["dropped"]["packets"] == 7
    assert "ebpflab: lost: missed 12\n" in ended.stderr or lab.preemptible()


@pytest.mark.native
@pytest.mark.parametrize(
    ("blocked", "words"), [("0.0.0.0/0", "all IPv4"), ("::/0", "all IPv6"), (BAD, f"blocks {BAD}")]
)
def test_whoever_may_lock_himself_out_is_told(
    start: Start, loopback: str, monkeypatch: pytest.MonkeyPatch, blocked: str, words: str
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", f"{BAD} 50000 127.0.0.1 22")
    options = ("--block", blocked, "--allow", "127.2.0.0/16", "-d", "0.1")
    ended = start("xdp", "--iface", "lo", *options, wrapper=lab.netns_exec(loopback)).ended()
    assert ended.status == 0
    assert ended.stderr.count("\n") == 1
    assert words in ended.stderr


@pytest.mark.native
def test_bad_files_are_told(start: Start, tmp_path: Path) -> None:
    missing, bad = tmp_path / "missing", tmp_path / "bad"
    bad.write_text("10.0.0.0/8\n10.0.0.1/8\n")
    for file, words in ((missing, "No such file"), (bad, "line 2: ")):
        ended = start("xdp", "--iface", "lo", "--block-file", str(file)).ended()
        assert (ended.status, ended.records, ended.stderr.count("\n")) == (1, [], 1)
        assert str(file) in ended.stderr
        assert words in ended.stderr
    with pytest.raises(FileNotFoundError):
        ebpflab.xdp("lo", block_file=missing)


def packets_of(file: Path) -> list[tuple[bytes, str]]:
    """Read a pcapng file: bytes and comment of each packet. As much as is needed of the format."""
    data, at, found = file.read_bytes(), 0, []
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        assert struct.unpack_from("=I", data, at + length - 4) == (length,)
        if kind == 6:
            (captured,) = struct.unpack_from("=I", data, at + 20)
            option = at + 28 + -(-captured // 4) * 4
            code, size = struct.unpack_from("=HH", data, option)
            assert code == 1
            found.append((data[at + 28 : at + 28 + captured], data[option + 4 : option + 4 + size].decode()))
        at += length
    return found


def read_by_tshark(file: Path) -> list[list[str]]:
    fields = ("frame.interface_name", "frame.len", "frame.cap_len", "ip.src", "frame.comment", "frame.time_epoch")
    command = ["tshark", "-r", str(file), "-T", "fields", *(word for field in fields for word in ("-e", field))]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split("\t") for line in text.splitlines()]


@pytest.mark.native
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_dropped_packets_are_in_the_file_with_their_rules(
    start: Start, loopback: str, tmp_path: Path, end: str
) -> None:
    file = tmp_path / "dropped.pcapng"
    options = ("--block", "127.3.0.0/16", "--pcap", str(file), "--pcap-snaplen", "60", "-i", "0.05")
    tool = start("xdp", "--iface", "lo", *RULES, *options, wrapper=lab.netns_exec(loopback)).attached()
    began = time.time()

    def traffic() -> None:
        for source, count in ((BAD, 7), (GOOD, 5), ("127.3.0.1", 2)):
            send(source, count)

    lab.in_namespace(loopback, traffic)
    record = tool.until(lambda record: record["capture"]["shown"] >= 9)
    assert (record["capture"]["seen"], record["capture"]["dropped"]) == (9, 0)
    if end == "kill":
        tool.kill()
    else:
        capture = tool.stop().summary["capture"]
        assert capture["seen"] == capture["submitted"] == capture["received"] == capture["shown"] == 9
    comments = ["dropped by block 127.2.0.0/16"] * 7 + ["dropped by block 127.3.0.0/16"] * 2
    found = packets_of(file)
    assert [comment for _, comment in found] == comments
    assert {len(data) for data, _ in found} == {60}
    if shutil.which("tshark"):
        rows = read_by_tshark(file)
        assert [row[:5] for row in rows] == [
            ["lo", "65", "60", source, comment]
            for source, comment in zip([BAD] * 7 + ["127.3.0.1"] * 2, comments, strict=True)
        ]
        assert all(began - 1 < float(row[5]) < time.time() + 1 for row in rows)


@pytest.mark.native
def test_a_sample_has_packets_that_pass_too(loopback: str, tmp_path: Path) -> None:
    file = tmp_path / "sample.pcapng"

    def run() -> ebpflab.Summary[dict[str, ebpflab.PacketCount]]:
        with ebpflab.xdp("lo", block=["127.2.0.0/16"], pcap=file, pcap_sample=1) as counter:
            with receiver():
                send(GOOD, 10)
                send(BAD, 10)
            capture = counter.capture()
            assert capture
            assert capture.shown == 20
            return counter.stop()

    summary = lab.in_namespace(loopback, run)
    assert summary.capture
    assert summary.capture.balanced
    comments = [comment for _, comment in packets_of(file)]
    assert comments == ["passed, no rule"] * 10 + ["dropped by block 127.2.0.0/16"] * 10


@pytest.mark.native
def test_packets_that_do_not_fit_are_counted(start: Start, loopback: str, tmp_path: Path) -> None:
    file = tmp_path / "many.pcapng"
    tool = start("xdp", "--iface", "lo", *RULES, "--pcap", str(file), "-i", "60", wrapper=lab.netns_exec(loopback))
    tool.attached()
    # More than a buffer of 1 MiB holds.
    with tool.paused():
        lab.in_namespace(loopback, lambda: send(BAD, 20_000))
    ended = tool.stop()
    capture = ended.summary["capture"]
    assert capture["seen"] == capture["submitted"] + capture["dropped"] == 20_000
    assert capture["received"] == capture["shown"] == capture["submitted"] == len(packets_of(file))
    assert capture["dropped"] > 0
    assert ended.stderr == f"ebpflab: lost: dropped (of the packet file) {capture['dropped']}\n"
    assert ended.ledger["seen"] == ended.summary["firewall"]["dropped"]["packets"] == 20_000
