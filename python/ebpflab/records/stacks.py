"""Stacks."""

from __future__ import annotations

from dataclasses import dataclass

from ebpflab.records.events import Container


@dataclass(frozen=True, slots=True)
class StackCount:
    """How often a stack was seen since the start, and whose, as far as they are told apart; the rest of that is None.

    `kernel` and `user` are its functions, the innermost first: `[unknown]` for one without a name, `FILE+0xPLACE` for
    code of a file without names, `[truncated]` for all that come behind 127. `comm` is the name of the thread, or,
    where only processes are told apart, of the process (None if it was gone before it was read).
    """

    pid: int | None
    comm: str | None
    cgroup: int | None
    cgroup_path: str | None
    container: Container | None
    kernel: tuple[str, ...]
    user: tuple[str, ...]
    count: int
