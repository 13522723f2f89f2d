"""For tests of BPF programs: does this kernel take them, and what do they make of a packet? Nothing is attached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab import _ebpflab
from ebpflab.records import PacketCount, Reading
from ebpflab.session import more
from ebpflab.tools.rules import lists, optional_lists

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from ebpflab.records import Firewall
    from ebpflab.tools.xdp import Range

__all__ = ["PacketProgram", "PacketRun", "VerifiedProgram", "run_tc", "run_xdp", "verify", "xdp_program"]

#: What programs return, include/uapi/linux/bpf.h and pkt_cls.h.
_XDP_ACTIONS = {0: "aborted", 1: "drop", 2: "pass", 3: "tx", 4: "redirect"}
_TC_ACTIONS = {
    -1: "unspec",
    0: "ok",
    1: "reclassify",
    2: "shot",
    3: "pipe",
    4: "stolen",
    5: "queued",
    6: "repeat",
    7: "redirect",
    8: "trap",
}


@dataclass(frozen=True)
class VerifiedProgram:
    """A program that the kernel's verifier accepted.

    Attributes:
        name: Its name in the object.
        verified_instructions: How many instructions the verifier went through, each as often as it came by; None
            before Linux 5.16, which does not tell.

    """

    name: str
    verified_instructions: int | None


def verify(bpf_object: bytes | str | os.PathLike[str], /) -> tuple[VerifiedProgram, ...]:
    """Load every program of a BPF object, and unload it again.

    Args:
        bpf_object: The object file's path, or its bytes.

    Returns:
        The programs in the order of their names.

    Raises:
        VerifierError: The kernel refuses a program.
        PrivilegeError: The process lacks capabilities.
        NotSupportedError: A program (fentry, fexit, lsm, tp_btf) can only be verified when it is attached.
        EbpflabError: It is no BPF object, or one that does not fit this kernel.
        OSError: The file cannot be read, or the kernel has no programs of that kind.

    """
    return tuple(VerifiedProgram(*program) for program in _ebpflab.verify(_read(bpf_object)))


def _read(bpf_object: bytes | str | os.PathLike[str]) -> bytes:
    return bpf_object if isinstance(bpf_object, bytes) else Path(bpf_object).read_bytes()


@dataclass(frozen=True)
class PacketRun:
    """What a program made of a packet.

    Attributes:
        action: For XDP `pass`, `drop`, `tx`, `redirect` or `aborted`, for tc `ok`, `shot` and so on; `unknown` for any
            other number.
        returned: That number; with a sign for tc.
        packet: The packet as the program left it.
        ns_per_run: How long a run took, in nanoseconds, on the average of all runs.
        counts: What the program of `ebpflab xdp` counted, by protocol: from `run_xdp`, else None.
        firewall: What its rules did: from `run_xdp`, else None.

    """

    action: str
    returned: int
    packet: bytes
    ns_per_run: int
    counts: dict[str, PacketCount] | None = None
    firewall: Firewall | None = None


class PacketProgram:
    """A program that is loaded, and run on packets when you want it to be. It is unloaded when it is forgotten."""

    def __init__(self, native: _ebpflab.PacketProgram, actions: Mapping[int, str]) -> None:
        """Made by `xdp_program`."""
        self._native, self._actions = native, actions
        #: Its name in the object.
        self.name = native.name

    def run(self, packet: bytes, *, repeat: int = 1) -> PacketRun:
        """Run it on a packet, from the link header on, `repeat` times.

        Raises:
            ValueError: `repeat` is less than 1, or the packet has less than 14 bytes.
            OSError: The kernel does not take the packet: for XDP it has more than about 3,500 bytes.

        """
        if repeat < 1:
            raise ValueError(f"a program is run once at the least, not {repeat} times")
        value, output, nanoseconds = self._native.run(packet, repeat)
        returned = value - 2**32 if -1 in self._actions and value >= 2**31 else value
        return PacketRun(self._actions.get(returned, "unknown"), returned, output, nanoseconds)

    def read(self) -> Reading[dict[str, PacketCount]]:
        """Return what the program of `ebpflab xdp` counted since it was loaded.

        Raises:
            ValueError: It is another program.

        """
        read_at, counts, beside = self._native.read()
        return Reading(read_at, {name: PacketCount(*count) for name, count in counts.items()}, **more(beside))

    def replace(
        self,
        *,
        block: Iterable[Range] = (),
        allow: Iterable[Range] = (),
        block_file: str | os.PathLike[str] | None = None,
    ) -> None:
        """Put other rules in force, as `PacketCounter.replace` does, and with the same errors."""
        self._native.replace_rules(lists(block, allow, block_file))


def xdp_program(
    bpf_object: bytes | str | os.PathLike[str] | None = None,
    *,
    program: str | None = None,
    block: Iterable[Range] | None = None,
    allow: Iterable[Range] | None = None,
    block_file: str | os.PathLike[str] | None = None,
    max_rules: int | None = None,
    top: int | None = None,
) -> PacketProgram:
    """Load an XDP program: that of `ebpflab xdp` with these rules, or one of an object file.

    Args:
        bpf_object: The object file's path, or its bytes.
        program: Its name, where the object has several.
        block: As for `ebpflab.xdp`; so are the others.
        allow: Exceptions.
        block_file: A file of ranges.
        max_rules: Room for rules.
        top: Sources to count.

    Raises:
        ValueError: A range is none; the object has no such program, or several; an object has no rules.
        VerifierError: The kernel refuses the program (when it is run first).
        PrivilegeError: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed.
        EbpflabError: It is no BPF object, or one that does not fit this kernel.
        OSError: A file cannot be read.

    """
    rules = optional_lists(block, allow, block_file)
    if bpf_object is None:
        if program is not None:
            raise ValueError("say which object the program is of")
        native = _ebpflab.PacketProgram.xdp(rules, max_rules, top)
        return PacketProgram(native, _XDP_ACTIONS)
    if rules is not None or max_rules is not None or top is not None:
        raise ValueError("rules and sources are those of ebpflab's own program, not of an object's")
    native = _ebpflab.PacketProgram.open(_read(bpf_object), "xdp", program)
    return PacketProgram(native, _XDP_ACTIONS)


def run_xdp(
    packet: bytes,
    bpf_object: bytes | str | os.PathLike[str] | None = None,
    *,
    program: str | None = None,
    block: Iterable[Range] | None = None,
    allow: Iterable[Range] | None = None,
    block_file: str | os.PathLike[str] | None = None,
    repeat: int = 1,
) -> PacketRun:
    """Run an XDP program on a packet (BPF_PROG_TEST_RUN): that of `ebpflab xdp` with these rules, or an object's.

    It is loaded for this one run; for many packets make an `xdp_program` and run that. Takes and raises what these do.
    """
    loaded = xdp_program(bpf_object, program=program, block=block, allow=allow, block_file=block_file)
    run = loaded.run(packet, repeat=repeat)
    if bpf_object is not None:
        return run
    reading = loaded.read()
    return replace(run, counts=reading.counts, firewall=reading.firewall)


def run_tc(
    packet: bytes, bpf_object: bytes | str | os.PathLike[str], *, program: str | None = None, repeat: int = 1
) -> PacketRun:
    """Run a classifier (tc) of an object on a packet (BPF_PROG_TEST_RUN).

    The packet has its link header, which the kernel takes off as it does on ingress, and puts on again in the result.
    Takes and raises what `run_xdp` does.
    """
    native = _ebpflab.PacketProgram.open(_read(bpf_object), "tc", program)
    return PacketProgram(native, _TC_ACTIONS).run(packet, repeat=repeat)
