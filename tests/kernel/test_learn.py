"""The lessons by their own hooks, on the kernels of the matrix: the solutions pass."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ebpflab.learn import Lesson, lessons
from ebpflab.learn.check import check
from ebpflab.learn.toolchain import copied
from ebpflab.views.learn import report

from tests.kernel.lab import RELEASE

#: Where tests/vm/matrix.py has them.
COURSE = os.environ.get("EBPFLAB_COURSE")


@pytest.mark.smoke
@pytest.mark.skipif(COURSE is None, reason="here the lane learn checks the lessons")
@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.stem)
def test_the_solution_passes_by_its_own_hook(lesson: Lesson, tmp_path: Path) -> None:
    assert COURSE is not None
    if "tcx" in lesson.variants[0].hooks and RELEASE < (6, 6):
        pytest.skip("the kernel has no TCX")
    # In the guest the folder of the course is whoever's it is on the host.
    found = check(lesson, lesson.variants[0].name, copied(Path(COURSE, lesson.stem), tmp_path))
    assert found.passed, report(found)
