"""What is loaded into the kernel, of whomever: programs, maps and links."""

from __future__ import annotations

import time
from contextlib import closing

from ebpflab import _ebpflab
from ebpflab.records import Link, Map, Program


def programs(*, stats: float | None = None) -> tuple[Program, ...]:
    """List the programs that are loaded, by their ids.

    With `stats` the kernel measures the runs of all programs for that many seconds, and `run_count` and `run_time_ns`
    are of this time; of a program that was loaded meanwhile, of all its runs.

    Raises:
        ValueError: The seconds are negative.
        PrivilegeError: It needs CAP_SYS_ADMIN.

    """
    if stats is None:
        return tuple(Program(**program) for program in _ebpflab.programs())
    with closing(_ebpflab.Stats()) as measured:
        time.sleep(stats)
        return tuple(Program(**program) for program in measured.programs())


def maps() -> tuple[Map, ...]:
    """List the maps that are there, by their ids.

    Raises:
        PrivilegeError: It needs CAP_SYS_ADMIN.

    """
    return tuple(Map(**each) for each in _ebpflab.maps())


def links() -> tuple[Link, ...]:
    """List the links that are there, by their ids.

    What is attached without a link is not among them: perf events before Linux 5.15, filters of clsact, and whatever
    was attached by netlink.

    Raises:
        PrivilegeError: It needs CAP_SYS_ADMIN.

    """
    return tuple(Link(**each) for each in _ebpflab.links())
