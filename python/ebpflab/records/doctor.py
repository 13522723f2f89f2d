"""What works here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """What `features` found out about the kernel, the machine or this process, by trying it.

    `answer` is `yes`, `no` or `unknown`; `found` says what was found, or why there is no answer; `costs` what it costs
    the user and `fix` what mends it, each None where there is nothing to say.
    """

    group: str
    name: str
    answer: str
    found: str
    costs: str | None
    fix: str | None


@dataclass(frozen=True, slots=True)
class HookVerdict:
    """What `verdict` says about one kind of hook of a tool, for one `part` of it (`opens`, `execs`, `packets`)."""

    part: str
    hook: str
    works: bool
    taken: bool
    reason: str | None
    fix: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a tool works here, why not, and by which of its hooks."""

    tool: str
    works: bool
    reason: str | None
    fix: str | None
    hooks: tuple[HookVerdict, ...]
