"""What `pip install` needs, builds and refuses to build."""

from __future__ import annotations

import filecmp
import json
import tarfile
from typing import TYPE_CHECKING

from tests.support.install import ROOT, Environment, checkout, run, sdist

if TYPE_CHECKING:
    from pathlib import Path

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


def test_stable_rust_is_enough(tmp_path: Path, fresh: Environment) -> None:
    project = checkout(tmp_path / "project")
    installed = fresh.pip_install(".", cwd=project)
    assert installed.returncode == 0, installed.stderr
    tools_work(fresh)


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


def test_an_sdist_installs_alone(tmp_path: Path, fresh: Environment) -> None:
    archive = sdist(checkout(tmp_path / "project"), tmp_path / "dist")
    empty = tmp_path / "empty"
    empty.mkdir()
    installed = fresh.pip_install(archive, cwd=empty)
    assert installed.returncode == 0, installed.stderr
    tools_work(fresh)


def test_an_sdist_holds_sources_objects_and_licences(tmp_path: Path) -> None:
    with tarfile.open(sdist(ROOT, tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ["Cargo.lock", "crates/loader/bpf/manifest.toml", "crates/loader/bpf/x86_64/xdp.o", SOURCE]
    wanted += ["crates/ebpf/build.rs", "crates/ebpf/rustc-remap", "python/ebpflab/py.typed", "README.md"]
    wanted += ["LICENSE-APACHE", "LICENSE-GPL2", "LICENSE-MIT"]
    assert not set(wanted) - names
    assert not [name for name in names if name.startswith(("target/", ".venv/")) or name.endswith(".so")]


def test_the_toolchain_builds_from_source(tmp_path: Path, equipped: Environment) -> None:
    project = checkout(tmp_path / "project")
    change_a_bpf_source(project)
    installed = equipped.pip_install(".", cwd=project, EBPFLAB_BPF="build")
    assert installed.returncode == 0, installed.stderr
    assert "BPF objects: building for" in installed.stdout + installed.stderr, "it says with which toolchain"
    tools_work(equipped)


def test_objects_are_the_same_wherever_they_are_built(tmp_path: Path, equipped: Environment) -> None:
    """Two folders of different depth give the same bytes, and they are the committed ones.

    The kernel lane runs the committed objects; that they are these is what makes it a test of the sources too.
    """
    committed = ROOT / "crates/loader/bpf"
    files = [str(path.relative_to(committed)) for path in committed.rglob("*") if path.is_file()]
    assert len(files) > 1
    for folder in (tmp_path / "one", tmp_path / "two/deeper"):
        project = checkout(folder)
        # Each with a target folder of its own, as two people would have.
        run("cargo", "build-ebpf", cwd=project, env=equipped.env | {"CARGO_TARGET_DIR": str(folder / "target")})
        _, different, missing = filecmp.cmpfiles(committed, project / "crates/loader/bpf", files, shallow=False)
        assert (different, missing) == ([], [])
