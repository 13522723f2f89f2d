"""`dashboard` on a live kernel: its stream, and its screen in a real terminal."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from typing import TYPE_CHECKING

import ebpflab

from tests.kernel import lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.conftest import Start

import pytest


@pytest.mark.smoke
def test_opens_and_execs_are_one_stream(opener: lab.Opener) -> None:
    with ebpflab.activity() as activity:
        assert opener.do("opens", 23) == 23
        for _ in range(23):
            subprocess.run(["/bin/true"], check=True)
        assert opener.do("opens", 23) == 23
        summary = activity.stop()
        events = list(activity)
    opens = [event for event in events if isinstance(event, ebpflab.OpenEvent) and event.pid == opener.pid]
    execs = [event for event in events if isinstance(event, ebpflab.ExecEvent) and event.ppid == os.getpid()]
    exits = [event for event in events if isinstance(event, ebpflab.ExitEvent) and event.ppid == os.getpid()]
    assert (len(opens), len(execs), len(exits)) == (46, 23, 23)
    assert [(event.pid, event.exec_time) for event in exits] == [(event.pid, event.time) for event in execs]
    assert {event.exit_code for event in exits} == {0}
    # The kernel wrote them in this order: the execs came between the first opens and the last.
    assert opens[22].time < execs[0].time < execs[-1].time < opens[23].time
    assert {event.argv for event in execs} == {("/bin/true",)}
    assert summary.ledgers is not None
    assert summary.ledgers.open is not None
    assert summary.ledger.balanced
    assert summary.ledgers.open.balanced
    assert summary.ledgers.exec.balanced
    assert summary.ledgers.exit.balanced
    classes = (ebpflab.OpenEvent, ebpflab.ExecEvent, ebpflab.ExitEvent)
    kinds = [sum(isinstance(event, kind) for event in events) for kind in classes]
    assert [ledger.received for ledger in (summary.ledgers.open, summary.ledgers.exec, summary.ledgers.exit)] == kinds
    assert activity.stop().ledger.shown == len(events)


@pytest.mark.native
def test_a_flood_is_accounted_for_by_kind(start: Start, opener: lab.Opener) -> None:
    tool = start("dashboard", "--buffer", "1", "--fail-on-loss").attached()
    assert opener.do("opens", 200_000) == 200_000
    ended = tool.stop()
    ledgers = ended.summary["ledgers"]
    assert ended.ledger["dropped"] > 0
    assert ledgers["open"]["seen"] >= 200_000
    for term in ("seen", "submitted", "dropped", "filtered", "pending", "received", "shown"):
        assert ended.ledger[term] == sum(ledger[term] for ledger in ledgers.values())
    assert ended.status == 3
    assert "lost: dropped" in ended.stderr


class Terminal:
    """A tmux of our own with the dashboard in it."""

    def __init__(self, folder: Path, command: str) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self.run("new-session", "-d", "-x", "110", "-y", "32", f"{command}; echo status=$?; exec cat")

    def run(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout

    def screen(self) -> str:
        return self.run("capture-pane", "-p")

    def keys(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def shows(self, text: str) -> bool:
        return lab.eventually(lambda: text in self.screen(), 20)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """The dashboard in a terminal."""
    terminal = Terminal(tmp_path, shlex.join([*lab.EBPFLAB, "dashboard"]))
    yield terminal
    terminal.run("kill-server")


def drawn(screen: str) -> int:
    """How many events were drawn, as the last lines say."""
    return int(screen.rpartition("drew ")[2].split()[0])


@pytest.mark.native
def test_the_screen_pauses_filters_and_quits(terminal: Terminal, opener: lab.Opener) -> None:
    assert terminal.shows("ebpflab dashboard")
    opener.do("name", "watched-by-test")
    opener.do("opens", 1_000)
    assert terminal.shows("watched-by-test")
    terminal.keys("Space")
    assert terminal.shows("PAUSED")
    before = drawn(terminal.screen())
    opener.do("opens", 1_000)
    time.sleep(1)
    assert drawn(terminal.screen()) == before
    terminal.keys("Space")
    assert lab.eventually(lambda: "PAUSED" not in terminal.screen(), 20)
    subprocess.run(["/bin/true"], check=True)
    terminal.keys("/")
    terminal.keys("-l", "watched-by-test")
    terminal.keys("Enter")
    assert terminal.shows("filter 'watched-by-test'")
    opener.do("opens", 10)
    assert lab.eventually(lambda: terminal.screen().count("watched-by-test") > 3, 20)
    assert not [
        line
        for line in terminal.screen().splitlines()
        if line.startswith(("open ", "exec ", "exit ")) and "watched" not in line
    ]
    terminal.keys("q")
    assert terminal.shows("status=0")
    assert "ledger: seen " in terminal.screen()
    assert "Traceback" not in terminal.screen()
