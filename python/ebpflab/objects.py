"""Objects of your own: load, attach, read and write maps, take events."""

from __future__ import annotations

import operator
import os
import select
import time
from collections.abc import ItemsView, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ebpflab import _ebpflab
from ebpflab.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

#: Bytes of a perf buffer of one CPU, unless others are asked for.
PERF_BYTES = 1 << 16


def load(path: str | os.PathLike[str], *, pinned: Mapping[str, str | os.PathLike[str]] | None = None) -> Object:
    """Open an object of eBPF, whatever made it: aya, or clang with libbpf's headers.

    Nothing is in the kernel before `Object.load`, or what needs it: the first attach, the first look into a map.
    `pinned` has files on a bpffs by the names of maps: where there is a map in the file, that is the object's too, else
    the object's is pinned there.

    Raises:
        ValueError: Others may write the file, or put another one in its place; there is no such map to pin, or the
            place for it is not on a bpffs.
        EbpflabError: It is no such object, or damaged.
        OSError: It cannot be read.

    """
    places = {name: os.fspath(place) for name, place in (pinned or {}).items()}
    return Object(_ebpflab.UserObject(os.fspath(path), places))


class Object:
    """An object that is opened. Closing it, or the end of the block, detaches and unloads everything."""

    def __init__(self, native: _ebpflab.UserObject) -> None:
        """Wrap the native object."""
        self._native = native
        self.programs: Mapping[str, UserProgram] = {
            name: UserProgram(native, name, kind, section, target) for name, kind, section, target in native.programs()
        }
        self.maps: Mapping[str, UserMap] = {name: UserMap(native, name) for name in native.maps()}
        self.globals: Globals = Globals(native)

    def load(self) -> None:
        """Make the maps and relocate the programs for this kernel, unless that was done.

        Raises:
            EbpflabError: The object does not fit this kernel.
            ValueError: What is pinned where one of its maps shall be is another kind of map.
            PrivilegeError: A capability is missing.
            ClosedError: It was closed.

        """
        self._native.load()

    @property
    def kernel_fields(self) -> tuple[str, ...]:
        """What it asks about the kernel's types, as `task_struct.real_parent`; loading puts the answers in (CO-RE)."""
        return tuple(self._native.kernel_fields())

    @property
    def loaded(self) -> bool:
        """Whether its maps exist."""
        return self._native.is_loaded()

    def close(self) -> None:
        """Detach and unload everything."""
        self._native.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


@dataclass(frozen=True, slots=True)
class UserProgram:
    """A program of an object.

    `kind` says what it may be attached to, `section` is that of the file, `target` where the section says that it is
    attached, or None.
    """

    _native: _ebpflab.UserObject
    name: str
    kind: str
    section: str
    target: str | None

    def attach(self, target: str | None = None) -> str:
        """Attach it, to what its section says unless something else is said; return where.

        A target is, by the kind: a function of the kernel (kprobe, kretprobe, fentry, fexit), `CATEGORY:NAME`
        (tracepoint), a name (raw_tracepoint), `BINARY:SYMBOL` or `BINARY:+0xOFFSET` (uprobe, uretprobe), an interface
        (xdp), `INTERFACE:ingress` or `INTERFACE:egress` (tc), the folder of a cgroup (cgroup_skb, cgroup_sock).

        Raises:
            ValueError: There is no target, or it is none for this kind.
            VerifierError: The kernel refuses the program; `explained` says why.
            AttachError: It cannot be attached there.
            NotSupportedError: The kernel, or ebpflab, cannot attach such programs.
            PrivilegeError: A capability is missing.

        """
        return self._native.attach(self.name, target)

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Pin it to a file on a bpffs: it stays loaded until the file is removed. Attached it stays no longer for that.

        Raises:
            ValueError: The place is not on a bpffs.
            OSError: The kernel refuses it: there is something already.
            VerifierError: The kernel refuses the program.

        """
        self._native.pin_program(self.name, os.fspath(path))

    @property
    def id(self) -> int:
        """The kernel's id of it; EbpflabError before it is attached."""
        return self._native.about(self.name)[0]

    @property
    def verified_instructions(self) -> int | None:
        """How many instructions the verifier went through; None before Linux 5.16."""
        return self._native.about(self.name)[1]

    @property
    def run_stats(self) -> tuple[int, int]:
        """Runs, and how many nanoseconds they took, while runs are measured (`sysctl kernel.bpf_stats_enabled=1`)."""
        return self._native.about(self.name)[2:]

    @property
    def missed(self) -> int | None:
        """Runs that the kernel skipped, as of a program that it has preempted on that CPU; None before Linux 5.12."""
        return self._native.missed(self.name)


class Globals(MutableMapping[str, Any]):
    """The global variables of an object. They can be set until it is loaded, and read always."""

    def __init__(self, native: _ebpflab.UserObject) -> None:
        """Wrap the native object."""
        self._native = native
        self._names = tuple(native.globals())

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  by its type
        """Return the value: what it will be, and once it is loaded what it is now."""
        if name not in self._names:
            raise KeyError(name)
        return self._native.global_value(name)

    def __setitem__(self, name: str, value: object) -> None:
        """Set it for when the object is loaded; ValueError after that, and for what is no value of its type."""
        if name not in self._names:
            raise KeyError(name)
        self._native.set_global(name, value)

    def __delitem__(self, name: str) -> None:
        """Refuse."""
        raise TypeError(f"the global {name} cannot be taken away")

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._names)


class UserMap(MutableMapping[Any, Any]):
    """A map of an object. Keys and values are as its type information says, bytes where it says nothing.

    A value on each CPU is what they make together: numbers are added up. `per_cpu` has them apart.
    """

    def __init__(self, native: _ebpflab.UserObject, name: str) -> None:
        """Wrap the native object."""
        self._native = native
        self.name = name

    def _map(self) -> _ebpflab.UserMap:
        return self._native.map(self.name)

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401  by its type
        """Return the value of a key; KeyError if it is not there, ValueError for what is no key of this map."""
        found = self._map().get(key)
        if found is None:
            raise KeyError(key)
        return found[0]

    def per_cpu(self, key: object) -> tuple[Any, ...]:
        """Return the value of each CPU that there may ever be; KeyError if the key is not there."""
        found = self._map().get(key)
        if found is None:
            raise KeyError(key)
        return found[1]

    @property
    def kind(self) -> str:
        """Its kind in the kernel's words, as `hash` or `ringbuf`."""
        return self._map().kind()

    def __setitem__(self, key: object, value: object) -> None:
        """Write an entry; to all CPUs the same, or of a list to each its own.

        Into a program array goes a program of the object, for tail calls; it is loaded for that.

        Raises:
            ValueError: It is no key or no value of this map.
            OSError: The kernel refuses it: there is no room.
            VerifierError: The kernel refuses the program.

        """
        if isinstance(value, UserProgram):
            self._native.put(self.name, operator.index(cast("int", key)), value.name)
        else:
            self._map().set(key, value)

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Pin it to a file on a bpffs: it stays until the file is removed, and `load(..., pinned=...)` takes it up.

        Raises:
            ValueError: The place is not on a bpffs.
            OSError: The kernel refuses it: there is something already.

        """
        self._native.pin_map(self.name, os.fspath(path))

    def __delitem__(self, key: object) -> None:
        """Take an entry out; KeyError if it is not there."""
        if not self._map().remove(key):
            raise KeyError(key)

    def entries(self) -> list[tuple[Any, Any]]:
        """Return all keys and values, read in batches where the kernel has them."""
        return [(key, value) for key, value, _ in self._map().entries()]

    def items(self) -> ItemsView[Any, Any]:
        """Return all keys and values, read at once."""
        return dict(self.entries()).items()

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the keys."""
        return iter([key for key, _ in self.entries()])

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._map().entries())

    def events(self, as_: str | None = None, *, buffer: int = PERF_BYTES) -> Events:
        """Return the reader of a ring buffer or of perf buffers; there is one for each map.

        Records are read as the struct `as_` of the object's type information, or are bytes. `buffer` is the size of
        each CPU's perf buffer, in bytes: a power of two, at least a page.

        Raises:
            ValueError: The map is no buffer, or the object has no such struct.
            EbpflabError: The reader was taken before.

        """
        return Events(self._native.events(self.name, as_, buffer))


class Events:
    """Records as they come. Ends never by itself: `read` returns what there is, iterating waits.

    `lost` is how many did not fit into perf buffers, as the kernel tells it with the next record that fits into the
    buffer of that CPU; None for a ring buffer, where only the program is told (by what `bpf_ringbuf_output` returns),
    and has to count them itself.
    """

    def __init__(self, native: _ebpflab.UserEvents) -> None:
        """Wrap the native reader."""
        self._native = native
        self._waiting: list[Any] = []

    @property
    def lost(self) -> int | None:
        """Records that did not fit, so far."""
        return self._native.lost()

    def fds(self) -> list[int]:
        """Return the file descriptors that can be polled: readable while there are records."""
        return self._native.fds()

    def read(self, timeout: float | None = 0) -> list[Any]:
        """Return the records that there are; where there are none wait so many seconds for the first, or for ever."""
        waiting, self._waiting = self._waiting, []
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (waiting := waiting or self._native.read()):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            self._wait(left)
        return waiting

    def _wait(self, seconds: float | None) -> None:
        poll = select.poll()
        fds = self._native.fds()
        if not fds:
            raise ClosedError("the events are closed")
        for fd in fds:
            poll.register(fd, select.POLLIN)
        poll.poll(None if seconds is None else max(1, seconds * 1_000))

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> Any:  # noqa: ANN401  by its type
        """Return the next record, and wait for it."""
        waiting = self.read(None)
        self._waiting = waiting[1:]
        return waiting[0]

    def close(self) -> None:
        """Take the reader away."""
        self._native.close()
