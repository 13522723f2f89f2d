"""Side by side with bpftrace, in one run over one workload: the same counts, and the same histograms."""

from __future__ import annotations

import json
import select
import signal
import subprocess
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.kernel.conftest import Start

# The workloads are pinned to no kernel, and bpftrace takes a minute to start under emulation.
pytestmark = pytest.mark.native

#: Values of each size, and below zero. bpftrace 0.17 has no bucket above that of 2**31.
VALUES = [*range(-20, 300), *(2**power + step for power in range(9, 31) for step in (-1, 0, 1))]


class Bpftrace:
    """A script of bpftrace, from the moment on at which all of it is attached.

    It does not say when that is: BEGIN comes before its probes are there, and which of these is attached last is not
    said. So each probe says that it was come to (`@warm`), which the workload does until all have; and none counts
    before `@go`, which is set by a probe on getppid.
    """

    def __init__(self, caller: lab.Caller, probes: list[str], warm_up: Callable[[], object]) -> None:
        """Start it; `warm_up` comes to each of the probes."""
        mine = f"/pid == {caller.pid}/"
        libc = _libc(caller.pid)
        bodies = [
            f"{probe.partition(' ')[0].replace('LIBC', libc)} {mine}"
            f" {{ @warm[{number}] = 1; if (@go) {{ {probe.partition(' ')[2]} }} }}"
            for number, probe in enumerate(probes)
        ]
        warm = " && ".join(f"@warm[{number}]" for number in range(len(probes)))
        bodies += [
            f'uprobe:{libc}:labs {mine} {{ if ({warm}) {{ printf("warm\\n"); }} }}',
            f'uprobe:{libc}:getppid {mine} {{ @go = 1; printf("go\\n"); }}',
        ]
        self._process = subprocess.Popen(
            [*lab.WITH_TRACEFS, "bpftrace", "-f", "json", "-e", "\n".join(bodies)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._until("warm\n", lambda: (warm_up(), caller.do("others", 1)))
        self._until("go\n", lambda: caller.do("getppids", 1))

    def _until(self, said: str, again: Callable[[], object]) -> None:
        """Do something until it says so."""
        out = self._process.stdout
        assert out
        while True:
            again()
            while select.select([out], [], [], 0.2)[0]:
                line = out.readline()
                assert line, "bpftrace ended"
                if line.strip() and json.loads(line)["data"] == said:
                    return

    def stop(self) -> dict[str, Any]:
        """End it, and return its maps."""
        out = self._process.stdout
        assert out
        said = b""
        self._process.send_signal(signal.SIGINT)
        while True:
            # It has been seen to miss one.
            if not select.select([out], [], [], 5)[0]:
                self._process.send_signal(signal.SIGINT)
            elif part := out.read(1 << 16):
                said += part
            else:
                break
        lines = (json.loads(line) for line in said.splitlines() if line.strip())
        maps: dict[str, Any] = {}
        for line in lines:
            if line["type"] in {"map", "hist"}:
                maps |= line["data"]
        assert self._process.wait() == 0
        return maps

    def close(self) -> None:
        """End it in any case."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()


def _libc(pid: int) -> str:
    """Return the C library that a process has."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return next(line.split()[-1] for line in maps if "/libc.so.6" in line or "/libc-2" in line)


def buckets(histogram: list[dict[str, int]]) -> dict[int, int]:
    """Return a histogram of bpftrace by where its buckets begin; that of all that is below zero has no beginning."""
    return {bucket.get("min", -1): bucket["count"] for bucket in histogram if bucket["count"]}


@pytest.fixture
def bpftrace(caller: lab.Caller) -> Iterator[Peer]:
    """Start bpftrace with these probes: where, and what it does there."""
    started: list[Bpftrace] = []

    def start(probes: list[str], warm_up: Callable[[], object]) -> Bpftrace:
        started.append(Bpftrace(caller, probes, warm_up))
        return started[-1]

    yield start
    for each in started:
        each.close()


if TYPE_CHECKING:
    Peer = Callable[[list[str], Callable[[], object]], Bpftrace]


#: What `calls` calls it, what bpftrace does, and what the workload does.
TARGETS = (
    ("libc:llabs", "uprobe:LIBC:llabs", "calls"),
    ("raw_tracepoint:task_rename", "tracepoint:task:task_rename", "renames"),
    ("tracepoint:task:task_rename", "tracepoint:task:task_rename", "renames"),
)


@pytest.mark.parametrize("number", [23, 1_000, 100_000])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[0])
def test_calls_are_those_of_bpftrace(
    start: Start, caller: lab.Caller, bpftrace: Peer, target: tuple[str, str, str], number: int
) -> None:
    ours, theirs, command = target
    peer = bpftrace([f"{theirs} @count = count();"], lambda: caller.do(command, 1))
    tool = start("calls", ours, "-i", "60", "--pid", str(caller.pid), wrapper=lab.WITH_TRACEFS).attached()
    assert caller.do(command, number) == number
    ended, maps = tool.stop(), peer.stop()
    (row,) = ended.summary["counts"]
    assert row["count"] == maps["@count"]
    assert row["count"] - number == (0 if command == "calls" else lab.names_given_to_threads())
    assert lab.none_missed(ended.ledger)


def test_what_is_returned_is_in_the_buckets_of_bpftrace(start: Start, caller: lab.Caller, bpftrace: Peer) -> None:
    peer = bpftrace(["uretprobe:LIBC:atol @hist = hist(retval);"], lambda: caller.do("longs", ["1"]))
    tool = start("returns", "libc:atol", "-i", "60", "--pid", str(caller.pid)).attached()
    assert caller.do("longs", [str(value) for value in VALUES]) == VALUES
    ended, theirs = tool.stop(), buckets(peer.stop()["@hist"])
    (row,) = ended.summary["counts"]
    ours = {bucket["start"]: bucket["count"] for bucket in row["buckets"] if bucket["count"]}
    assert ours | {-1: row["negative"]} == theirs
    assert sum(theirs.values()) == len(VALUES)


def test_times_are_in_the_buckets_of_bpftrace(caller: lab.Caller, bpftrace: Peer) -> None:
    """But for those at an edge: neither of the two is in the time of the other, but in what is around it."""
    peer = bpftrace(
        [
            "uprobe:LIBC:usleep @start[tid] = nsecs;",
            "uretprobe:LIBC:usleep if (@start[tid]) { @hist = hist(nsecs - @start[tid]); delete(@start[tid]); }",
        ],
        lambda: caller.do("sleeps", (1, 1)),
    )
    with ebpflab.latency("libc:usleep", pid=caller.pid) as counter:
        for microseconds in (150, 700, 1_500, 3_000):
            caller.do("sleeps", (250, microseconds))
        (row,) = counter.stop().counts.rows
    theirs = buckets(peer.stop()["@hist"])
    ours = {bucket.from_ns: bucket.count for bucket in row.buckets if bucket.count}
    assert sum(ours.values()) == sum(theirs.values()) == 1_000
    edges = sorted(ours.keys() | theirs.keys())
    assert len(edges) >= 4, "they are not all in one bucket"
    # What has to be moved over each edge to make one of the other.
    moved = list(accumulate(ours.get(edge, 0) - theirs.get(edge, 0) for edge in edges))
    assert sum(map(abs, moved)) <= 0.02 * 1_000, (ours, theirs)
