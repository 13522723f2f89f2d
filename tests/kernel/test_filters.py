"""Filters by groups of processes, and by where files are, beside workloads that know what belongs to the group."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest

from tests.kernel import lab
from tests.kernel.test_paths import compare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.conftest import Start

Plan = dict[str, Any]
AT_FDCWD = -100
RANDOM = random.SystemRandom()


@pytest.fixture
def family() -> Iterator[lab.Family]:
    """Processes that open files when told to."""
    workload = lab.Family()
    yield workload
    workload.close()


def leaf(folder: str, **more: Any) -> Plan:  # noqa: ANN401
    """Plan a process that opens a file of its own a number of times."""
    return {"path": f"{folder}/{os.urandom(4).hex()}", "opens": RANDOM.randint(1, 9), **more}


def members(plan: Plan) -> Counter[str]:
    """Return how often each file is opened by a process or its descendants."""
    own = Counter({plan["path"]: 0 if plan.get("dies") else plan["opens"]})
    return sum((members(child) for child in (*plan.get("children", []), *plan.get("later", []))), own)


def grown(folder: str) -> Plan:
    """Plan a family: with children and grandchildren, some of them orphans, from before and from later."""

    def some(**more: Any) -> list[Plan]:  # noqa: ANN401
        return [leaf(folder, **more) for _ in range(RANDOM.randint(1, 3))]

    return leaf(
        folder,
        children=[
            *some(),
            leaf(folder, children=some(), later=some(), thread=True),
            leaf(folder, dies=True, children=some(orphan=True), later=some(orphan=True, later=some())),
        ],
        later=[
            *some(),
            leaf(folder, children=some(), later=some()),
            leaf(folder, dies=True, children=some(orphan=True, later=some()), later=some(orphan=True)),
        ],
    )


def opens(events: list[lab.Record]) -> Counter[str]:
    """Return how often each path was opened."""
    return Counter(event["path"] for event in events if event["type"] == "open")


@pytest.mark.smoke
@pytest.mark.parametrize("command", ["open", pytest.param("dashboard", marks=pytest.mark.full)])
def test_a_tree_is_all_of_it_and_nobody_else(start: Start, family: lab.Family, command: str) -> None:
    tree, neighbour = grown(family.folder), grown(family.folder)
    root, _ = family.do("plant", [tree, neighbour])
    tool = start(command, "--tree", str(root)).attached()
    programs = {(hook["program"], hook["target"]) for hook in tool.first["hooks"]}
    assert programs >= {("tree_fork", "sched_process_fork"), ("tree_exit", "sched_process_exit")}
    family.do("go")
    ended = tool.stop()
    expected, seen = +members(tree), opens(ended.events)
    lab.assert_same(seen, expected, ended.ledger)
    # The dashboard has a ledger for each kind.
    ledger = ended.summary.get("ledgers", {}).get("open", ended.ledger)
    assert ledger["submitted"] == seen.total()
    assert ledger["filtered"] + lab.may_lack(ended.ledger) >= members(neighbour).total()
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.smoke
@pytest.mark.full
def test_nobody_is_missing_who_is_forked_while_the_tree_is_searched(start: Start, family: lab.Family) -> None:
    busy = leaf(family.folder, rapid=leaf(family.folder))
    tree = leaf(family.folder, children=[busy])
    (root,) = family.do("plant", [tree])
    tool = start("open", "--tree", str(root), "--buffer", str(16 << 20)).attached()
    children = family.do("stop")
    assert children >= 10
    family.do("go")
    ended = tool.stop()
    expected = Counter({plan["path"]: plan["opens"] for plan in (tree, busy)})
    expected[busy["rapid"]["path"]] = busy["rapid"]["opens"] * children
    seen = opens(ended.events)
    lab.assert_same(seen, expected, ended.ledger)
    assert (ended.ledger["submitted"], ended.stderr) == (seen.total(), "")


def test_counts_of_a_tree(family: lab.Family) -> None:
    tree, neighbour = grown(family.folder), grown(family.folder)
    root, _ = family.do("plant", [tree, neighbour])
    with ebpflab.counts(tree=root) as counter:
        family.do("go")
        summary = counter.stop()
    assert sum(row.count for row in summary.counts) == summary.ledger.submitted
    uncounted = members(tree).total() - summary.ledger.submitted
    assert uncounted == 0 or (lab.preemptible() and 0 < uncounted <= (summary.ledger.missed or 0))
    assert summary.ledger.balanced


def test_execs_of_a_tree(start: Start, runner: lab.Runner) -> None:
    other = lab.Runner()
    try:
        program, number = runner.do("link", "known-program"), RANDOM.randint(2, 20)
        tool = start("exec", "--tree", str(runner.pid)).attached()
        other.do("run", [(program, ["neighbour"])] * 3)
        pids = runner.do("run", [(program, ["member"])] * number)
        ended = tool.stop()
    finally:
        other.close()
    assert [(event["pid"], event["argv"]) for event in ended.events] == [(pid, ["member"]) for pid in pids]
    assert ended.ledger["submitted"] == number
    assert ended.ledger["filtered"] >= 3


def test_who_has_ended_is_in_no_tree(family: lab.Family) -> None:
    tree = grown(family.folder)
    (root,) = family.do("plant", [tree])
    before = {found["id"] for found in lab.kernel_list("map")}
    with ebpflab.opens(tree=root):
        (number,) = (
            found["id"] for found in lab.kernel_list("map") if found["id"] not in before and found["name"] == "TREE"
        )
        dump = ["bpftool", "-j", "map", "dump", "id", str(number)]
        known = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
        assert known.count("key") > 1
        family.do("go")
        assert "key" not in subprocess.run(dump, check=True, capture_output=True, text=True).stdout


@pytest.mark.native
def test_there_has_to_be_a_process(start: Start) -> None:
    ended = start("open", "--tree", "4194305").ended()
    assert (ended.status, ended.stderr) == (1, "ebpflab: there is no process 4194305\n")


def paths(length: int) -> list[str]:
    """Make up paths that are nowhere, and have much in common."""
    names = ("".join(RANDOM.choices("ab/", k=RANDOM.randint(0, length))) for _ in range(100))
    return [f"/nowhere/{name}" for name in names]


@pytest.mark.smoke
@pytest.mark.parametrize("hook", lab.DEFAULTS)
def test_only_what_begins_so(start: Start, opener: lab.Opener, hook: str) -> None:
    asked = [*paths(10), *paths(300)]
    whole = max(asked, key=len)
    # All lengths of the last word, and the longest.
    prefix = whole[: RANDOM.choice([9, 10, 11, 12, 13, 14, 15, 16, 255])]
    options = ("-p", str(opener.pid), "--path-prefix", prefix, "--hook", hook)
    tool = start("open", *options, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    opener.do("syscalls", [("openat", path, os.O_RDONLY, 0, AT_FDCWD) for path in asked])
    ended = tool.stop()
    kept = [path for path in asked if path.startswith(prefix)]
    assert [event["full_path"] for event in ended.events] == kept
    assert whole in kept
    assert ended.ledger["submitted"] == len(kept)
    assert ended.ledger["filtered"] >= len(asked) - len(kept)


@pytest.mark.parametrize("command", ["open", "dashboard"])
def test_what_is_not_known_is_kept(start: Start, command: str) -> None:
    workload = lab.Paths()
    try:
        prefix = f"{workload.folder}/x{RANDOM.choice('ab')}"
        tool = start(command, "-n", "attempting", "-p", str(workload.pid), "--path-prefix", prefix).attached()
        done = workload.do("cases", workload.folder)
        ended = tool.stop()
    finally:
        workload.close()
    # Of `full_end` only the end is known.
    kept = [
        known
        for known in done
        if "full_end" in known or known["path_fault"] or (known["full_path"] or "").startswith(prefix)
    ]
    compare(ended.events, kept)
    assert ended.ledger["submitted"] == len(kept) < len(done)
    assert ended.ledger["faults"] == sum(known["path_fault"] is not None for known in kept)


class Cgroups:
    """Cgroups of our own in one hierarchy, which are removed at the end."""

    def __init__(self, mount: Path, stack: contextlib.ExitStack) -> None:
        self.mount = mount
        self._stack = stack

    def make(self, name: str, parent: Path | None = None) -> lab.Cgroup:
        """Make a cgroup."""
        cgroup = lab.Cgroup(parent or self.mount, name)
        self._stack.callback(cgroup.close)
        return cgroup


@pytest.fixture(params=lab.HIERARCHIES)
def cgroups(request: pytest.FixtureRequest) -> Iterator[Cgroups]:
    """Cgroups in each kind of hierarchy."""
    mount = lab.cgroup_mount(request.param)
    if mount is None:
        pytest.skip(f"no cgroup hierarchy of {request.param} is mounted")
    with contextlib.ExitStack() as stack:
        yield Cgroups(mount, stack)


@pytest.fixture
def openers() -> Iterator[list[lab.Opener]]:
    """Several processes that open files when told to."""
    with contextlib.ExitStack() as stack:
        workloads = [lab.Opener() for _ in range(4)]
        for workload in workloads:
            stack.callback(workload.close)
        yield workloads


@pytest.mark.smoke
def test_only_a_cgroup_and_those_below_it(start: Start, cgroups: Cgroups, openers: list[lab.Opener]) -> None:
    name = f"ebpflab-{os.getpid()}"
    outer = cgroups.make(name)
    inner, neighbour = cgroups.make("inner", outer.path), cgroups.make(f"{name}-neighbour")
    for opener, cgroup in zip(openers, (outer, inner, neighbour), strict=False):
        cgroup.take(opener.pid)
    tool = start("open", "-c", str(outer.path)).attached()
    asked = [opener.do("opens", RANDOM.randint(1, 9)) for opener in openers]
    ended = tool.stop()
    expected = {opener.pid: opens for opener, opens in zip(openers[:2], asked, strict=False)}
    assert Counter(event["pid"] for event in ended.events) == expected
    assert ended.ledger["submitted"] == sum(asked[:2])
    assert ended.ledger["filtered"] >= sum(asked[2:])
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.parametrize("cgroups", ["v2"], indirect=True)
def test_cgroups_made_later_and_paths_below_the_mount(cgroups: Cgroups, openers: list[lab.Opener]) -> None:
    name = f"ebpflab-{os.getpid()}"
    outer = cgroups.make(name)
    for path in (name, f"/{name}"):
        with ebpflab.counts(cgroup=path) as counter:
            inner = cgroups.make(path.replace("/", "later-"), outer.path)
            inner.take(openers[0].pid)
            asked = [opener.do("opens", RANDOM.randint(1, 9)) for opener in openers]
            summary = counter.stop()
        assert [(row.pid, row.count) for row in summary.counts] == [(openers[0].pid, asked[0])]
        assert summary.ledger.balanced


@pytest.mark.native
@pytest.mark.parametrize("command", ["open", "exec", "count", "dashboard"])
def test_there_has_to_be_a_cgroup(start: Start, command: str) -> None:
    ended = start(command, "--cgroup", "/no/such/cgroup").ended()
    assert (ended.status, ended.records) == (1, [])
    assert ended.stderr.startswith("ebpflab: there is no cgroup /no/such/cgroup, ")
    assert ended.stderr.count("\n") == 1
