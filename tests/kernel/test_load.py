"""`ebpflab.load`: objects that clang made, against what the workload did."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest
from ebpflab.values import plain

from tests.kernel import lab
from tests.kernel.network import Peers, udp_exchange
from tests.support.objects import clang

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpflab.objects import Object

CALLS = 23
#: Of an Ethernet frame, and of the headers of IPv4 and UDP.
ETHERNET, HEADERS = 14, 28
IPV4 = 0x0800


def call(number: int) -> None:
    """Call getpriority(2) for a process that there is not; the kernel does not mind."""
    ctypes.CDLL(None).syscall(ctypes.c_long(140), ctypes.c_long(0), ctypes.c_long(number))


def test_maps_globals_and_events_are_what_the_program_wrote(objects: Path) -> None:
    with ebpflab.load(clang("events", objects)) as obj:
        assert (obj.loaded, list(obj.programs), set(obj.maps) >= {"counts", "totals", "events"}) == (
            False,
            ["on_sys_enter"],
            True,
        )
        assert plain(obj.globals["pair"]) == {"pid": 1, "parity": "ODD"}
        assert obj.kernel_fields == ("task_struct.tgid",)
        obj.globals["target"] = os.getpid()
        obj.globals["pair"] = {"pid": 7, "parity": "EVEN"}
        with pytest.raises(ValueError, match="global target: -1 does not fit 32 bits"):
            obj.globals["target"] = -1
        events = obj.maps["events"].events(as_="event")
        assert obj.programs["on_sys_enter"].attach() == "sys_enter"
        with pytest.raises(ValueError, match="before the object is loaded"):
            obj.globals["target"] = 1
        for number in range(1, CALLS + 1):
            call(number)
        found = events.read(timeout=2)
        comm = Path("/proc/self/comm").read_text().strip()
        assert [plain(event) for event in found] == [
            {
                "number": number,
                "tgid": os.getpid(),
                "parity": "ODD" if number % 2 else "EVEN",
                "comm": comm,
                "first": number == 1,
            }
            for number in range(1, CALLS + 1)
        ]
        assert events.lost is None
        counts = obj.maps["counts"]
        assert {key.parity.name: (key.pid, plain(value)) for key, value in counts.items()} == {
            "ODD": (os.getpid(), {"calls": 12, "last": -23}),
            "EVEN": (os.getpid(), {"calls": 11, "last": -22}),
        }
        odd = {"pid": os.getpid(), "parity": "ODD"}
        assert counts[odd] == counts[os.getpid(), 1] == {"calls": 12, "last": -23}
        counts[odd] = {"calls": 2**64 - 1, "last": -(2**63)}
        assert counts[odd].calls == 2**64 - 1
        del counts[odd]
        assert (odd in counts, len(counts)) == (False, 1)
        with pytest.raises(ValueError, match="a key of map counts: key has no member port; it has pid, parity"):
            counts[{"port": 1}]
        assert obj.maps["totals"][0].calls == CALLS
        assert sum(value.calls for value in obj.maps["totals"].per_cpu(0)) == CALLS
        assert (obj.globals["seen"], plain(obj.globals["pair"])) == (CALLS, {"pid": 7, "parity": "EVEN"})
        program = obj.programs["on_sys_enter"]
        (listed,) = [each for each in ebpflab.programs() if each.id == program.id]
        assert (listed.name, listed.verified_instructions) == ("on_sys_enter", program.verified_instructions)
        events.close()
    with pytest.raises(ebpflab.ClosedError):
        obj.load()


def test_what_others_may_write_is_not_loaded(objects: Path, tmp_path: Path) -> None:
    copy = tmp_path / "prog.o"
    copy.write_bytes(clang("events", objects).read_bytes())
    copy.chmod(0o666)
    with pytest.raises(ValueError, match=f"{copy} is not loaded, since others may write {copy}; chmod go-w"):
        ebpflab.load(copy)
    copy.chmod(0o644)
    tmp_path.chmod(0o777)
    with pytest.raises(ValueError, match=f"others may write {tmp_path}; copy it"):
        ebpflab.load(copy)


def test_a_damaged_object_is_one_sentence(objects: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = clang("events", objects).read_bytes()
    copy = tmp_path / "prog.o"
    refused: list[str] = []
    for at in range(0, len(whole), len(whole) // 150):
        copy.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            ebpflab.load(copy).close()
        except ebpflab.EbpflabError as error:
            refused.append(str(error))
    assert refused
    assert not [sentence for sentence in refused if "\n" in sentence]
    assert capfd.readouterr().err == ""


def by_bpftool(name: str) -> list[dict[str, Any]]:
    """The entries of the newest map of that name, as bpftool prints them with the map's types."""
    newest = max(each.id for each in ebpflab.maps() if each.name == name)
    command = ["bpftool", "-j", "map", "dump", "id", str(newest)]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def test_functions_of_a_library_by_perf_buffers(objects: Path) -> None:
    libc = ctypes.CDLL(None)
    with ebpflab.load(clang("probes", objects)) as obj:
        obj.globals["target"] = os.getpid()
        events = obj.maps["calls"].events(as_="call")
        with pytest.raises(ValueError, match="say what to attach on_call to: uprobe does not; it takes BINARY:SYMBOL"):
            obj.programs["on_call"].attach()
        assert obj.programs["on_call"].attach("libc:labs") == "libc:labs"
        obj.programs["on_return"].attach("libc:labs")
        for number in range(1, CALLS + 1):
            libc.labs(ctypes.c_long(-number))
        found: list[Any] = []
        while len(found) < 2 * CALLS and (more := events.read(timeout=2)):
            found += more
        assert events.read() == []
        assert events.lost == 0
        told = {side: [event.number for event in found if event.side.name == side] for side in ("ENTRY", "RETURN")}
        numbers = list(range(1, CALLS + 1))
        # The buffers of several CPUs are read one after the other.
        assert {side: sorted(each, key=abs) for side, each in told.items()} == {
            "ENTRY": [-number for number in numbers],
            "RETURN": numbers,
        }
        assert {event.tid for event in found} == {threading.get_native_id()}
        events.close()


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """Keep this process on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_cpu")
def test_what_does_not_fit_into_perf_buffers_is_told(objects: Path) -> None:
    libc = ctypes.CDLL(None)
    number = 10_000
    with ebpflab.load(clang("probes", objects)) as obj:
        obj.globals["target"] = os.getpid()
        events = obj.maps["calls"].events(as_="call", buffer=4_096)
        obj.programs["on_call"].attach("libc:labs")
        for _ in range(number):
            libc.labs(ctypes.c_long(-1))
        # What a CPU's buffer lost is told with the next record that fits into it.
        read = len(events.read())
        libc.labs(ctypes.c_long(-1))
        read += len(events.read())
        assert 0 < read < number
        assert events.lost == number + 1 - read
        events.close()


def test_functions_of_the_kernel(objects: Path) -> None:
    with ebpflab.load(clang("probes", objects)) as obj:
        obj.globals["target"] = os.getpid()
        if lab.probe("kprobe"):
            with pytest.raises(ebpflab.EbpflabError, match="__x64_sys_getpriority"):
                obj.programs["on_entry"].attach()
            return
        for name in ("on_entry", "on_result"):
            assert obj.programs[name].attach() == "__x64_sys_getpriority"
        call(os.getpid())
        for _ in range(CALLS - 1):
            call(2**30)
        esrch = -3
        assert {key: value for key, value in obj.maps["returned"].items() if key == esrch} == {esrch: CALLS - 1}
        assert dict(obj.maps["sides"].items()) == {0: CALLS, 1: CALLS}


def test_programs_that_call_the_next(objects: Path, peers: Peers) -> None:
    sizes = [100 + number for number in range(CALLS)]
    whole = sum(sizes) + CALLS * (ETHERNET + HEADERS)
    with ebpflab.load(clang("stages", objects)) as obj:
        obj.maps["stages"][1] = obj.programs["on_network"]
        assert obj.maps["stages"][1] == obj.programs["on_network"].id
        lab.in_namespace(peers.right, lambda: obj.programs["on_link"].attach("wire"))
        udp_exchange(peers, peers.left4, peers.right4, sizes, [])
        assert [(value.packets, value.bytes) for _, value in sorted(obj.maps["seen"].items())] == [
            (CALLS, whole),
            (CALLS, whole),
            (0, 0),
        ]
        assert obj.globals["missing"] == (0, 0, CALLS)
        obj.maps["stages"][2] = obj.programs["on_transport"]
        udp_exchange(peers, peers.left4, peers.right4, sizes, [])
        seen = {int(key): plain(value) for key, value in obj.maps["seen"].items()}
        assert [value["packets"] for _, value in sorted(seen.items())] == [2 * CALLS, 2 * CALLS, CALLS]
        assert obj.globals["missing"] == (0, 0, CALLS)
        dumped = by_bpftool("seen")
        assert seen == {
            each["formatted"]["key"]: {
                name: sum(cpu["value"][name] for cpu in each["formatted"]["values"]) for name in ("packets", "bytes")
            }
            for each in dumped
        }
        del obj.maps["stages"][1]
        assert 1 not in obj.maps["stages"]


def in_cgroup(cgroup: lab.Cgroup, namespace: str, sizes: list[int]) -> None:
    """Send datagrams of these sizes to itself on lo, as a process of a cgroup."""
    child = os.fork()
    if child == 0:
        cgroup.take(os.getpid())
        lab.enter(namespace)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.bind(("127.0.0.1", 0))
            for size in sizes:
                ours.sendto(bytes(size), ours.getsockname())
                ours.recv(65_536)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@contextmanager
def own_cgroup() -> Iterator[lab.Cgroup]:
    mount = lab.cgroup_mount("v2")
    assert mount, "no hierarchy of v2 is mounted"
    cgroup = lab.Cgroup(mount, f"ebpflab-load-{os.getpid()}")
    try:
        yield cgroup
    finally:
        cgroup.close()


def sums(obj: Object) -> dict[tuple[str, int, bool], tuple[int, int]]:
    """Packets and bytes by place, protocol and direction."""
    return {
        (key.place.name, key.protocol, bool(key.is_egress)): (value.packets, value.bytes)
        for key, value in obj.maps["counts"].items()
    }


def test_packets_of_interfaces_and_cgroups(objects: Path, peers: Peers, loopback: str) -> None:
    sizes = [100 + number for number in range(CALLS)]
    datagrams = sum(sizes) + CALLS * HEADERS
    with own_cgroup() as cgroup, ebpflab.load(clang("traffic", objects)) as obj:
        attach = obj.programs["on_receive"].attach
        with pytest.raises(ValueError, match="wire is no target for on_receive: it takes INTERFACE:ingress"):
            attach("wire")
        assert lab.in_namespace(peers.left, lambda: attach("wire:ingress")) == "wire ingress"
        lab.in_namespace(peers.left, lambda: obj.programs["on_send"].attach("wire:egress"))
        obj.programs["into_cgroup"].attach(str(cgroup.path))
        obj.programs["out_of_cgroup"].attach(str(cgroup.path))
        udp_exchange(peers, peers.left4, peers.right4, sizes, sizes[:7])
        in_cgroup(cgroup, loopback, sizes)
        back = sum(sizes[:7]) + 7 * (ETHERNET + HEADERS)
        assert sums(obj) == {
            ("TC", IPV4, True): (CALLS, datagrams + CALLS * ETHERNET),
            ("TC", IPV4, False): (7, back),
            ("CGROUP", IPV4, True): (CALLS, datagrams),
            ("CGROUP", IPV4, False): (CALLS, datagrams),
        }


def test_how_often_programs_run(objects: Path) -> None:
    with ebpflab.load(clang("events", objects)) as obj:
        obj.globals["target"] = os.getpid()
        with pytest.raises(ebpflab.EbpflabError, match="no program on_sys_enter"):
            _ = obj.programs["on_sys_enter"].id
        obj.programs["on_sys_enter"].attach()
        before = obj.programs["on_sys_enter"].run_stats
        ebpflab.programs(stats=0.01)
        runs, nanoseconds = obj.programs["on_sys_enter"].run_stats
        assert obj.programs["on_sys_enter"].missed == 0 or lab.preemptible() or lab.RELEASE < (5, 12)
        # The sleep that was measured is a system call itself.
        assert runs > before[0]
        assert nanoseconds > before[1]


@contextmanager
def bpffs(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "bpffs"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_pinned_maps_are_shared_and_stay(objects: Path, tmp_path: Path) -> None:
    with bpffs(tmp_path) as folder:
        places = {"counts": folder / "counts"}
        with ebpflab.load(clang("events", objects), pinned=places) as first:
            first.maps["counts"][7, "ODD"] = {"calls": 23, "last": -1}
            with ebpflab.load(clang("events", objects), pinned=places) as second:
                assert second.maps["counts"][7, "ODD"].calls == CALLS
            first.programs["on_sys_enter"].pin(folder / "program")
            number = first.programs["on_sys_enter"].id
            first.maps["totals"].pin(folder / "totals")
            with pytest.raises(OSError, match=r"pin .*totals: .*File exists"):
                first.maps["totals"].pin(folder / "totals")
        assert number in {each.id for each in ebpflab.programs()}
        with ebpflab.load(clang("events", objects), pinned=places) as third:
            assert plain(third.maps["counts"][7, "ODD"]) == {"calls": 23, "last": -1}
        another = ebpflab.load(clang("events", objects), pinned={"counts": folder / "totals"})
        message = "map counts: what is pinned at .*totals is a percpu_array of 4 and 16 bytes, not a hash of 8 and 16"
        with another, pytest.raises(ValueError, match=message):
            another.load()
        for name in ("counts", "program", "totals"):
            (folder / name).unlink()
    with pytest.raises(ValueError, match=r"nothing can be pinned at .*: its folder is not there, or on no bpffs"):
        ebpflab.load(clang("events", objects), pinned={"counts": tmp_path / "counts"})
    with pytest.raises(ValueError, match="the object has no map count; it has "):
        ebpflab.load(clang("events", objects), pinned={"count": tmp_path / "counts"})


def test_run_prints_events_and_maps(objects: Path) -> None:
    path = str(clang("events", objects))
    options = ("--events", "events=event", "--set", f"target={os.getpid()}", "--json")
    running = lab.start(("run", path, *options), ())
    assert running.stdout
    assert running.stderr
    with running.stdout as out, running.stderr as err:
        lines = (json.loads(line) for line in out)
        assert next(lines) == {
            "type": "attached",
            "programs": [{"program": "on_sys_enter", "kind": "raw_tracepoint", "target": "sys_enter"}],
        }
        for number in range(1, CALLS + 1):
            call(number)
        os.kill(running.pid, signal.SIGINT)
        rest = list(lines)
        assert (running.wait(), err.read()) == (0, "")
    assert rest[-1] == {"type": "summary", "events": {"events": CALLS}, "lost": {}}
    events = [line["value"] for line in rest if line["type"] == "event"]
    assert [event["number"] for event in events] == list(range(1, CALLS + 1))
    entries = Counter(line["map"] for line in rest if line["type"] == "entry")
    assert entries == {"counts": 2, "totals": 1}
    assert {line["key"]["parity"]: line["value"]["calls"] for line in rest if line.get("map") == "counts"} == {
        "ODD": 12,
        "EVEN": 11,
    }


def test_run_attaches_what_is_told_to_what_is_told(objects: Path) -> None:
    path = str(clang("probes", objects))
    options = ("--program", "on_call=libc:labs", "--program", "on_rename", "--set", f"target={os.getpid()}")
    running = lab.start(("run", path, *options, "--limit", "2", "--fail-on-loss"), lab.WITH_TRACEFS)
    assert running.stdout
    assert running.stderr
    with running.stdout as out, running.stderr as err:
        assert err.readline() == "ebpflab: on_call attached by uprobe to libc:labs; Ctrl-C ends it\n"
        assert err.readline() == "ebpflab: on_rename attached by tracepoint to task:task_rename; Ctrl-C ends it\n"
        name = Path("/proc/self/comm").read_text().strip()
        for _ in range(CALLS):
            Path("/proc/self/comm").write_text(name)
        for _ in range(2):
            ctypes.CDLL(None).labs(ctypes.c_long(-7))
        text = out.read()
        assert (running.wait(), err.read()) == (0, "")
    events = [line for line in text.splitlines() if line.startswith("calls  ")]
    # Without --events they are bytes: 0, the thread, -7; and what the kernel fills up with.
    tid = threading.get_native_id().to_bytes(4, "little")
    event = (bytes(4) + tid + (-7).to_bytes(8, "little", signed=True)).hex(" ")
    assert [line[: len("calls  ") + len(event)] for line in events] == 2 * [f"calls  {event}"]
    assert "sides, array, 2 entries\nKEY  VALUE\n0    23\n1    0\n" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--set", "targets=1"), "the object has no global targets; it has "),
        (("--set", "target"), "--set takes NAME=VALUE, not target"),
        (("--set", "target=-1"), "global target: -1 does not fit 32 bits"),
        (("--program", "on_calls"), "the object has no program on_calls; it has on_call, on_entry"),
        (("--program", "on_call"), "say what to attach on_call to: uprobe does not; it takes BINARY:SYMBOL"),
        (("--events", "call=call"), "the object has no map call; it has .bss, .rodata, calls"),
        (("--events", "calls=cal"), "the object's type information has no struct cal"),
        (("--events", "sides=call"), "map sides is no ring buffer and no perf buffer"),
        (("--pin", "sides=/nowhere/sides"), "nothing can be pinned at /nowhere/sides: its folder is not there"),
    ],
)
def test_what_run_cannot_do_is_one_sentence(objects: Path, options: tuple[str, ...], said: str) -> None:
    ended = lab.run(("run", str(clang("probes", objects)), *options), ())
    assert ended.returncode in {1, 2}
    assert ended.stderr.startswith("ebpflab: ")
    assert said in ended.stderr
    assert (ended.stderr.count("\n"), ended.stdout) == (1, "")
