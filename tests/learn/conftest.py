"""Lessons as learners do them: by the command line, in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kernel.lab import WITH_TRACEFS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Learner:
    """Somebody who calls `ebpflab learn`, where tracefs is mounted; with progress of their own."""

    folder: Path
    env: dict[str, str] = field(repr=False)

    def learn(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call it in the folder."""
        command = [*WITH_TRACEFS, sys.executable, "-m", "ebpflab", "learn", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)

    def started(self, stem: str) -> Learner:
        """Start a lesson; return who is in its folder then."""
        done = self.learn("start", stem)
        assert done.returncode == 0, done.stderr
        return Learner(self.folder / stem, self.env)

    @property
    def source(self) -> Path:
        """The program."""
        return self.folder / "src" / "ebpf.rs"


@pytest.fixture(scope="session", autouse=True)
def _able() -> None:
    if os.geteuid() != 0:
        pytest.skip("the checks of the lessons need root")


@pytest.fixture
def learner(tmp_path: Path) -> Callable[[], Learner]:
    """Make somebody who has done nothing yet. All compile into one folder, so that what is shared is compiled once."""
    env = os.environ | {"XDG_DATA_HOME": str(tmp_path / "data"), "CARGO_TARGET_DIR": str(ROOT / "target" / "learn")}

    def one() -> Learner:
        folder = tmp_path / "home"
        folder.mkdir(exist_ok=True)
        return Learner(folder, env)

    return one
