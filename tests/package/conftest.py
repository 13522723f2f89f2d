"""Environments with a PATH that has what a user has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.install import ENDS, ROOT, Distribution, Environment, Python, run

if TYPE_CHECKING:
    from collections.abc import Callable


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what there was to install on."""
    terminalreporter.write_line(f"package: installed on CPython {' and '.join(map(str, ENDS))}")


@pytest.fixture(scope="session")
def cargo_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for cargo's output: the dependencies are compiled once, ebpflab itself in each checkout."""
    return tmp_path_factory.mktemp("target")


@pytest.fixture(scope="session")
def distribution() -> Distribution:
    """What is handed out, of the sources as they are now."""
    run(ROOT / "scripts/wheel")
    (wheel,), (sdist,) = (ROOT / "dist").glob("ebpflab-*.whl"), (ROOT / "dist").glob("ebpflab-*.tar.gz")
    return Distribution(wheel, sdist)


@pytest.fixture
def make(tmp_path: Path, cargo_target: Path) -> Callable[[Python], Environment]:
    """Make an environment with stable Rust on its PATH and no BPF toolchain: no rustup, no bpf-linker."""
    rust = Path(run("rustc", "--print", "sysroot").strip(), "bin")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cargo", "rustc"):
        (tools / name).symlink_to(rust / name)
    folder = tmp_path / "venv"
    env = {
        "HOME": os.environ["HOME"],
        "PATH": f"{folder}/bin:{tools}:/usr/bin:/bin:/usr/sbin:/sbin",
        "CARGO_TARGET_DIR": str(cargo_target),
        # What is tested here no optimisation changes, and it takes most of the time. scripts/wheel optimises.
        "MATURIN_PEP517_ARGS": "--profile dev",
        "CARGO_PROFILE_DEV_DEBUG": "0",
    }
    # How this machine reaches its package registries is its own business.
    env |= {
        key: value
        for key, value in os.environ.items()
        if key.startswith(("CARGO_", "PIP_", "SSL_")) or "proxy" in key.lower()
    }
    for absent in ("bpf-linker", "rustup"):
        assert shutil.which(absent, path=env["PATH"]) is None

    def of(python: Python) -> Environment:
        run(python.path, "-m", "venv", folder)
        return Environment(folder, env)

    return of


@pytest.fixture
def fresh(make: Callable[[Python], Environment]) -> Environment:
    """Such an environment, of whichever Python."""
    return make(ENDS[-1])


@pytest.fixture
def equipped(fresh: Environment) -> Environment:
    """The same with the BPF toolchain that scripts/setup installs."""
    return Environment(fresh.folder, fresh.env | {"PATH": f"{fresh.folder}/bin:{os.environ['PATH']}"})
