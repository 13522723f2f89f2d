"""`ebpflab.load`: objects that clang made, against what the workload did."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import ebpflab
import pytest
from ebpflab.values import plain

from tests.support.objects import clang

CALLS = 23


def call(number: int) -> None:
    """Call getpriority(2) for a process that there is not; the kernel does not mind."""
    ctypes.CDLL(None).syscall(ctypes.c_long(140), ctypes.c_long(0), ctypes.c_long(number))


def test_maps_globals_and_events_are_what_the_program_wrote(objects: Path) -> None:
    with ebpflab.load(clang("events", objects)) as obj:
        assert (obj.loaded, list(obj.programs), set(obj.maps) >= {"counts", "totals", "events"}) == (
            False,
            ["on_sys_enter"],
            True,
        )
        assert plain(obj.globals["pair"]) == {"pid": 1, "parity": "ODD"}
        obj.globals["target"] = os.getpid()
        obj.globals["pair"] = {"pid": 7, "parity": "EVEN"}
        with pytest.raises(ValueError, match="global target: -1 does not fit 32 bits"):
            obj.globals["target"] = -1
        events = obj.maps["events"].events(as_="event")
        assert obj.programs["on_sys_enter"].attach() == "sys_enter"
        with pytest.raises(ValueError, match="before the object is loaded"):
            obj.globals["target"] = 1
        for number in range(1, CALLS + 1):
            call(number)
        found = events.read(timeout=2)
        comm = Path("/proc/self/comm").read_text().strip()
        assert [plain(event) for event in found] == [
            {
                "number": number,
                "tgid": os.getpid(),
                "parity": "ODD" if number % 2 else "EVEN",
                "comm": comm,
                "first": number == 1,
            }
            for number in range(1, CALLS + 1)
        ]
        assert events.lost is None
        counts = obj.maps["counts"]
        assert {key.parity.name: (key.pid, plain(value)) for key, value in counts.items()} == {
            "ODD": (os.getpid(), {"calls": 12, "last": -23}),
            "EVEN": (os.getpid(), {"calls": 11, "last": -22}),
        }
        odd = {"pid": os.getpid(), "parity": "ODD"}
        assert counts[odd] == counts[os.getpid(), 1] == {"calls": 12, "last": -23}
        counts[odd] = {"calls": 2**64 - 1, "last": -(2**63)}
        assert counts[odd].calls == 2**64 - 1
        del counts[odd]
        assert (odd in counts, len(counts)) == (False, 1)
        with pytest.raises(ValueError, match="a key of map counts: key has no member port; it has pid, parity"):
            counts[{"port": 1}]
        assert obj.maps["totals"][0].calls == CALLS
        assert sum(value.calls for value in obj.maps["totals"].per_cpu(0)) == CALLS
        assert (obj.globals["seen"], plain(obj.globals["pair"])) == (CALLS, {"pid": 7, "parity": "EVEN"})
        program = obj.programs["on_sys_enter"]
        (listed,) = [each for each in ebpflab.programs() if each.id == program.id]
        assert (listed.name, listed.verified_instructions) == ("on_sys_enter", program.verified_instructions)
        events.close()
    with pytest.raises(ebpflab.ClosedError):
        obj.load()


def test_what_others_may_write_is_not_loaded(objects: Path, tmp_path: Path) -> None:
    copy = tmp_path / "prog.o"
    copy.write_bytes(clang("events", objects).read_bytes())
    copy.chmod(0o666)
    with pytest.raises(ValueError, match=f"{copy} is not loaded, since others may write {copy}; chmod go-w"):
        ebpflab.load(copy)
    copy.chmod(0o644)
    tmp_path.chmod(0o777)
    with pytest.raises(ValueError, match=f"others may write {tmp_path}; copy it"):
        ebpflab.load(copy)


def test_a_damaged_object_is_one_sentence(objects: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = clang("events", objects).read_bytes()
    copy = tmp_path / "prog.o"
    refused: list[str] = []
    for at in range(0, len(whole), len(whole) // 150):
        copy.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            ebpflab.load(copy).close()
        except ebpflab.EbpflabError as error:
            refused.append(str(error))
    assert refused
    assert not [sentence for sentence in refused if "\n" in sentence]
    assert capfd.readouterr().err == ""
