"""Why the kernel's verifier refuses programs: logs explained, and a zoo of small programs that it refuses."""

from __future__ import annotations

from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpflab import _ebpflab
from ebpflab.records import Broken, Explanation, Trial

if TYPE_CHECKING:
    import os

__all__ = ["explain", "try_out", "zoo"]


def explain(
    log: str | bytes,
    /,
    *,
    bpf_object: bytes | str | os.PathLike[str] | None = None,
    program: str | None = None,
) -> Explanation:
    """Explain a verifier's log, from any loader. A log of no known kind comes back whole, as one of kind `unknown`.

    Args:
        log: The log, or all that a loader wrote when it failed.
        bpf_object: The object that was loaded, as a path or bytes: kernels before 6.9 do not write files and lines of
            the source into their logs, but the object has them.
        program: Which of its programs it was; only needed where it has several.

    Raises:
        ValueError: The object has no such program, or several.
        EbpflabError: It is no BPF object.
        OSError: The object cannot be read.

    """
    text = log if isinstance(log, str) else log.decode(errors="replace")
    elf = bpf_object if bpf_object is None or isinstance(bpf_object, bytes) else Path(bpf_object).read_bytes()
    return Explanation.from_json(_ebpflab.explain(text, elf, program))


def zoo() -> tuple[Broken, ...]:
    """Return the programs of the zoo, those first that people meet first."""
    return tuple(Broken(**_without_type(line) | {"refused_by": tuple(line["refused_by"])}) for line in _lines())


def _lines() -> list[dict[str, Any]]:
    return [loads(line) for line in _ebpflab.zoo_json().splitlines()]


def _without_type(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "type"}


def try_out(name: str | None = None) -> tuple[Trial, ...]:
    """Load a program of the zoo, or all of them, each with its mended twin; nothing is attached, and all is unloaded.

    Raises:
        ValueError: There is none of that name.
        PrivilegeError: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed.
        VerifierError: This kernel refuses a mended twin.

    """
    return tuple(_trial(loads(line)) for line in _ebpflab.zoo_trials_json(name).splitlines())


def _trial(line: dict[str, Any]) -> Trial:
    explanation = line["explanation"]
    return Trial(**_without_type(line) | {"explanation": Explanation.of(explanation) if explanation else None})
