"""Fresh checkouts, fresh environments, sdists."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command that has to work; return what it printed."""
    result = subprocess.run(command, cwd=cwd, env=env, text=True, capture_output=True, check=False)
    assert result.returncode == 0, f"{command} failed:\n{result.stdout}\n{result.stderr}"
    return result.stdout


def checkout(to: Path) -> Path:
    """Copy what git would commit now: no build folders, no leftovers."""
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for file in files:
        target = to / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, target)
    return to


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment, and the settings to build in it."""

    folder: Path
    env: dict[str, str]

    def pip_install(self, *what: str | Path, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run pip install; return how it went."""
        command = [self.folder / "bin/python", "-m", "pip", "install", "--no-cache-dir", "-v", *what]
        env = self.env | settings
        return subprocess.run(command, cwd=cwd, env=env, text=True, capture_output=True, check=False)

    def tool(self, *arguments: str) -> str:
        """Run the installed command line, away from any checkout."""
        return run(self.folder / "bin/ebpflab", *arguments, cwd=self.folder, env=self.env)


@dataclass(frozen=True, order=True)
class Python:
    """An interpreter."""

    version: tuple[int, int, int]
    free_threaded: bool
    path: Path

    def __str__(self) -> str:
        """Return its version, as tests are named."""
        return ".".join(map(str, self.version)) + ("t" if self.free_threaded else "")


#: What an interpreter says of itself; it has to have all that a virtual environment takes.
ASKED = """
import ensurepip, json, sys, sysconfig, venv
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
print(json.dumps([sys.version_info[:3], free_threaded, sys.implementation.name]))
"""


def pythons() -> list[Python]:
    """Return every CPython from 3.10 up that is on PATH or in pyenv's folder, the oldest first, each version once."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    # What is in pyenv's shims starts one of these, slowly, or nothing.
    folders = [path for path in map(Path, os.environ["PATH"].split(":")) if path.name != "shims"]
    folders += versions.glob("*/bin")
    found = {}
    for path in sorted({path for folder in folders for path in folder.glob("python3.[0-9]*") if "-" not in path.name}):
        asked = subprocess.run([path, "-c", ASKED], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            version, free_threaded, implementation = json.loads(asked.stdout)
            python = Python(tuple(version), free_threaded, path)
            if python.version >= (3, 10, 0) and implementation == "cpython":
                found[str(python)] = python
    return sorted(found.values())


def _ends() -> tuple[Python, ...]:
    ordinary = [python for python in pythons() if not python.free_threaded]
    return tuple(dict.fromkeys((ordinary[0], ordinary[-1])))


#: The oldest and the newest of them.
ENDS = _ends()


@dataclass(frozen=True)
class Distribution:
    """What scripts/wheel makes."""

    wheel: Path
    sdist: Path
