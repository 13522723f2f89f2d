"""A cgroup of our own."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab.errors import NotSupportedError

if TYPE_CHECKING:
    from typing_extensions import Self

#: Seconds until the kernel has let go of a process that was ended.
_PATIENCE = 5.0


class Cgroup:
    """A folder of the v2 hierarchy, gone at the end of the block. Whoever is in it has to be ended before."""

    def __init__(self) -> None:
        """Make it.

        Raises:
            NotSupportedError: The v2 hierarchy is not mounted.

        """
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
        top = next((Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"), None)
        if top is None:
            needs = "mount -t cgroup2 none /sys/fs/cgroup/unified"
            reason = "the hierarchy of cgroup v2 is not mounted"
            raise NotSupportedError(f"a cgroup cannot be made: {reason}; {needs}", "cgroups", needs, reason)
        #: Where it is.
        self.folder = top / f"ebpflab-{secrets.token_hex(4)}"
        self.folder.mkdir()

    def take(self, pid: int) -> None:
        """Put a process into it."""
        (self.folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        end = time.monotonic() + _PATIENCE
        while (self.folder / "cgroup.procs").read_text(encoding="ascii") and time.monotonic() < end:
            time.sleep(0.01)
        self.folder.rmdir()
