"""`ebpflab` as somebody has it who is not root: in a folder that he may read, beside a sudo that lets him be root."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import identity

if TYPE_CHECKING:
    import os

#: Where it is; a tmpfs over it hides nothing that a test needs.
PLACE = Path("/mnt")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def prepare() -> None:
    """Make both, in mounts of this process's own: the Python of the tests may be in a folder that is root's alone."""
    identity.root()
    _mount("-t", "tmpfs", "-o", "mode=755", "none", PLACE)
    base, packages, venv = PLACE / "base", PLACE / "packages", PLACE / "venv"
    for folder, source in ((base, sys.base_prefix), (packages, sysconfig.get_path("purelib"))):
        folder.mkdir()
        _mount("--bind", source, folder)
    python = base / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
    (own,) = venv.glob("lib/python*/site-packages")
    (own / "tests.pth").write_text(f"{packages}\n")
    command = venv / "bin/ebpflab"
    command.write_text(f"#!{venv}/bin/python\nfrom ebpflab.cli import main\nmain()\n")
    command.chmod(0o755)
    sudoers = PLACE / "sudoers"
    shutil.copyfile("/etc/sudoers", sudoers)
    with sudoers.open("a") as file:
        file.write("nobody ALL=(ALL:ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    _mount("--bind", sudoers, "/etc/sudoers")


def run(*command: str, capabilities: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command as nobody with these capabilities, as setpriv(1) names them, and no others."""
    wanted = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    become = [f"--reuid={identity.NOBODY}", f"--regid={identity.NOBODY}", "--clear-groups"]
    wrapper = ["setpriv", *become, f"--inh-caps={wanted}", f"--ambient-caps={wanted}"]
    environment = {"PATH": f"{PLACE}/venv/bin:{_PATH}", "LANG": "C.UTF-8"}
    return subprocess.run(
        [*wrapper, *command], capture_output=True, text=True, check=False, cwd=PLACE, env=environment, timeout=60
    )


def _mount(*arguments: str | os.PathLike[str]) -> None:
    subprocess.run(["mount", *arguments], check=True)
