"""One source for a lesson's solution, its variants and its skeleton: what the marks in it mean.

The source as it stands is the solution of the first variant. Marks are comments, in Rust `//`, in Python `#`:

    // <only NAME> ... // </only>          only in the variant NAME
    // <course> ... // </course>           only in this project's own crates/course
    // <solution> ... // </solution>       what the learner is to write
    // <skeleton> ... // </skeleton>       what stands there until then

Lines of a variant that is not the first, and of a skeleton, begin with `//|` (`#|`), which is taken off.
"""

from __future__ import annotations

import re

_MARK = re.compile(r"^\s*(?://|#) <(/?)(only|course|solution|skeleton)(?: (\w+))?>$")
_COMMENTED = re.compile(r"^(\s*)(?://|#)\|(?: |$)")


def lay(source: str, variant: str, *, solved: bool) -> str:
    """Return a source as a learner gets it: the skeleton of a variant, or its solution.

    Raises:
        ValueError: A mark has no end, or no beginning.

    """
    chosen = _without(source.splitlines(), {"only": variant, "course": None})
    lines = _without(chosen, {"solution": "" if solved else None, "skeleton": None if solved else ""})
    return "\n".join(lines) + "\n"


def _without(lines: list[str], kept: dict[str, str | None]) -> list[str]:
    """Take the marks of these kinds out; of what is between them stays what has the name that the kind has here."""
    found: list[str] = []
    inside: tuple[str, str] | None = None
    for line in lines:
        mark = _MARK.match(line)
        if mark is None or mark[2] not in kept:
            if inside is None:
                found.append(line)
            elif kept[inside[0]] == inside[1]:
                found.append(_COMMENTED.sub(r"\1", line))
            continue
        ends = mark[1] == "/"
        if ends != (inside is not None) or (inside and inside[0] != mark[2]):
            raise ValueError(f"the mark {line.strip()} stands where it must not")
        inside = None if ends else (mark[2], mark[3] or "")
    if inside:
        raise ValueError(f"the mark <{inside[0]}> has no end")
    return found
