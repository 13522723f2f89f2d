"""Lessons: small programs for BPF with parts left out, and checks that say what is wrong with what you put there."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path

from ebpflab.learn.lesson import Lesson, Variant, lesson, lessons

__all__ = ["Lesson", "Variant", "build", "lesson", "lessons"]


def build(folder: str | Path = ".") -> Path:
    """Compile the program of a lesson's folder; return the object, for `ebpflab.load`. It is gone when Python ends.

    Raises:
        ValueError: The folder is none of a lesson, or the program does not compile: the message is the compiler's.
        NotSupportedError: There is no toolchain; `ebpflab learn setup` installs one.

    """
    from ebpflab.learn import toolchain, workspace  # noqa: PLC0415  the list of lessons needs none of it

    to = tempfile.TemporaryDirectory(prefix="ebpflab-")
    atexit.register(to.cleanup)
    try:
        return toolchain.build(workspace.find(Path(folder)), Path(to.name))
    except toolchain.BuildError as error:
        raise ValueError(str(error)) from None
