"""docs/kernel-support.md, from the outcomes of tests on each kernel."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs/kernel-support.md"

_INTRO = """\
# What works on which kernel

<!-- Written by `python -m tests.vm.matrix --write` from the outcomes of tests/kernel/test_hooks.py; CI compares. -->

One set of BPF objects, one wheel. Each cell is the outcome of a test that ran on that kernel: the tool was attached by
that hook, the kernel's own lists agreed, and a workload that knows what it does was seen exactly. 5.10, 6.1, 6.12 and
7.3 are Debian's kernels, in virtual machines; 6.18 is that of the machine that builds, whose makers left out kprobes
and forbid trampolines. A number leads to the reason below. Which release of a series it was is in the test's log.
"""
_CAPABILITIES = """\
## Capabilities

The least that a tool needs as an ordinary user (ambient capabilities), found by taking them away one at a time; then
what its command keeps once it is attached (all with `--keep-capabilities`). Where unprivileged BPF is disabled, kernels
before 5.19 want CAP_BPF of whoever reads maps. With CAP_NET_ADMIN filters of clsact are taken away, and it is asked
whether programs are still on TCX. A command that records (`-o`) keeps CAP_DAC_OVERRIDE, and one that reads a file of
rules again CAP_DAC_READ_SEARCH.

CAP_SYS_RESOURCE raises RLIMIT_MEMLOCK, which kernels before 5.11 charge maps against; a higher limit does as well
(LimitMEMLOCK= of a service). CAP_SYS_ADMIN is above `kernel.perf_event_paranoid`, which Debian sets to 3, so that
CAP_PERFMON does not reach perf events; with 2 CAP_BPF and CAP_PERFMON are enough.
"""
_OUTRO = """\
`kretprobe` has to be asked for: the kernel keeps room for few calls at a time, and the returns of the others are lost.
`count -x` has no kprobe: at entry nothing is known of the result. What your own kernel allows says `ebpflab doctor`.
"""


@dataclass(frozen=True)
class Results:
    """What the tests said on one kernel."""

    release: str
    ran: int
    failed: int
    #: The reason of each test that was skipped.
    skipped: list[str]
    #: For each tool and hook: None if it works, else why not.
    cells: dict[tuple[str, str], str | None]
    #: For each tool and program: how many instructions the verifier went through. Empty where the kernel does not tell.
    verified: dict[str, int] = field(default_factory=dict)
    #: For each tool: the capabilities that it needs to attach, and those that its command has from then on.
    needs: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` wrote."""
        raw = json.loads(path.read_text())
        cells = {(tool, hook): reason for tool, hook, reason in raw.pop("cells")}
        return cls(**raw, cells=cells)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        cells = [(tool, hook, reason) for (tool, hook), reason in self.cells.items()]
        path.write_text(json.dumps(vars(self) | {"cells": cells}))

    @property
    def series(self) -> str:
        """The first two numbers of the release."""
        return ".".join(self.release.split(".")[:2])


def page(runs: list[Results]) -> str:
    """Return the whole page."""
    runs = sorted(runs, key=lambda run: [int(number) for number in run.series.split(".")])
    reasons: list[str] = []
    rows = [
        f"| `{tool}` | {hook} | {' | '.join(_cell(run, (tool, hook), reasons) for run in runs)} |"
        for tool, hook in sorted({cell for run in runs for cell in run.cells})
    ]
    table = [
        f"| tool | hook | {' | '.join(run.series for run in runs)} |",
        f"|---|---|{'---|' * len(runs)}",
        *rows,
    ]
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([_INTRO, *table, "", *notes, "", _OUTRO, *_needs(runs), ""])


def _needs(runs: list[Results]) -> list[str]:
    """Return the lines about capabilities; kernels that agree share a line of the table."""
    lines = [_CAPABILITIES, "| tool | kernels | to attach | then |", "|---|---|---|---|"]
    for tool in sorted({tool for run in runs for tool in run.needs}):
        kernels: dict[tuple[str, ...], list[str]] = {}
        for run in runs:
            kernels.setdefault(tuple(run.needs.get(tool, ("not tested", ""))), []).append(run.series)
        lines += [f"| `{tool}` | {', '.join(series)} | {' | '.join(needs)} |" for needs, series in kernels.items()]
    return lines


def _cell(run: Results, cell: tuple[str, str], reasons: list[str]) -> str:
    reason = run.cells.get(cell, "not tested")
    if reason is None:
        return "yes"
    if reason not in reasons:
        reasons.append(reason)
    return f"no ({reasons.index(reason) + 1})"
