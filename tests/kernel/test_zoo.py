"""The zoo of `ebpflab verifier`: what this kernel refuses, how that is explained, and that each mended twin loads.

Which programs are refused by which kernel is a table (crates/loader/src/verifier/zoo.rs), and the line that is refused
is marked in the source (crates/ebpf/src/zoo.rs): an explanation that names another kind or line fails here.
"""

from __future__ import annotations

import json
import platform
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest
from ebpflab.testing import verify
from ebpflab.verifier import explain, try_out, zoo

from tests.kernel import lab
from tests.support.elf import Program, bpf_object, instruction

if TYPE_CHECKING:
    from ebpflab.records import Broken, Trial

ROOT = Path(__file__).parents[2]
ZOO = {broken.name: broken for broken in zoo()}
#: Those that people meet first.
COMMON = ("loop", "uninit", "bounds", "null", "stack", "helper")


@cache
def trials() -> dict[str, Trial]:
    """Load all of them once: under emulation that takes seconds."""
    return {trial.name: trial for trial in try_out()}


def is_refused(broken: Broken) -> bool:
    """Look up in the table what this kernel does, or the kernel of the matrix before it."""
    kernel = tuple(int(number) for number in platform.release().split("-")[0].split(".")[:2])
    refusing = {tuple(int(number) for number in series.split(".")) for series in broken.refused_by}
    tested = {tuple(int(number) for number in series.split(".")) for series in ZOO["loop"].refused_by}
    return max(series for series in tested if series <= kernel) in refusing


def marked_line(broken: Broken) -> int:
    """Find the line below the mark in the source of the program, counted from 1."""
    lines = (ROOT / broken.file).read_text().splitlines()
    start = next(index for index, line in enumerate(lines) if f"fn bad_{broken.name}(" in line)
    # Above the function are its attributes, and for one of them the mark.
    start = max(index for index in range(start) if not lines[index])
    return next(index for index in range(start, len(lines)) if lines[index].strip() == "// Refused:") + 2


def test_the_six_common_kinds_come_first_and_no_kernel_takes_them() -> None:
    assert tuple(ZOO)[:6] == COMMON
    assert all(len(ZOO[name].refused_by) == 5 for name in COMMON)


def told(trial: Trial) -> tuple[str, str | None, str, int] | None:
    """Return kind, program, file and line of a refusal; None if there was none."""
    explained = trial.explanation
    if explained is None:
        return None
    assert explained.at, trial.log
    assert explained.at.source, trial.log
    return explained.kind, explained.program, explained.at.source.file, explained.at.source.line


@pytest.mark.smoke
def test_programs_are_refused_and_explained_and_their_twins_are_taken() -> None:
    """All in one test: what is checked around each takes longer, under emulation, than loading all of them."""
    expected = {
        name: (broken.kind, f"bad_{name}", broken.file, marked_line(broken)) if is_refused(broken) else None
        for name, broken in ZOO.items()
    }
    assert {name: told(trial) for name, trial in trials().items()} == expected
    # A twin was loaded, or there would be no trials.
    assert {trial.verified_instructions is not None for trial in trials().values()} == {lab.TELLS_VERIFIED}


def test_what_is_said_of_a_program_is_so() -> None:
    for name, broken in ZOO.items():
        assert broken.line == marked_line(broken)
        assert trials()[name].refused_here == is_refused(broken)


def test_a_known_refusal_is_told_in_the_words_of_the_log() -> None:
    for trial in trials().values():
        if trial.explanation and trial.log:
            assert trial.explanation.log is None
            assert trial.explanation.reason in " ".join(line.strip() for line in trial.log.splitlines())


def test_the_command_shows_the_refusal_the_explanation_and_the_twin() -> None:
    done = lab.run(("verifier", "null"), ())
    assert (done.returncode, done.stderr) == (0, "")
    for text in (ZOO["null"].source, ZOO["null"].mended, "This kernel refuses it:", "This kernel takes that"):
        assert text in done.stdout
    assert f"crates/ebpf/src/zoo.rs:{ZOO['null'].line}" in done.stdout
    assert "missing-null-check" in done.stdout


def test_the_command_says_where_a_program_is_taken_that_others_refuse() -> None:
    done = lab.run(("verifier", "missing"), ())
    assert done.returncode == 0
    said = done.stdout.replace("\n", " ")
    if is_refused(ZOO["missing"]):
        assert "This kernel refuses it:" in said
        assert ZOO["missing"].kind in said
    else:
        assert "This kernel takes it. bpf_ktime_get_coarse_ns came with Linux 5.11." in said


def test_the_trial_as_json() -> None:
    done = lab.run(("verifier", "loop", "--json"), ())
    (record,) = map(json.loads, done.stdout.splitlines())
    assert (record["type"], record["name"], record["explanation"]["kind"]) == ("trial", "loop", "unbounded-loop")


def test_an_error_has_the_explanation_and_one_line_of_it() -> None:
    reads_a_number = instruction(0xB7, dst=1) + instruction(0x79, dst=0, src=1) + instruction(0x95)
    with pytest.raises(ebpflab.VerifierError) as raised:
        verify(bpf_object(Program("reads_a_number", "xdp", reads_a_number)))
    error = raised.value
    assert error.explained.kind == "not-a-pointer"
    assert error.explanation == error.explained.reason
    assert error.explained.at
    assert error.explained.at.instruction == 1
    # This object has no line info, so nothing tells of a line.
    assert error.explained.at.source is None


def test_an_object_is_explained_by_the_command(tmp_path: Path) -> None:
    path = tmp_path / "broken.o"
    path.write_bytes(bpf_object(Program("returns_nothing", "xdp", instruction(0x95))))
    done = lab.run(("explain", str(path)), ())
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("uninitialised-register: ")
    as_json = lab.run(("explain", str(path), "--json"), ())
    assert json.loads(as_json.stdout)["program"] == "returns_nothing"
    path.write_bytes(bpf_object(Program("accepted", "xdp", instruction(0xB7) + instruction(0x95))))
    done = lab.run(("explain", str(path)), ())
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "ebpflab: this kernel takes accepted\n"


def test_a_log_alone_has_the_same_kind(tmp_path: Path) -> None:
    trial = trials()["scalar"]
    assert trial.log
    assert trial.explanation
    path = tmp_path / "log"
    path.write_text(trial.log)
    done = lab.run(("explain", str(path), "--json"), ())
    record = json.loads(done.stdout)
    assert (record["kind"], record["reason"]) == (trial.explanation.kind, trial.explanation.reason)
    assert explain(trial.log).kind == "not-a-pointer"
