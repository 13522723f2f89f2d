"""The two ways out: stdout is data, stderr is talk."""

from __future__ import annotations

import contextlib
import os
import sys

from ebpflab.views.table import printable

STDOUT = 1


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


def write_text(text: str) -> None:
    """Write a line or more of text."""
    write(f"{text}\n".encode(errors="backslashreplace"))


def complain(sentence: str) -> None:
    """Say one sentence on stderr; where nobody can hear it, the run goes on all the same."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"ebpflab: {printable(sentence)}", file=sys.stderr, flush=True)
