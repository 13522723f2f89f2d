"""Every lesson: the skeleton fails and says what to do, the solution passes, typical mistakes are named."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from ebpflab.learn import lessons

from tests.learn.wrong import WRONG, Wrong

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.learn.conftest import Learner

STEMS = [lesson.stem for lesson in lessons()]
#: The ordinary run takes one mistake of each lesson: all of them take ten minutes.
FIRST = {wrong.stem: wrong for wrong in reversed(WRONG)}.values()
MISTAKES = [wrong if wrong in FIRST else pytest.param(wrong, marks=pytest.mark.full) for wrong in WRONG]


@pytest.mark.parametrize("stem", STEMS)
def test_the_skeleton_fails_and_the_solution_passes(learner: Callable[[], Learner], stem: str) -> None:
    someone = learner().started(stem)
    failed = someone.learn("check")
    assert failed.returncode == 1, failed.stderr
    assert "FAILED" in failed.stdout
    assert "TODO" in failed.stdout, "it says what to do next"
    assert "not passed yet: mend the first that failed" in failed.stderr
    written = someone.learn("solution", "--write")
    assert written.returncode == 0, written.stderr
    assert "written: src/ebpf.rs" in written.stderr
    passed = someone.learn("check")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert Counter(line[:10].strip() for line in passed.stdout.splitlines()) - Counter({"": 99}) == {
        "passed": len(next(lesson for lesson in lessons() if lesson.stem == stem).requirements)
    }
    assert stem not in learner().learn("next").stdout
    assert someone.learn("solution").stderr == "ebpflab: yours is the solution\n"


@pytest.mark.parametrize("wrong", MISTAKES, ids=lambda wrong: f"{wrong.stem}: {wrong.mistake}")
def test_a_mistake_is_named(learner: Callable[[], Learner], wrong: Wrong) -> None:
    someone = learner().started(wrong.stem)
    someone.learn("solution", "--write")
    source = someone.source.read_text(encoding="utf-8")
    for old, new in wrong.replaced:
        assert old in source
        source = source.replace(old, new)
    someone.source.write_text(source, encoding="utf-8")
    checked = someone.learn("check")
    assert checked.returncode == 1, checked.stdout + checked.stderr
    told = " ".join(checked.stdout.split())
    failed = told[told.index("FAILED") :]
    assert failed.startswith(f"FAILED {wrong.fails}"[:20]) or wrong.fails in failed[:200], checked.stdout
    assert wrong.says in failed, checked.stdout


def test_there_are_three_mistakes_for_each_lesson() -> None:
    counted = Counter(wrong.stem for wrong in WRONG)
    assert set(counted) == set(STEMS)
    assert min(counted.values()) >= 3
