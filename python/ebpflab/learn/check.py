"""Checks a program: loads it, has a workload done of which all is known, and compares."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab.doctor import features
from ebpflab.learn.report import Report, StopError
from ebpflab.objects import load

if TYPE_CHECKING:
    from ebpflab.learn.lesson import Lesson, Variant
    from ebpflab.records import Feature


def lacking(variant: Variant) -> Feature | None:
    """Return a hook that a variant needs and this kernel or machine lacks, as `ebpflab doctor` finds out by trying."""
    hooks = [feature for feature in features() if feature.group == "hook" and feature.name in variant.hooks]
    return next((hook for hook in hooks if hook.answer == "no"), None)


def check(lesson: Lesson, variant: str, bpf_object: Path) -> Report:
    """Judge an object file by all that the lesson requires.

    Raises:
        EbpflabError: It cannot be judged: a capability is missing, the kernel cannot do it, the file is no object.
        OSError: Something cannot be read, or started.

    """
    report = Report(lesson.requirements, variant)
    with tempfile.TemporaryDirectory(prefix="ebpflab-") as folder:
        copy = copied(bpf_object, Path(folder))
        with load(copy) as obj, contextlib.suppress(StopError):
            lesson.check(report, obj)
    return report


def copied(bpf_object: Path, folder: Path) -> Path:
    """Copy an object to where only we may write it, as `load` wants it: under sudo it is somebody else's."""
    copy = folder / bpf_object.name
    shutil.copyfile(bpf_object, copy)
    copy.chmod(0o600)
    return copy
