"""What is loaded into the kernel, of whomever: programs, maps and links; its tracepoints and its types."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from ebpflab import _ebpflab
from ebpflab.records import (
    BtfEnumerator,
    BtfMember,
    BtfType,
    Cost,
    Link,
    Map,
    MapEntry,
    Program,
    Tracepoint,
    TracepointArgument,
    TracepointField,
)

if TYPE_CHECKING:
    from typing import Any


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


def cost(seconds: float = 1.0) -> tuple[Cost, ...]:
    """Measure what ebpflab's own programs, and the processes that read from them, cost for so many seconds.

    One for each process, one for programs that nobody holds (`ebpflab xdp --pin`) if there are any, and one for all of
    them, which is always the last. Meanwhile each run of every program costs two readings of the clock, some 20 to 30
    nanoseconds. Programs are known by their names.

    Raises:
        ValueError: The seconds are not above 0.
        PrivilegeError: It needs CAP_SYS_ADMIN.

    """
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{seconds} is no number of seconds above 0")
    with closing(_ebpflab.Costs()) as measured:
        time.sleep(seconds)
        return tuple(Cost(**each) for each in measured.read())


def maps() -> tuple[Map, ...]:
    """List the maps that are there, by their ids.

    Raises:
        PrivilegeError: It needs CAP_SYS_ADMIN.

    """
    return tuple(Map(**each) for each in _ebpflab.maps())


def map_entries(id: int, *, per_cpu: bool = False) -> tuple[MapEntry, ...]:  # noqa: A002  the kernel's word
    """Return what is in a map, by its id; with `per_cpu` the values of each CPU apart too.

    Keys and values are decoded by the map's type information: ints, bools, floats, str for a text in an array of
    `char`, bytes for other bytes, `Struct`, `Enumerator`, and tuples for arrays. What has no type information is bytes,
    but for the keys of arrays.

    Raises:
        ValueError: There is no such map.
        NotSupportedError: The kernel does not let the entries of such a map be read.
        PrivilegeError: It needs CAP_SYS_ADMIN.

    """
    return tuple(MapEntry(**entry) for entry in _ebpflab.map_entries(id, per_cpu))


def tracepoints(pattern: str | None = None) -> tuple[Tracepoint, ...]:
    """List the tracepoints whose name matches, or category and name (`sched:sched_process_*`); all without a pattern.

    Categories and records are told by tracefs, where it is mounted: nothing is mounted. Arguments of raw tracepoints
    are told by the kernel's type information.

    Raises:
        ValueError: None matches.
        NotSupportedError: Nothing tells of tracepoints here.

    """
    return tuple(_tracepoint(found) for found in _ebpflab.tracepoints(pattern))


def _tracepoint(found: dict[str, Any]) -> Tracepoint:
    fields, arguments = found["fields"], found["arguments"]
    return Tracepoint(
        category=found["category"],
        name=found["name"],
        fields=None if fields is None else tuple(TracepointField(**field) for field in fields),
        arguments=None if arguments is None else tuple(TracepointArgument(**each) for each in arguments),
    )


def btf(name: str) -> BtfType:
    """Return a type of the kernel by its name (`task_struct`, `struct task_struct`, `pid_t`), or a function.

    Raises:
        ValueError: There is none of this name; the message has the nearest names.
        NotSupportedError: The kernel does not tell its types.

    """
    found = _ebpflab.btf_type(name)
    members = _members(found.pop("members"))
    enumerators = tuple(BtfEnumerator(**each) for each in found.pop("enumerators"))
    return BtfType(**found, members=members, enumerators=enumerators)


def _members(members: tuple[dict[str, Any], ...]) -> tuple[BtfMember, ...]:
    return tuple(BtfMember(**{**member, "members": _members(member["members"])}) for member in members)


def btf_layout(name: str, *, python: bool = False) -> str:
    """Return a type of the kernel as text: in C with offsets and sizes, or as classes of Python's ctypes.

    Raises:
        ValueError: There is none of this name, or it is no struct or union and has no class.
        NotSupportedError: The kernel does not tell its types.

    """
    return _ebpflab.btf_layout(name, python)


def links() -> tuple[Link, ...]:
    """List the links that are there, by their ids.

    What is attached without a link is not among them: perf events before Linux 5.15, filters of clsact, and whatever
    was attached by netlink.

    Raises:
        PrivilegeError: It needs CAP_SYS_ADMIN.

    """
    return tuple(Link(**each) for each in _ebpflab.links())
