"""`xdp --pin` on a live kernel: what stays without a process, what it does, and how it goes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab
from tests.kernel.network import Peers, interface_counters

if TYPE_CHECKING:
    from collections.abc import Iterator

BPFFS = Path("/sys/fs/bpf")
#: The same with an empty folder in its place.
WITHOUT_BPFFS = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
    'mount -t tmpfs none /sys/fs/bpf && exec "$@"',
    "sh",
)


@pytest.fixture
def pins() -> Iterator[Path]:
    """The folder of what is pinned, which there is none of before and after."""
    is_mounted = os.path.ismount(BPFFS)
    if not is_mounted:
        subprocess.run(["mount", "-t", "bpf", "bpf", BPFFS], check=True)
    folder = BPFFS / "ebpflab"
    assert not folder.exists()
    yield folder
    ebpflab.unpin_xdp()
    if not is_mounted:
        subprocess.run(["umount", BPFFS], check=True)


def xdp(namespace: str, *arguments: str) -> list[lab.Record]:
    """Run `ebpflab xdp ARGUMENTS --json` to its end, which is a good one; return its lines."""
    done = lab.run(("xdp", *arguments, "--json"), lab.nsenter(namespace))
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def send(peers: Peers, count: int) -> tuple[int, int]:
    """Send datagrams to the left, by IPv4 and by IPv6; return how many arrive."""
    arrived = []
    for left, right, family in (
        (peers.left4, peers.right4, socket.AF_INET),
        (peers.left6, peers.right6, socket.AF_INET6),
    ):

        def make(address: str, family: int = family) -> socket.socket:
            made = socket.socket(family, socket.SOCK_DGRAM)
            made.bind((address, 0))
            return made

        receiver = lab.in_namespace(peers.left, lambda left=left, make=make: make(left))  # type: ignore[misc]
        sender = lab.in_namespace(peers.right, lambda right=right, make=make: make(right))  # type: ignore[misc]
        with receiver, sender:
            before = interface_counters(peers.left, "wire").rx_packets
            for _ in range(count):
                sender.sendto(bytes(100), receiver.getsockname()[:2])
            # Those that are dropped are counted by the interface all the same.
            assert lab.eventually(lambda: interface_counters(peers.left, "wire").rx_packets - before == count)  # noqa: B023
            arrived.append(_waiting(receiver))
    return arrived[0], arrived[1]


def _waiting(receiver: socket.socket) -> int:
    receiver.settimeout(0.1)
    count = 0
    try:
        while receiver.recv(1_000):
            count += 1
    except TimeoutError:
        return count
    return count


RULES = ("--block", "192.0.2.0/24", "--block", "2001:db8::/32", "--allow", "2001:db8::2")


def rules(record: lab.Record) -> dict[tuple[str, str], int]:
    """Return the packets of each rule."""
    return {(rule["action"], rule["cidr"]): rule["packets"] for rule in record["firewall"]["rules"]}


@pytest.mark.smoke
def test_rules_and_counts_stay_without_a_process(peers: Peers, pins: Path) -> None:
    (made,) = xdp(peers.left, "--iface", "wire", "--mode", "skb", *RULES, "--pin")
    assert (made["type"], made["iface"], made["mode"]) == ("pinned", "wire", "skb")
    assert {file.name for file in Path(made["folder"]).iterdir()} >= {"link", "xdp_count", "STAGES", "RULE_COUNTS"}
    assert send(peers, 23) == (0, 23)
    (found,) = xdp(peers.left, "--pinned")
    assert found["counts"]["udp"] == {"packets": 46, "bytes": 23 * (142 + 162)}
    assert rules(found) == {
        ("block", "192.0.2.0/24"): 23,
        ("block", "2001:db8::/32"): 0,
        ("allow", "2001:db8::2/128"): 23,
    }
    assert found["firewall"]["dropped"] == {"packets": 23, "bytes": 23 * 142}
    # Who looks for leftovers is told what it is.
    told = {feature.name: feature for feature in ebpflab.features() if feature.group == "leftovers"}
    assert {name: feature.answer for name, feature in told.items()} == {
        "nothing left behind": "yes",
        "pinned elsewhere": "yes",
    }
    assert "--unpin" in (told["pinned elsewhere"].fix or "")
    here = lab.in_namespace(peers.left, lambda: {feature.name: feature for feature in ebpflab.features()})
    assert "--unpin --iface wire" in (here["pinned on wire"].fix or "")
    assert f"ebpflab's own program, pinned, (id {made['program']})" in here["wire free"].found
    (gone,) = xdp(peers.left, "--unpin", "--iface", "wire")
    assert (gone["folder"], rules(gone)) == (made["folder"], rules(found))
    assert not pins.exists()
    assert send(peers, 3) == (3, 3)


def test_without_rules_and_from_python(peers: Peers, pins: Path) -> None:
    made = lab.in_namespace(peers.left, lambda: ebpflab.pin_xdp("wire"))
    assert (made.iface, made.firewall, made.counts["udp"]) == ("wire", None, ebpflab.PacketCount(0, 0))
    assert send(peers, 5) == (5, 5)
    # From another network namespace its name is not known.
    (found,) = ebpflab.pinned_xdp()
    assert (found.iface, found.mode, found.folder) == (None, None, made.folder)
    assert found.counts["udp"].packets == 10
    assert lab.in_namespace(peers.right, lambda: ebpflab.pinned_xdp("wire")) == ()
    (gone,) = ebpflab.unpin_xdp()
    assert gone.counts == found.counts
    assert (ebpflab.pinned_xdp(), ebpflab.unpin_xdp(), pins.exists()) == ((), (), False)


def test_what_is_pinned_is_not_replaced(peers: Peers, pins: Path) -> None:
    xdp(peers.left, "--iface", "wire", *RULES, "--pin")
    for arguments, why in (
        (("--pin",), "an XDP program is pinned on it already"),
        (("-d", "1"), "it already carries an XDP program"),
    ):
        done = lab.run(("xdp", "--iface", "wire", *arguments), lab.nsenter(peers.left))
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert why in done.stderr
    assert send(peers, 2) == (0, 2)
    assert len(xdp(peers.left, "--unpin")) == 1
    assert not pins.exists()


def test_nothing_stays_of_what_cannot_be_attached(peers: Peers, pins: Path) -> None:
    lab.ip("-n", peers.left, "link", "set", "wire", "mtu", "9000")
    done = lab.run(("xdp", "--iface", "wire", "--mode", "hw", "--pin"), lab.nsenter(peers.left))
    assert (done.returncode, done.stderr.count("\n")) == (77, 1)
    assert [*pins.glob("*")] == []


def test_an_interface_that_has_gone(peers: Peers, pins: Path) -> None:
    (made,) = xdp(peers.left, "--iface", "wire", "--pin")
    lab.ip("-n", peers.left, "link", "delete", "wire")
    (found,) = xdp(peers.left, "--pinned")
    assert (found["iface"], found["mode"], found["folder"]) == (None, None, made["folder"])
    xdp(peers.left, "--unpin")
    assert not pins.exists()


def test_without_a_bpffs_it_says_what_to_mount(iface: str) -> None:
    done = lab.run(("xdp", "--iface", iface, "--pin"), WITHOUT_BPFFS)
    assert (done.returncode, done.stdout) == (77, "")
    assert done.stderr == (
        "ebpflab: pinning cannot work here: no bpffs is mounted on /sys/fs/bpf; it needs mount -t bpf bpf /sys/fs/bpf\n"
    )


def test_the_text_says_where_it_is(peers: Peers, pins: Path) -> None:
    done = lab.run(("xdp", "--iface", "wire", "--mode", "skb", *RULES, "--pin"), lab.nsenter(peers.left))
    assert done.stdout.startswith("pinned on wire in skb mode (program ")
    assert f", in {pins}/xdp-" in done.stdout
    assert "192.0.2.0/24" in done.stdout
