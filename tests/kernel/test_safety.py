"""What docs/security.md says that ebpflab does not do, and how much it takes at the most."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from ebpflab.cli import COMMANDS
from ebpflab.doctor import TOOLS

from tests.kernel import lab
from tests.kernel.test_privileges import ARGUMENTS
from tests.support.objects import clang

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.conftest import Start

pytestmark = pytest.mark.native

SHORT = ("-d", "0.3")
#: Of each command, arguments that have it do its work. Not of `learn`: to start cargo is what that is for.
WORK = {
    **{tool: (*ARGUMENTS.get(tool, ()), *SHORT) for tool in TOOLS},
    "btf": ("task_struct",),
    "cost": SHORT,
    "doctor": (),
    "explain": ("FOLDER/log",),
    "links": (),
    "maps": (),
    "programs": (),
    "query": ("FOLDER/opens.parquet", "select count(*) from events"),
    "recover": ("FOLDER/opens.parquet",),
    "replay": ("FOLDER/opens.parquet", "--speed", "max"),
    "run": ("FOLDER/events.bpf.o", *SHORT),
    "tracepoints": ("sched_*",),
    "verifier": ("loop",),
}
#: Calls that execute, send, or make and remove files; those of 64-bit machines.
CALLS = (
    "execve,execveat,connect,sendto,sendmsg,sendmmsg,openat,openat2,?open,?creat,?mkdir,mkdirat,?link,linkat,?symlink,"
)
CALLS += "symlinkat,?rename,?renameat,renameat2,?unlink,unlinkat,mknodat"
STRACE = ("strace", "-f", "-qq", "-e", "signal=none", "-e", f"trace={CALLS}")

MIB = 1 << 20
#: What the maps of a tool take at the most, as docs/security.md has it: in all, and more for each CPU.
MOST_MIB, MOST_MIB_PER_CPU = 24, 1
#: BPF_F_NO_PREALLOC, include/uapi/linux/bpf.h: without it a map has all of its memory from the start.
NO_PREALLOC = 1
#: Tries cannot be made otherwise; nor can what the kernel keeps with each socket, and frees with it.
GROWING = {"lpm_trie", "sk_storage"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what those commands read that take a file."""
    made = tmp_path_factory.mktemp("work")
    clang("events", made)
    (made / "log").write_text("0: (85) call pc+1\nback-edge from insn 7 to 3\n")
    subprocess.run([*lab.EBPFLAB, "open", "-o", made / "opens.parquet", *SHORT], check=True, capture_output=True)
    return made


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"learn"}))
def test_a_command_executes_nothing_makes_no_file_and_sends_nothing(
    command: str, iface: str, folder: Path, tmp_path: Path
) -> None:
    words = [word.replace("FOLDER", str(folder)) for word in WORK[command]]
    arguments = [iface if word == "IFACE" else word for word in words]
    trace = tmp_path / "trace"
    wrapper = (*STRACE, "-o", str(trace))
    # What Python compiles of its own modules it may write beside them.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    words = [*wrapper, *lab.EBPFLAB, command, *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done
    lines = trace.read_text(errors="replace").splitlines()
    own, *executed = [line for line in lines if "execve" in line]
    assert re.match(r'\d+ +execve\(".*python', own)
    assert executed == []
    # The engines of containers have local sockets, the kernel's interfaces are asked by netlink.
    assert [line for line in lines if "sa_family=" in line and not re.search("sa_family=AF_(UNIX|NETLINK)", line)] == []
    opened = [line for line in lines if re.match(r"\d+ +(<... )?open", line)]
    assert len(opened) > 100
    if command == "recover":
        # It is there to write files, and to remove what a recording that was killed left beside itself.
        return
    others = {*lines} - {*opened, own} - {line for line in lines if re.match(r"\d+ +(<... )?(connect|send)", line)}
    assert [line for line in opened if "O_CREAT" in line or "O_TMPFILE" in line] + sorted(others) == []


def maps_of(pid: int) -> dict[int, lab.Record]:
    """Return the maps that a process holds, by id."""
    return {found["id"]: found for found in lab.kernel_list("map") if ("map", found["id"]) in lab.held(pid)}


#: Tools with what takes more maps, or larger ones.
MORE = ("xdp --top 10 --block 10.0.0.0/8 --pcap FOLDER/packets", "dashboard --tree 1", "stacks --sample 49")


@pytest.mark.parametrize("command", [*TOOLS, *MORE])
def test_the_maps_of_a_tool_have_a_size_from_the_start(
    start: Start, opener: lab.Opener, iface: str, tmp_path: Path, command: str
) -> None:
    tool, *options = command.replace("FOLDER", str(tmp_path)).split()
    targets = () if "--sample" in options else ARGUMENTS.get(tool, ())
    arguments = [iface if word == "IFACE" else word for word in targets]
    running = start(tool, *arguments, *options).attached()
    maps = maps_of(running.process.pid)
    opener.do("opens", 1_000)
    later = maps_of(running.process.pid)
    assert running.stop().status == 0
    assert maps
    assert set(later) == set(maps), "no map is made while it runs"
    for found in maps.values():
        if found["type"] in GROWING:
            assert found["max_entries"] >= 1 or found["type"] == "sk_storage"
        else:
            assert found["max_entries"] >= 1
            assert not found["flags"] & NO_PREALLOC
            assert later[found["id"]]["bytes_memlock"] == found["bytes_memlock"]
    most = (MOST_MIB + MOST_MIB_PER_CPU * lab.possible_cpus()) * MIB
    assert sum(found["bytes_memlock"] for found in maps.values()) <= most
