"""Texts that replace each other on a terminal, and follow each other elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STDOUT = 1


def show(frames: Iterable[str], write_text: Callable[[str], None]) -> None:
    """Show each text as it comes."""
    if os.isatty(STDOUT):
        _show_in_place(frames)
    else:
        for frame in frames:
            write_text(f"{frame}\n")


def _show_in_place(frames: Iterable[str]) -> None:
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    # Kernel strings such as [kworker/0:1] are not markup.
    console = Console(markup=False, emoji=False, highlight=False)
    with Live(console=console, auto_refresh=False, transient=True) as screen:
        for frame in frames:
            screen.update(Text(frame, no_wrap=True, overflow="crop"), refresh=True)
