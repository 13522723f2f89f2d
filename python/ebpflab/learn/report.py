"""What a check found, requirement by requirement."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ebpflab.errors import VerifierError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ebpflab.objects import Object


class StopError(Exception):
    """What failed is what everything after it needs."""


@dataclass(frozen=True)
class Outcome:
    """How one requirement fared.

    `passed` is None for one that was not judged, since one before it failed. `mistake` is what that usually is.
    """

    requirement: str
    passed: bool | None
    wanted: str = ""
    found: str = ""
    mistake: str = ""


class Report:
    """Takes what a check finds. What it finds is compared with the workload's truth, for equality."""

    def __init__(self, requirements: Mapping[str, str], variant: str) -> None:
        """Begin, with nothing judged."""
        self._requirements = requirements
        #: The way in which the lesson is done.
        self.variant = variant
        self._outcomes: dict[str, Outcome] = {}

    def judge(self, name: str, wanted: object, found: object, *mistakes: tuple[bool, str]) -> bool:
        """Judge a requirement: is what was found what was wanted? Of the mistakes the first that applies is told."""
        passed = wanted == found
        mistake = next((text for applies, text in mistakes if applies), "")
        told = ("", "", "") if passed else (str(wanted), str(found), mistake)
        self._outcomes[name] = Outcome(self._requirements[name], passed, *told)
        return passed

    def need(self, name: str, wanted: object, found: object, *mistakes: tuple[bool, str]) -> None:
        """Judge a requirement without which nothing else can be judged.

        Raises:
            StopError: It is not met.

        """
        if not self.judge(name, wanted, found, *mistakes):
            raise StopError

    def maps(self, obj: Object, name: str, *needed: str) -> None:
        """Need these maps."""
        lacking = [each for each in needed if each not in obj.maps]
        found = ", ".join(sorted(each for each in obj.maps if not each.startswith("."))) or "no map"
        self.need(
            name,
            ", ".join(needed),
            ", ".join(needed) if not lacking else found,
            (True, "The check finds a map by its name in the source: leave the names of the statics as they were."),
        )

    def attach(
        self,
        obj: Object,
        name: str,
        *kinds: str,
        target: str | None = None,
        only: str | None = None,
        refusals: Mapping[str, str] | None = None,
    ) -> None:
        """Attach all programs, some of them of each of these kinds, to the target, or else where their sections say.

        `refusals` is for `verified`.

        Raises:
            StopError: There is no such program, or the kernel refuses it; or none is named `only`, if that is given.

        """
        if only and only not in obj.programs:
            told = "The check finds a program by the name of its function: leave it as it was."
            self.need(name, f"a program {only}", ", ".join(obj.programs) or "no program at all", (True, told))
        programs = [obj.programs[only]] if only else list(obj.programs.values())
        lacking = [kind for kind in kinds if kind not in {program.kind for program in programs}]
        found = ", ".join(f"{program.name} ({program.kind})" for program in programs) or "no program at all"
        if lacking:
            told = "A program is what has #[kprobe], #[tracepoint], #[xdp] and so on before its function."
            self.need(name, f"a program of the kind {' and '.join(lacking)}", found, (True, told))
        try:
            with self.verified(name, refusals):
                for program in programs:
                    program.attach(target)
        except ValueError as error:
            self.need(name, "where to attach each program", str(error), (True, _TARGET))
        self.judge(name, "", "")

    @contextmanager
    def verified(self, name: str, refusals: Mapping[str, str] | None = None) -> Iterator[None]:
        """Need that the kernel takes the programs that are loaded inside.

        `refusals` says, by the kind of a refusal of the verifier, what it usually is here.

        Raises:
            StopError: It refuses one.

        """
        try:
            yield
        except VerifierError as error:
            from ebpflab.views.verifier import explanation  # noqa: PLC0415  only for who needs it

            wanted = f"the kernel takes {error.program}"
            told = (refusals or {}).get(error.explained.kind, _VERIFIER)
            self.need(name, wanted, f"the verifier refuses it\n{explanation(error.explained)}", (True, told))

    def outcomes(self) -> Iterable[Outcome]:
        """Return how each requirement fared, in their order."""
        return [self._outcomes.get(name, Outcome(text, None)) for name, text in self._requirements.items()]

    @property
    def passed(self) -> bool:
        """Whether every requirement is met."""
        return all(outcome.passed for outcome in self.outcomes())


_VERIFIER = "A read that nothing proves to be allowed. `ebpflab verifier` has small programs with mistakes like this."
_TARGET = 'The macro before the function says it: #[kprobe(function = "...")], #[tracepoint(category = "...", ...)].'
