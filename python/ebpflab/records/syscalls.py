"""System calls."""

from __future__ import annotations

from dataclasses import dataclass

from ebpflab.records.events import Container


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """How many calls failed in one way: the name of the errno, `ENOENT` and so on, and how many."""

    error: str
    count: int


@dataclass(frozen=True, slots=True)
class SyscallCount:
    """System calls since the start that have the same of all that they are told apart by; the rest of that is None.

    `syscall`, `number` and `abi` (`x86_64`, `i386`, `x32`, `aarch64`, `arm`) are what was called. `comm` is the name of
    the thread, or, where only processes are told apart, of the process (None if it was gone before it was read).

    `failed` of `count` ended with an error, by `errors`. `total_ns` is how long all took together, `max_ns` the
    longest, `rate` calls per second since the last reading.
    """

    syscall: str | None
    number: int | None
    abi: str | None
    pid: int | None
    comm: str | None
    cgroup: int | None
    cgroup_path: str | None
    container: Container | None
    count: int
    failed: int
    errors: tuple[ErrorCount, ...]
    total_ns: int
    max_ns: int
    rate: float
