"""What a shell may complete, beside the names of commands and options. Nothing of it is imported before it is asked."""

from __future__ import annotations

import os


def words() -> list[str]:
    """Return the words that are typed already, after the name of the program; none where no shell asks."""
    typed = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    return typed.split()[1:] if "_EBPFLAB_COMPLETE" in os.environ else []


def targets(incomplete: str) -> list[str]:
    """Return targets that begin so (docs/targets.md)."""
    from ebpflab import _ebpflab  # noqa: PLC0415

    return _ebpflab.complete_target(incomplete)


def interfaces(incomplete: str) -> list[str]:
    """Return network interfaces that begin so."""
    return sorted(name for name in os.listdir("/sys/class/net") if name.startswith(incomplete))  # noqa: PTH208
