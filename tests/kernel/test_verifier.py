"""`ebpflab.testing.verify`: what this kernel's verifier says about a program, and that it is told whole."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

import ebpflab
import pytest
from ebpflab.testing import VerifiedProgram, verify

from tests.kernel import lab
from tests.support.elf import Program, bpf_object, instruction

pytestmark = pytest.mark.smoke

KERNEL = tuple(int(number) for number in platform.release().split(".")[:2])
OBJECTS = Path(__file__).parents[2] / "crates/loader/bpf" / platform.machine()

R0_IS_0 = instruction(0xB7, dst=0, imm=0)
R1_IS_0 = instruction(0xB7, dst=1, imm=0)
EXIT = instruction(0x95)
ACCEPTED = R0_IS_0 + EXIT


@dataclass(frozen=True)
class Refused:
    """A program that no kernel takes."""

    name: str
    instructions: bytes
    #: How the log starts, and the last instruction in it.
    start: str
    at: str
    #: The reason as kernels word it, each from a version on.
    reasons: dict[tuple[int, int], str]

    @property
    def reason(self) -> str:
        """As this kernel words it."""
        return self.reasons[max(version for version in self.reasons if version <= KERNEL)]


REFUSED = (
    Refused(
        "reads_through_a_scalar",
        R1_IS_0 + instruction(0x79, dst=0, src=1) + EXIT,
        start="0: ",
        at="1: (79) r0 = *(u64 *)(r1 +0)",
        reasons={
            (5, 10): "R1 invalid mem access 'inv'",
            (5, 18): "R1 invalid mem access 'scalar'",
            (7, 3): "R1 is an integer scalar here, not a pointer to memory.",
        },
    ),
    Refused(
        "returns_nothing",
        EXIT,
        start="0: ",
        at="0: (95) exit",
        reasons={
            (5, 10): "R0 !read_ok",
            (7, 3): "R0 has never been initialized on this path, so the verifier cannot use it as an input.",
        },
    ),
    Refused(
        "does_not_end",
        R0_IS_0,
        start="last insn is not an exit or jmp\n",
        at="",  # it is refused before any of them is looked at
        reasons={
            (5, 10): "last insn is not an exit or jmp",
            # On two lines of its log.
            (7, 3): "Subprogram 0 reaches its last instruction 0 without an exit or jump, so control could continue "
            "into the next subprogram.",
        },
    ),
    # Linux 7.3 words these as those before it.
    Refused(
        "reads_behind_its_context",
        instruction(0x61, dst=0, src=1, off=2000) + EXIT,
        start="0: ",
        at="0: (61) r0 = *(u32 *)(r1 +2000)",
        reasons={(5, 10): "invalid bpf_context access off=2000 size=4"},
    ),
    Refused(
        "loops_for_ever",
        R0_IS_0 + instruction(0x15, dst=0, off=-1, imm=0) + EXIT,
        start="0: ",
        at="goto pc-1",
        reasons={(5, 10): "infinite loop detected at insn 1"},
    ),
)


def test_accepted_programs_are_told_in_the_order_of_their_names() -> None:
    elf = bpf_object(
        Program("second_of_the_programs", "xdp", ACCEPTED),
        Program("first_of_the_programs", "raw_tracepoint/sys_enter", R1_IS_0 + ACCEPTED),
    )
    assert verify(elf) == (
        VerifiedProgram("first_of_the_programs", 3 if lab.TELLS_VERIFIED else None),
        VerifiedProgram("second_of_the_programs", 2 if lab.TELLS_VERIFIED else None),
    )


def test_programs_of_many_kinds_are_loaded() -> None:
    sections = (
        *("cgroup_skb/ingress", "classifier", "kprobe/x", "perf_event", "raw_tracepoint/x", "sk_lookup", "sk_msg"),
        *("socket", "sockops", "tracepoint/x/y", "uprobe/x", "xdp"),
    )
    programs = [Program(section.replace("/", "_"), section, ACCEPTED) for section in sections]
    assert [program.name for program in verify(bpf_object(*programs))] == [program.name for program in programs]


@pytest.mark.parametrize("kind", [str, Path])
def test_an_object_with_maps_is_read_from_its_path(kind: type[str | Path]) -> None:
    programs = verify(kind(OBJECTS / "xdp.o"))
    assert [program.name for program in programs] == ["xdp_count", "xdp_network", "xdp_transport"]
    assert all((program.verified_instructions is not None) == lab.TELLS_VERIFIED for program in programs)


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_a_refused_program_is_named_with_the_reason_and_the_whole_log(refused: Refused) -> None:
    elf = bpf_object(Program("accepted", "xdp", ACCEPTED), Program(refused.name, "xdp", refused.instructions))
    with pytest.raises(ebpflab.VerifierError) as raised:
        verify(elf)
    error = raised.value
    assert error.program == refused.name
    assert error.explanation == refused.reason
    assert str(error) == f"the kernel's verifier refused the program {refused.name}: {refused.reason}"
    assert error.log.startswith(refused.start)
    assert refused.at in error.log
    assert re.fullmatch(r"processed \d+ insns \(limit 1000000\) .*", error.log.splitlines()[-1])


@pytest.mark.parametrize("section", ["fentry/vfs_read", "fexit/vfs_read", "lsm/file_open", "tp_btf/sched_switch"])
def test_a_program_that_is_verified_when_attached_is_named(section: str) -> None:
    with pytest.raises(ebpflab.NotSupportedError, match="only verified when they are attached") as raised:
        verify(bpf_object(Program("on_a_function", section, ACCEPTED)))
    assert raised.value.feature == "verifying program on_a_function"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "error parsing ELF data"),
        (Path(__file__).read_bytes(), "error parsing ELF data"),
        (bpf_object(), "it has no programs"),
    ],
    ids=["empty", "text", "no programs"],
)
def test_a_file_that_is_no_object_is_an_error_in_one_line(content: bytes, reason: str) -> None:
    with pytest.raises(ebpflab.EbpflabError, match=reason) as raised:
        verify(content)
    assert type(raised.value) is ebpflab.EbpflabError
    assert str(raised.value).startswith("cannot load the BPF object: ")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        verify(tmp_path / "missing.o")
