"""`xdp` on a live kernel, beside senders that know what they send."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import threading
import urllib.request
from collections import defaultdict
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab
from tests.kernel.frames import FRAMES, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.conftest import Start

PROTOCOLS = ("tcp", "udp", "icmp", "arp", "other")
NOTHING = {"packets": 0, "bytes": 0}
#: 23 requests and 23 answers, each of 14 + 20 + 8 + 56 bytes.
PINGS = {"packets": 46, "bytes": 4508}
PING = ("ping", "-q", "-c", "23", "-i", "0.01", "127.0.0.1")
LOOPBACK = ("xdp", "--iface", "lo")
WIRE = ("xdp", "--iface", "wire")


def packets(record: lab.Record) -> int:
    """Return the packets of all protocols."""
    return sum(count["packets"] for count in record["counts"].values())


def ping() -> None:
    subprocess.run(PING, check=True, stdout=subprocess.DEVNULL)


def send(frames: list[bytes]) -> None:
    """Put frames on the interface `wire` as they are."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("wire", 0))
        for frame in frames:
            assert raw.send(frame) == len(frame)


def test_23_pings_are_46_packets(start: Start, loopback: str) -> None:
    tool = start(*LOOPBACK, "-d", "60", wrapper=lab.netns_exec(loopback)).attached()
    lab.in_namespace(loopback, ping)
    ended = tool.stop()
    assert ended.summary["counts"] == {**dict.fromkeys(PROTOCOLS, NOTHING), "icmp": PINGS}
    assert ended.ledger["seen"] == 46
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.native
def test_23_pings_from_python(loopback: str) -> None:
    def count() -> ebpflab.Summary[dict[str, ebpflab.PacketCount]]:
        with ebpflab.xdp("lo") as counter:
            assert set(counter.read()) == set(PROTOCOLS)
            ping()
            assert counter.read()["icmp"] == ebpflab.PacketCount(46, 4508)
        return counter.stop()

    summary = lab.in_namespace(loopback, count)
    assert summary.counts["icmp"] == ebpflab.PacketCount(46, 4508)
    assert summary.ledger.balanced
    assert summary.ledger.received == 46


@pytest.mark.native
def test_what_is_sent_before_is_not_counted(start: Start, loopback: str) -> None:
    lab.in_namespace(loopback, ping)
    tool = start(*LOOPBACK, "-i", "0.05", wrapper=lab.netns_exec(loopback)).attached()
    assert packets(tool.record()) == 0
    assert packets(tool.stop().summary) == 0


def request_from_a_local_server() -> None:
    class Quiet(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as server:
        # A thread begins in the network namespace of the one that starts it.
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/") as answer:
            assert answer.status == 204
        answering.join()


@pytest.mark.native
def test_an_http_request_is_tcp(start: Start, loopback: str) -> None:
    tool = start(*LOOPBACK, "-i", "0.05", wrapper=lab.netns_exec(loopback)).attached()
    lab.in_namespace(loopback, request_from_a_local_server)
    ended = tool.stop()
    tcp = ended.summary["counts"]["tcp"]
    # At the least: three to open, request and answer, and an end in each direction.
    assert tcp["packets"] >= 7
    assert tcp["bytes"] >= 66 * tcp["packets"]
    assert ended.ledger["seen"] == ended.ledger["submitted"] == ended.ledger["received"] == packets(ended.summary)


def repeated() -> Iterator[Frame]:
    """Each frame a number of times that is not that of its neighbours, and all of them fewer than a veth queues."""
    for number, frame in enumerate(FRAMES):
        yield from [frame] * (1 + number % 7)


@pytest.mark.parametrize("mode", ["auto", "skb", "drv"])
def test_frames_of_every_kind(start: Start, wire: tuple[str, str], mode: str) -> None:
    sender, receiver = wire
    frames = list(repeated())
    assert 100 < len(frames) < 256
    expected: dict[str, dict[str, int]] = defaultdict(lambda: dict(NOTHING))
    for frame in frames:
        expected[frame.protocol]["packets"] += 1
        expected[frame.protocol]["bytes"] += len(frame.data)
    assert set(expected) == set(PROTOCOLS)

    tool = start(*WIRE, "-i", "0.05", "--mode", mode, wrapper=lab.netns_exec(receiver)).attached()
    lab.in_namespace(sender, lambda: send([frame.data for frame in frames]))
    tool.until(lambda record: packets(record) >= len(frames))
    ended = tool.stop()
    assert ended.summary["counts"] == expected
    assert ended.ledger["seen"] == len(frames)


@pytest.mark.native
@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.what.replace(" ", "-"))
def test_the_frames_are_what_they_are_named(frame: Frame) -> None:
    """That each is at least a link header, and that no two are the same, or a test would count one twice."""
    assert len(frame.data) >= 14
    assert [other.what for other in FRAMES if other.data == frame.data] == [frame.what]


def test_each_frame_alone(wire: tuple[str, str]) -> None:
    sender, receiver = wire
    wrong: list[str] = []

    def count_each() -> None:
        with ebpflab.xdp("wire") as counter:
            for number, frame in enumerate(FRAMES, start=1):
                before = counter.read()
                lab.in_namespace(sender, lambda data=frame.data: send([data]))  # type: ignore[misc]
                assert lab.eventually(lambda: counter.ledger.seen == number)  # noqa: B023  called at once
                after = counter.read()
                got = [protocol for protocol in PROTOCOLS if after[protocol] != before[protocol]]
                if got != [frame.protocol]:
                    wrong.append(f"{frame.what}: {got}, not {frame.protocol}")

    lab.in_namespace(receiver, count_each)
    assert wrong == []


@pytest.mark.parametrize(
    ("asked", "options", "got"),
    [
        ("auto", (), "drv"),
        ("auto", ("--mode", "auto"), "drv"),
        ("skb", ("--mode", "skb"), "skb"),
        ("drv", ("--mode", "drv"), "drv"),
    ],
)
def test_the_mode_asked_and_the_mode_got(
    start: Start, wire: tuple[str, str], asked: str, options: tuple[str, ...], got: str
) -> None:
    tool = start(*WIRE, *options, wrapper=lab.netns_exec(wire[1]))
    attached = tool.record()
    assert attached["mode"] == {"asked": asked, "got": got}
    (link,) = json.loads(
        subprocess.run(["ip", "-n", wire[1], "-j", "link", "show", "wire"], capture_output=True, check=True).stdout
    )
    # The kernel's own word for it: 1 is native, 2 is generic (XDP_ATTACHED_DRV, XDP_ATTACHED_SKB).
    assert link["xdp"]["mode"] == {"drv": 1, "skb": 2}[got]
    assert tool.stop().status == 0


def test_auto_falls_back_where_the_driver_cannot(start: Start, loopback: str) -> None:
    tool = start(*LOOPBACK, wrapper=lab.netns_exec(loopback))
    assert tool.record()["mode"] == {"asked": "auto", "got": "skb"}
    assert tool.stop().status == 0


@pytest.mark.parametrize("mode", ["drv", "hw"])
def test_a_mode_that_the_driver_lacks_is_no_fallback(start: Start, loopback: str, mode: str) -> None:
    ended = start(*LOOPBACK, "--mode", mode, wrapper=lab.netns_exec(loopback)).ended()
    assert (ended.status, ended.records) == (77, [])
    assert ended.stderr.startswith(f"ebpflab: XDP in {mode} mode on lo cannot work here: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.native
@pytest.mark.parametrize("mode", ["auto", "skb", "drv"])
def test_an_interface_carries_one_program(start: Start, wire: tuple[str, str], mode: str) -> None:
    sender, receiver = wire
    first = start(*WIRE, "-i", "0.05", wrapper=lab.netns_exec(receiver)).attached()
    second = start(*WIRE, "--mode", mode, wrapper=lab.netns_exec(receiver)).ended()
    assert (second.status, second.records) == (1, [])
    assert second.stderr.startswith("ebpflab: cannot attach to interface wire: it already carries an XDP program")
    assert second.stderr.count("\n") == 1
    # The first goes on counting.
    lab.in_namespace(sender, lambda: send([FRAMES[0].data] * 23))
    first.until(lambda record: packets(record) >= 23)
    ended = first.stop()
    assert ended.summary["counts"]["tcp"]["packets"] == 23
    assert (ended.status, ended.stderr) == (0, "")


def test_an_interface_that_goes_away(start: Start, wire: tuple[str, str]) -> None:
    sender, receiver = wire
    tool = start(*WIRE, "-i", "0.05", "-d", "20", wrapper=lab.netns_exec(receiver)).attached()
    lab.in_namespace(sender, lambda: send([FRAMES[0].data] * 23))
    tool.until(lambda record: packets(record) >= 23)
    lab.ip("-n", receiver, "link", "delete", "wire")
    ended = tool.ended()
    assert ended.ledger["seen"] == 23
    assert ended.summary["counts"]["tcp"]["packets"] == 23
    assert (ended.status, ended.stderr) == (1, "ebpflab: interface wire went away while it was watched\n")


def test_an_interface_that_goes_away_under_python(wire: tuple[str, str]) -> None:
    def count() -> None:
        with ebpflab.xdp("wire") as counter:
            lab.ip("link", "delete", "wire")
            with pytest.raises(ebpflab.AttachError) as caught:
                next(counter.readings(interval=0.01))
            assert caught.value.target == "interface wire"
        assert counter.ledger.balanced

    lab.in_namespace(wire[1], count)


@pytest.mark.native
def test_no_such_interface(start: Start) -> None:
    ended = start("xdp", "--iface", "no-such-iface").ended()
    assert (ended.status, ended.records) == (1, [])
    assert (
        ended.stderr == "ebpflab: cannot attach to interface no-such-iface: there is none of that name; see `ip link`\n"
    )
    with pytest.raises(ebpflab.AttachError) as caught:
        ebpflab.xdp("no-such-iface")
    assert (caught.value.target, str(caught.value)) == ("interface no-such-iface", ended.stderr[len("ebpflab: ") : -1])


@pytest.mark.native
def test_errors_from_python(loopback: str) -> None:
    with pytest.raises(ValueError, match="no XDP mode turbo"):
        ebpflab.xdp("lo", mode="turbo")  # type: ignore[arg-type]

    def twice() -> None:
        with ebpflab.xdp("lo"), pytest.raises(ebpflab.AttachError, match="already carries an XDP program"):
            ebpflab.xdp("lo")
        with pytest.raises(ebpflab.NotSupportedError) as caught:
            ebpflab.xdp("lo", mode="drv")
        assert caught.value.feature == "XDP in drv mode on lo"
        assert caught.value.needs
        assert caught.value.reason

    lab.in_namespace(loopback, twice)


@pytest.mark.native
def test_readings_name_the_interface_and_never_go_back(start: Start, loopback: str) -> None:
    tool = start(*LOOPBACK, "-i", "0.02", wrapper=lab.netns_exec(loopback)).attached()
    lab.in_namespace(loopback, ping)
    tool.until(lambda record: packets(record) == 46)
    readings = [record for record in tool.stop().records if record["type"] == "xdp"]
    assert {reading["iface"] for reading in readings} == {"lo"}
    for field in (lambda reading: reading["time"], packets):
        values = [field(reading) for reading in readings]
        assert values == sorted(values)


def test_a_program_that_somebody_else_detaches(start: Start, wire: tuple[str, str]) -> None:
    _, receiver = wire
    before = lab.kernel_ids()
    tool = start(*WIRE, "-i", "0.05", "-d", "20", wrapper=lab.netns_exec(receiver)).attached()
    (link,) = [identity for kind, identity in lab.kernel_ids() - before if kind == "link"]
    subprocess.run(["bpftool", "link", "detach", "id", str(link)], check=True)
    ended = tool.ended()
    assert ended.ledger["seen"] == 0
    assert (ended.status, ended.stderr) == (1, "ebpflab: the XDP program on wire went away while it was watched\n")
