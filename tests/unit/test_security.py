"""docs/security.md names a test for what it says: there is that test."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TEST = re.compile(r"^\| .* \| `([a-z_/]+\.(?:py|rs))::(\w+)` \|$", re.MULTILINE)


def test_the_tests_that_are_named_are_there() -> None:
    named = _TEST.findall((ROOT / "docs/security.md").read_text())
    assert len(named) > 10
    lacking = [
        (file, test)
        for file, test in named
        if not re.search(rf"^(def|    fn) {test}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert not lacking
