"""`open` on a live kernel, beside a workload that knows what it opens."""

from __future__ import annotations

import errno
import os
import platform
import re
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest
from ebpflab.views.table import printable

from tests.kernel import lab

if TYPE_CHECKING:
    from tests.kernel.conftest import Start

CALLS = ("open", "creat", "openat", "openat2") if platform.machine() == "x86_64" else ("openat", "openat2")
AT_FDCWD = -100
CREAT = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
#: Longest path in bytes, without its closing NUL.
LONGEST = 4_095
#: What the ring is at least: a power of two that holds the largest record.
SMALLEST = 16_384
#: Names of files, as os.fsdecode gives them: the bytes of the last but one and the last are no UTF-8.
NAMES = (
    *("plain", " two  words ", "new\nline", "tab\there", "café", "\u65e5\u672c", "\U0001f980", "\ufffd", "\x1b[31mred"),
    *('quote"', "back\\slash", "\x7f", "-x", "a=b;c", "{}", "null", "é" * 127, "x" * 255, "\u202ecod"),
    *("caf\udce9", "\udcff\udcfe", "\udced\udca0\udc80 surrogate", "caf\udcc3"),
)

Asked = list[tuple[str, str | int, int, int, int]]


def calls_that_create(opener: lab.Opener) -> Asked:
    """Return a call for each name by each system call: with flags, mode and folder of its own."""
    at = opener.do("folder")
    asked: Asked = []
    for name in NAMES:
        told = {
            "open": (f"{opener.folder}/{name}", os.O_CREAT | os.O_RDWR, 0o640, AT_FDCWD),
            "creat": (f"{opener.folder}//{name}", CREAT, 0o604, AT_FDCWD),
            "openat": (name, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600, at),
            "openat2": (f"./{name}", os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o622, at),
        }
        asked += [(call, *told[call]) for call in CALLS]
    return asked


def same(path: str, *, flags: int = os.O_RDONLY, mode: int = 0) -> Asked:
    """Return a call of each kind for the same path."""
    return [(call, path, flags, mode, AT_FDCWD) for call in CALLS]


def missing(opener: lab.Opener) -> Asked:
    """Return calls that fail."""
    return same(f"{opener.folder}/missing/file")


def reports(events: list[lab.Record], asked: Asked, results: list[int]) -> None:
    """Compare events with the calls, one by one."""
    assert len(events) == len(asked)
    for event, (call, path, flags, mode, dirfd), result in zip(events, asked, results, strict=True):
        told = (lab.raw(event, "path"), event["flags"], event["mode"], event["dirfd"], event["ret"])
        given = CREAT if call == "creat" else flags
        expected = (os.fsencode(str(path)), given, mode if given & os.O_CREAT else 0, dirfd, result)
        assert told == expected, call
        assert not event["path_truncated"]


@pytest.mark.smoke
@pytest.mark.parametrize("hook", lab.HOOKS)
def test_each_open_is_an_event_that_has_it_all(start: Start, opener: lab.Opener, hook: str) -> None:
    assert len(set(NAMES)) == 23
    opener.do("name", "caf\udce9 [x/0:1]")
    asked = [*calls_that_create(opener), *missing(opener)]
    tool = start("open", "--hook", hook, "--pid", str(opener.pid), wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    before = time.time_ns()
    results = opener.do("syscalls", asked)
    after = time.time_ns()
    ended = tool.stop()
    assert {result >= 0 for result in results[: -len(CALLS)]} == {True}
    assert set(results[-len(CALLS) :]) == {-errno.ENOENT}
    reports(ended.events, asked, results)
    # The clocks are two, so a little may be between them.
    times = [before - 10**9, *(event["time"] for event in ended.events), after + 10**9]
    assert times == sorted(set(times))
    who = {tuple(event[field] for field in ("type", "pid", "tid", "uid", "gid", "comm")) for event in ended.events}
    assert who == {("open", opener.pid, opener.pid, os.getuid(), os.getgid(), "caf\ufffd [x/0:1]")}
    assert {lab.raw(event, "comm") for event in ended.events} == {b"caf\xe9 [x/0:1]"}
    assert {event["cgroup"] for event in ended.events} <= {lab.cgroup_id(opener.pid) or ended.events[0]["cgroup"]}
    assert {event["cpu"] for event in ended.events} <= set(range(os.cpu_count() or 1))
    ledger = ended.ledger
    assert (ledger["submitted"], ledger["shown"], ledger["faults"], ledger["truncated"]) == (
        len(asked),
        len(asked),
        0,
        0,
    )
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.native
def test_bytes_beside_the_text_only_where_it_is_not_the_same(start: Start, opener: lab.Opener) -> None:
    tool = start("open", "--pid", str(opener.pid)).attached()
    opener.do("syscalls", [("openat", name, os.O_RDONLY, 0, AT_FDCWD) for name in NAMES])
    events = tool.stop().events
    assert ["path_bytes" in event for event in events] == ["\udc80" <= max(name) <= "\udcff" for name in NAMES]
    assert sum("path_bytes" in event for event in events) == 4
    # Not one event has its path from another.
    assert [os.fsdecode(lab.raw(event, "path") or b"") for event in events] == list(NAMES)


@pytest.mark.native
def test_from_python_paths_are_as_os_fsdecode_gives_them(opener: lab.Opener) -> None:
    with ebpflab.opens(pid=opener.pid) as session:
        opener.do("syscalls", [("openat", name, os.O_RDONLY, 0, AT_FDCWD) for name in NAMES])
        events = list(session.events(limit=len(NAMES)))
    assert [event.path for event in events] == list(NAMES)
    assert {(event.pid, event.ret, event.path_truncated) for event in events} == {(opener.pid, -2, False)}
    assert all(isinstance(event, ebpflab.OpenEvent) for event in events)


def test_a_path_that_cannot_be_read_is_null(start: Start, opener: lab.Opener) -> None:
    tool = start("open", "--pid", str(opener.pid)).attached()
    results = opener.do("syscalls", [(call, address, os.O_RDONLY, 0, AT_FDCWD) for address in (0, 8) for call in CALLS])
    # There is no NUL before memory that cannot be read.
    results += opener.do("edge", False)
    ended = tool.stop()
    assert set(results) == {-errno.EFAULT}
    assert [(event["path"], event["ret"]) for event in ended.events] == [(None, -errno.EFAULT)] * 3 * len(CALLS)
    assert ended.ledger["faults"] == 3 * len(CALLS)
    assert not any(event["path_truncated"] or "path_bytes" in event for event in ended.events)


@pytest.mark.smoke
def test_a_path_at_the_edge_of_memory_is_whole(start: Start, opener: lab.Opener) -> None:
    tool = start("open", "--pid", str(opener.pid)).attached()
    results = opener.do("edge", True)
    ended = tool.stop()
    assert [(event["path"], event["ret"]) for event in ended.events] == [
        (f"{opener.folder}/file", result) for result in results
    ]
    assert min(results) >= 0
    assert ended.ledger["faults"] == 0


@pytest.mark.smoke
def test_an_empty_path_is_not_a_missing_one(start: Start, opener: lab.Opener) -> None:
    tool = start("open", "--pid", str(opener.pid)).attached()
    asked = same("")
    results = opener.do("syscalls", asked)
    ended = tool.stop()
    assert set(results) == {-errno.ENOENT}
    reports(ended.events, asked, results)
    assert ended.ledger["faults"] == 0


def test_the_longest_path_is_whole_and_a_longer_one_is_marked(start: Start, opener: lab.Opener) -> None:
    file = f"{opener.folder}/file"
    whole = file.rjust(LONGEST, "/")
    tool = start("open", "--pid", str(opener.pid)).attached()
    results = opener.do("syscalls", same(whole))
    too_long = opener.do("syscalls", [*same(f"/{whole}"), *same("x" * 10_000)])
    ended = tool.stop()
    assert min(results) >= 0
    assert set(too_long) == {-errno.ENAMETOOLONG}
    reports(ended.events[: len(CALLS)], same(whole), results)
    cut = [(event["path"], event["path_truncated"], event["ret"]) for event in ended.events[len(CALLS) :]]
    starts = [f"/{whole}"[:LONGEST]] * len(CALLS) + ["x" * LONGEST] * len(CALLS)
    assert cut == [(path, True, -errno.ENAMETOOLONG) for path in starts]
    assert (ended.ledger["truncated"], ended.ledger["faults"]) == (2 * len(CALLS), 0)


def test_flags_and_mode_are_those_that_the_kernel_takes(start: Start, opener: lab.Opener) -> None:
    path, unknown = f"{opener.folder}/file", 1 << 30
    large = 0o100_000 if platform.machine() == "x86_64" else 0o400_000
    tool = start("open", "--pid", str(opener.pid)).attached()
    opener.do(
        "syscalls",
        [
            ("openat", path, os.O_RDWR | unknown | large, 0o7777, AT_FDCWD),
            ("openat", path, os.O_PATH | os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC, 0, AT_FDCWD),
            ("openat", opener.folder, os.O_TMPFILE | os.O_RDWR, 0o640, AT_FDCWD),
            ("openat2", opener.folder, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME, 0, AT_FDCWD),
        ],
    )
    assert [(event["flags"], event["mode"]) for event in tool.stop().events] == [
        (os.O_RDWR, 0),
        (os.O_PATH | os.O_CLOEXEC, 0),
        (os.O_TMPFILE | os.O_RDWR, 0o640),
        (os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME, 0),
    ]


@pytest.mark.smoke
@pytest.mark.skipif(not lab.ia32_emulation(), reason="the kernel has no 32-bit system calls")
@pytest.mark.parametrize("hook", ["fentry", "kprobe", "raw_tracepoint"])
def test_32_bit_callers_are_seen(start: Start, opener: lab.Opener, hook: str) -> None:
    tool = start("open", "--pid", str(opener.pid), "--hook", hook)
    lab.skip_unless_able(tool, hook)
    assert opener.do("compat", 23) == 92
    opener.do("others", 7)
    events = tool.stop().events
    assert all(event["ret"] >= 0 for event in events)
    told = [(event["path"], event["flags"], event["mode"], event["dirfd"]) for event in events]
    of_each = ((os.O_RDONLY, 0), (CREAT, 0o640), (os.O_WRONLY, 0), (os.O_RDWR, 0))
    assert told == [(f"{opener.folder}/file", flags, mode, AT_FDCWD) for flags, mode in of_each] * 23


@pytest.mark.parametrize("hook", lab.HOOKS)
def test_only_failures(start: Start, opener: lab.Opener, hook: str) -> None:
    tool = start("open", "-x", "--pid", str(opener.pid), "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    opener.do("calls", 7)
    failed = opener.do("syscalls", missing(opener))
    ended = tool.stop()
    reports(ended.events, missing(opener), failed)
    assert ended.ledger["filtered"] >= 7 * len(CALLS)


def test_only_one_thread(start: Start, opener: lab.Opener) -> None:
    # The main thread has the id of the process.
    tool = start("open", "-t", str(opener.pid)).attached()
    in_threads = opener.do("threads", 23)
    opener.do("opens", 7)
    events = tool.stop().events
    assert str(opener.pid) not in in_threads
    assert [(event["pid"], event["tid"]) for event in events] == [(opener.pid, opener.pid)] * 7


def test_threads_have_ids_of_their_own(start: Start, opener: lab.Opener) -> None:
    tool = start("open", "-p", str(opener.pid)).attached()
    done = opener.do("threads", 23)
    ended = tool.stop()
    seen = Counter((event["pid"], event["tid"]) for event in ended.events)
    made = Counter({(opener.pid, int(tid)): opens for tid, opens in done.items()})
    assert seen <= made
    assert made.total() - seen.total() <= lab.may_lack(ended.ledger)


def test_only_one_user(start: Start, opener: lab.Opener) -> None:
    uid = 2_000_000_000 + os.getpid()
    tool = start("open", "-u", str(uid)).attached()
    opener.do("opens", 7)
    assert opener.do("uid", uid) == uid
    opener.do("opens", 23)
    ended = tool.stop()
    assert [(event["uid"], event["pid"]) for event in ended.events] == [(uid, opener.pid)] * 23
    assert ended.ledger["submitted"] == 23


def test_only_one_name(start: Start, opener: lab.Opener) -> None:
    # Neither a name that begins with it nor one that it begins with.
    tool = start("open", "-n", "exactly-this").attached()
    for name, opens in (("exactly-this", 23), ("exactly-this-1", 5), ("exactly", 7)):
        opener.do("name", name)
        opener.do("opens", opens)
    ended = tool.stop()
    assert [(event["comm"], event["pid"]) for event in ended.events] == [("exactly-this", opener.pid)] * 23


#: Makes any Python open a file again and again.
RESTLESS = """
import os, threading, time
def work():
    while True:
        try:
            os.close(os.open({!r}, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            time.sleep(0.001)
threading.Thread(target=work, daemon=True).start()
"""


@pytest.mark.native
def test_the_tool_does_not_see_itself(start: Start, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "sitecustomize.py").write_text(RESTLESS.format(str(mark)))
    path = f"PYTHONPATH={tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    tool = start("open", wrapper=("env", path)).attached()
    for _ in range(7):
        mark.unlink()
        assert lab.eventually(mark.exists, seconds=20)
    os.close(os.open("/dev/null", os.O_RDONLY))
    event = tool.until(lambda record: record["pid"] == os.getpid())
    assert event["path"] == "/dev/null"
    ended = tool.stop()
    assert tool.process.pid not in {event["pid"] for event in ended.events}
    assert ended.ledger["filtered"] >= 7


@pytest.mark.native
@pytest.mark.parametrize("limit", [1, 7, 3_000])
def test_a_limit_ends_it(start: Start, opener: lab.Opener, limit: int) -> None:
    tool = start("open", "-p", str(opener.pid), "--limit", str(limit)).attached()
    opener.do("opens", 5_000)
    ended = tool.ended()
    assert len(ended.events) == ended.ledger["shown"] == limit
    assert ended.ledger["received"] >= limit
    assert ended.status == 0


@pytest.mark.native
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_duration_ends_it(start: Start, opener: lab.Opener, busy: bool) -> None:
    tool = start("open", "-p", str(opener.pid), "-d", "0.3").attached()
    with ThreadPoolExecutor(1) as pool:
        # Many more than there is time for.
        pool.submit(opener.do, "opens", 300_000 if busy else 0)
        ended = tool.ended()
    assert 0.3 <= ended.summary["duration_s"] < 5
    assert bool(ended.events) == busy
    assert ended.ledger["shown"] == ended.ledger["received"] == len(ended.events)
    assert ended.status == 0


def blocked(pid: int) -> bool:
    """Whether a process is in open; the kernel tells the number of the call that a process is blocked in."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] in {"2", "257", "56"}


@pytest.mark.parametrize("end", ["pending", "opened", "killed"])
@pytest.mark.parametrize("hook", lab.DEFAULTS)
def test_calls_that_block_cost_nobody_an_event(start: Start, opener: lab.Opener, hook: str, end: str) -> None:
    opener.do("name", "forty-blocked")
    tool = start("open", "-n", "forty-blocked", "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    children = opener.do("block", 40)
    assert lab.eventually(lambda: all(map(blocked, children)), seconds=20)
    assert opener.do("opens", 1_000) == 1_000
    if end != "pending":
        opener.do("release", end == "killed")
    ended = tool.stop()
    if end == "pending":
        opener.do("release", False)
    opened = [event for event in ended.events if event["path"] == f"{opener.folder}/file"]
    of_children = [event for event in ended.events if event["pid"] in set(children)]
    may_lack = lab.may_lack(ended.ledger)
    assert 1_000 - may_lack <= len(opened) <= 1_000
    # The other end of the FIFO is one more.
    others = len(ended.events) - len(opened) - len(of_children)
    assert (end == "opened") - may_lack <= others <= (end == "opened")
    blocked_still = 40 if end == "pending" else 0
    assert ended.ledger["unpaired"] <= may_lack
    assert blocked_still <= ended.ledger["pending"] + ended.ledger["unpaired"] <= blocked_still + may_lack
    if end == "pending":
        assert of_children == []
    else:
        assert Counter(event["pid"] for event in of_children) <= Counter(children)
        assert 40 - may_lack <= len(of_children) <= 40
        assert {event["path"] for event in of_children} == {f"{opener.folder}/fifo"}
        assert {event["ret"] >= 0 for event in of_children} == {end == "opened"}


@pytest.mark.native
def test_a_flood_that_does_not_fit_is_accounted_for(start: Start, opener: lab.Opener) -> None:
    opener.do("name", "flood")
    tool = start("open", "-n", "flood", "--buffer", "1", "--fail-on-loss")
    assert tool.record()["buffer"] == SMALLEST
    with tool.counted() as stop:
        with tool.paused():
            # More than the buffer holds, whatever this machine is like.
            opener.do("opens", 1_000)
        assert opener.do("floods", 500_000) == 1_000_000
        ended, events = stop()
    ledger = ended.ledger
    assert ledger["seen"] - ledger["filtered"] == 1_001_000
    assert ledger["submitted"] + ledger["dropped"] + ledger["unpaired"] + ledger["pending"] == 1_001_000
    assert ledger["dropped"] >= 1_000 - SMALLEST // 112
    assert (ledger["unpaired"], ledger["pending"]) == (0, 0)
    assert lab.none_missed(ledger)
    assert events == ledger["submitted"] == ledger["shown"] > 0
    assert ended.stderr == f"ebpflab: lost: dropped {ledger['dropped']}\n"
    assert ended.status == 3


@pytest.mark.native
def test_a_flood_through_the_default_buffer_is_accounted_for(start: Start, opener: lab.Opener) -> None:
    opener.do("name", "flood")
    tool = start("open", "-n", "flood")
    assert tool.record()["buffer"] == 4 << 20
    with tool.counted() as stop:
        assert opener.do("floods", 500_000) == 1_000_000
        ended, events = stop()
    ledger = ended.ledger
    assert ledger["submitted"] + ledger["dropped"] == ledger["seen"] - ledger["filtered"] == 1_000_000
    assert events == ledger["submitted"] == ledger["shown"]
    assert ended.stderr == (f"ebpflab: lost: dropped {ledger['dropped']}\n" if ledger["dropped"] else "")
    assert ended.status == 0


@pytest.mark.native
def test_what_fits_is_not_lost(start: Start, opener: lab.Opener) -> None:
    tool = start("open", "-p", str(opener.pid), "--fail-on-loss").attached()
    with tool.paused():
        opener.do("opens", 10_000)
    ended = tool.stop()
    assert len(ended.events) == ended.ledger["submitted"] == 10_000
    assert (ended.ledger["dropped"], ended.status, ended.stderr) == (0, 0, "")


def test_whoever_reads_may_take_a_break(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    # Long, so that what the buffer and a pipe hold is few of them: 1,400.
    path = "/" * 3_000 + str(file)
    tool = start("open", "-p", str(os.getpid())).attached()
    for _ in range(20):
        for _ in range(250):
            os.close(os.open(path, os.O_RDONLY))
        assert lab.eventually(lambda: lab.asleep(tool.process.pid))
    ended = tool.stop()
    assert [event["path"] for event in ended.events if event["path"].endswith("/file")] == [path] * 5_000
    assert ended.ledger["dropped"] == 0


@pytest.mark.native
def test_a_buffer_is_rounded_up(start: Start) -> None:
    for asked, taken in ((SMALLEST, SMALLEST), (SMALLEST + 1, 2 * SMALLEST), (1 << 20, 1 << 20)):
        assert start("open", "--buffer", str(asked), "-d", "0.01").record()["buffer"] == taken


@pytest.mark.native
def test_people_see_a_line_for_each_event(opener: lab.Opener) -> None:
    opener.do("name", "people")
    command = [*lab.EBPFLAB, "open", "-T", "-n", "people", "--limit", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stderr
        assert running.stderr.readline().startswith("ebpflab: open attached by ")
        asked = [("openat", path, os.O_RDONLY, 0, AT_FDCWD) for path in ("/dev/null", "no\x1b[31m\nfile", "caf\udce9")]
        opener.do("syscalls", asked)
        header, *lines, ledger = running.stdout.read().splitlines()
    assert header == "TIME              PID  COMM               RESULT  PATH"
    pid = f"{opener.pid:>7}"
    shown = [re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  (.*)", line) for line in lines]
    assert [match and match[1].split(maxsplit=3)[:2] + match[1].split(maxsplit=3)[3:] for match in shown] == [
        [pid.strip(), "people", "/dev/null"],
        [pid.strip(), "people", rf"{Path.cwd()}/no\x1b[31m\nfile"],
        [pid.strip(), "people", rf"{Path.cwd()}/caf\udce9"],
    ]
    assert [line.split()[3] for line in lines][1:] == ["ENOENT", "ENOENT"]
    assert ledger.startswith("ledger: seen ")
    assert running.returncode == 0


@pytest.mark.native
def test_a_hostile_name_of_4000_bytes_breaks_neither_the_table_nor_the_json(start: Start, opener: lab.Opener) -> None:
    """It clears the screen, sets the title, goes to another line and forges an end of the run; the file is there."""
    hostile = '\x1b[2J\x1b]0;owned\x07\nledger: seen 0\r\x9b1;31m\u202e\udcff{"type":"summary"}\t'
    folder = f"{hostile}{hostile}{hostile}/"
    folders, rest = divmod(4_000 - 2 - len(os.fsencode(opener.folder)), len(os.fsencode(folder)))
    path = f"{opener.folder}/{folder * folders}{'x' * (rest + 1)}"
    assert len(os.fsencode(path)) == 4_000
    Path(path).parent.mkdir(parents=True)
    tool = start("open", "--pid", str(opener.pid)).attached()
    command = [*lab.EBPFLAB, "open", "-p", str(opener.pid), "--limit", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stderr
        assert running.stderr.readline().startswith("ebpflab: open attached by ")
        (ret,) = opener.do("syscalls", [("openat", path, os.O_CREAT | os.O_WRONLY, 0o600, AT_FDCWD)])
        output = running.stdout.read()
    assert ret >= 0
    assert len(output.splitlines()) == len(output.split("\n")) - 1 == 3
    header, line, ledger = output.split("\n")[:3]
    assert header.split() == ["PID", "COMM", "RESULT", "PATH"]
    assert line.endswith(f"  {printable(path)}")
    assert line.isprintable()
    assert ledger.startswith("ledger: seen ")
    ended = tool.stop()
    (event,) = ended.events
    assert [os.fsdecode(lab.raw(event, field) or b"") for field in ("path", "full_path")] == [path, path]
    assert (event["ret"], event["path_truncated"], ended.status) == (ret, False, 0)


def test_without_tracefs_there_are_no_tracepoints(start: Start) -> None:
    ended = start("open", "--hook", "tracepoint", wrapper=lab.WITHOUT_TRACEFS).ended()
    assert (ended.status, ended.records) == (77, [])
    assert ended.stderr.startswith("ebpflab: open by tracepoint cannot work here: ")
    assert ended.stderr.count("\n") == 1


def test_raw_tracepoints_need_no_tracefs(start: Start, opener: lab.Opener) -> None:
    options = ("--hook", "raw_tracepoint", "--pid", str(opener.pid))
    tool = start("open", *options, wrapper=lab.WITHOUT_TRACEFS).attached()
    results = opener.do("syscalls", missing(opener))
    reports(tool.stop().events, missing(opener), results)
