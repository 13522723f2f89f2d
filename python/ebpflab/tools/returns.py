"""What calls of a function return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ebpflab import _ebpflab
from ebpflab.records import ReturnCount, ValueBucket
from ebpflab.session import CountSession
from ebpflab.tools.latency import merged
from ebpflab.tools.only import only

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from rich.text import Text


@dataclass(frozen=True)
class ValueHistogram:
    """How many values there were of each size: `counts[i]` from `edges[i]` to less than `edges[i + 1]`.

    `negative` is how many were below zero.
    """

    negative: int
    edges: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, rows: Iterable[ReturnCount]) -> ValueHistogram:
        """Put the histograms of several rows together."""
        rows = tuple(rows)
        # What has no end ends with the most.
        buckets = ((it.start, it.below or row.max + 1, it.count) for row in rows for it in row.buckets)
        return cls(sum(row.negative for row in rows), *merged(buckets))

    def __str__(self) -> str:
        """Return a bar for each bucket."""
        from ebpflab.views.returns import bars  # noqa: PLC0415  views know tools, not the other way round

        return bars(self)

    def __rich__(self) -> Text:
        """Return the same for rich."""
        from rich.text import Text  # noqa: PLC0415  only rich asks

        return Text(str(self))


class ReturnCounter(CountSession[list[ReturnCount]]):
    """What calls of a function returned."""

    def _counts(self, raw: Any) -> list[ReturnCount]:  # noqa: ANN401
        return [
            ReturnCount(**row | {"buckets": tuple(ValueBucket(*bucket) for bucket in row["buckets"])}) for row in raw
        ]

    def histogram(self) -> ValueHistogram:
        """Return the histogram of all calls so far, whoever made them.

        Raises:
            ClosedError: The session was stopped.

        """
        return ValueHistogram.of(self.read())


def returns(
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
    linear: int | None = None,
    bits: int | None = None,
    unsigned: bool = False,
    max_entries: int | None = None,
) -> ReturnCounter:
    """Count what calls of a function return: `"vfs_read"`, `"libssl:SSL_write"` (docs/targets.md).

    `by` is what calls are told apart by: any of `pid`, `comm` (the name of the thread at the return) and `cgroup`. The
    filters are those of `ebpflab.counts`; a library is looked for in the process `pid` if there is one. The histogram
    has 0, 1, and powers of two from 2 on, or, with `linear`, steps of so much; values below zero are counted apart.

    Of its functions the kernel tells how many bits of what they return mean something. Of others nobody does: all 64
    are taken for a signed number, unless `bits` says 32 (for an `int`), 16 or 8, and `unsigned` that none is a sign.

    Calls that were made before are not seen; those that have not returned at the end are `ledger.pending`; those that
    were left without a return, or whose return the kernel missed, are `pending` or `unpaired`. `max_entries` is the
    most buckets that the map holds (16,384); calls of further ones are `ledger.map_full`.

    Raises:
        AttachError: The kernel refuses the function.
        NotSupportedError: This kernel has no hook for it.
        PrivilegeError: CAP_BPF and CAP_PERFMON are needed.
        ValueError: There is no such function (the nearest names are told), it returns nothing, or an argument is out of
            its range.

    """
    if linear is not None and not 1 <= linear < 2**63:
        raise ValueError(f"linear is a step of 1 at least, not {linear}")
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
    return ReturnCounter(_ebpflab.attach_returns(target, keep, list(by), linear, bits, unsigned, max_entries))
