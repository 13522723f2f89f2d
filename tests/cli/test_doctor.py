"""`ebpflab doctor` for those who may do nothing: it says what it can, and what it cannot know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from ebpflab.doctor import TOOLS

from tests.cli.test_privileges import DROP, outside

if TYPE_CHECKING:
    from tests.cli.conftest import Run


def test_what_cannot_be_known_is_unknown(run: Run) -> None:
    done = run("doctor", "--json", wrapper=DROP)
    assert (done.returncode, done.stderr) == (0, "")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    features = {(record["group"], record["name"]): record for record in records if record["type"] == "feature"}
    assert {record["answer"] for (group, _), record in features.items() if group == "hook"} == {"unknown"}
    capability = features["capability", "CAP_BPF"]
    assert (capability["answer"], capability["costs"]) == ("no", "no tool works")
    assert outside("CAP_BPF;").strip("; \n") in capability["fix"]
    verdicts = [record for record in records if record["type"] == "verdict"]
    assert [record["works"] for record in verdicts] == [False] * len(TOOLS)
    tracing = [record["reason"] for record in verdicts if record["tool"] not in {"cgroup", "flows", "traffic", "xdp"}]
    assert set(tracing) == {"CAP_BPF and CAP_PERFMON missing"}


def test_a_tool_that_does_not_work_is_77(run: Run) -> None:
    done = run("doctor", "exec", wrapper=DROP)
    assert (done.returncode, done.stderr) == (77, "")
    assert done.stdout.startswith("exec does not work here: CAP_BPF and CAP_PERFMON missing\n")


@pytest.mark.parametrize("arguments", [("strace",), ("open", "exec"), ("--hook", "kprobe")])
def test_bad_usage_is_one_sentence(run: Run, arguments: tuple[str, ...]) -> None:
    done = run("doctor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_nobody_reads(run: Run) -> None:
    done = run("doctor", wrapper=("sh", "-c", '"$@" | true', "sh"))
    assert (done.returncode, done.stderr) == (0, "")
