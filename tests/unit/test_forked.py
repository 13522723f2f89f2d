"""A fork of the tests is like a process that they start."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import forked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(main: Callable[[], object]) -> tuple[int, str, str]:
    """Return the status and what was written."""
    process = forked.Process(main, pipes=(1, 2))
    assert process.stdout
    assert process.stderr
    with process.stdout as out, process.stderr as err:
        written, talk = out.read(), err.read()
    status = process.wait()
    assert process.poll() == status
    # It is somebody else's id by now.
    process.kill()
    return status, written, talk


@pytest.mark.parametrize(
    ("main", "status"),
    [
        (lambda: None, 0),
        (lambda: sys.exit(77), 77),
        (sys.exit, 0),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), -signal.SIGTERM),
    ],
)
def test_its_status_is_that_of_a_process(main: Callable[[], object], status: int) -> None:
    assert run(main) == (status, "", "")


def test_an_error_is_a_traceback_and_the_tests_do_not_go_on() -> None:
    status, written, talk = run(lambda: 1 // 0)
    assert (status, written) == (1, "")
    assert talk.endswith("ZeroDivisionError: integer division or modulo by zero\n")


def test_what_cannot_be_written_is_no_way_back_into_the_tests() -> None:
    def main() -> None:
        print("lost", end="")
        os.close(1)

    assert run(main)[:2] == (0, "")


def test_no_file_of_the_tests_is_open(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w"):
        # The folder that is listed is one of them.
        assert run(lambda: print(len(os.listdir("/proc/self/fd"))))[1] == "4\n"  # noqa: PTH208


def test_signals_are_as_python_has_them() -> None:
    before = [signal.signal(signal.SIGUSR1, lambda *_: None), signal.signal(signal.SIGINT, lambda *_: None)]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        told = run(
            lambda: print(
                signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL, signal.pthread_sigmask(signal.SIG_BLOCK, ())
            )
        )[1]
        interrupted = run(lambda: os.kill(os.getpid(), signal.SIGINT))[2]
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        signal.signal(signal.SIGUSR1, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert told == "True set()\n"
    assert interrupted.endswith("KeyboardInterrupt\n")


def test_one_that_is_stopped_can_be_waited_for() -> None:
    process = forked.Process(signal.pause, pipes=())
    process.send_signal(signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
    assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_a_script_is_talked_to(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nprint(sys.argv[1], sys.stdin.readline(), end='')\n")
    process = forked.script(str(tmp_path / "script.py"), "argument")
    assert process.stdin
    assert process.stdout
    with process.stdin as to, process.stdout as out:
        to.write("line\n")
        to.flush()
        assert out.read() == "argument line\n"
    assert process.wait() == 0
