"""How long calls of a function take, or anything else that is measured so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpflab import _ebpflab
from ebpflab.records import BucketCount, LatencyCount, LatencyCounts, SlowCall
from ebpflab.session import CountSession
from ebpflab.tools.only import only

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from rich.text import Text


def merged(buckets: Iterable[tuple[int, int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return edges and counts of buckets, some of which may be the same: start, end and count of each."""
    counts: dict[tuple[int, int], int] = {}
    for start, end, count in buckets:
        counts[start, end] = counts.get((start, end), 0) + count
    if not counts:
        return (), ()
    first = sorted(counts)
    return (*(start for start, _ in first), max(end for _, end in first)), tuple(counts[key] for key in first)


@dataclass(frozen=True)
class Histogram:
    """How many took how long: `counts[i]` of them from `edges[i]` to less than `edges[i + 1]` nanoseconds."""

    edges: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, rows: Iterable[LatencyCount]) -> Histogram:
        """Put the histograms of several rows together."""
        # What has no end ends with the longest.
        return cls(*merged((it.from_ns, it.below_ns or row.max_ns + 1, it.count) for row in rows for it in row.buckets))

    def __str__(self) -> str:
        """Return a bar for each bucket."""
        from ebpflab.views.latency import bars  # noqa: PLC0415  views know tools, not the other way round

        return bars(self.edges, self.counts)

    def __rich__(self) -> Text:
        """Return the same for rich."""
        from rich.text import Text  # noqa: PLC0415  only rich asks

        return Text(str(self))


class TimeSession(CountSession[LatencyCounts]):
    """How long things took."""

    def _counts(self, raw: Any) -> LatencyCounts:  # noqa: ANN401
        rows, slow, slow_lost = raw
        return LatencyCounts(
            tuple(
                LatencyCount(**row | {"buckets": tuple(BucketCount(*bucket) for bucket in row["buckets"])})
                for row in rows
            ),
            tuple(SlowCall(*call) for call in slow),
            slow_lost,
        )

    def histogram(self) -> Histogram:
        """Return the histogram of all so far, whosever they were.

        Raises:
            ClosedError: The session was stopped.

        """
        return Histogram.of(self.read().rows)


class LatencyCounter(TimeSession):
    """How long calls of a function took."""


def nanoseconds(*, linear: float | None, slower: float | None) -> tuple[int | None, int | None]:
    """Return these seconds as nanoseconds.

    Raises:
        ValueError: It is less than one.

    """
    for value, what in ((linear, "linear"), (slower, "slower")):
        if value is not None and not 1e-9 <= value < 1e9:  # noqa: PLR2004  a nanosecond
            raise ValueError(f"{what} is a nanosecond at least, not {value} seconds")
    step_ns, slower_ns = (None if value is None else round(value * 1e9) for value in (linear, slower))
    return step_ns, slower_ns


def latency(
    target: str,
    *,
    by: Iterable[str] = (),
    pid: int | None = None,
    tid: int | None = None,
    uid: int | None = None,
    name: str | bytes | None = None,
    not_pid: int | None = None,
    tree: int | None = None,
    cgroup: str | os.PathLike[str] | None = None,
    container: str | None = None,
    linear: float | None = None,
    slower: float | None = None,
    max_entries: int | None = None,
) -> LatencyCounter:
    """Measure calls of a function from entry to return: `"vfs_read"`, `"libc:malloc"` (docs/targets.md).

    `by` is what calls are told apart by: any of `pid`, `comm` (the name of the thread at the return) and `cgroup`. The
    filters are those of `ebpflab.counts`; a library is looked for in the process `pid` if there is one. The histogram
    has powers of two, or, with `linear`, steps of so many seconds. Calls that take longer than `slower` seconds are
    told one by one.

    Calls in calls of the same function, and of any number of threads, are measured each for itself. Calls that were
    made before are not seen; those that have not returned at the end are `ledger.pending`; those that were left without
    a return, or whose return the kernel missed, are `pending` or `unpaired`. `max_entries` is the most buckets that the
    map holds (16,384); calls of further ones are `ledger.map_full`.

    Raises:
        AttachError: The kernel refuses the function.
        NotSupportedError: This kernel has no hook for it.
        PrivilegeError: CAP_BPF and CAP_PERFMON are needed.
        ValueError: There is no such function (the nearest names are told), or an argument is out of its range.

    """
    step_ns, slower_ns = nanoseconds(linear=linear, slower=slower)
    keep = only(
        pid=pid,
        tid=tid,
        uid=uid,
        name=name,
        not_pid=not_pid,
        tree=tree,
        cgroup=cgroup,
        container=container,
    )
    return LatencyCounter(_ebpflab.attach_latency(target, keep, list(by), step_ns, slower_ns, max_entries))
