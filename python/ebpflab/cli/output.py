"""The two ways out: stdout is data, stderr is talk."""

from __future__ import annotations

import os
import sys

STDOUT = 1


def write(data: bytes) -> None:
    """Write all of it to stdout at once, past Python's buffers, so that a line is never cut or held back.

    Raises:
        BrokenPipeError: Nobody reads any more.
        OSError: The disk is full, or the like.

    """
    while data:
        data = data[os.write(STDOUT, data) :]


def write_text(text: str) -> None:
    """Write a line or more of text."""
    write(f"{text}\n".encode(errors="backslashreplace"))


def complain(sentence: str) -> None:
    """Say one sentence on stderr."""
    print(f"ebpflab: {sentence}", file=sys.stderr)
