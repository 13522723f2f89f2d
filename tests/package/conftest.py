"""Fresh checkouts, fresh environments, and a PATH that has what a user has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def cargo_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for cargo's output: the dependencies are compiled once, ebpflab itself in each checkout."""
    return tmp_path_factory.mktemp("target")


@pytest.fixture
def fresh(tmp_path: Path, cargo_target: Path) -> Environment:
    """An environment with stable Rust on its PATH and no BPF toolchain: no rustup, no bpf-linker."""
    rust = Path(run("rustc", "--print", "sysroot").strip(), "bin")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cargo", "rustc"):
        (tools / name).symlink_to(rust / name)
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=True)
    env = {
        "HOME": os.environ["HOME"],
        "PATH": f"{folder}/bin:{tools}:/usr/bin:/bin:/usr/sbin:/sbin",
        "CARGO_TARGET_DIR": str(cargo_target),
    }
    # How this machine reaches its package registries is its own business.
    env |= {
        key: value
        for key, value in os.environ.items()
        if key.startswith(("CARGO_", "PIP_", "SSL_")) or "proxy" in key.lower()
    }
    for absent in ("bpf-linker", "rustup"):
        assert shutil.which(absent, path=env["PATH"]) is None
    return Environment(folder, env)


@pytest.fixture
def equipped(fresh: Environment) -> Environment:
    """The same with the BPF toolchain that scripts/setup installs."""
    return Environment(fresh.folder, fresh.env | {"PATH": f"{fresh.folder}/bin:{os.environ['PATH']}"})


def sdist(of: Path, to: Path) -> Path:
    """Build an sdist; return its path."""
    run(Path(sys.executable).with_name("maturin"), "sdist", "--out", to, cwd=of)
    (archive,) = to.glob("ebpflab-*.tar.gz")
    return archive
