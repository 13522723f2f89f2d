"""The README's way from nothing to the first passed check: every command of it, as it is written there."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.install import ROOT, Environment, checkout

if TYPE_CHECKING:
    from pathlib import Path


def commands() -> list[str]:
    """Return the commands of the block of the section Learn."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Learn\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return [line.partition("#")[0].strip() for line in block.splitlines()]


@pytest.mark.skipif(os.geteuid() != 0, reason="the check of a lesson needs root")
def test_from_nothing_to_the_first_passed_check(equipped: Environment, tmp_path: Path, cargo_target: Path) -> None:
    told = commands()
    assert told[0] == "pip install ."
    assert told.count("ebpflab learn check") == 2
    script = "\n".join(f"{command} >&2\necho $?" for command in told)
    env = equipped.env | {"XDG_DATA_HOME": str(tmp_path / "data"), "CARGO_TARGET_DIR": str(cargo_target)}
    done = subprocess.run(
        ["bash", "-u"],
        input=script,
        cwd=checkout(tmp_path / "project"),
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    wanted = ["0"] * len(told)
    wanted[told.index("ebpflab learn check")] = "1"
    assert done.stdout.split() == wanted, done.stderr
    assert "ebpflab: passed; " in done.stderr
