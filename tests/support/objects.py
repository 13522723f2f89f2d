"""Objects that are not ebpflab's own, compiled for the tests that load them."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "objects"


def clang(name: str, folder: Path) -> Path:
    """Compile `tests/objects/NAME.bpf.c` with clang, as users of libbpf do."""
    compiled = folder / f"{name}.bpf.o"
    if not compiled.exists():
        # Where headers of the machine's architecture are on Debian.
        include = Path("/usr/include") / str(sysconfig.get_config_var("MULTIARCH"))
        command = ["clang", "-target", "bpf", "-O2", "-g", "-Wall", "-Werror", f"-I{include}", "-c"]
        subprocess.run([*command, SOURCES / f"{name}.bpf.c", "-o", compiled], check=True)
    return compiled
