"""How long tasks wait for a CPU: percentiles, and histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpflab.views import latency
from ebpflab.views.latency import slow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpflab.records import LatencyCounts, Reading, Summary

__all__ = ["frames", "slow", "totals"]


def frames(readings: Iterable[Reading[LatencyCounts]]) -> Iterator[str]:
    """Yield a table and the histogram for each reading."""
    return latency.frames(readings, "waits")


def totals(summary: Summary[LatencyCounts]) -> str:
    """Return those of a whole run, with rates over all of it."""
    return latency.totals(summary, "waits")
