"""Time from command to first event, and memory, of `ebpflab exec` beside the same tool of the peers installed.

    python bench/start.py [ROUNDS]

Runs them in turns, each on a terminal (most hold lines back in a pipe) and beside a loop that executes a program every
5 ms, and prints medians with quartiles. Needs root; the peers (Debian: bpftrace, libbpf-tools) need tracefs, which is
mounted for each run alone.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = 'tracepoint:sched:sched_process_exec { printf("exec %s\\n", comm); }'
#: What is run, and what a line of it has that tells of an event.
TOOLS = {
    "bpftrace": (["bpftrace", "-e", PROGRAM], "exec "),
    "libbpf-tools": (["/usr/sbin/execsnoop"], "sleep"),
    "ebpflab": ([sys.executable, "-m", "ebpflab", "exec", "--json"], '"type":"exec"'),
}
MOUNT = 'mount -t tracefs tracefs /sys/kernel/tracing; mount -t debugfs debugfs /sys/kernel/debug; exec "$@"'
WITH_TRACEFS = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, "sh"]


@dataclass
class Measured:
    """Milliseconds to the first event; resident kilobytes then, and how many of them are mapped buffers."""

    times: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    buffers: list[int] = field(default_factory=list)


def run(command: list[str], sign: str, into: Measured) -> None:
    """Run a tool until it tells of an event."""
    ours, theirs = os.openpty()
    start = time.perf_counter()
    with subprocess.Popen([*WITH_TRACEFS, *command], stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        with os.fdopen(ours, errors="replace") as output:
            next(line for line in output if sign in line)
            into.times.append((time.perf_counter() - start) * 1_000)
            resident, buffers = memory(process.pid)
            into.resident.append(resident)
            into.buffers.append(buffers)
            process.kill()


def memory(pid: int) -> tuple[int, int]:
    """Return the resident kilobytes of a process, and those of ring and perf buffers among them."""
    resident = buffers = 0
    mapping = ""
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        if re.match("[0-9a-f]+-", line):
            mapping = line
        elif line.startswith("Rss:"):
            resident += int(line.split()[1])
            buffers += int(line.split()[1]) if "bpf-map" in mapping or "perf_event" in mapping else 0
    return resident, buffers


def spread(values: list[float]) -> str:
    """Return median and quartiles."""
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:.0f} ({low:.0f} to {high:.0f})"


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    tools = {name: tool for name, tool in TOOLS.items() if shutil.which(tool[0][0])}
    measured = {name: Measured() for name in tools}
    with subprocess.Popen(["sh", "-c", "while :; do sleep 0.005; done"]) as load:
        for _ in range(rounds):
            for name, (command, sign) in tools.items():
                run(command, sign, measured[name])
        load.kill()
    print(f"kernel {platform.release()}, {os.cpu_count()} CPUs, {rounds} rounds")
    base = statistics.median(measured[min(tools)].times)
    for name, of in measured.items():
        ratio = statistics.median(of.times) / base
        memory_told = f"{statistics.median(of.resident)} kB resident, {statistics.median(of.buffers)} of them buffers"
        print(f"{name:13} {spread(of.times)} ms to the first event, {ratio:.2f} x {min(tools)}; {memory_told}")


if __name__ == "__main__":
    main()
