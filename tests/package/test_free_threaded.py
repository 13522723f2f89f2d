"""Free-threaded Python: none is to be had here, so the module is compiled for it, and neither linked nor run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What PyO3 is told of an interpreter that it does not ask itself.
CONFIG = """implementation=CPython
version={version}
shared=true
lib_name=python{version}t
pointer_width=64
build_flags=Py_GIL_DISABLED
"""


def check(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    """Compile the module for a free-threaded Python."""
    config = folder / "config"
    config.write_text(CONFIG.format(version=version))
    environment = {**os.environ, "PYO3_CONFIG_FILE": str(config)}
    command = ["cargo", "check", "--locked", "-p", "ebpflab-python"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_module_compiles_for_3_14(tmp_path: Path) -> None:
    done = check(tmp_path, "3.14")
    assert done.returncode == 0, done.stderr


def test_3_13_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = check(tmp_path, "3.13")
    assert done.returncode != 0
    assert "PyO3 does not support the free-threaded build of CPython versions below 3.14" in done.stderr
