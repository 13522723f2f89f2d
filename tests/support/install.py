"""Fresh checkouts, fresh environments, sdists."""

from __future__ import annotations

import shutil
import subprocess
import sys
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


def sdist(of: Path, to: Path) -> Path:
    """Build an sdist; return its path."""
    run(Path(sys.executable).with_name("maturin"), "sdist", "--out", to, cwd=of)
    (archive,) = to.glob("ebpflab-*.tar.gz")
    return archive
