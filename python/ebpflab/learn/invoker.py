"""Whose the files are. Loading BPF takes root; compiling does not: under sudo it is done as whoever called sudo."""

from __future__ import annotations

import os
import pwd
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Invoker:
    """A user, with what starts a process as theirs; nothing of that where it is who we are already."""

    home: Path
    uid: int | None = None
    gid: int | None = None

    def environment(self) -> dict[str, str]:
        """Return the environment for their processes: rustup's folder is on PATH even where sudo took it out."""
        env = dict(os.environ)
        path = env.get("PATH", os.defpath).split(os.pathsep)
        cargo = str(Path(env.get("CARGO_HOME", self.home / ".cargo"), "bin"))
        env["PATH"] = os.pathsep.join([*path, *([] if cargo in path else [cargo])])
        return env | ({} if self.uid is None else {"HOME": str(self.home)})

    def process(self) -> dict[str, Any]:
        """Return the arguments for subprocess that start a process as theirs."""
        identity: dict[str, Any] = {"env": self.environment()}
        if self.uid is not None and self.gid is not None:
            identity |= {"user": self.uid, "group": self.gid, "extra_groups": os.getgrouplist(self._name(), self.gid)}
        return identity

    def _name(self) -> str:
        return pwd.getpwuid(self.uid if self.uid is not None else os.getuid()).pw_name

    def data(self) -> Path:
        """Return the folder for ebpflab's data of theirs."""
        return self._folder("XDG_DATA_HOME", ".local/share")

    def cache(self) -> Path:
        """Return the folder for what can be made again."""
        return self._folder("XDG_CACHE_HOME", ".cache")

    def _folder(self, setting: str, default: str) -> Path:
        asked = os.environ.get(setting, "") if self.uid is None else ""
        # A relative one is to be ignored, says the XDG specification.
        return (Path(asked) if Path(asked).is_absolute() else self.home / default) / "ebpflab"

    @contextmanager
    def files(self) -> Iterator[None]:
        """Have the files that are made inside be theirs."""
        if self.uid is None or self.gid is None:
            yield
            return
        ours = os.geteuid(), os.getegid()
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(ours[0])
            os.setegid(ours[1])


def invoker() -> Invoker:
    """Return who called sudo, if this is root by sudo; else who we are."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and uid.isdigit() and gid.isdigit() and int(uid) != 0:
        try:
            return Invoker(Path(pwd.getpwuid(int(uid)).pw_dir), int(uid), int(gid))
        except KeyError:
            pass
    return Invoker(Path.home())
