"""`ebpflab explain` of logs, and the list of `ebpflab verifier`: neither needs privileges."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest
from ebpflab.verifier import explain, zoo

from tests.cli.test_privileges import DROP

if TYPE_CHECKING:
    from tests.cli.conftest import Run

LOGS = Path(__file__).parents[2] / "crates/loader/tests/verifier"


def test_a_log_is_explained(run: Run) -> None:
    done = run("explain", str(LOGS / "6.18/index.log"), wrapper=DROP)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("memory-bounds: an access outside of a value\n")
    for text in (
        "R0 unbounded memory access",
        "zoo.rs:",
        "if r0 == 0x0 goto pc+3  ; not taken",
        "table.get(index & 15)",
    ):
        assert text in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 200


def test_as_json_it_is_what_python_gets(run: Run) -> None:
    path = LOGS / "7.3/null.log"
    done = run("explain", str(path), "--json", wrapper=DROP)
    record = json.loads(done.stdout)
    assert record.pop("type") == "explanation"
    assert ebpflab.Explanation.of(record) == explain(path.read_text()) == explain(path.read_bytes())


def test_a_log_may_come_by_stdin() -> None:
    with (LOGS / "5.10/leak.log").open("rb") as log:
        command = [sys.executable, "-m", "ebpflab", "explain", "-"]
        done = subprocess.run(command, stdin=log, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("reference-leak: ")


def test_an_unknown_log_comes_back_whole(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"the dog ate it\n\xff\x1b[31m\n")
    done = run("explain", str(log), "--json")
    record = json.loads(done.stdout)
    assert (done.returncode, record["kind"], record["log"]) == (0, "unknown", "the dog ate it\n\ufffd\x1b[31m\n")
    shown = run("explain", str(log)).stdout
    assert "    the dog ate it\n" in shown
    assert "\x1b" not in shown


def test_an_object_needs_privileges_and_that_is_the_explanation(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "any.o"
    path.write_bytes(b"\x7fELF")
    done = run("explain", str(path), wrapper=DROP)
    assert (done.returncode, done.stderr) == (77, "")
    assert done.stdout.startswith("missing-capability: ")


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (("explain",), 2, "LOG"),
        (("explain", "/no/such/file"), 1, "/no/such/file"),
        (("explain", "/"), 1, "/"),
        (("verifier", "unicorn"), 2, "the zoo has no unicorn"),
    ],
)
def test_bad_usage_is_one_sentence(run: Run, arguments: tuple[str, ...], status: int, word: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.count("\n") == 1
    assert word in done.stderr


def test_the_zoo_is_listed(run: Run) -> None:
    done = run("verifier", wrapper=DROP)
    assert (done.returncode, done.stderr) == (0, "")
    header, *rows = done.stdout.splitlines()
    assert header.split()[:2] == ["NAME", "KIND"]
    assert [row.split()[0] for row in rows] == [broken.name for broken in zoo()]
    lines = [json.loads(line) for line in run("verifier", "--json").stdout.splitlines()]
    assert {line["type"] for line in lines} == {"broken"}
    assert all(line["source"].count("fn bad_") == line["mended"].count("fn good_") == 1 for line in lines)


def test_seeing_one_needs_privileges(run: Run) -> None:
    done = run("verifier", "null", wrapper=DROP)
    assert (done.returncode, done.stdout) == (77, "")
    assert "CAP_BPF" in done.stderr
