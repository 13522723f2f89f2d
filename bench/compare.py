"""ebpflab beside bpftrace and libbpf-tools: the same workloads, in turns, in one run.

    python bench/compare.py [--rounds N] [--write]

Installs the peers (bench/peers), prints a table, and writes target/bench/compare.json; with --write docs/performance.md
too. Needs root and rustc. Every number of events comes from the workload, and what a tracer delivered from its output.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "target" / "bench"
PEERS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ebpflab/peers"
PAGE = ROOT / "docs/performance.md"
WORKLOAD = FOLDER / "workload"
#: What the workload opens, and what only the canary opens.
TARGET, CANARY = "/etc/hostname", "/etc/passwd"
OPENS, GETPPIDS, FLOOD_SECONDS = 200_000, 2_000_000, 10

#: tracefs and debugfs for the peers, for each run alone.
MOUNT = """mount -t tracefs tracefs /sys/kernel/tracing; mount -t debugfs debugfs /sys/kernel/debug
if [ "$1" ]; then for d in proc sys dev etc; do mount --rbind "/$d" "$1/$d"; done; set -- chroot "$@"; else shift; fi
exec "$@"
"""
BPFTRACE = """
tracepoint:syscalls:sys_enter_openat,tracepoint:syscalls:sys_enter_open PREDICATE {
  @path[tid] = args.filename; @flags[tid] = args.flags; }
tracepoint:syscalls:sys_exit_openat,tracepoint:syscalls:sys_exit_open /@path[tid]/ {
  printf("%d %s %d %d %s\\n", pid, comm, args.ret, @flags[tid], str(@path[tid]));
  delete(@path[tid]); delete(@flags[tid]); }
"""


@dataclass(frozen=True)
class Tracer:
    """Something that tells of opened files, one a line."""

    name: str
    #: Where its root is, if not here.
    root: str
    #: The command line for all processes, or for one.
    command: Callable[[int | None], list[str]]
    #: What stands once in its output for each of the workload's opens.
    sign: str


def _ebpflab(pid: int | None) -> list[str]:
    return [sys.executable, "-m", "ebpflab", "open", "--json", *(["-p", str(pid)] if pid else [])]


def _bpftrace(pid: int | None) -> list[str]:
    return ["bpftrace", "-e", BPFTRACE.replace("PREDICATE", f"/pid == {pid}/" if pid else "")]


def _opensnoop(pid: int | None) -> list[str]:
    return ["/usr/sbin/opensnoop-libbpf", "-e", *(["-p", str(pid)] if pid else [])]


TRACERS = (
    Tracer("ebpflab", "", _ebpflab, f'"path":"{TARGET}"'),
    Tracer("bpftrace", str(PEERS), _bpftrace, TARGET),
    Tracer("libbpf-tools", str(PEERS), _opensnoop, TARGET),
)


@dataclass(frozen=True)
class Work:
    """Calls that were made, nanoseconds that they took, and microseconds of CPU time."""

    calls: int
    ns: int
    cpu_us: int

    @property
    def ns_each(self) -> float:
        """Nanoseconds of one call."""
        return self.ns / self.calls


class Running:
    """A tracer at work, whose output goes to a file."""

    def __init__(self, tracer: Tracer, pid: int | None) -> None:
        """Start it, for all processes or for one."""
        self.tracer = tracer
        self.output = FOLDER / f"{tracer.name}.out"
        with self.output.open("wb") as out, self.output.with_suffix(".err").open("wb") as err:
            self.process = subprocess.Popen(wrapped(tracer, pid), stdout=out, stderr=err)

    def sees(self, path: str) -> bool:
        """Whether its output has a path."""
        return path.encode() in self.output.read_bytes()

    def cpu_us(self) -> int:
        """CPU time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000 // os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def delivered(self) -> int:
        """How many of the workload's opens its output has."""
        return self.output.read_bytes().count(self.tracer.sign.encode())


def wrapped(tracer: Tracer, pid: int | None) -> list[str]:
    """Return the command that runs a tracer where it finds tracefs, and itself."""
    return [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        MOUNT,
        "sh",
        tracer.root,
        *tracer.command(pid),
    ]


@contextlib.contextmanager
def traced(tracer: Tracer | None, *, filtered: bool = False) -> Iterator[Running | None]:
    """Have a tracer at work: of all processes, or only of one that is not the workload."""
    if tracer is None:
        yield None
        return
    with canary() as pid:
        running = Running(tracer, pid if filtered else None)
        wait_until(lambda: running.sees(CANARY))
    try:
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def canary() -> Iterator[int]:
    """Have a process open a file every millisecond, that shows when a tracer is at work."""
    with subprocess.Popen([WORKLOAD, "canary", CANARY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait half a minute at most."""
    end = time.monotonic() + 30
    while not holds():
        if time.monotonic() > end:
            sys.exit("a tracer shows nothing; see target/bench/*.err")
        time.sleep(0.01)


def work(*arguments: str | int, copies: int = 1) -> list[Work]:
    """Run the workload, or several at once, each on a CPU of its own."""
    command = [str(WORKLOAD), *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(copies)]  # type: ignore[call-overload]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [Work(*map(int, process.communicate()[0].split())) for process in processes]


@dataclass(frozen=True)
class Sample:
    """What one tracer cost, or nothing at all (`bare`), in one round."""

    tracer: str
    first_event_ms: float | None
    idle_kb: int | None
    idle_buffers_kb: int | None
    busy_kb: int | None
    busy_buffers_kb: int | None
    open_ns: float
    filtered_ns: float
    getppid_ns: float
    #: Of the workload's opens, those that the output does not have.
    lost: int
    #: CPU time of workload and tracer.
    open_cpu_us: int


def sample(tracer: Tracer | None) -> Sample:
    """Measure one tracer once."""
    first = first_event(tracer) if tracer else None
    with traced(tracer) as running:
        idle = memory(running)
        before = running.cpu_us() if running else 0
        (opens,) = work("open", TARGET, OPENS)
        if running:
            settle(running)
        cpu = opens.cpu_us + (running.cpu_us() - before if running else 0)
        busy = memory(running)
        (getppids,) = work("getppid", GETPPIDS)
    lost = OPENS - running.delivered() if running else 0
    with traced(tracer, filtered=True):
        (filtered,) = work("open", TARGET, OPENS)
    name = tracer.name if tracer else "bare"
    return Sample(name, first, *idle, *busy, opens.ns_each, filtered.ns_each, getppids.ns_each, lost, cpu)


def settle(running: Running) -> None:
    """Wait until the output does not grow by more than what others open."""
    size = -1
    while size < (size := running.output.stat().st_size) - 50_000:
        time.sleep(0.3)


def first_event(tracer: Tracer) -> float:
    """Return the milliseconds from the command to a line that tells of an open, on a terminal."""
    ours, theirs = os.openpty()
    with canary(), os.fdopen(ours, errors="replace") as output:
        start = time.perf_counter()
        with subprocess.Popen(wrapped(tracer, None), stdout=theirs, stderr=subprocess.DEVNULL) as process:
            os.close(theirs)
            next(line for line in output if CANARY in line)
            seconds = time.perf_counter() - start
            process.kill()
    return seconds * 1_000


def memory(running: Running | None) -> tuple[int | None, int | None]:
    """Return the resident kilobytes of a tracer, and those of ring and perf buffers among them."""
    if running is None:
        return None, None
    resident = buffers = 0
    mapping = ""
    for line in Path(f"/proc/{running.process.pid}/smaps").read_text(encoding="utf-8").splitlines():
        if re.match("[0-9a-f]+-", line):
            mapping = line
        elif line.startswith("Rss:"):
            resident += int(line.split()[1])
            buffers += int(line.split()[1]) if "bpf-map" in mapping or "perf_event" in mapping else 0
    return resident, buffers


@dataclass(frozen=True)
class Flood:
    """Two processes that open files as fast as they can."""

    tracer: str
    opens: int
    lost: int
    #: What the tracer said about it, last line first.
    told: str


def flood(tracer: Tracer) -> Flood:
    """Measure what is lost."""
    with canary():
        running = Running(tracer, None)
        wait_until(lambda: running.sees(CANARY))
    opens = sum(each.calls for each in work("flood", TARGET, FLOOD_SECONDS, copies=os.cpu_count() or 1))
    settle(running)
    running.stop()
    text = running.output.with_suffix(".err").read_text(errors="replace")
    lines = [line for line in text.splitlines() if re.search("lost|dropped", line, re.IGNORECASE)]
    return Flood(tracer.name, opens, opens - running.delivered(), lines[-1] if lines else "")


def spread(values: list[float]) -> str:
    """Return median and quartiles."""
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:,.0f} ({low:,.0f} to {high:,.0f})"


@dataclass(frozen=True)
class Row:
    """A line of the table: what is measured, and of each tracer its values, one for each round."""

    what: str
    values: dict[str, list[float]]
    #: The most that ours may be of the better of the peers, or of bpftrace, or at all.
    target: str

    @property
    def ratio(self) -> float:
        """Ours by the better of the peers'."""
        medians = {name: statistics.median(values) for name, values in self.values.items()}
        ours = medians.pop("ebpflab")
        return ours / min(medians.values())


def rows(samples: list[Sample]) -> list[Row]:
    """Return what the rounds say; a tracer's nanoseconds are those beyond the bare call of the same round."""
    bare = [each for each in samples if each.tracer == "bare"]

    def row(what: str, target: str, value: Callable[[Sample, Sample], float]) -> Row:
        values: dict[str, list[float]] = {}
        for tracer in TRACERS:
            own = [each for each in samples if each.tracer == tracer.name]
            values[tracer.name] = [value(each, without) for each, without in zip(own, bare, strict=True)]
        return Row(what, values, target)

    return [
        row("command to first event, ms", "0.6 of bpftrace's", lambda it, _: it.first_event_ms or 0),
        row(
            "resident when idle, without its buffers, MB",
            "30 MB",
            lambda it, _: megabytes(it.idle_kb, it.idle_buffers_kb),
        ),
        row("resident when idle, MB", "", lambda it, _: megabytes(it.idle_kb, 0)),
        row(
            "resident under load, without its buffers, MB", "", lambda it, _: megabytes(it.busy_kb, it.busy_buffers_kb)
        ),
        row("added to an open that is told, ns", "0.4", lambda it, bare: it.open_ns - bare.open_ns),
        row("added to an open that is filtered out, ns", "1.0", lambda it, bare: it.filtered_ns - bare.filtered_ns),
        row("added to another system call (getppid), ns", "", lambda it, bare: it.getppid_ns - bare.getppid_ns),
        row("CPU time of a million opens, all processes, s", "", lambda it, _: it.open_cpu_us / OPENS),
        row(f"lost of {OPENS:,} opens", "0", lambda it, _: it.lost),
    ]


def megabytes(resident: int | None, buffers: int | None) -> float:
    """Return what is left of kilobytes, in megabytes."""
    return ((resident or 0) - (buffers or 0)) / 1_024


def machine() -> dict[str, str]:
    """Name the machine."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cpus": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def versions() -> dict[str, str]:
    """Return what is compared."""
    asked = ["chroot", str(PEERS), "dpkg-query", "-W", "-f", "${Package} ${Version}\\n", "bpftrace", "libbpf-tools"]
    peers = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {"ebpflab": commit.stdout.strip() or "?"} | dict(line.split() for line in peers)


def rates() -> list[str]:
    """Return the lines of the table for what Python gets in a second, on one core."""
    lines = []
    for name, what, wanted in (("objects", "Python objects", "1.0"), ("columns", "Arrow rows", "5.0")):
        command = [sys.executable, str(ROOT / "bench" / f"{name}.py"), "--json"]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        median = told.get("events_per_second") or told["rows_per_second"]
        low, median, high = (rate / 1e6 for rate in (told["quartiles"][0], median, told["quartiles"][1]))
        lines.append(
            f"| {what}, millions a second | {median:.2f} ({low:.2f} to {high:.2f}) | | | | at least {wanted} |"
        )
    return lines


def text(
    run: dict[str, str], compared: dict[str, str], table: list[Row], floods: list[Flood], bare: list[Sample]
) -> str:
    """Return the table as Markdown."""
    names = [tracer.name for tracer in TRACERS]
    open_ns, getppid_ns = ([getattr(each, field) for each in bare] for field in ("open_ns", "getppid_ns"))
    lines = [
        f"{run['cpu']}, {run['cpus']} CPUs, Linux {run['kernel']}, Python {run['python']}, load {run['load']};",
        f"{', '.join(f'{name} {version}' for name, version in compared.items())}.",
        f"{len(bare)} rounds in turns, medians with quartiles.",
        f"Without a tracer: open and close {spread(open_ns)} ns, getppid {spread(getppid_ns)} ns.",
        "",
        f"| what | {' | '.join(names)} | ours by the better peer's | wanted at most |",
        f"|---|{'---|' * (len(names) + 2)}",
    ]
    for row in table:
        cells = [spread(row.values[name]) for name in names]
        ratio = f"{row.ratio:.2f}" if min(map(max, row.values.values())) > 0 else ""
        lines.append(f"| {row.what} | {' | '.join(cells)} | {ratio} | {row.target} |")
    lost = [f"{each.lost:,} of {each.opens:,}" for each in floods]
    lines.append(f"| lost, {os.cpu_count()} processes opening for {FLOOD_SECONDS} s | {' | '.join(lost)} | | 0 |")
    lines += rates()
    told = [f"- {each.tracer} lost {each.lost:,}, and said: {each.told or 'nothing'}" for each in floods if each.lost]
    return "\n".join([*lines, "", *told])


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    asked = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "bench/peers", PEERS], check=True)
    subprocess.run(["rustc", "-O", "--edition", "2024", "-o", WORKLOAD, ROOT / "bench/workload.rs"], check=True)
    run, compared = machine(), versions()
    samples: list[Sample] = []
    for number in range(asked.rounds):
        samples += [sample(tracer) for tracer in (None, *TRACERS)]
        print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
    floods = [flood(tracer) for tracer in TRACERS]
    bare = [each for each in samples if each.tracer == "bare"]
    table = text(run, compared, rows(samples), floods, bare)
    print(table)
    raw = {"machine": run, "versions": compared, "samples": samples, "floods": floods}
    (FOLDER / "compare.json").write_text(json.dumps(raw, default=asdict), encoding="utf-8")
    if asked.write:
        start, end = "<!-- Written by `python bench/compare.py --write`. -->", "<!-- end -->"
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(start)
        _, _, after = rest.partition(end)
        PAGE.write_text(f"{before}{start}\n\n{table}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
