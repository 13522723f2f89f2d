"""How long calls, or waits, take."""

from __future__ import annotations

from dataclasses import dataclass

from ebpflab.records.events import Container


@dataclass(frozen=True, slots=True)
class BucketCount:
    """Calls or waits that took `from_ns` nanoseconds or more, and less than `below_ns`; None for all that is longer."""

    from_ns: int
    below_ns: int | None
    count: int


@dataclass(frozen=True, slots=True)
class LatencyCount:
    """How long calls of a function, or waits, took since the start, and whose, as far as they are told apart.

    `p50_ns`, `p90_ns` and `p99_ns` are what so many in a hundred did not take longer than, to a sixteenth, `max_ns` is
    the longest. `buckets` goes from the first that has one to the last. `rate` is how many per second since the last
    reading.
    """

    pid: int | None
    comm: str | None
    cgroup: int | None
    cgroup_path: str | None
    container: Container | None
    count: int
    total_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int
    buckets: tuple[BucketCount, ...]
    rate: float


@dataclass(frozen=True, slots=True)
class SlowCall:
    """A call or a wait that took long, and when it ended: nanoseconds since the epoch."""

    time: int
    pid: int
    tid: int
    comm: str
    latency_ns: int


@dataclass(frozen=True, slots=True)
class LatencyCounts:
    """How long calls or waits took, the most frequent first, and those that took long since the reading before.

    `slow_lost` is how many of these there was no room to tell since the start; they are in the counts all the same.
    """

    rows: tuple[LatencyCount, ...]
    slow: tuple[SlowCall, ...]
    slow_lost: int
