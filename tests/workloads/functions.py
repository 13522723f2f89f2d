"""A known workload: three Python functions that take known parts of the CPU time, as the thread's clock says.

It waits for a line, runs for so many seconds (its argument), prints how many nanoseconds of CPU time each of the
functions took, and waits for the end of its input.
"""

from __future__ import annotations

import sys
import time


def heavy(end: int) -> None:
    """Take most of the time."""
    while time.monotonic_ns() < end:
        sum(range(50))


def middling(end: int) -> None:
    """Take less."""
    while time.monotonic_ns() < end:
        sum(range(50))


def light(end: int) -> None:
    """Take least."""
    while time.monotonic_ns() < end:
        sum(range(50))


def work(end: int) -> list[int]:
    """Call them in turns; return what they took."""
    took = [0, 0, 0]
    while time.monotonic_ns() < end:
        for number, (function, milliseconds) in enumerate(((heavy, 60), (middling, 30), (light, 10))):
            start = time.thread_time_ns()
            function(time.monotonic_ns() + milliseconds * 1_000_000)
            took[number] += time.thread_time_ns() - start
    return took


def main() -> None:
    """Wait, work, and tell."""
    sys.stdin.readline()
    print(work(time.monotonic_ns() + int(float(sys.argv[1]) * 1e9)), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
