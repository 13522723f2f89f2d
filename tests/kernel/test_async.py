"""Events in an event loop: without threads, and with an end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from tests.kernel import lab

pytestmark = pytest.mark.native

#: The contract is 200 ms; a machine that is busy with other things is given twice as long.
SOON = 0.4
#: Nothing of the tests takes that long.
LONG = 20.0


async def taken(events: AsyncIterator[Any], number: int) -> list[Any]:
    """Return that many events, and leave the loop."""
    found = []
    async for event in events:
        found.append(event)
        if len(found) == number:
            break
    return found


async def rest(events: Any) -> list[Any]:  # noqa: ANN401  whatever can be iterated
    return [event async for event in events]


def run(test: Awaitable[Any]) -> None:
    """Run a test in a loop of its own."""

    async def within() -> None:
        await asyncio.wait_for(test, LONG)

    asyncio.run(within())


def test_events_come_in_a_loop(opener: lab.Opener) -> None:
    async def test() -> None:
        with ebpflab.opens(pid=opener.pid) as opens:
            task = asyncio.create_task(taken(opens.__aiter__(), 23))
            await asyncio.to_thread(opener.do, "opens", 30)
            times = [event.time for event in await task]
            # What the loop that was left has not had.
            times += [event.time for event in opens.read()]
            assert len(times) == 30
            assert times == sorted(set(times))
            assert opens.stop().ledger.shown == 30

    run(test())


def test_several_sessions_share_a_loop(opener: lab.Opener, runner: lab.Runner) -> None:
    async def test() -> None:
        program = runner.do("link", "in-a-loop")
        with ebpflab.opens(pid=opener.pid) as opens, ebpflab.execs(name="in-a-loop") as execs:
            tasks = [asyncio.create_task(rest(session.events(limit=7))) for session in (opens, opens, execs)]
            await asyncio.to_thread(opener.do, "opens", 14)
            pids = await asyncio.to_thread(runner.do, "run", [(program, ["x"])] * 7)
            first, second, executed = await asyncio.gather(*tasks)
            assert len({event.time for event in [*first, *second]}) == 14
            assert [event.pid for event in executed] == pids

    run(test())


@pytest.mark.parametrize("attach", [ebpflab.opens, ebpflab.execs], ids=["opens", "execs"])
@pytest.mark.parametrize("how", ["stop", "close"])
def test_ending_the_session_ends_the_loops(attach: Any, how: str) -> None:  # noqa: ANN401
    async def test() -> None:
        session = attach(name="no-such-name")
        tasks = [asyncio.create_task(rest(session)) for _ in range(2)]
        ended = threading.Timer(0.2, getattr(session, how))
        ended.start()
        began = time.monotonic()
        assert await asyncio.gather(*tasks) == [[], []]
        assert time.monotonic() - began < 0.2 + SOON
        ended.join()
        # In another task, and for a loop that begins after the end.
        assert await rest(session) == []
        session.close()

    run(test())


def test_a_task_that_is_cancelled_leaves_the_session_alone(opener: lab.Opener) -> None:
    async def test() -> None:
        with ebpflab.opens(pid=opener.pid) as opens:
            task = asyncio.create_task(rest(opens))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not opens.stopped
            # The loop does not know its file descriptor any more.
            assert not asyncio.get_running_loop().remove_reader(opens.fileno())
            await asyncio.to_thread(opener.do, "opens", 7)
            assert len(await taken(opens.__aiter__(), 7)) == 7

    run(test())


def test_a_task_is_cancelled_although_events_come(opener: lab.Opener) -> None:
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            opener.do("opens", 1_000)

    async def test() -> None:
        with ebpflab.opens(pid=opener.pid) as opens:
            flooding = threading.Thread(target=flood)
            flooding.start()
            try:
                task = asyncio.create_task(rest(opens))
                await asyncio.sleep(0.2)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            finally:
                over.set()
                await asyncio.to_thread(flooding.join)
            assert opens.ledger.shown > 0

    run(test())


def test_a_loop_is_closed(opener: lab.Opener) -> None:
    async def test() -> None:
        with ebpflab.opens(pid=opener.pid) as opens:
            await asyncio.to_thread(opener.do, "opens", 7)
            async with contextlib.aclosing(opens.__aiter__()) as events:
                await anext(events)
            assert len(opens.read()) == 6

    run(test())


def test_a_timeout_and_a_limit_end_a_loop(opener: lab.Opener) -> None:
    async def test() -> None:
        with ebpflab.opens(pid=opener.pid) as opens:
            await asyncio.to_thread(opener.do, "opens", 23)
            assert len(await rest(opens.events(limit=7, timeout=LONG))) == 7
            began = time.monotonic()
            assert len(await rest(opens.events(timeout=0.3))) == 16
            assert 0.3 <= time.monotonic() - began < LONG
            assert not opens.stopped

    run(test())


def test_a_loop_that_waits_lets_others_run(opener: lab.Opener) -> None:
    async def test() -> None:
        with ebpflab.opens(pid=opener.pid) as opens:
            waiting = asyncio.create_task(rest(opens.events(limit=1)))
            turns = 0
            while turns < 50:
                await asyncio.sleep(0.001)
                turns += 1
            assert not waiting.done()
            await asyncio.to_thread(opener.do, "opens", 1)
            assert len(await waiting) == 1

    run(test())
