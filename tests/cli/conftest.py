"""The command line as people run it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Protocol

import pytest


class Run(Protocol):
    def __call__(self, *arguments: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def run() -> Run:
    """Run `ebpflab` to its end, away from any terminal."""
    # COLUMNS and the like of whoever runs the tests must not change the texts.
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "TERM", "FORCE_COLOR"}}

    def start(*arguments: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = [*wrapper, sys.executable, "-m", "ebpflab", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=environment, stdin=subprocess.DEVNULL
        )

    return start
