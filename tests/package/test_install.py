"""What `pip install` needs, builds and refuses to build."""

from __future__ import annotations

import filecmp
import json
import platform
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.install import ENDS, ROOT, Environment, checkout, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.install import Distribution, Python

PLATFORM = f"manylinux_2_28_{platform.machine()}"
SOURCE = "crates/ebpf/src/xdp.rs"


def tools_work(environment: Environment) -> None:
    """Both commands attach, count and end with a ledger that adds up."""
    for command in (["xdp", "--iface", "lo"], ["count"]):
        lines = [json.loads(line) for line in environment.tool(*command, "--json", "-d", "0.5").splitlines()]
        assert lines[0]["type"] == "attached"
        ledger = lines[-1]["ledger"]
        assert ledger["seen"] == ledger["filtered"] + ledger["submitted"] + ledger["map_full"]
        assert ledger["submitted"] == ledger["received"]


def change_a_bpf_source(project: Path) -> None:
    """Change what it does as little as can be, but change it."""
    path = project / SOURCE
    text = path.read_text()
    path.write_text(text.replace("XDP_PASS", "XDP_PASS /* still */", 1))
    assert path.read_text() != text


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Return a folder with nothing in it."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("python", ENDS, ids=str)
def test_the_wheel_installs_alone(
    distribution: Distribution, make: Callable[[Python], Environment], empty: Path, python: Python
) -> None:
    environment = make(python)
    installed = environment.pip_install("--only-binary=:all:", distribution.wheel, cwd=empty)
    assert installed.returncode == 0, installed.stderr
    assert environment.tool("--help").startswith("Usage: ebpflab")
    tools_work(environment)


@pytest.mark.parametrize(("abi", "taken"), [("abi3", True), ("cp314t", False)])
def test_the_wheel_is_not_for_python_without_the_lock(
    distribution: Distribution, fresh: Environment, empty: Path, abi: str, taken: bool
) -> None:
    """The stable ABI of free-threaded Python is another; pip says that there is none, and takes the sdist."""
    tag = ["--python-version", "3.14", "--implementation", "cp", "--abi", abi, "--platform", PLATFORM]
    where = ["--no-index", "--find-links", str(distribution.wheel.parent), "--only-binary=:all:", "--no-deps"]
    command = [str(fresh.folder / "bin/python"), "-m", "pip", "download", *where, *tag, "ebpflab"]
    done = subprocess.run(command, cwd=empty, env=fresh.env, text=True, capture_output=True, check=False)
    assert (done.returncode == 0) == taken
    assert ("No matching distribution found for ebpflab" in done.stderr) != taken


def test_an_edited_bpf_source_without_a_toolchain_stops_the_build(tmp_path: Path, fresh: Environment) -> None:
    project = checkout(tmp_path / "project")
    change_a_bpf_source(project)
    installed = fresh.pip_install(".", cwd=project)
    assert installed.returncode != 0
    output = installed.stdout + installed.stderr
    assert "the committed ones are older than their sources; there is no bpf-linker here; run scripts/setup" in output


def test_an_edited_bpf_source_is_never_embedded_stale(tmp_path: Path, fresh: Environment) -> None:
    project = checkout(tmp_path / "project")
    change_a_bpf_source(project)
    installed = fresh.pip_install(".", cwd=project, EBPFLAB_BPF="prebuilt")
    assert installed.returncode != 0
    assert "the committed ones are older than their sources" in installed.stdout + installed.stderr


def test_a_damaged_object_is_never_embedded(tmp_path: Path, fresh: Environment) -> None:
    project = checkout(tmp_path / "project")
    (project / "crates/loader/bpf/x86_64/xdp.o").write_bytes(b"")
    installed = fresh.pip_install(".", cwd=project)
    assert installed.returncode != 0
    assert "xdp.o is not the one that was built" in installed.stdout + installed.stderr


@pytest.mark.parametrize("python", ENDS, ids=str)
def test_the_sdist_installs_alone(
    distribution: Distribution, make: Callable[[Python], Environment], empty: Path, python: Python
) -> None:
    """Stable Rust is enough."""
    environment = make(python)
    installed = environment.pip_install(distribution.sdist, cwd=empty)
    assert installed.returncode == 0, installed.stderr
    tools_work(environment)


def test_the_toolchain_builds_from_source(tmp_path: Path, equipped: Environment) -> None:
    project = checkout(tmp_path / "project")
    change_a_bpf_source(project)
    installed = equipped.pip_install(".", cwd=project, EBPFLAB_BPF="build")
    assert installed.returncode == 0, installed.stderr
    assert "BPF objects: building for" in installed.stdout + installed.stderr, "it says with which toolchain"
    tools_work(equipped)


def test_objects_are_the_same_wherever_they_are_built(tmp_path: Path, equipped: Environment) -> None:
    """Another folder, of another depth, gives the same bytes as whoever committed them had.

    The kernel lane runs the committed objects; that they are these is what makes it a test of the sources too.
    """
    committed = ROOT / "crates/loader/bpf"
    files = [str(path.relative_to(committed)) for path in committed.rglob("*") if path.is_file()]
    assert len(files) > 1
    project = checkout(tmp_path / "one/deeper")
    # With a target folder of its own, as another person would have.
    run("cargo", "build-ebpf", cwd=project, env=equipped.env | {"CARGO_TARGET_DIR": str(tmp_path / "target")})
    _, different, missing = filecmp.cmpfiles(committed, project / "crates/loader/bpf", files, shallow=False)
    assert (different, missing) == ([], [])
