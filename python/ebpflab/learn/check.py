"""Checks a program: loads it, has a workload done of which all is known, and compares."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ebpflab.doctor import features
from ebpflab.learn.report import Report, StopError
from ebpflab.objects import load

if TYPE_CHECKING:
    from pathlib import Path

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
    with load(bpf_object) as obj, contextlib.suppress(StopError):
        lesson.check(report, obj)
    return report
