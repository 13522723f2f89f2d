"""docs/repl.md says what happens."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "repl.md"

pytestmark = pytest.mark.native


def test_the_walk_through_is_what_happens() -> None:
    # The fence of a block would be taken for what is printed.
    text = PAGE.read_text(encoding="utf-8").replace("```", "\n")
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) >= 20
    told: list[str] = []
    options = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    results = doctest.DocTestRunner(optionflags=options).run(test, out=told.append)
    assert results.failed == 0, "".join(told)
