"""How doctor's findings look, and the page that the matrix makes of its outcomes."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ebpflab import Feature, HookVerdict, Verdict, _ebpflab, verdict
from ebpflab.doctor import TOOLS
from ebpflab.views import doctor

from tests.vm.matrix import is_earned
from tests.vm.page import PAGE, Results, page

if TYPE_CHECKING:
    from pathlib import PurePath

FOUND = (
    Feature("kernel", "BTF", "yes", "it is there", None, None),
    Feature("kernel", "tracefs", "no", "it is not mounted\x1b[31m", "no tracepoints", "mount -t tracefs"),
    Feature("helper", "bpf_one", "yes", "", None, None),
    Feature("helper", "bpf_two", "no", "the kernel does not know it", "no tool", "a newer kernel"),
    Feature("helper", "bpf_three", "yes", "", None, None),
)


def test_costs_and_fixes_stand_below_what_is_not_there() -> None:
    assert doctor.features(FOUND) == (
        "kernel\n"
        "  yes      BTF                  it is there\n"
        "  no       tracefs              it is not mounted\\x1b[31m\n"
        "           costs: no tracepoints\n"
        "           fix: mount -t tracefs\n"
        "helper\n"
        "  yes      2 of 3: bpf_one, bpf_three\n"
        "  no       bpf_two              the kernel does not know it\n"
        "           costs: no tool\n"
        "           fix: a newer kernel"
    )


def test_names_cannot_write_to_the_terminal() -> None:
    interface = Feature("xdp", "a\x1b[31m skb", "yes", "it is there", None, None)
    assert "\x1b" not in doctor.features([interface])


def test_a_verdict_names_the_hooks_that_are_taken() -> None:
    hooks = (
        HookVerdict("opens", "fentry", works=False, taken=False, reason="forbidden", fix="another kernel"),
        HookVerdict("opens", "kprobe", works=True, taken=True, reason=None, fix=None),
        HookVerdict("execs", "tracepoint", works=True, taken=True, reason=None, fix=None),
    )
    good = Verdict("dashboard", works=True, reason=None, fix=None, hooks=hooks)
    assert doctor.verdict(good, hooks=False) == "dashboard works here, by kprobe and tracepoint"
    assert doctor.verdict(good, hooks=True).splitlines()[1:] == [
        "  no       opens by fentry          forbidden",
        "           fix: another kernel",
        "  taken    opens by kprobe",
        "  taken    execs by tracepoint",
    ]
    bad = Verdict("open", works=False, reason="CAP_BPF missing", fix="sudo", hooks=())
    assert doctor.verdict(bad, hooks=True) == "open does not work here: CAP_BPF missing\n           fix: sudo"


def test_there_is_a_verdict_on_every_tool_and_no_other() -> None:
    attachers = {name.removeprefix("attach_") for name in dir(_ebpflab) if name.startswith("attach_")}
    assert attachers == set(TOOLS)
    with pytest.raises(ValueError, match="there is no tool strace"):
        verdict("strace")


def outcome(release: str, reason: str | None) -> Results:
    return Results(release, ran=2, failed=0, skipped=[], cells={("open", "kprobe"): reason, ("open", "fentry"): None})


def test_the_page_has_a_column_for_each_series_in_order() -> None:
    text = page([outcome("6.18.1-x", "no kprobes"), outcome("5.10.0-46-amd64", None), outcome("6.1.0", "no kprobes")])
    assert [line for line in text.splitlines() if line.startswith("|")][:4] == [
        "| tool | hook | 5.10 | 6.1 | 6.18 |",
        "|---|---|---|---|---|",
        "| `open` | fentry | yes | yes | yes |",
        "| `open` | kprobe | yes | no (1) | no (1) |",
    ]
    assert "\n1. no kprobes\n" in text


def test_kernels_that_agree_on_capabilities_share_a_line() -> None:
    runs = [replace(outcome(release, None), needs={"open": ["CAP_BPF", then]}) for release, then in KEPT.items()]
    assert [line for line in page(runs).splitlines() if "CAP_BPF |" in line] == [
        "| `open` | 5.10 | CAP_BPF | CAP_BPF |",
        "| `open` | 6.1, 6.12 | CAP_BPF | none |",
    ]


KEPT = {"6.12.1": "none", "5.10.1": "CAP_BPF", "6.1.2": "none"}


def test_a_cell_without_a_test_is_no_yes() -> None:
    without = Results("7.3.1", ran=1, failed=0, skipped=[], cells={("open", "fentry"): None})
    assert "| `open` | kprobe | yes | no (1) |" in page([outcome("5.10.1", None), without])


def test_results_survive_their_file(tmp_path: Path) -> None:
    written = outcome("5.10.0-46-amd64", "no kprobes")
    written.write(tmp_path / "results")
    assert Results.read(tmp_path / "results") == written


@pytest.mark.parametrize(
    ("release", "reason", "earned"),
    [
        ("5.10.0-46-amd64", "the kernel has no TCX", True),
        ("6.1.170", "the kernel has no TCX", True),
        ("6.12.95", "the kernel has no TCX", False),
        ("5.10.0-46-amd64", "the kernel has no kprobes", False),
    ],
)
def test_a_skip_is_earned_only_by_what_came_later(release: str, reason: str, earned: bool) -> None:
    assert is_earned(reason, outcome(release, reason)) == earned


def cells_of(test: PurePath) -> set[str]:
    """The tools that a file of tests marks as cells."""
    calls = [node for node in ast.walk(ast.parse(Path(test).read_text())) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "cells"]
    return {str(ast.literal_eval(call.args[0])) for call in named}


def test_the_page_has_every_tool_on_the_five_series() -> None:
    tools = cells_of(Path(__file__).parent.parent / "kernel/test_hooks.py")
    assert {tool.split()[0] for tool in tools} == set(TOOLS)
    text = PAGE.read_text()
    assert "| tool | hook | 5.10 | 6.1 | 6.12 | 6.18 | 7.3 |" in text
    assert all(f"| `{tool}` |" in text for tool in tools)
