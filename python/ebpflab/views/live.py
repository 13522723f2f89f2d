"""Texts that replace each other on a terminal, and follow each other elsewhere."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STDOUT = 1


class OwnCpu:
    """How much of a CPU this process takes, without the BPF programs: to know theirs costs each of their runs some."""

    #: Seconds that it is told of at least.
    SHORTEST = 0.9

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        """Start now; `clock` and `cpu` are seconds, of the wall and of this process."""
        self._clock, self._cpu = clock, cpu
        self._at, self._used = clock(), cpu()
        self._percent: float | None = None

    def __str__(self) -> str:
        """Return what it took since it was last asked, or within the last second."""
        at = self._clock()
        if self._percent is None or at - self._at >= self.SHORTEST:
            used = self._cpu()
            self._percent = 100 * (used - self._used) / max(at - self._at, 1e-9)
            self._at, self._used = at, used
        return f"own CPU {self._percent:.1f} %"


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
    own = OwnCpu()
    with Live(console=console, auto_refresh=False, transient=True) as screen:
        for frame in frames:
            screen.update(Text(f"{frame}\n{own}", no_wrap=True, overflow="crop"), refresh=True)
