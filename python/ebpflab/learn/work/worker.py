"""A process that does what it is told, and nothing else: opens files and executes programs, in threads that it names.

Reads commands from stdin, a line of JSON each, and answers each with another once it is done. Runs by any Python,
without this package.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import socket
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Part = TypeVar("_Part")


class Thread:
    """A thread that waits for work, if it is not the main one."""

    def __init__(self, *, is_main: bool) -> None:
        """Start it."""
        self._work: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.tid = threading.get_native_id()
        if not is_main:
            threading.Thread(target=self._loop, daemon=True).start()
            self.tid = int(str(self._done.get()))

    def _loop(self) -> None:
        self._done.put(threading.get_native_id())
        while True:
            self._done.put(self._work.get()())

    def start(self, work: Callable[[], object]) -> None:
        """Have it do something."""
        self._work.put(work)

    def wait(self) -> None:
        """Wait until it has."""
        self._done.get()


def opens(paths: list[str]) -> int:
    """Open files, whether they are there or not; return how many calls that were."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDONLY))
    return len(paths)


def one_by_one(plan: list[_Part], work: Callable[[_Part], object]) -> None:
    """Have each thread do its part of a plan, one thread after the other."""
    work(plan[0])
    for thread, part in zip(THREADS[1:], plan[1:], strict=True):
        thread.start(partial(work, part))
        thread.wait()


def in_turn(plan: list[list[str]]) -> int:
    """Have each thread open its files, one thread after the other."""
    one_by_one(plan, opens)
    return sum(map(len, plan))


def at_once(plan: list[list[str]]) -> int:
    """Have all threads open their files at the same time."""
    working = [(thread, paths) for thread, paths in zip(THREADS[1:], plan[1:], strict=True) if paths]
    for thread, paths in working:
        thread.start(partial(opens, paths))
    opens(plan[0])
    for thread, _ in working:
        thread.wait()
    return sum(map(len, plan))


def error(path: str) -> int:
    """Open a file; return the errno, 0 if it was opened."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as failed:
        return failed.errno or 0
    return 0


def tries(paths: list[str], found: list[int]) -> None:
    """Open files, and add the errno of each."""
    found += map(error, paths)


def errors(plan: list[list[str]]) -> list[int]:
    """Have each thread open its files, one thread after the other; return the errno of each, 0 for what was opened."""
    found: list[int] = []
    one_by_one(plan, partial(tries, found=found))
    return found


def holds(path: str) -> int:
    """Have the last thread open a pipe that nobody writes to; once it waits there, for ever, return its id."""
    thread = THREADS[-1]
    # It says in which system call a thread waits. This thread opens it before, and nothing while the other one does.
    place = os.open(f"/proc/self/task/{thread.tid}/syscall", os.O_RDONLY)
    thread.start(partial(os.open, path, os.O_RDONLY))
    while not os.pread(place, 100, 0).startswith(OPENAT):
        time.sleep(0.001)
    os.close(place)
    return thread.tid


def makes(asked: list[tuple[int, int]]) -> None:
    """Make system calls by their numbers, each so often, with 0 for all arguments."""
    for number, count in asked:
        for _ in range(count):
            LIBC.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 3)


def calls(plan: list[list[tuple[int, int]]]) -> None:
    """Have each thread make system calls, one thread after the other."""
    one_by_one(plan, makes)


def decode(texts: list[str], results: list[int]) -> None:
    """Call a64l(3) for each text, and add what it returns."""
    results += [LIBC.a64l(text.encode()) for text in texts]


def decodes(plan: list[list[str]]) -> list[int]:
    """Have each thread call a64l(3) for its texts, one thread after the other; return all that it returned."""
    results: list[int] = []
    one_by_one(plan, partial(decode, results=results))
    return results


def sends(ports: list[int]) -> list[bool]:
    """Send a packet by UDP to each of these ports of this machine; return which the kernel let go."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        # Not connected: that nobody listens there, nobody is told.
        return [goes(sender, port) for port in ports]


def goes(sender: socket.socket, port: int) -> bool:
    """Send a packet; return whether that is allowed."""
    try:
        sender.sendto(b"", ("127.0.0.1", port))
    except PermissionError:
        return False
    return True


def executes(plan: list[tuple[str, bool]]) -> list[tuple[int, int]]:
    """Execute programs, each in a child, by its first thread or by another; return the child's id and that thread's."""
    done = []
    for path, by_other in plan:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            become(path, writing, by_other=by_other)
        os.close(writing)
        with os.fdopen(reading) as told:
            tid = int(told.read())
        os.waitpid(child, 0)
        done.append((child, tid))
    return done


def spawn(paths: list[str], children: list[int]) -> None:
    """Execute programs, each in a child; add the children's ids."""
    for path in paths:
        child = os.posix_spawn(path, [path], {})
        os.waitpid(child, 0)
        children.append(child)


def spawns(plan: list[list[str]]) -> list[int]:
    """Have each thread execute its programs, one thread after the other; return the children's ids."""
    children: list[int] = []
    one_by_one(plan, partial(spawn, children=children))
    return children


def become(path: str, writing: int, *, by_other: bool) -> None:
    """Tell the id of the thread that executes the program, and execute it."""

    def go() -> None:
        os.write(writing, str(threading.get_native_id()).encode())
        os.execv(path, [path])  # noqa: S606  the workload

    if by_other:
        threading.Thread(target=go).start()
        threading.Event().wait()
    go()


LIBC = ctypes.CDLL(None)
OPENAT = b"257 " if os.uname().machine == "x86_64" else b"56 "
LIBC.a64l.restype = ctypes.c_long
COMMANDS = {
    function.__name__: function
    for function in (in_turn, at_once, errors, holds, calls, decodes, sends, executes, spawns)
}
THREADS = [Thread(is_main=number == 0) for number in range(int(sys.argv[1]))]


def main() -> None:
    """Say who it is, and obey."""
    # Whatever threads need when they first do something is there afterwards.
    in_turn([["/"] for _ in THREADS])
    print(json.dumps([os.getpid(), [thread.tid for thread in THREADS]]), flush=True)
    for line in sys.stdin:
        command, plan = json.loads(line)
        print(json.dumps(COMMANDS[command](plan)), flush=True)


if __name__ == "__main__":
    main()
