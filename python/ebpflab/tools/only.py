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


def only(
    *,
    pid: int | None,
    tid: int | None,
    uid: int | None,
    name: str | bytes | None,
    not_pid: int | None,
    failed: bool,
) -> Only:
    """Make the filter of the arguments that all tracing tools share."""
    comm = None if name is None else os.fsencode(name)
    return {"pid": pid, "tid": tid, "uid": uid, "comm": comm, "not_pid": not_pid, "failed": failed}
