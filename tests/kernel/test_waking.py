"""When whoever reads is woken: soon where something happens, and hardly ever where nothing does."""

from __future__ import annotations

import select
import statistics
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest

if TYPE_CHECKING:
    from tests.kernel import lab

pytestmark = pytest.mark.native

#: The contract is 100 ms; a machine that is busy with other things is given twice as long.
SOON = 0.2


def switches(thread: int) -> int:
    """Return how often a thread went to sleep by itself."""
    status = Path(f"/proc/self/task/{thread}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("voluntary_ctxt_switches"))
    return int(line.split()[1])


def test_an_event_shows_soon_however_many_came_before(opener: lab.Opener) -> None:
    waits = []
    with ebpflab.opens(pid=opener.pid) as opens:
        for number in (1, 1, 5_000, 1, 1, 700, 1, 1):
            opener.do("opens", number)
            done = time.time_ns()
            *_, last = opens.events(limit=number)
            waits.append((time.time_ns() - done) / 1e9)
            assert last.path
        assert opens.stop().ledger.dropped == 0
    # One of them may have met with something else that the machine does.
    assert statistics.quantiles(waits, n=8)[-1] < SOON, waits


def test_whoever_asks_the_file_descriptor_hears_soon_as_well(opener: lab.Opener) -> None:
    with ebpflab.opens(pid=opener.pid) as opens:
        for number in (1, 1, 2_000, 1, 1):
            opener.do("opens", number)
            done, found = time.monotonic(), 0
            while found < number:
                assert select.select([opens], [], [], 10)[0], f"{number - found} of {number} are missing"
                found += len(opens.read())
            assert time.monotonic() - done < SOON


@pytest.mark.parametrize("busy_before", [False, True])
def test_whoever_waits_for_nothing_sleeps(opener: lab.Opener, busy_before: bool) -> None:
    thread = 0
    had: list[ebpflab.OpenEvent] = []

    def wait() -> None:
        nonlocal thread
        thread = threading.get_native_id()
        had.extend(opens)

    with ebpflab.opens(pid=opener.pid) as opens:
        waiting = threading.Thread(target=wait)
        waiting.start()
        if busy_before:
            opener.do("opens", 5_000)
        # The timer comes twice more, and then no more.
        time.sleep(0.5)
        before = switches(thread)
        time.sleep(3)
        woken = switches(thread) - before
        opens.stop()
        waiting.join()
    assert len(had) == (5_000 if busy_before else 0)
    assert woken <= 4, "once a second, and once for the border"
