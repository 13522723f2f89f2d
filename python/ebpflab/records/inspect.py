"""What is loaded into the kernel, and what the kernel tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class MapEntry:
    """An entry of a map, decoded by the map's type information; what has none is bytes.

    `value` of a map with a value on each CPU is what they make together: numbers are added up, of all else it is what
    those CPUs have that have any (no zeros), or None where it is not the same. `values` has them apart, by CPU, where
    that was asked for.
    """

    key: Any
    value: Any
    values: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class TracepointField:
    """A field of a tracepoint's record: its type in C, and where it is, in bytes."""

    name: str
    c_type: str
    offset: int
    bytes: int
    signed: bool


@dataclass(frozen=True, slots=True)
class TracepointArgument:
    """An argument of a raw tracepoint: its type in C, its number from 0 on, and its size in bytes."""

    name: str
    c_type: str
    index: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """A tracepoint of this kernel.

    `category` and `fields` (of its record) are None where tracefs does not tell them, `arguments` (what a raw
    tracepoint gets) where the kernel's types do not.
    """

    category: str | None
    name: str
    fields: tuple[TracepointField, ...] | None
    arguments: tuple[TracepointArgument, ...] | None


@dataclass(frozen=True, slots=True)
class BtfMember:
    """A member of a struct or a union.

    `offset` is in bytes from the start of the outermost struct, `bytes` the size of its type. A bit field has `bits`
    bits, the first is `bit` of the byte at `offset`. `members` are those of a struct or a union in it.
    """

    name: str
    c_type: str
    offset: int
    bytes: int
    bit: int | None
    bits: int | None
    members: tuple[BtfMember, ...]


@dataclass(frozen=True, slots=True)
class BtfEnumerator:
    """A value of an enum, and its name."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class BtfType:
    """A type of the kernel, or a function.

    `kind` is `struct`, `union`, `enum`, `typedef`, `int`, `float` or `function`. `bytes` is its size, None for what has
    none; `target` what a typedef is a name of, or the declaration of a function.
    """

    name: str
    kind: str
    bytes: int | None
    target: str | None
    members: tuple[BtfMember, ...]
    enumerators: tuple[BtfEnumerator, ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds something by a file descriptor; `comm` is None for one that was gone by then."""

    pid: int
    comm: str | None


@dataclass(frozen=True, slots=True)
class Program:
    """A BPF program that is loaded into the kernel, of whomever.

    `kind` is its type (`xdp`, `raw_tracepoint`; `tracing` is fentry, fexit and their kin), `name` has its first 15
    bytes, `tag` is a hash of its instructions. `loaded` is in nanoseconds since the epoch.

    `verified_instructions` is how many the verifier went through (None before Linux 5.16), `instructions` how many it
    has after that; `missed` is how often the kernel skipped a run (None before 5.12). `run_count` and `run_time_ns` are
    of the runs that were measured: ask `programs(stats=SECONDS)`.
    """

    id: int
    kind: str
    name: str
    tag: str
    loaded: int
    uid: int
    instructions: int
    jited_bytes: int
    memory_bytes: int | None
    verified_instructions: int | None
    missed: int | None
    run_count: int
    run_time_ns: int
    maps: tuple[int, ...]
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """What programs of ours, and the process that reads from them, cost while it was measured.

    `of` is `process`; or `pinned` for programs that no process holds; or `all` for all of these. `programs_percent` (of
    the runs) and `reader_percent` (of the process) are of one CPU.
    """

    of: str
    pid: int | None
    comm: str | None
    programs: int
    seconds: float
    runs: int
    run_time_ns: int
    programs_percent: float
    reader_percent: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Map:
    """A BPF map, of whomever.

    `kind` is its type (`hash`, `ringbuf`), `name` has its first 15 bytes. A value is as long on each CPU where it is a
    map with a value for each. `max_entries` of a ring buffer are its bytes; `flags` are `BPF_F_...`, or-ed.
    """

    id: int
    kind: str
    name: str
    key_bytes: int
    value_bytes: int
    max_entries: int
    flags: int
    memory_bytes: int | None
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A link, which keeps a program (its id) attached to `target` as long as somebody holds it.

    `target` is None where the kernel does not tell: of kprobes and tracepoints before Linux 6.6.
    """

    id: int
    kind: str
    program: int
    target: str | None
    holders: tuple[Holder, ...]
