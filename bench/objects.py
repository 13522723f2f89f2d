"""Python objects a second: events of real opens, with pid and path read of each, on one CPU.

    python bench/objects.py [--rounds N] [--events N] [--json]

A process opens files while nobody reads; then a loop over what waits in the ring buffer reads `pid` and `path` of each
event, and its time is taken. Needs root. Prints the median of the rounds with quartiles.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import ebpflab

#: Opens a file as often as it is told to on stdin, and says so.
OPENER = """
import os, sys
print(flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        os.close(os.open("/etc/passwd", os.O_RDONLY))
    print(flush=True)
"""
#: A record of such an open has about 200 bytes, with its header in the buffer.
BUFFER_BYTES_PER_EVENT = 256


def tell(opener: subprocess.Popen[str], line: str) -> None:
    """Tell it what to do, and wait until it is done, or else until it is there."""
    if opener.stdin is None or opener.stdout is None:
        raise ValueError("it has no pipes")
    opener.stdin.write(line)
    opener.stdin.flush()
    opener.stdout.readline()


def measure(opens: ebpflab.Opens, opener: subprocess.Popen[str], events: int) -> float:
    """Return events a second of one round."""
    tell(opener, f"{events}\n")
    pids = paths = 0
    start = time.perf_counter()
    for event in opens.events(limit=events):
        pids += event.pid
        paths += event.path == "/etc/passwd"
    seconds = time.perf_counter() - start
    if paths != events or pids != events * opener.pid:
        sys.exit(f"{events} opens of one process were made, and others seen")
    return events / seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    command = [sys.executable, "-ISc", OPENER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as opener:
        tell(opener, "")
        with ebpflab.opens(pid=opener.pid, buffer=asked.events * BUFFER_BYTES_PER_EVENT) as opens:
            rates = [measure(opens, opener, asked.events) for _ in range(asked.rounds)]
            ledger = opens.stop().ledger
    if not ledger.balanced or ledger.lost or ledger.shown != asked.rounds * asked.events:
        sys.exit(f"the ledger is not as it should be: {ledger}")
    low, median, high = statistics.quantiles(rates, n=4)
    told = {
        "events_per_second": round(median),
        "quartiles": [round(low), round(high)],
        "rounds": asked.rounds,
        "events": asked.events,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    if asked.json:
        print(json.dumps(told))
    else:
        print(f"{median / 1e6:.2f} M events a second ({low / 1e6:.2f} to {high / 1e6:.2f}), pid and path read of each")
        print(f"{asked.rounds} rounds of {asked.events}; kernel {told['kernel']}, {told['machine']}, {told['python']}")


if __name__ == "__main__":
    main()
