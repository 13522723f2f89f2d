"""Builds a lesson's program for BPF. Here cargo, rustc, rustup, and the script of `learn setup` are started."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab.errors import NotSupportedError
from ebpflab.learn.invoker import invoker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpflab.learn.workspace import Workspace

#: The script that installs the toolchain.
SETUP = Path(__file__).parent / "setup"
_TARGET = "bpfel-unknown-none"
#: Which machine the programs are for: they read its registers and call numbers.
_ARCHES = {"x86_64": "x86_64", "aarch64": "aarch64"}


@dataclass(frozen=True)
class Toolchain:
    """What builds for BPF.

    Attributes:
        cargo: How its cargo is called.
        settings: What its environment needs.
        options: What its cargo needs.
        rustc: What its compiler says that it is.
        linker: What bpf-linker says that it is.

    """

    cargo: tuple[str, ...]
    settings: dict[str, str]
    options: tuple[str, ...]
    rustc: str
    linker: str


class BuildError(Exception):
    """The program does not compile. The message is the compiler's."""


def find() -> Toolchain:
    """Find the toolchain: `debian-bpf` (of `ebpflab learn setup`), or nightly with rust-src, or Debian's own compiler.

    It is what template/toolchain.rs does for cargo.

    Raises:
        NotSupportedError: There is none.

    """
    linker = _first_line("bpf-linker", "--version")
    if linker is None:
        raise _missing("there is no bpf-linker")
    bootstrap = {"RUSTC_BOOTSTRAP": "aya_ebpf"}
    if _first_line("rustup", "--version") is None:
        core = _first_line("rustc", "--print", "target-libdir", "--target", _TARGET)
        rustc = _first_line("rustc", "--version")
        if rustc and core and Path(core).exists():
            return Toolchain(("cargo",), bootstrap, (), rustc, linker)
        raise _missing("there is no rustup, and the rustc on PATH has no core for BPF")
    rustc = _first_line("rustup", "run", "debian-bpf", "rustc", "--version")
    if rustc:
        return Toolchain(("rustup", "run", "debian-bpf", "cargo"), bootstrap, (), rustc, linker)
    rustc = _first_line("rustup", "run", "nightly", "rustc", "--version")
    sysroot = _first_line("rustup", "run", "nightly", "rustc", "--print", "sysroot")
    if rustc and sysroot and Path(sysroot, "lib/rustlib/src/rust/library/core").exists():
        return Toolchain(("rustup", "run", "nightly", "cargo"), {}, ("-Zbuild-std=core",), rustc, linker)
    raise _missing("rustup has no toolchain that builds for BPF")


def _missing(reason: str) -> NotSupportedError:
    feature, needs = "building programs for BPF", "ebpflab learn setup"
    return NotSupportedError(f"{feature} does not work: {reason}; run `{needs}`, once", feature, needs, reason)


def _first_line(*command: str) -> str | None:
    """Return the first line that a command prints; None if it is not there, or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, **invoker().process())
    except (OSError, subprocess.CalledProcessError):
        return None
    return next(iter(done.stdout.splitlines()), "")


def build(workspace: Workspace, folder: Path) -> Path:
    """Compile the program of a workspace; return the object, which is in the folder then, and only ours to write.

    Everything is compiled into one place for all lessons, so that what they share is compiled once. There the object
    has the name of its lesson, so another build has to wait until it is copied.

    Raises:
        NotSupportedError: There is no toolchain, or none for this machine.
        BuildError: It does not compile.
        OSError: Something cannot be read, or started.

    """
    toolchain = find()
    machine = platform.machine()
    if machine not in _ARCHES:
        raise NotSupportedError(f"the lessons are for x86_64 and aarch64, not for {machine}", "learn", "one", machine)
    flags = [f'--cfg=bpf_target_arch="{_ARCHES[machine]}"', "-Cdebuginfo=2", "-Clink-arg=--btf"]
    us = invoker()
    process = us.process()
    target = os.environ.get("CARGO_TARGET_DIR") or us.cache() / "learn"
    process["env"] = (
        _without_rust(process["env"]) | toolchain.settings | {"CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)}
    )
    options = ["--release", "--package", "lesson-ebpf", "--target", _TARGET, "--target-dir", str(target)]
    shown = ["--message-format", "json-render-diagnostics", "--color", "never", "--quiet"]
    command = [
        *toolchain.cargo,
        "rustc",
        *toolchain.options,
        *options,
        *shown,
        "--",
        f"--cfg=lesson_{_hash(workspace)}",
    ]
    with _alone(Path(target)):
        done = subprocess.run(command, cwd=workspace.folder, capture_output=True, text=True, check=False, **process)
        if done.returncode != 0:
            raise BuildError(done.stderr.rstrip() or f"cargo ended with status {done.returncode} and said nothing")
        messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        built = {message["target"]["name"]: message["executable"] for message in messages if message.get("executable")}
        if workspace.lesson.stem not in built:
            raise BuildError(f"Cargo.toml has no [[bin]] named {workspace.lesson.stem} any more")
        return copied(Path(built[workspace.lesson.stem]), folder)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Have nobody else build into this folder at the same time."""
    with invoker().files():
        target.mkdir(parents=True, exist_ok=True)
        lock = (target / "ebpflab.lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def copied(bpf_object: Path, folder: Path) -> Path:
    """Copy an object to where only we may write it, as `load` wants it: under sudo it is somebody else's."""
    copy = folder / bpf_object.name
    shutil.copyfile(bpf_object, copy)
    copy.chmod(0o600)
    return copy


def _hash(workspace: Workspace) -> str:
    """Return a hash over a folder and its sources.

    cargo takes a package for another one that was compiled there before if the sources lie outside of the package, or
    are older. As an argument of the compiler the hash keeps it from that.
    """
    found = hashlib.sha256(bytes(workspace.folder))
    for file in sorted(file for file in (workspace.folder / "src").rglob("*") if file.suffix in {".rs", ".ll"}):
        found.update(b"\0%b\0%b" % (bytes(file), file.read_bytes()))
    return found.hexdigest()


def _without_rust(env: dict[str, str]) -> dict[str, str]:
    """Take out what would choose another compiler, or give it other flags."""
    return {key: value for key, value in env.items() if key not in {"RUSTC", "RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER"}}


def setup(arguments: list[str]) -> int:
    """Run the script that installs the toolchain, or checks what there is; return its status."""
    return subprocess.run(["bash", str(SETUP), *arguments], check=False, **invoker().process()).returncode
