"""Refusals of the verifier, explained to people."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from ebpflab.views.table import Column, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpflab.records import Broken, ExplainedStep, Explanation, RegisterHistory, SourceLine, Trial

_WIDTH = 79
#: Lines of a log that are shown where it is not asked for whole.
_LAST = 12

_ZOO: tuple[Column[Broken], ...] = (
    Column("NAME", 10, lambda broken: broken.name, right=False),
    Column("KIND", 22, lambda broken: broken.kind, right=False),
    Column("REFUSED BY", 0, lambda broken: ", ".join(broken.refused_by), right=False),
)


def zoo(programs: Iterable[Broken]) -> str:
    """Return a line for each program of the zoo."""
    return table(_ZOO, programs)


def explanation(explained: Explanation) -> str:
    """Return what was refused, where, on which way, and what mends it."""
    return "\n".join(_explanation(explained))


def _explanation(explained: Explanation) -> Iterator[str]:
    yield f"{explained.kind}: {explained.title}"
    if explained.program:
        yield f"  program {printable(explained.program)}"
    yield from _paragraph("refused", explained.reason)
    if explained.at:
        yield "  at"
        yield from _step(explained.at)
    if explained.path:
        left = explained.jumps - len(explained.path)
        yield "  on this way" + (f" (the last jumps; {left} before them)" if left else "")
        for step in explained.path:
            yield from _step(step)
    for register in explained.registers:
        yield from _register(register)
    yield from _paragraph("means", explained.meaning)
    yield from _paragraph("mend it", explained.fix)
    if explained.causal_path:
        yield "  in the kernel's words"
        yield from (f"    {printable(line)}" for line in explained.causal_path.splitlines())
    if explained.suggestion:
        yield from _paragraph("the kernel suggests", explained.suggestion)
    if explained.log is not None:
        yield "  the whole log"
        yield from (f"    {printable(line)}" for line in explained.log.splitlines())


def _register(register: RegisterHistory) -> Iterator[str]:
    state = f" is {printable(register.state)}" if register.state else ""
    yield f"  {register.register}{state}" + ("" if register.history else ", and nothing on this way wrote it")
    for step in register.history:
        yield from _step(step)


def _step(step: ExplainedStep) -> Iterator[str]:
    note = f"  ; {step.note}" if step.note else ""
    yield f"    {step.instruction:>4}: {printable((step.text or 'not listed in the log') + note)}"
    if step.source:
        yield f"          {'near ' if step.library else ''}{_line(step.source)}"
    if step.library:
        yield f"          in {_line(step.library)}"


def _line(line: SourceLine) -> str:
    return printable(f"{line.file}:{line.line}  {line.text}").rstrip()


def _paragraph(name: str, text: str) -> Iterator[str]:
    yield f"  {name}"
    yield from wrap(printable(text), _WIDTH, initial_indent="    ", subsequent_indent="    ")


def trial(broken: Broken, tried: Trial, *, whole_log: bool) -> str:
    """Return what a program of the zoo is, what this kernel made of it, and how it is mended."""
    return "\n".join(_trial(broken, tried, whole_log=whole_log))


def _trial(broken: Broken, tried: Trial, *, whole_log: bool) -> Iterator[str]:
    yield f"{broken.name}: {broken.what}"
    yield f"\n{broken.file}:\n"
    yield broken.source
    if tried.explanation is None or tried.log is None:
        why = f" {broken.accepted_because}" if broken.accepted_because and not tried.refused_here else ""
        yield ""
        yield from wrap(f"This kernel takes it.{why} Refused by {', '.join(broken.refused_by)}.", _WIDTH)
    else:
        yield "\nThis kernel refuses it:\n"
        lines = tried.log.splitlines()
        left = 0 if whole_log else max(0, len(lines) - _LAST)
        if left:
            yield f"  ({left} lines before; -v shows them)"
        yield from (f"  {printable(line)}" for line in lines[left:])
        yield ""
        yield from _explanation(tried.explanation)
    yield "\nMended:\n"
    yield broken.mended
    count = tried.verified_instructions
    yield "\nThis kernel takes that" + (f", after {count} instructions." if count is not None else ".")
