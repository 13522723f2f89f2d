"""`stacks` on a live kernel, beside workloads that know from where they call, and where they spend their time."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab
from tests.support import identity
from tests.support.install import pythons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.conftest import Start

#: Long enough that only the last reading is of interest.
SELDOM = ("-i", "60")
WORKLOADS = Path(__file__).parent.parent / "workloads"


def test_23_calls_from_one_function(start: Start, caller: lab.Caller) -> None:
    tool = start("stacks", "libc:llabs", *SELDOM, "--pid", str(caller.pid)).attached()
    assert [(hook["program"], hook["kind"]) for hook in tool.first["hooks"]] == [("stacks_uprobe", "uprobe")]
    called = caller.do("calls", 23)
    ended = tool.stop()
    (row,) = ended.summary["counts"]
    # It has made no frame yet, and libc is mostly built without them: who called it is known all the same.
    assert row["user"][:2] == ["llabs", "lfind"]
    assert (row["count"], row["pid"]) == (called, None)
    assert (ended.ledger["seen"], ended.ledger["submitted"], ended.ledger["map_full"]) == (23, 23, 0)
    assert (ended.status, ended.stderr) == (0, "")


def test_the_hook_is_not_in_the_stack(start: Start, caller: lab.Caller) -> None:
    """Stacks of raw tracepoints begin inside of the hook."""
    tool = start("stacks", "raw_tracepoint:task_rename", *SELDOM, "--pid", str(caller.pid)).attached()
    caller.do("named", [f"name-{number}" for number in range(23)])
    rows = tool.stop().summary["counts"]
    # Each name is one of its own.
    assert [row["count"] for row in rows] == [1] * 23
    assert {row["kernel"][0] for row in rows} == {"__set_task_comm"}
    assert all("bpf_prog" not in function for row in rows for function in row["kernel"])
    assert all({"prctl"} & set(row["user"]) for row in rows)


def test_wildcards_and_several_targets(start: Start, caller: lab.Caller) -> None:
    targets = ("tracepoint:task:task_rena*", "libc:llabs", "libc:labs", "raw_tracepoint:task_rename")
    tool = start("stacks", *targets, *SELDOM, "--by", "comm", "--pid", str(caller.pid), wrapper=lab.WITH_TRACEFS)
    tool.attached()
    assert len(tool.first["hooks"]) == 4
    caller.do("calls", 23)
    caller.do("others", 7)
    caller.do("named", ["last"])
    ended = tool.stop()
    of_user = [(row["user"][0], row["count"]) for row in ended.summary["counts"] if not row["kernel"]]
    assert sorted(of_user) == [("labs", 7), ("llabs", 1), ("llabs", 23)]
    of_kernel = [row for row in ended.summary["counts"] if row["kernel"]]
    # Once by each of the tracepoints.
    assert {row["kernel"][0] for row in of_kernel} == {"__set_task_comm"}
    assert sum(row["count"] for row in of_kernel) == 2
    assert ended.ledger["submitted"] == 23 + 7 + 2 + 1


def test_stacks_for_which_there_is_no_room_are_told(start: Start, caller: lab.Caller) -> None:
    tool = start("stacks", "libc:llabs", *SELDOM, "--max-entries", "1", "--pid", str(caller.pid)).attached()
    caller.do("named", ["first", "second", "third"])
    ended = tool.stop()
    assert (ended.ledger["seen"], ended.ledger["submitted"], ended.ledger["map_full"]) == (3, 1, 2)
    assert "lost: map_full 2" in ended.stderr


def test_a_process_that_ended_before_it_was_looked_at_is_told(start: Start, caller: lab.Caller) -> None:
    tool = start("stacks", "libc:getppid", *SELDOM, "--tree", str(caller.pid)).attached()
    with tool.paused():
        caller.do("forks", 3)
    ended = tool.stop()
    assert sum(row["count"] for row in ended.summary["counts"]) == 3
    assert all(set(row["user"]) == {"[unknown]"} for row in ended.summary["counts"])
    assert "3 processes ended before it was known what they had mapped" in ended.stderr


def test_files_for_the_whole_run(start: Start, caller: lab.Caller, tmp_path: Path) -> None:
    folded, svg = tmp_path / "stacks.folded", tmp_path / "stacks.svg"
    files = ("--folded", str(folded), "--svg", str(svg))
    tool = start("stacks", "libc:llabs", *files, "--pid", str(caller.pid)).attached()
    caller.do("calls", 23)
    caller.do("named", ["a;b c"])
    assert tool.stop().status == 0
    lines = dict(line.rsplit(" ", 1) for line in folded.read_text().splitlines())
    assert sorted(lines.values()) == ["1", "23"]
    assert all(line.endswith(";lfind;llabs") for line in lines)
    assert any(line.startswith("a:b c;") for line in lines)
    assert "llabs (23 calls, 95.83%)" in svg.read_text()
    assert {path.stat().st_mode & 0o777 for path in (folded, svg)} == {0o600}
    again = start("stacks", "libc:llabs", *files).ended()
    assert (again.status, again.records) == (1, [])
    assert again.stderr == f"ebpflab: {folded} is there already; --overwrite replaces it\n"
    nothing = start("stacks", "libc:llabs", *files, "--overwrite", "-d", "0.1", "-p", str(os.getpid())).ended()
    assert nothing.status == 0
    assert nothing.stderr.count("no stack was seen") == 2
    assert not folded.exists()
    assert not svg.exists()


def test_from_python(caller: lab.Caller) -> None:
    with ebpflab.stacks("libc:llabs", by=("comm", "pid"), pid=caller.pid) as counter:
        with pytest.raises(ValueError, match="a flame graph needs a stack"):
            counter.svg()
        caller.do("calls", 23)
        counter.wait(0.1)
        (stack,) = counter.top()
        assert (stack.count, stack.pid, stack.user[0]) == (23, caller.pid, "llabs")
        assert counter.folded().startswith(f"{stack.comm}-{caller.pid};")
    # The whole run.
    assert counter.folded().endswith("lfind;llabs 23\n")
    assert counter.svg().startswith("<?xml")
    assert counter.ledger.balanced
    for arguments, sample in ((["vfs_read"], 99), ([], None)):
        with pytest.raises(ValueError, match="say what to take the stacks of"):
            ebpflab.stacks(*arguments, sample=sample)
    with pytest.raises(ValueError, match="perf_event_max_sample_rate"):
        ebpflab.stacks(sample=2**32 - 1)
    with pytest.raises(ValueError, match="once a second at least"):
        ebpflab.stacks(sample=0)


@contextmanager
def built(source: str, folder: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Build a workload with frame pointers, and start it for so many seconds."""
    program = folder / source.removesuffix(".c")
    # When it optimises gcc makes no frames for functions that call none.
    flags = ("-O0", "-fno-omit-frame-pointer")
    subprocess.run(["gcc", *flags, "-o", program, WORKLOADS / source], check=True)
    pipe = subprocess.PIPE
    with subprocess.Popen([program, str(seconds)], stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        assert process.stdin
        process.stdin.close()


def told(process: subprocess.Popen[str], line: str) -> str:
    """Tell a workload to go on, and return its answer."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline()


@pytest.mark.native
def test_a_flame_graph_shows_what_takes_how_much_time(start: Start, tmp_path: Path) -> None:
    with built("spinner.c", tmp_path, SECONDS) as process:
        ended, shown = sampled(start, process, tmp_path / "spinner.svg")
    assert shown["spinner"] == 100
    assert shown["work"] > 95
    for row in ended.summary["counts"]:
        if "heavy" in row["user"]:
            assert row["user"][row["user"].index("heavy") :][:3] == ["heavy", "work", "main"]


SECONDS, HZ = 10, 499


def sampled(start: Start, process: subprocess.Popen[str], svg: Path) -> tuple[lab.Ended, dict[str, float]]:
    """Sample a workload with three functions, each of which has to have its share; return all shares in percent."""
    tool = start("stacks", "--sample", str(HZ), "--svg", str(svg), "--pid", str(process.pid), *SELDOM).attached()
    took = dict(zip(("heavy", "middling", "light"), json.loads(told(process, "go")), strict=True))
    ended = tool.stop()
    cpu_time = sum(took.values())
    samples: Counter[str] = Counter()
    # Where a call has no frame yet, or none any more, its caller is left out: a function may be in several places.
    for name, number in re.findall(r"<title>(?:py::)?([\w.]+)[^(]* \(([\d,]+) samples", svg.read_text()):
        samples[name] += int(number.replace(",", ""))
    shown = {name: 100 * number / ended.ledger["submitted"] for name, number in samples.items()}
    for name, ns in took.items():
        assert shown[name] == pytest.approx(100 * ns / cpu_time, abs=5), shown
    # As often as the clock ticked while it had a CPU.
    assert ended.ledger["submitted"] == pytest.approx(cpu_time / 1e9 * HZ, rel=0.1)
    return ended, shown


def python_with_frames() -> str:
    """Return a Python that can tell of its functions, and is built with frame pointers, as it is from 3.15 on."""
    for python in reversed(pythons()):
        asked = "import sysconfig; print(sysconfig.get_config_var('PY_CFLAGS'))"
        flags = subprocess.run([python.path, "-c", asked], text=True, capture_output=True, check=True).stdout
        if python.version >= (3, 12, 0) and "-fno-omit-frame-pointer" in flags:
            return str(python.path)
    pytest.skip("no Python from 3.12 on here is built with frame pointers")


@pytest.mark.native
def test_functions_of_python_take_their_share(start: Start, tmp_path: Path) -> None:
    source = (WORKLOADS / "functions.py").read_text()
    command = [python_with_frames(), "-X", "perf", "-c", source, str(SECONDS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        ended, _ = sampled(start, process, tmp_path / "python.svg")
        assert process.stdin
        process.stdin.close()
    # Between them are the interpreter's own.
    for row in ended.summary["counts"]:
        python = [name.split(":")[2] for name in row["user"] if name.startswith("py::")]
        if "heavy" in python:
            assert python[python.index("heavy") :] == ["heavy", "work", "main", "<module>"]


@pytest.mark.native
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the workload is for x86_64")
def test_code_that_a_process_made_has_the_names_that_it_tells(tmp_path: Path) -> None:
    """As Python does with `-X perf`, from 3.12 on."""
    with built("maker.c", tmp_path, 0.5) as process:
        assert process.stdout
        perf_map = process.stdout.readline().strip()
        for owner, innermost in ((os.getuid(), "py::busy:/srv/app.py"), (identity.NOBODY, "[unknown]")):
            # What somebody else wrote is not believed.
            os.chown(perf_map, owner, -1)
            with ebpflab.stacks(sample=199, pid=process.pid) as counter:
                assert told(process, "go") == "done\n"
                (stack, *_) = counter.read()
                assert stack.user[:2] == (innermost, "main")
                assert stack.count > 199 / 4
