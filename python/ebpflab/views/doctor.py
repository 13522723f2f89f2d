"""What works here, for people."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from ebpflab.views.table import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpflab.records import Feature, HookVerdict, Verdict

#: Groups of many alike: one line for those that are there.
_SUMMED_UP = {"helper", "map type", "program type"}


def features(found: Iterable[Feature]) -> str:
    """Return a section for each group, with costs and fixes under what is not there."""
    return "\n".join(
        line for group, members in groupby(found, lambda each: each.group) for line in _group(group, members)
    )


def _group(name: str, members: Iterable[Feature]) -> Iterator[str]:
    yield name
    rest = list(members)
    if name in _SUMMED_UP:
        there = [feature.name for feature in rest if feature.answer == "yes" and not feature.costs]
        if there:
            yield f"  {'yes':<8} {len(there)} of {len(rest)}: {', '.join(there)}"
        rest = [feature for feature in rest if feature.name not in there]
    for feature in rest:
        yield f"  {feature.answer:<8} {printable(feature.name):<20} {printable(feature.found)}"
        yield from _indented(costs=feature.costs, fix=feature.fix)


def verdict(verdict: Verdict, *, hooks: bool) -> str:
    """Return whether a tool works and by which hook, and, asked for, what there is to say about each of them."""
    taken = " and ".join(dict.fromkeys(hook.hook for hook in verdict.hooks if hook.taken))
    if verdict.works:
        lines = [f"{verdict.tool} works here" + (f", by {taken}" if taken else "")]
    else:
        lines = [f"{verdict.tool} does not work here: {printable(verdict.reason or '')}"]
        lines += _indented(costs=None, fix=verdict.fix)
    if hooks:
        lines += [line for hook in verdict.hooks for line in _hook(hook)]
    return "\n".join(lines)


def _hook(hook: HookVerdict) -> Iterator[str]:
    answer = "taken" if hook.taken else "yes" if hook.works else "no"
    yield f"  {answer:<8} {hook.part} by {hook.hook:<15} {printable(hook.reason or '')}".rstrip()
    yield from _indented(costs=None, fix=hook.fix)


def _indented(**said: str | None) -> Iterator[str]:
    for what, text in said.items():
        if text:
            yield f"           {what}: {printable(text)}"
