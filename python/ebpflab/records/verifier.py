"""Refusals of the verifier, and the zoo of broken programs."""

from __future__ import annotations

from dataclasses import dataclass
from json import loads
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a program's source.

    `file` is as the compiler named it, or, out of a kernel's log, the name alone; `text` is empty where nothing has it.
    """

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """An instruction on the way to a refusal.

    `text` is the instruction, None where the log does not list it. `source` is the line that it comes from; where that
    is in a library, `library`, it is the nearest line of the program's own. `note` is `taken` or `not taken` for a
    jump, in a register's history what the verifier knew of it afterwards.
    """

    instruction: int
    text: str | None
    source: SourceLine | None
    library: SourceLine | None
    note: str | None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> ExplainedStep:
        """Return what one line of JSON has."""
        lines = {name: SourceLine(**raw[name]) if raw[name] else None for name in ("source", "library")}
        return cls(**{**raw, **lines})


@dataclass(frozen=True, slots=True)
class RegisterHistory:
    """A register that a refusal is about: what the verifier knew of it, if it tells, and how it became that."""

    register: str
    state: str | None
    history: tuple[ExplainedStep, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the verifier refused a program.

    `kind` is the stable name of the refusal (docs/verifier.md), `unknown` where the log is of none of them: then `log`
    is the whole of it. `cause` is `environment`, `program` or `unknown`. `reason` is the verifier's own, `meaning` and
    `fix` are ebpflab's, `suggestion` and `causal_path` the kernel's (from 7.3 on, for some). `at` is the instruction
    that was refused, None where the log names none; `path` are the last of the `jumps` that led there.
    """

    kind: str
    title: str
    cause: str
    program: str | None
    reason: str
    meaning: str
    fix: str
    suggestion: str | None
    causal_path: str | None
    at: ExplainedStep | None
    path: tuple[ExplainedStep, ...]
    jumps: int
    registers: tuple[RegisterHistory, ...]
    log: str | None

    @classmethod
    def from_json(cls, line: str | bytes) -> Explanation:
        """Return what a line of JSON has."""
        return cls.of(loads(line))

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Explanation:
        """Return what one line of JSON has."""
        parts = {
            "at": ExplainedStep.of(raw["at"]) if raw["at"] else None,
            "path": tuple(map(ExplainedStep.of, raw["path"])),
            "registers": tuple(
                RegisterHistory(it["register"], it["state"], tuple(map(ExplainedStep.of, it["history"])))
                for it in raw["registers"]
            ),
        }
        return cls(**{name: value for name, value in {**raw, **parts}.items() if name != "type"})


@dataclass(frozen=True, slots=True)
class Broken:
    """A program of the zoo that verifiers refuse, and its mended twin.

    `refused_by` are the kernels of the matrix that refuse it, `accepted_because` says why the others do not. `line` is
    the line of `file` that is refused; `source` and `mended` are the two functions.
    """

    name: str
    what: str
    kind: str
    title: str
    refused_by: tuple[str, ...]
    accepted_because: str | None
    file: str
    line: int
    source: str
    mended: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What this kernel makes of a program of the zoo.

    `refused_here` is whether it should be refused, by what is known of kernels of this age; `explanation` and `log` are
    None where it was not. `verified_instructions` is how many of the mended twin's the verifier went through, None
    before Linux 5.16.
    """

    name: str
    refused_here: bool
    explanation: Explanation | None
    log: str | None
    verified_instructions: int | None
