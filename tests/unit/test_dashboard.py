"""The dashboard over events that are always the same."""

from __future__ import annotations

import asyncio
import html
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab.views import dashboard
from ebpflab.views.dashboard import Model

from tests.unit.dashboard_example import Example, build, screenshot

if TYPE_CHECKING:
    import pytest

PICTURE = Path(__file__).parents[2] / "docs" / "dashboard.svg"


def shown(*keys: str) -> tuple[str, Example]:
    """Return the text on the screen after some keys."""
    svg, app = asyncio.run(screenshot(build(), *keys))
    lines = re.findall(r"<text[^>]*>(.*?)</text>", svg)
    return html.unescape("\n".join(lines)).replace("\xa0", " "), app


def test_the_picture_is_that_of_the_readme() -> None:
    svg, _ = asyncio.run(screenshot(build()))
    assert PICTURE.read_text(encoding="utf-8") == svg, "run scripts/docs.py, look at the picture, and commit it"


def test_it_says_how_much_it_drew_of_how_much() -> None:
    text, app = shown()
    assert app.model.total == 300
    assert 0 < app.drawn < 300
    assert f"drew {app.drawn} of 300" in text
    assert "seen 312" in text


def test_pause_stops_drawing_but_not_counting() -> None:
    async def run() -> None:
        app = Example(build())
        async with app.run_test() as pilot:
            app.fed.wait()
            app.tick()
            await pilot.press("space")
            drawn = app.drawn
            for event in build():
                app.model.feed(event)
            app.tick()
            assert (app.paused, app.drawn, app.model.total) == (True, drawn, 600)
            await pilot.press("space")
            assert (app.paused, app.drawn > drawn) == (False, True)
            app.done.set()

    asyncio.run(run())


def test_a_filter_shows_only_what_contains_it() -> None:
    text, app = shown("slash", *"make", "enter")
    assert app.model.wanted == "make"
    assert "filter 'make'" in text
    assert "cc1" not in text
    assert shown("slash", *"make", "enter", "escape")[1].model.wanted == ""


def test_the_many_do_not_push_out_the_few_that_are_asked_for() -> None:
    model, events = Model(), build()
    rare = next(event for event in events if event.comm == "make")
    model.wanted = f"{rare.pid} make"
    model.feed(rare)
    for _ in range(2 * dashboard.KEPT):
        model.feed(next(event for event in events if event.comm != "make"))
    assert model.since(0) == [rare]
    assert model.total == 2 * dashboard.KEPT + 1


def test_sort_goes_through_the_orders() -> None:
    assert [shown(*"s" * times)[1].order for times in range(5)] == ["rate", "opens", "execs", "pid", "rate"]


def test_help_says_what_the_keys_do() -> None:
    async def run() -> list[str]:
        app = Example(build())
        async with app.run_test() as pilot:
            await pilot.press("question_mark")
            await pilot.pause()
            messages = [notification.message for notification in app._notifications]  # noqa: SLF001
            app.done.set()
        return messages

    assert asyncio.run(run()) == [Example.HELP]


def test_quit_leaves() -> None:
    assert not shown("q")[1].is_running


def test_processes_are_sorted_and_rated() -> None:
    model = Model()
    for event in build():
        model.feed(event)
    model.rate(2.0)
    make, *compilers = model.processes("opens")
    assert (make.comm, make.opens, make.execs, make.rate) == ("make", 41, 0, 20.5)
    assert [process.pid for process in compilers] == list(range(4001, 4021))
    assert [process.pid for process in model.processes("pid")] == list(range(4000, 4021))
    assert {process.execs for process in model.processes("execs")[:20]} == {1}
    assert {process.end for process in compilers} == {"0", "SIGKILL", ""}
    assert (model.opens, model.execs, model.exits) == (261, 20, 19)
    model.rate(2.0)
    assert {process.rate for process in model.processes("rate")} == {0.0}


def test_an_id_that_comes_back_is_another_process() -> None:
    model, events = Model(), build()
    first = [event for event in events if event.pid == 4001]
    for event in [*first, *first[:3]]:
        model.feed(event)
    (process,) = model.processes("pid")
    assert (process.opens, process.execs, process.end) == (2, 1, "")
    assert model.total == len(first) + 3


def test_the_process_that_was_quiet_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "PROCESSES", 20)
    model = Model()
    for event in build():
        model.feed(event)
    assert [process.pid for process in model.processes("pid")] == [4000, *range(4002, 4021)]
    assert model.total == 300
