"""Rows per second that `opens().batches()` makes on one core, from a ring that is full of real opens.

    python bench/columns.py [--rounds N] [--batches N] [--json]

Each round a child opens a file so often while nobody reads, and then the time is taken that all of it needs to become
record batches: reading the ring, looking at the records, filling the columns. Prints median and quartiles, the loss
and whether the ledger adds up. Needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time

import ebpflab

#: Bytes of the ring for each event.
ROOM = 512
ROWS = 65_536


def opens(count: int) -> None:
    """Open a file so often."""
    for _ in range(count):
        os.close(os.open("/etc/passwd", os.O_RDONLY))


def measure(count: int) -> tuple[float, float]:
    """Return rows per second of wall time, and of CPU time."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(ready, 1)
        opens(count)
        os._exit(0)
    os.close(ready)
    with ebpflab.opens(pid=child, buffer=ROOM * count) as session:
        os.write(go, b"x")
        os.close(go)
        os.waitpid(child, 0)
        # Whatever the child opened beside belongs to it as well.
        rows, start, cpu = 0, time.perf_counter(), time.process_time()
        for batch in session.batches(rows=ROWS, seconds=0.1):
            rows += len(batch)
            if rows >= count:
                break
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        ledger = session.stop().ledger
        if ledger.lost or not ledger.balanced:
            sys.exit(f"this round tells nothing: {ledger}")
    return rows / seconds, rows / cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    # Whole batches, so that none waits for more.
    count = asked.batches * ROWS
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rates = zip(*(measure(count) for _ in range(asked.rounds)), strict=True)
    wall, cpu = ([round(rate) for rate in statistics.quantiles(values, n=4)] for values in rates)
    told = {"rows_per_second": wall[1], "quartiles": [wall[0], wall[2]], "rows_per_cpu_second": cpu[1]}
    if asked.json:
        print(json.dumps(told))
    else:
        print(f"kernel {platform.release()}, one of {os.cpu_count()} CPUs, {asked.rounds} rounds of {count} opens")
        print(f"{told}")


if __name__ == "__main__":
    main()
