"""What is in the wheel and in the sdist, how much, and what they say of themselves."""

from __future__ import annotations

import email
import importlib.metadata
import platform
import re
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.install import ROOT, run

if TYPE_CHECKING:
    from email.message import Message

    from tests.support.install import Distribution

VERSION = importlib.metadata.version("ebpflab")
LICENCES = ["LICENSE-APACHE", "LICENSE-GPL2", "LICENSE-MIT"]
#: Half as much again as there was when this was written: whatever makes it so much bigger, somebody should have meant.
MOST_WHEEL, MOST_SDIST = 7_500_000, 1_400_000


@pytest.fixture
def wheel(distribution: Distribution) -> zipfile.ZipFile:
    return zipfile.ZipFile(distribution.wheel)


@pytest.fixture
def sdist(distribution: Distribution) -> tarfile.TarFile:
    return tarfile.open(distribution.sdist)


def test_one_wheel_serves_every_python_and_old_systems(distribution: Distribution) -> None:
    assert distribution.wheel.name == f"ebpflab-{VERSION}-cp310-abi3-manylinux_2_28_{platform.machine()}.whl"


def test_the_wheel_asks_for_no_newer_glibc(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """As binutils read it, not maturin, which gave the wheel its name."""
    library = wheel.extract("ebpflab/_ebpflab.abi3.so", tmp_path)
    versions = re.findall(r"\(GLIBC_(\d+)\.(\d+)[.\d]*\)", run("objdump", "-T", library))
    assert (2, 2) < max((int(major), int(minor)) for major, minor in versions) <= (2, 28)
    needed = set(re.findall(r"NEEDED +(\S+)", run("objdump", "-p", library)))
    system = {"libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0"}
    assert {name for name in needed if not name.startswith("ld-linux")} <= system, "all of it is glibc's or gcc's"


def test_they_are_small(distribution: Distribution) -> None:
    assert 0 < distribution.wheel.stat().st_size < MOST_WHEEL
    assert 0 < distribution.sdist.stat().st_size < MOST_SDIST


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "python"
    wanted = {
        str(path.relative_to(package)) for suffix in ("py", "pyi", "typed") for path in package.rglob(f"*.{suffix}")
    }
    # The lessons: sources and pages, the template of their folders, the script that installs the toolchain.
    learn = package / "ebpflab" / "learn"
    wanted |= {
        str(path.relative_to(package))
        for path in learn.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"ebpflab/learn/setup", "ebpflab/learn/template/workspace.lock"} <= wanted
    info = f"ebpflab-{VERSION}.dist-info"
    wanted |= {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    wanted |= {f"{info}/licenses/{name}" for name in LICENCES}
    wanted |= {"ebpflab/_ebpflab.abi3.so", "ebpflab/py.typed", f"{info}/sboms/ebpflab-python.cyclonedx.json"}
    assert set(wheel.namelist()) == wanted


def test_an_sdist_holds_sources_objects_and_licences(sdist: tarfile.TarFile) -> None:
    names = {name.partition("/")[2] for name in sdist.getnames()}
    objects = {str(path.relative_to(ROOT)) for path in (ROOT / "crates/loader/bpf").rglob("*.o")}
    assert {Path(name).parent.name for name in objects} == {"aarch64", "x86_64"}
    wanted = {"Cargo.lock", "crates/loader/bpf/manifest.toml", "crates/ebpf/src/xdp.rs", *objects}
    wanted |= {"crates/ebpf/build.rs", "crates/ebpf/rustc-remap", "python/ebpflab/py.typed", "README.md", *LICENCES}
    assert not wanted - names
    assert not [name for name in names if name.startswith(("dist/", "target/", ".venv/")) or name.endswith(".so")]


def test_what_they_say_of_themselves(wheel: zipfile.ZipFile, sdist: tarfile.TarFile) -> None:
    said = email.message_from_bytes(wheel.read(f"ebpflab-{VERSION}.dist-info/METADATA"))
    stated = sdist.extractfile(f"ebpflab-{VERSION}/PKG-INFO")
    assert stated is not None
    assert values(said) == values(email.message_from_bytes(stated.read()))
    fields = values(said)
    assert fields["Name"] == ["ebpflab"]
    assert fields["Version"] == [VERSION]
    assert fields["Requires-Python"] == [">=3.10"]
    assert fields["License-Expression"] == ["(MIT OR Apache-2.0) AND (MIT OR GPL-2.0-only)"]
    assert fields["License-File"] == LICENCES
    required = {
        re.split(r"[<>=; ]", requirement)[0] for requirement in fields["Requires-Dist"] if "extra" not in requirement
    }
    assert required == {"lazy-loader", "rich", "textual", "typer"}
    assert "Operating System :: POSIX :: Linux" in fields["Classifier"]
    assert str(said.get_payload()).startswith("# ebpflab")
    assert "ebpflab=ebpflab.cli:main" in wheel.read(f"ebpflab-{VERSION}.dist-info/entry_points.txt").decode()


def values(message: Message) -> dict[str, list[str]]:
    """Return the fields, each with all its values in order."""
    return {name: message.get_all(name, []) for name in sorted(set(message))}
