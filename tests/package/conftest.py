"""Environments with a PATH that has what a user has."""

from __future__ import annotations

import os
import shutil
import venv
from pathlib import Path

import pytest

from tests.support.install import Environment, run


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
