"""Opens by process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PidCount:
    """How often a process opened files: `count` since the start, `rate` per second since the last reading.

    `pid` is that of the initial PID namespace; `comm` is None for a process that was gone before its name was read.
    """

    pid: int
    comm: str | None
    count: int
    rate: float
