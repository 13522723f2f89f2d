"""Memory, file descriptors and ledger while files are opened and programs executed at full rate for minutes.

    python bench/soak.py [--minutes N] [--interval SECONDS]

A process opens files as fast as it can and another executes programs; this one reads all events of both. Needs root.
Prints the resident memory at each interval, and at the end its slope after the first minute, which may be 0.5 MB a
minute, whether file descriptors became more, and whether the ledgers add up. Status 1 if one of them is not as it
should be.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import ebpflab

OPENER = "import os\nwhile True: os.close(os.open('/etc/passwd', os.O_RDONLY))"
RUNNER = "while :; do /bin/true; done"
MOST_SLOPE = 0.5
#: Seconds that are not counted.
WARM_UP = 60.0


def resident_mb() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def files() -> int:
    """Return how many file descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def watch(minutes: float, interval: float) -> list[tuple[float, float]]:
    """Print and return the memory at each interval, with its seconds."""
    began, samples = time.monotonic(), list[tuple[float, float]]()
    while (seconds := time.monotonic() - began) < minutes * 60:
        samples.append((seconds, resident_mb()))
        print(f"{seconds:6.0f} s  {samples[-1][1]:7.2f} MB  {files()} file descriptors", flush=True)
        time.sleep(interval)
    return samples


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--interval", type=float, default=10)
    asked = parser.parse_args()
    counts = {"opens": 0, "execs": 0}

    def read(name: str, session: ebpflab.Opens | ebpflab.Execs) -> None:
        for event in session:
            counts[name] += event.pid > 0

    with ebpflab.opens(not_pid=os.getpid()) as opens, ebpflab.execs() as execs:
        readers = [threading.Thread(target=read, args=each) for each in (("opens", opens), ("execs", execs))]
        for reader in readers:
            reader.start()
        with (
            subprocess.Popen([sys.executable, "-ISc", OPENER]) as opener,
            subprocess.Popen(["/bin/sh", "-c", RUNNER]) as runner,
        ):
            before = files()
            samples = watch(asked.minutes, asked.interval)
            after = files()
            opener.kill()
            runner.kill()
        ledgers = {"opens": opens.stop().ledger, "execs": execs.stop().ledger}
        for reader in readers:
            reader.join()
    counted = [sample for sample in samples if sample[0] >= WARM_UP]
    slope = statistics.linear_regression(*zip(*counted, strict=True)).slope * 60 if len(counted) > 1 else None
    told = "not known, it takes more than a minute" if slope is None else f"{slope:+.3f} MB a minute"
    print(f"slope after the first minute: {told}; file descriptors {before}, then {after}")
    fine = slope is not None and slope < MOST_SLOPE and after <= before
    for name, ledger in ledgers.items():
        print(f"{name}: {counts[name]} read; adds up: {ledger.balanced}; {ledger}")
        fine = fine and ledger.balanced and counts[name] == ledger.received
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
