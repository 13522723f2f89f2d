"""What calls return."""

from __future__ import annotations

from dataclasses import dataclass

from ebpflab.records.events import Container


@dataclass(frozen=True, slots=True)
class ValueBucket:
    """Calls that returned `start` or more, and less than `below`; None for all that is more."""

    start: int
    below: int | None
    count: int


@dataclass(frozen=True, slots=True)
class ReturnCount:
    """What calls of a function returned since the start, and whose, as far as they are told apart.

    `sum`, `min` and `max` are of all values. Those below zero are `negative` and in no bucket; `buckets` goes from the
    first that has a value to the last. `rate` is calls per second since the last reading.
    """

    pid: int | None
    comm: str | None
    cgroup: int | None
    cgroup_path: str | None
    container: Container | None
    count: int
    sum: int
    min: int
    max: int
    negative: int
    buckets: tuple[ValueBucket, ...]
    rate: float
