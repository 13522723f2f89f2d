"""A known workload: executes programs when told to, and at no other time.

Reads commands from stdin, each a line of JSON, and answers each with another once it is done, like opener.py.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import struct
import sys
import threading
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, SIGKILL = 1, 9
#: Given by whoever starts this, and removed by them.
FOLDER = sys.argv[1]
MACHINE = platform.machine()
#: The status of a child whose program could not be executed.
NOT_EXECUTED = 127
#: Writing ends of pipes that children wait for.
HELD: dict[int, int] = {}


def prepared(
    filename: str, argv: list[str]
) -> tuple[bytes, ctypes.Array[ctypes.c_char_p], ctypes.Array[ctypes.c_char_p]]:
    """Return path, arguments and an empty environment for C; unlike Python's own with any arguments, or none."""
    arguments = (ctypes.c_char_p * (len(argv) + 1))(*map(os.fsencode, argv), None)
    return os.fsencode(filename), arguments, (ctypes.c_char_p * 1)(None)


def execute(filename: str, argv: list[str]) -> None:
    """Become a program."""
    LIBC.execve(*prepared(filename, argv))


def start(filename: str, argv: list[str], *, uid: int = 0, wait_for: int = -1, thread: bool = False) -> int:
    """Fork a child that becomes a program, and return its id."""
    child = os.fork()
    if child == 0:
        LIBC.prctl(PR_SET_PDEATHSIG, SIGKILL)
        if wait_for >= 0:
            os.read(wait_for, 1)
        if uid:
            os.setresuid(uid, uid, uid)
        if thread:
            worker = threading.Thread(target=execute, args=(filename, argv))
            worker.start()
            worker.join()
        else:
            execute(filename, argv)
        os._exit(NOT_EXECUTED)
    return child


def executed(child: int) -> bool:
    """Wait for a child; return whether it became the program."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != NOT_EXECUTED


def run(asked: list[tuple[str, list[str]]]) -> list[int]:
    """Run programs one after the other; return the ids of those that were executed."""
    children = []
    for filename, argv in asked:
        child = ctypes.c_int()
        # It copies nothing of this process, which may be large, and fails where the program cannot be executed.
        path, arguments, environment = prepared(filename, argv)
        if LIBC.posix_spawn(ctypes.byref(child), path, None, None, arguments, environment) == 0:
            os.waitpid(child.value, 0)
            children.append(child.value)
    return children


def user(asked: tuple[str, list[str], int]) -> int:
    """Run a program as another user."""
    filename, argv, uid = asked
    child = start(filename, argv, uid=uid)
    assert executed(child)
    return child


def thread(asked: tuple[str, list[str]]) -> int:
    """Run a program from a thread that is not the first of its process."""
    child = start(*asked, thread=True)
    assert executed(child)
    return child


def hold(asked: tuple[str, list[str]]) -> int:
    """Fork a child that becomes a program after `go`, and return its id."""
    reading, writing = os.pipe()
    child = start(*asked, wait_for=reading)
    os.close(reading)
    HELD[child] = writing
    return child


def go(child: int) -> bool:
    """Let a child that is held go on; return whether it became the program."""
    os.write(HELD[child], b".")
    os.close(HELD.pop(child))
    return executed(child)


def nothing() -> Path:
    """Return a program that exits at once. It is no /bin/true, since those that link libraries take far longer."""
    path = Path(FOLDER, ".nothing")
    if not path.exists():
        # exit(0), behind the headers of a file with one segment (include/uapi/linux/elf.h).
        em, code = {"x86_64": (62, "31ff b83c000000 0f05"), "aarch64": (183, "000080d2 a80b80d2 010000d4")}[MACHINE]
        text, at, headers = bytes.fromhex(code), 0x40_0000, 64 + 56
        size = headers + len(text)
        header = struct.pack(
            "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, em, 1, at + headers, 64, 0, 0, 64, 56, 1, 0, 0, 0
        )
        path.write_bytes(header + struct.pack("<IIQQQQQQ", 1, 5, 0, at, at, size, size, 0x1_0000) + text)
        path.chmod(0o755)
    return path


def link(name: str) -> str:
    """Make a program of that name, which does nothing; return its path."""
    path = Path(FOLDER, name)
    path.symlink_to(nothing())
    return str(path)


def script(name: str) -> str:
    """Make a script of that name, whose interpreter does nothing; return its path."""
    path = Path(FOLDER, name)
    path.write_text("#!/bin/true -flag\n")
    path.chmod(0o755)
    return str(path)


COMMANDS = {function.__name__: function for function in (go, hold, link, run, script, thread, user)}


def main() -> None:
    """Get ready, say so, and obey."""
    # For `user`.
    Path(FOLDER).chmod(0o755)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, argument = json.loads(line)
        print(json.dumps(COMMANDS[command](argument)), flush=True)


if __name__ == "__main__":
    main()
