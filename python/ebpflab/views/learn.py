"""Lessons, and what checks found, for people."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from ebpflab.views.table import Column, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ebpflab.learn.lesson import Lesson
    from ebpflab.learn.report import Outcome, Report

_WIDTH = 79
_INDENT = " " * 10


def listed(lessons: Iterable[Lesson], progress: Mapping[str, Mapping[str, str]]) -> str:
    """Return a line for each lesson."""
    columns: tuple[Column[Lesson], ...] = (
        Column("LESSON", 20, lambda lesson: lesson.stem, right=False),
        Column("PASSED", 11, lambda lesson: progress.get(lesson.stem, {}).get("passed", "")[:10] or "-", right=False),
        Column("WHAT IT IS", 0, lambda lesson: lesson.title, right=False),
    )
    return table(columns, lessons)


def report(found: Report) -> str:
    """Return how each requirement fared, and what is wrong with those that are not met."""
    return "\n".join(line for outcome in found.outcomes() for line in _outcome(outcome))


def _outcome(outcome: Outcome) -> Iterator[str]:
    word = {True: "passed", False: "FAILED", None: "-"}[outcome.passed]
    yield from wrap(outcome.requirement, _WIDTH, initial_indent=f"{word:<10}", subsequent_indent=_INDENT)
    if outcome.passed is not False:
        return
    for name, value in (("wanted", outcome.wanted), ("found", outcome.found), ("usually", outcome.mistake)):
        first, *more = value.splitlines() or [""]
        if value:
            begin = f"{_INDENT}{name:<8}"
            yield from wrap(printable(first), _WIDTH, initial_indent=begin, subsequent_indent=f"{_INDENT}        ")
        # An explanation has lines of its own.
        yield from (f"{_INDENT}{printable(line)}" for line in more)
