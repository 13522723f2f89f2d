"""`ebpflab programs`, `maps` and `links` against bpftool, and against what is known of a tool that runs."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest
from ebpflab import _ebpflab
from ebpflab.records import Holder

from tests.kernel import lab

if TYPE_CHECKING:
    from tests.kernel.conftest import Start

#: Whether the kernel tells what a link of a kprobe or a tracepoint is attached to.
TELLS_PERF_EVENTS = lab.RELEASE >= (6, 6)
#: Whether it tells what a link of fentry and fexit is attached to.
TELLS_FUNCTIONS = lab.RELEASE >= (5, 13)


def listed(kind: str) -> list[dict[str, Any]]:
    """What `ebpflab KIND --json` lists."""
    ended = lab.run((kind, "--json"), ())
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {line.pop("type") for line in lines} <= {kind.removesuffix("s")}
    return lines


def held_by(found: list[Any], pid: int) -> list[Any]:
    """Those of a process, which nobody else holds."""
    own = [each for each in found if pid in [holder.pid for holder in each.holders]]
    assert all([holder.pid for holder in each.holders] == [pid] for each in own)
    return own


@pytest.mark.smoke
def test_what_a_tool_has_loaded_is_listed_as_its_own(start: Start, wire: tuple[str, str]) -> None:
    left, _ = wire
    tool = start("xdp", "--iface", "wire", "-i", "60", wrapper=lab.netns_exec(left))
    assert tool.first_line()
    pid = tool.process.pid
    programs = held_by(list(ebpflab.programs()), pid)
    maps = {each.name: each for each in held_by(list(ebpflab.maps()), pid)}
    (link,) = held_by(list(ebpflab.links()), pid)
    assert {each.name for each in programs} == {"xdp_count", "xdp_network", "xdp_transport"}
    (program,) = [each for each in programs if each.name == "xdp_count"]
    assert (program.kind, program.uid, program.missed or 0) == ("xdp", 0, 0)
    assert (program.verified_instructions is not None) == lab.TELLS_VERIFIED
    assert program.instructions > 0
    assert program.memory_bytes
    assert {each.id for each in maps.values()} >= {number for each in programs for number in each.maps}
    counts = maps["COUNTS"]
    assert (counts.kind, counts.key_bytes, counts.value_bytes, counts.max_entries) == ("percpu_array", 4, 16, 5)
    # The interface is of another namespace.
    assert (link.kind, link.program) == ("xdp", program.id)
    assert str(link.target).startswith("interface ")
    assert {type(holder) for holder in program.holders} == {Holder}


def test_runs_are_measured_while_they_are_asked_for(start: Start, wire: tuple[str, str]) -> None:
    left, right = wire
    lab.ip("-n", left, "address", "add", "192.0.2.1/24", "dev", "wire")
    lab.ip("-n", right, "address", "add", "192.0.2.2/24", "dev", "wire")
    tool = start("xdp", "--iface", "wire", "-i", "60", wrapper=lab.netns_exec(left))
    assert tool.first_line()
    ping = [*lab.netns_exec(left), "ping", "-q", "-c", "1", "192.0.2.2"]
    subprocess.run(ping, check=True, stdout=subprocess.DEVNULL)
    ping[ping.index("1")] = "23"
    # By then runs are measured.
    later = ["sh", "-c", 'sleep 1; exec "$@"', "sh", *ping, "-i", "0.01"]
    with subprocess.Popen(later, stdout=subprocess.DEVNULL) as pings:
        programs = held_by(list(ebpflab.programs(stats=4)), tool.process.pid)
        assert pings.wait() == 0
    # Those that it calls are parts of its runs.
    (program,) = [each for each in programs if each.run_count]
    assert (program.name, program.run_count) == ("xdp_count", 23)
    assert program.run_time_ns > 23


@pytest.mark.smoke
def test_what_a_tool_costs_is_measured(start: Start, caller: lab.Caller) -> None:
    tool = start("calls", "libc:llabs", "-i", "60", "--pid", str(caller.pid)).attached()
    with ebpflab.calls("libc:labs", pid=caller.pid) as own, closing(_ebpflab.Costs()) as measured:
        before = lab.cpu_seconds(os.getpid())
        done = caller.do("calls", 2_000)
        others = caller.do("others", 7)
        while lab.cpu_seconds(os.getpid()) < before + 0.3:
            pass
        costs = [ebpflab.Cost(**each) for each in measured.read()]
        used = lab.cpu_seconds(os.getpid()) - before
        assert [row.count for row in own.read()] == [others]
    *each, of_all = costs
    by_pid = {cost.pid: cost for cost in each}
    theirs, ours = by_pid[tool.process.pid], by_pid[os.getpid()]
    assert (theirs.of, theirs.programs, theirs.runs) == ("process", 1, done)
    assert (ours.of, ours.programs, ours.runs) == ("process", 1, others)
    assert theirs.run_time_ns > done
    assert theirs.programs_percent == pytest.approx(theirs.run_time_ns / theirs.seconds / 1e7)
    # The kernel counts in hundredths, and reading takes some.
    assert ours.reader_percent * ours.seconds / 100 == pytest.approx(used, abs=0.1)
    assert 0.8 < ours.memory_bytes / lab.resident(os.getpid()) < 1.25
    assert (of_all.of, of_all.pid, of_all.comm) == ("all", None, None)
    assert of_all.runs >= done + others
    assert of_all.reader_percent >= ours.reader_percent
    tool.stop()


def test_costs_are_lines_of_json(start: Start, caller: lab.Caller) -> None:
    tool = start("calls", "libc:llabs", "-i", "60", "--pid", str(caller.pid)).attached()
    ended = lab.run(("cost", "-d", "0.1", "--json"), ())
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert tool.process.pid in {line["pid"] for line in lines}
    assert [line["of"] for line in lines].index("all") == len(lines) - 1
    assert {line["type"] for line in lines} == {"cost"}
    with pytest.raises(ValueError, match="no number of seconds above 0"):
        ebpflab.cost(0)


def test_bpftool_lists_the_same(start: Start) -> None:
    tool = start("dashboard")
    assert tool.first_line()
    pid = tool.process.pid
    as_theirs = {"kind": "type", "key_bytes": "bytes_key", "value_bytes": "bytes_value", "program": "prog_id"}
    fields = {
        "programs": ("id", "kind", "name", "tag", "uid"),
        "maps": ("id", "kind", "name", "key_bytes", "value_bytes", "max_entries"),
        "links": ("id", "program"),
    }
    for kind, names in fields.items():
        ours = [each for each in listed(kind) if [holder["pid"] for holder in each["holders"]] == [pid]]
        assert ours
        theirs = {each["id"]: each for each in lab.kernel_list(kind.removesuffix("s").replace("program", "prog"))}
        for each in ours:
            its = theirs[each["id"]]
            # They have no name for what has none.
            assert [each[name] for name in names] == [its.get(as_theirs.get(name, name), "") for name in names]


@pytest.mark.parametrize("hook", ["raw_tracepoint", "tracepoint", "fentry"])
def test_links_tell_what_they_are_attached_to(start: Start, hook: str) -> None:
    tool = start("open", "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    programs = {program.id: program.name for program in ebpflab.programs()}
    found = {(programs[link.program], link.target) for link in held_by(list(ebpflab.links()), tool.process.pid)}
    told = {(each["program"][:15], each["target"]) for each in tool.first["hooks"] if each["kind"] == "raw_tracepoint"}
    assert told <= found
    if hook == "tracepoint" and TELLS_PERF_EVENTS:
        # The kernel tells the name without the category.
        told = {
            (each["program"][:15], f"tracepoint {each['target'].partition(':')[2]}") for each in tool.first["hooks"]
        }
        assert {pair for pair in told if pair[0].startswith("open")} <= found
    if hook == "fentry":
        function = " do_sys_openat2" if TELLS_FUNCTIONS else ""
        assert ("open_fentry", f"trace_fentry{function}") in found
        assert ("open_fexit", f"trace_fexit{function}") in found
