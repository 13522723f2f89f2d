"""For tests of BPF programs of your own: does this kernel take them? Nothing is attached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab import _ebpflab

if TYPE_CHECKING:
    import os

__all__ = ["VerifiedProgram", "verify"]


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
    elf = bpf_object if isinstance(bpf_object, bytes) else Path(bpf_object).read_bytes()
    return tuple(VerifiedProgram(*program) for program in _ebpflab.verify(elf))
