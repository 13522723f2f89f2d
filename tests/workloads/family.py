"""A known workload: a family of processes that opens files when told to, and says nothing of its own accord.

Reads commands from stdin, each a line of JSON, and answers each with another once it is done, like opener.py. A plan
describes a process: `path` and how many `opens` of it, the `children` that are there before `go`, those that it forks
`later`, and what those are that it forks `rapid`ly until `stop`. It may be one that `dies` at once, so that its
children lose it, that waits until it is an `orphan`, or that loses its first `thread`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import select
import sys
import threading
import time
from typing import Any, NoReturn

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, SIGKILL = 1, 9
EXIT = {"x86_64": 60, "aarch64": 93}[platform.machine()]
#: Pipes of which one end is closed when something is to happen: to wait is to read until then.
PIPES: dict[str, tuple[int, int]] = {}
#: Most processes that are forked without being told how many.
MOST = 1_500


def attempt(path: str) -> None:
    """Make one call that opens a file, or fails to."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDONLY))


def wait_for(name: str) -> None:
    """Wait until the other end of a pipe is closed by all that have it."""
    os.read(PIPES[name][0], 1)


def wait_for_children() -> None:
    """Wait until all of them have ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def work(plan: dict[str, Any]) -> NoReturn:
    """Do what comes after `go`, and end."""
    for _ in range(plan.get("opens", 0)):
        attempt(plan["path"])
    for child in plan.get("later", []):
        fork(child)
    wait_for_children()
    os._exit(0)


def live(plan: dict[str, Any], parent: int) -> NoReturn:
    """Be a process of the family."""
    children = [fork(child) for child in plan.get("children", [])]
    os.write(PIPES["ready"][1], b".")
    if plan.get("rapid"):
        while len(children) < MOST and not select.select([PIPES["stop"][0]], [], [], 0)[0]:
            children.append(fork(plan["rapid"]))
        os.write(PIPES["count"][1], json.dumps(len(children)).encode())
    wait_for("go")
    if plan.get("dies"):
        for child in plan.get("later", []):
            fork(child)
        os._exit(0)
    while plan.get("orphan") and os.getppid() == parent:
        time.sleep(0.001)
    if plan.get("thread"):
        threading.Thread(target=work, args=(plan,)).start()
        LIBC.syscall(ctypes.c_long(EXIT), 0)
    work(plan)


def fork(plan: dict[str, Any]) -> int:
    """Fork a process that lives by a plan; return its id."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        if parent == MAIN:
            LIBC.prctl(PR_SET_PDEATHSIG, SIGKILL)
            for name in ("go", "stop"):
                os.close(PIPES[name][1])
        live(plan, parent)
    return child


def size(plan: dict[str, Any]) -> int:
    """Count the processes that are there before `go`."""
    return 1 + sum(map(size, plan.get("children", [])))


def plant(plans: list[dict[str, Any]]) -> list[int]:
    """Fork the first process of each family; return their ids once all that are there before `go` are."""
    for name in ("ready", "go", "stop", "count", "done"):
        PIPES[name] = os.pipe()
    roots = [fork(plan) for plan in plans]
    left = sum(map(size, plans))
    while left:
        left -= len(os.read(PIPES["ready"][0], left))
    return roots


def stop(_: None) -> int:
    """Have no more processes forked; return how many there are."""
    os.close(PIPES["stop"][1])
    return int(json.loads(os.read(PIPES["count"][0], 100)))


def go(_: None) -> bool:
    """Have all of them do their work; return once all have ended."""
    os.close(PIPES["go"][1])
    # Each of them holds the other end, whoever its parent is by now.
    os.close(PIPES["done"][1])
    wait_for("done")
    wait_for_children()
    return True


MAIN = os.getpid()
COMMANDS = {function.__name__: function for function in (go, plant, stop)}


def main() -> None:
    """Get ready, say so, and obey."""
    # Whatever threads need when they first start is there afterwards.
    warm = threading.Thread(target=time.sleep, args=(0,))
    warm.start()
    warm.join()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, argument = json.loads(line)
        print(json.dumps(COMMANDS[command](argument)), flush=True)


if __name__ == "__main__":
    main()
