"""Explanations as people see them, and as Python has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ebpflab import _ebpflab
from ebpflab.records import Broken, SourceLine, Trial
from ebpflab.verifier import explain, zoo
from ebpflab.views import verifier as view

LOGS = Path(__file__).parents[2] / "crates/loader/tests/verifier"


def log(series: str, name: str) -> str:
    return (LOGS / series / f"{name}.log").read_text()


def test_every_program_of_the_zoo_is_of_a_kind_and_every_kind_has_an_example() -> None:
    kinds = {kind["id"]: kind for kind in _ebpflab.verifier_kinds()}
    shown = {broken.kind for broken in zoo()}
    assert shown <= set(kinds)
    assert len(shown) == len(zoo()) >= 16
    without = {name for name, kind in kinds.items() if name not in shown and not kind["example"]}
    assert {kinds[name]["cause"] for name in without} == {"environment"}


def test_a_line_of_the_program_is_said_to_be_near_where_a_library_was_called() -> None:
    explained = explain(log("6.18", "helper"))
    assert explained.at
    library = SourceLine("/registry/aya-ebpf-bindings/src/helpers.rs", 207, "")
    at = replace(explained.at, source=SourceLine("src/main.rs", 9, "redirect(1)"), library=library)
    text = view.explanation(replace(explained, at=at))
    assert "          near src/main.rs:9  redirect(1)\n          in /registry/aya-ebpf-bindings/" in text
    at = replace(at, library=None)
    assert "          src/main.rs:9  redirect(1)\n" in view.explanation(replace(explained, at=at))


def test_the_jumps_that_are_left_out_are_counted() -> None:
    rounds = "".join(f"{at}: (15) if r1 == 0x{at} goto pc+1\n" for at in range(40))
    explained = explain(f"{rounds}40: (95) exit\nR0 !read_ok\nprocessed 41 insns")
    assert (len(explained.path), explained.jumps) == (16, 40)
    assert "on this way (the last jumps; 24 before them)" in view.explanation(explained)


def test_an_unknown_log_is_shown_whole_and_cannot_move_the_cursor() -> None:
    text = view.explanation(explain("no idea\n\x1b[2J"))
    assert text.endswith("  the whole log\n    no idea\n    \\x1b[2J")


@pytest.mark.parametrize("series", ["5.10", "6.1", "6.12", "6.18", "7.3"])
def test_the_own_words_of_a_kernel_are_shown_where_there_are_some(series: str) -> None:
    text = view.explanation(explain(log(series, "null")))
    assert ("the kernel suggests" in text) == ("in the kernel's words" in text) == (series == "7.3")


def trial(**changes: object) -> tuple[Broken, Trial]:
    broken = next(broken for broken in zoo() if broken.name == "missing")
    tried = Trial("missing", refused_here=False, explanation=None, log=None, verified_instructions=7)
    return broken, replace(tried, **changes)  # type: ignore[arg-type]


def test_a_program_that_is_taken_here_is_said_to_be() -> None:
    text = view.trial(*trial(), whole_log=False)
    told = "\n}\n\nThis kernel takes it. bpf_ktime_get_coarse_ns came with Linux 5.11. Refused by\n5.10.\n\nMended:\n"
    assert told in text
    assert text.endswith("This kernel takes that, after 7 instructions.")


def test_a_long_log_is_shown_from_its_end_unless_all_is_asked_for() -> None:
    text = log("7.3", "index")
    tried = trial(refused_here=True, explanation=explain(text), log=text, verified_instructions=None)
    left = len(text.splitlines()) - 12
    assert f"  ({left} lines before; -v shows them)\n" in view.trial(*tried, whole_log=False)
    whole = view.trial(*tried, whole_log=True)
    assert all(f"  {line}".rstrip() in whole for line in text.splitlines())
    assert whole.endswith("This kernel takes that.")
