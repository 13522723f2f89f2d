"""A real build, told twice: what the dashboard saw of it is what strace saw, call by call."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from tests.kernel.conftest import Start

ROOT = Path(__file__).parent.parent.parent
OPENING = ("open", "creat", "openat", "openat2")
STRACE = ("strace", "-ff", "-qq", "-xx", "-s", "8192", "-e", "abbrev=none", "-e", "signal=none")
_CALL = re.compile(r'(\w+)\(([^"]*)"([^"]*)"(?:, \[(.*?)\])?.*\) += (-?\d+)(?: (E\w+))?')


def calls(folder: Path) -> tuple[Counter[tuple[int, bytes, int]], Counter[tuple[int, bytes, tuple[bytes, ...]]]]:
    """Return what strace wrote: opens by thread, path and result; successful execs by process, file and arguments."""
    opens: Counter[tuple[int, bytes, int]] = Counter()
    execs: Counter[tuple[int, bytes, tuple[bytes, ...]]] = Counter()
    for file in folder.iterdir():
        tid = int(file.suffix.removeprefix("."))
        for line in file.read_text().splitlines():
            if not (match := _CALL.match(line)):
                assert line.startswith("+++") or line.endswith("= ?"), line
                continue
            call, _, path, arguments, ret, error = match.groups()
            result = -getattr(errno, error) if error else int(ret)
            if call in OPENING:
                opens[tid, unescaped(path), result] += 1
            elif result == 0:
                execs[tid, unescaped(path), tuple(unescaped(part) for part in re.findall(r'"([^"]*)"', arguments))] += 1
    return opens, execs


def unescaped(text: str) -> bytes:
    r"""Return the bytes of a string that strace wrote as `\x2f\x74`."""
    return bytes.fromhex(text.replace("\\x", ""))


@pytest.mark.native
@pytest.mark.parametrize("hook", ["raw_tracepoint", "tracepoint"])
def test_a_build_is_what_strace_says_it_is(start: Start, tmp_path: Path, hook: str) -> None:
    traces = tmp_path / "traces"
    traces.mkdir()
    tool = start("dashboard", "--hook", hook, wrapper=lab.WITH_TRACEFS)
    lab.skip_unless_able(tool, hook)
    only = ("-e", f"trace={','.join(OPENING)},execve,execveat")
    # A workspace member without dependencies: nothing is fetched.
    build = ("cargo", "build", "--quiet", "--offline", "-p", "ebpflab-common", "--target-dir", str(tmp_path / "target"))
    subprocess.run([*STRACE, *only, "-o", str(traces / "trace"), *build], cwd=ROOT, check=True)
    ended = tool.stop()
    opens, execs = calls(traces)
    tids = {int(file.suffix.removeprefix(".")) for file in traces.iterdir()}
    seen = [event for event in ended.events if event["type"] == "open" and event["tid"] in tids]
    assert sum(opens.values()) > 500
    assert Counter((event["tid"], lab.raw(event, "path"), event["ret"]) for event in seen) == opens
    run = [event for event in ended.events if event["type"] == "exec" and event["pid"] in tids]
    assert sum(execs.values()) >= 3
    assert Counter((e["pid"], lab.raw(e, "filename"), tuple(lab.raw_list(e, "argv"))) for e in run) == execs
    ledger = ended.ledger
    assert (ledger["dropped"], ledger["unpaired"], ledger["faults"]) == (0, 0, 0)
    assert os.access(tmp_path / "target", os.R_OK)
