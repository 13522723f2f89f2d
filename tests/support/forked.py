"""Processes that are forks of this one, for virtual machines.

Under emulation an interpreter takes seconds to start and to import what a command needs, and the kernel tests start
hundreds. A fork has all of that already. To the tests and to the kernel it is the process that they would start
otherwise: its own id, no file open but stdin, stdout and stderr, signals as Python has them when it starts. What
differs is how the interpreter starts and ends, which the tests on the native machine look at.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import runpy
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def prepare() -> None:
    """Fork from now on: what a command needs is imported once."""
    commands = importlib.import_module("ebpflab.cli").COMMANDS
    for module in ("ebpflab.views", *(f"ebpflab.cli.{module}" for module, _ in commands.values())):
        importlib.import_module(module)
    Process.wanted = True


def command_line(arguments: tuple[str, ...], become: Callable[[], object]) -> Process:
    """Start `ebpflab ARGUMENTS` with pipes for its output, after it has become somebody else."""

    def main() -> None:
        become()
        sys.argv = ["ebpflab", *arguments]
        sys.modules["ebpflab.cli"].main()

    return Process(main, pipes=(_STDOUT, _STDERR))


def script(*command: str) -> Process:
    """Start a script of Python with its arguments, and with pipes to talk to it."""

    def main() -> None:
        sys.argv = [*command]
        runpy.run_path(command[0], run_name="__main__")

    return Process(main, pipes=(_STDIN, _STDOUT))


class Process:
    """A function that runs in a fork, with as much of subprocess.Popen as the tests use."""

    #: Whether the tests shall fork instead of starting an interpreter.
    wanted = False

    def __init__(self, main: Callable[[], object], *, pipes: tuple[int, ...]) -> None:
        """Start it with pipes for these of its file descriptors 0, 1 and 2; the others are those of this process."""
        ends = {fd: os.pipe() for fd in pipes}
        theirs = {fd: end[0 if fd == _STDIN else 1] for fd, end in ends.items()}
        ours = {fd: end[1 if fd == _STDIN else 0] for fd, end in ends.items()}
        self.pid = os.fork()
        if self.pid == 0:
            _run(main, theirs)
        for fd in theirs.values():
            os.close(fd)
        files = {fd: open(end, "w" if fd == _STDIN else "r", encoding="utf-8") for fd, end in ours.items()}  # noqa: PTH123, SIM115
        self.stdin, self.stdout, self.stderr = (files.get(fd) for fd in (_STDIN, _STDOUT, _STDERR))
        self._status: int | None = None

    @classmethod
    def possible(cls) -> bool:
        """Whether to fork. Of a process with threads a fork has one, and for ever the locks that the others held."""
        return cls.wanted and threading.active_count() == 1

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it was waited for: the id may be somebody else's then."""
        if self._status is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end; return its status, negative if it was a signal."""
        status = self._ended(0)
        assert status is not None
        return status

    def poll(self) -> int | None:
        """Return its status, or None while it runs."""
        return self._ended(os.WNOHANG)

    def _ended(self, options: int) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, options)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status


def _run(main: Callable[[], object], files: dict[int, int]) -> NoReturn:
    """Be the new process. Whatever happens, the tests must not go on in it."""
    status = 1
    try:
        _forget_the_tests(files)
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  as the interpreter does
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
        finally:
            os._exit(status)


def _forget_the_tests(files: dict[int, int]) -> None:
    # Not to free what of theirs is garbage: the numbers of its file descriptors are soon those of other files.
    gc.freeze()
    # It writes to a file descriptor of pytest's.
    faulthandler.disable()
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for fd, end in files.items():
        os.dup2(end, fd)
    os.closerange(_STDERR + 1, os.sysconf("SC_OPEN_MAX"))
    # Those of pytest write to files of its own. By lines: at least what Python does for stderr.
    sys.stdin, sys.stdout, sys.stderr = (
        open(fd, mode, buffering=1, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        for fd, mode, errors in ((_STDIN, "r", None), (_STDOUT, "w", None), (_STDERR, "w", "backslashreplace"))
    )
