"""The two ways out: stdout is data, stderr is talk."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from ebpflab.errors import EbpflabError
from ebpflab.views.table import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

STDOUT = 1

#: Bytes that may wait until they are written, before whoever has more of them waits too.
MOST_WAITING = 64 << 20


class StdoutError(Exception):
    """What is written goes nowhere."""

    def __init__(self, cause: OSError) -> None:
        """Keep the cause."""
        super().__init__(f"cannot write to standard output: {cause.strerror}")
        self.nobody_reads = isinstance(cause, BrokenPipeError)


def write(data: bytes) -> None:
    """Write all of it to stdout at once, past Python's buffers, so that a line is never cut or held back.

    Raises:
        StdoutError: The disk is full, or nobody reads any more.

    """
    try:
        while data:
            data = data[os.write(STDOUT, data) :]
    except OSError as error:
        raise StdoutError(error) from error


class Writer:
    """Writes to stdout on a thread of its own, for a `with` block, at whose end all is written.

    A disk and whoever reads a pipe may let a write wait for seconds; a ring buffer is full in less.
    """

    def __init__(self, failed: Callable[[], object]) -> None:
        """Start the thread, which calls `failed` if it cannot write."""
        self._failed = failed
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        #: Bytes that are not written yet.
        self._waiting = 0
        self._ended = False
        self._error: StdoutError | None = None
        self._thread = threading.Thread(target=self._run, name="stdout")
        self._thread.start()

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait until all is written.

        Raises:
            StdoutError: What `write` raises.

        """
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        if self._error:
            raise self._error

    def write(self, lines: bytes) -> None:
        """Have lines written, and wait only while there are too many of them.

        Raises:
            StdoutError: What came before could not be written: the disk is full, or nobody reads any more.

        """
        with self._changed:
            self._changed.wait_for(lambda: self._error or self._waiting < MOST_WAITING)
            if self._error:
                raise self._error
            self._lines.append(lines)
            self._waiting += len(lines)
            self._changed.notify_all()

    def _run(self) -> None:
        # Signals are for the thread that waits for events.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._ended)
                if not self._lines:
                    return
                lines = self._lines.popleft()
            try:
                write(lines)
            except StdoutError as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                # What is wrong with that, the thread that waits for events hears itself.
                with contextlib.suppress(EbpflabError, OSError):
                    self._failed()
                return
            with self._changed:
                self._waiting -= len(lines)
                self._changed.notify_all()


def write_text(text: str) -> None:
    """Write a line or more of text."""
    write(f"{text}\n".encode(errors="backslashreplace"))


def complain(sentence: str) -> None:
    """Say one sentence on stderr; where nobody can hear it, the run goes on all the same."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"ebpflab: {printable(sentence)}", file=sys.stderr, flush=True)
