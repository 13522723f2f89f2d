"""What a recording tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from ebpflab.records.session import Attached, Ledger, Ledgers


@dataclass(frozen=True, slots=True)
class Recording:
    """How a recording was made.

    `version` is that of the fields, `host` the machine, `command` the command line (empty where it was recorded from
    Python and not told), `start` when it began in nanoseconds since the epoch.
    """

    version: int
    host: str
    command: tuple[str, ...]
    start: int
    attached: Attached


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a recording ended, `end` in nanoseconds since the epoch, and how many events it has.

    `recovered` says that its writer was killed, and `recover` ended it: then `end` is the time of its last event, and
    `ledger` None. So it is of one that goes on in another file of its folder (`continued`): the last has the ledger of
    the whole run.
    """

    end: int
    rows: int
    continued: bool
    recovered: bool
    ledger: Ledger | None
    ledgers: Ledgers | None
