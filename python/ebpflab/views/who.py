"""Columns for those who make calls, as far as they are told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from ebpflab.views.table import Column, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpflab.records import Container


class Told(Protocol):
    """A count of calls."""

    @property
    def pid(self) -> int | None:
        """Process id."""

    @property
    def comm(self) -> str | None:
        """Name of the thread, or the process."""

    @property
    def cgroup(self) -> int | None:
        """Id of the cgroup."""

    @property
    def cgroup_path(self) -> str | None:
        """Where it is."""

    @property
    def container(self) -> Container | None:
        """The container that it is of."""


Row = TypeVar("Row", bound=Told)


def columns(rows: Sequence[Row]) -> tuple[Column[Row], ...]:
    """Return the columns that these rows have."""
    told: list[Column[Row]] = []
    if any(row.pid is not None for row in rows):
        told.append(Column("PID", 7, lambda row: str(row.pid)))
    if any(row.pid is not None or row.comm is not None for row in rows):
        told.append(Column("COMM", 15, _comm, right=False))
    if any(row.cgroup is not None for row in rows):
        told.append(Column("CGROUP", 24, _place, right=False))
    return tuple(told)


def _comm(row: Told) -> str:
    return "(gone)" if row.comm is None else printable(row.comm)


def _place(row: Told) -> str:
    if row.container is not None:
        return printable(f"{row.container.runtime} {row.container.name or row.container.id[:12]}")
    return str(row.cgroup) if row.cgroup_path is None else printable(row.cgroup_path)
