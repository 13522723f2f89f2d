"""What every session tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from ebpflab.records.xdp import Firewall, Sources

Counts = TypeVar("Counts")


@dataclass(frozen=True, slots=True)
class Hook:
    """A program and where it is attached."""

    program: str
    kind: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mode:
    """The mode of an XDP program: the one asked for (`auto`, ...) and the one that the kernel took."""

    asked: str
    got: str


@dataclass(frozen=True, slots=True)
class Attached:
    """What is attached, how and why; `blind_to` names what these hooks cannot see."""

    command: str
    hooks: tuple[Hook, ...]
    blind_to: tuple[str, ...]
    buffer: int | None
    kernel: str
    mode: Mode | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of everything a tool saw.

    Every term is counted where it happens, none is computed from the others. `missed` is None where the kernel does
    not tell.
    """

    seen: int
    filtered: int
    submitted: int
    dropped: int
    unpaired: int
    pending: int
    map_full: int
    missed: int | None
    faults: int
    truncated: int
    received: int
    shown: int

    @property
    def balanced(self) -> bool:
        """Whether it adds up, as it does at the end of every run; while a tool runs it may be a few ahead or behind."""
        became = self.filtered + self.submitted + self.dropped + self.unpaired + self.pending + self.map_full
        return self.seen == became and self.submitted == self.received

    @property
    def lost(self) -> dict[str, int]:
        """The terms that mean loss and are not zero."""
        terms = {
            "dropped": self.dropped,
            "unpaired": self.unpaired,
            "map_full": self.map_full,
            "missed": self.missed or 0,
        }
        return {name: count for name, count in terms.items() if count}


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The ledgers of a tool with several kinds of events; `open` is None where it has none of these."""

    open: Ledger | None
    exec: Ledger
    exit: Ledger


@dataclass(frozen=True, slots=True)
class Reading(Generic[Counts]):
    """Counts since the start, and when they were read: nanoseconds since the epoch.

    `firewall`, `sources` and `capture` (what became of packets for a file) are those of `xdp`, if it
    was asked for them.
    """

    time: int
    counts: Counts
    firewall: Firewall | None = None
    sources: Sources | None = None
    capture: Ledger | None = None


@dataclass(frozen=True, slots=True)
class Summary(Generic[Counts]):
    """A whole run: its ledger, how long it took in seconds, and the final counts of a tool that counts.

    `ledgers` has the ledger of each kind of events, for a tool that has several; `ledger` is their sum. `firewall`,
    `sources` and `capture` (what became of packets for a file: `shown` are those in it) are those of `xdp`, if it was
    asked for them.
    """

    ledger: Ledger
    duration_s: float
    counts: Counts
    ledgers: Ledgers | None = None
    firewall: Firewall | None = None
    sources: Sources | None = None
    capture: Ledger | None = None
