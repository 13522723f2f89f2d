"""The container of an event, for tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.views.table import printable

if TYPE_CHECKING:
    from ebpflab.records import ExecEvent, ExitEvent, OpenEvent, TraceEvent

#: What Docker shows of an id.
SHORT = 12


def container(event: OpenEvent | ExecEvent | ExitEvent | TraceEvent) -> str:
    """Return the name, or the first digits of the id; nothing for what is in none."""
    if event.container is None:
        return ""
    return printable(event.container.name or event.container.id[:SHORT])
