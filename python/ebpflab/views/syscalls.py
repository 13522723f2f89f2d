"""The most frequent system calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ebpflab.records import SyscallCount
from ebpflab.views import who
from ebpflab.views.table import Column, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ebpflab.records import Reading, Summary

#: Rows of a table; the others are summed up below it.
ROWS = 20
#: Of the interface that this machine's own programs use nothing is said.
_NATIVE = {"x86_64", "aarch64"}


def _call(row: SyscallCount) -> str:
    return f"{row.syscall}" if row.abi in _NATIVE else f"{row.syscall} ({row.abi})"


_SYSCALL = Column[SyscallCount]("SYSCALL", 18, _call, right=False)
_COLUMNS = (
    Column[SyscallCount]("CALLS", 9, lambda row: str(row.count)),
    Column[SyscallCount]("CALLS/S", 8, lambda row: f"{row.rate:.0f}"),
    Column[SyscallCount]("TOTAL MS", 10, lambda row: f"{row.total_ns / 1e6:.1f}"),
    Column[SyscallCount]("WORST MS", 9, lambda row: f"{row.max_ns / 1e6:.3f}"),
)
_ERRORS = Column[SyscallCount](
    "ERRORS", 0, lambda row: ", ".join(f"{error.error} {error.count}" for error in row.errors), right=False
)


def frames(readings: Iterable[Reading[list[SyscallCount]]]) -> Iterator[str]:
    """Yield a table of the most frequent for each reading."""
    for reading in readings:
        yield _table(reading.counts)


def totals(summary: Summary[list[SyscallCount]]) -> str:
    """Return the table of a whole run, with rates over all of it."""
    return _table([replace(row, rate=row.count / summary.duration_s) for row in summary.counts])


def _table(counts: Sequence[SyscallCount]) -> str:
    named = (_SYSCALL,) if any(row.syscall for row in counts) or not counts else ()
    text = table((*_COLUMNS, *who.columns(counts), *named, _ERRORS), counts[:ROWS])
    others = counts[ROWS:]
    if others:
        text += f"\n{len(others)} more with {sum(row.count for row in others)} calls"
    return text
