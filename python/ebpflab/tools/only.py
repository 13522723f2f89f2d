"""Whose events a tool is asked for, in the form that the native module takes."""

from __future__ import annotations

import os
from typing import TypedDict


class Only(TypedDict):
    """Conditions that must all hold; None asks for nothing."""

    pid: int | None
    tid: int | None
    uid: int | None
    comm: bytes | None
    not_pid: int | None
    failed: bool
    tree: int | None
    cgroup: str | None
    container: str | None
    path_prefix: bytes | None


def only(
    *,
    pid: int | None,
    tid: int | None,
    uid: int | None,
    name: str | bytes | None,
    not_pid: int | None,
    tree: int | None,
    cgroup: str | os.PathLike[str] | None,
    container: str | None,
    failed: bool = False,
    path_prefix: str | bytes | None = None,
) -> Only:
    """Make the filter of the arguments that all tracing tools share, and of those that only some have."""
    return {
        "pid": pid,
        "tid": tid,
        "uid": uid,
        "comm": None if name is None else os.fsencode(name),
        "not_pid": not_pid,
        "failed": failed,
        "tree": tree,
        "cgroup": None if cgroup is None else os.fspath(cgroup),
        "container": container,
        "path_prefix": None if path_prefix is None else os.fsencode(path_prefix),
    }
