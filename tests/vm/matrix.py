"""The kernel matrix: the same installed wheel on Debian's kernels in virtual machines, and on this machine's own.

    python -m tests.vm.matrix [--full] [--write] [--native FILE]

One boot for each kernel, as many at once as there are CPUs. The tests that are marked `smoke`, or with --full all, but
for those that are marked `native`. From the outcomes comes docs/kernel-support.md, which is compared, or with --write
written. Logs and results go to target/matrix. --native: what a run of tests/kernel on this machine's own kernel has
written already (pytest's --results).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.vm.page import PAGE, Results, page

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "target" / "matrix"
VM = ROOT / "tests/vm/vm"
GUESTS = ("5.10", "6.1", "6.12", "7.3")
#: Seconds for all of a guest. It keeps a CPU busy for 4 minutes with the smoke set, for 6 to 9 with all tests; beside
#: others' work it takes twice as long.
SMOKE, FULL = 2_400, 4_800


def test_run_binary() -> str:
    """Build the Rust tests that need a kernel; return where they are.

    Unoptimized they take a minute in each guest, and building them optimized would take longer.
    """
    build = ["cargo", "test", "-q", "-p", "ebpflab", "--test", "test_run", "--no-run"]
    build.append("--message-format=json")
    messages = subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    (binary,) = {message["executable"] for message in map(json.loads, messages) if message.get("executable")}
    return str(binary)


def course() -> Path:
    """Build the solutions of the lessons; return the folder of their objects. It takes the BPF toolchain."""
    build = ["cargo", "build", "-q", "-p", "ebpflab-course", "--message-format=json"]
    messages = subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    (folder,) = {
        Path(message["out_dir"])
        for message in map(json.loads, messages)
        if message["reason"] == "build-script-executed" and "/course#" in message["package_id"]
    }
    assert (folder / "ex1_kprobe_open").stat().st_size, "there is no BPF toolchain; run scripts/setup"
    return folder


def run(name: str, command: list[str], results: Path) -> tuple[str, int, Results | None]:
    """Run a command with its output in a log; return its status and the results."""
    results.unlink(missing_ok=True)
    with (FOLDER / f"{name}.log").open("w") as log:
        status = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
    found = Results.read(results) if results.exists() and results.stat().st_size else None
    return name, status, found


def guest(series: str, binary: str, options: list[str], seconds: int) -> tuple[str, int, Results | None]:
    """Boot a kernel and run the tests there."""
    results = FOLDER / f"{series}.json"
    vm = [str(VM), "run", series, "-t", str(seconds), "-r", str(results), "--"]
    return run(series, [*vm, "tests/vm/guest", binary, *options], results)


def native(options: list[str]) -> tuple[str, int, Results | None]:
    """Run the same tests here."""
    results = FOLDER / "native.json"
    pytest = [sys.executable, "-m", "pytest", "-q", "-ra", "--results", str(results), *options, "tests/kernel"]
    return run("native", pytest, results)


#: Why a test may be skipped on Debian's kernels of a series before this one.
LATER = {"the kernel has no TCX": (6, 6)}
#: Why a test of what is said of something missing is skipped where it is not.
NOTHING_MISSING = "the kernel can do it"


def is_earned(reason: str, results: Results) -> bool:
    """Whether a test may be skipped for that reason: Debian's kernels have everything that there was in their time."""
    series = tuple(int(number) for number in results.series.split("."))
    return reason == NOTHING_MISSING or series < LATER.get(reason, (0, 0))


def judge(name: str, status: int, results: Results | None) -> bool:
    """Print how a kernel fared; return whether that is well."""
    log = FOLDER / f"{name}.log"
    if results is None:
        print(f"{name}: it broke (status {status}), see {log}\n{log.read_text()[-3_000:]}")
        return False
    print(f"{name}: {results.release}: ran {results.ran}, failed {results.failed}, skipped {len(results.skipped)}")
    for reason in sorted(set(results.skipped)):
        print(f"{name}: skipped {results.skipped.count(reason)}: {reason}")
    counts = [f"{program} {count:,}" for program, count in sorted(results.verified.items())]
    print(f"{name}: verified instructions: {', '.join(counts) or 'the kernel does not tell'}")
    earned = name == "native" or all(is_earned(reason, results) for reason in results.skipped)
    well = status == 0 and results.ran > 0 and results.failed == 0 and earned
    if not well:
        print(f"{name}: failed (status {status}), see {log}\n{log.read_text()[-6_000:]}")
    return well


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm.matrix")
    parser.add_argument("--full", action="store_true", help="all tests, but for those that are marked native")
    parser.add_argument("--write", action="store_true", help="write docs/kernel-support.md instead of comparing it")
    parser.add_argument(
        "--native", type=Path, metavar="FILE", help="what a run on this machine's own kernel has written"
    )
    return parser.parse_args()


def main() -> None:
    """Run the matrix."""
    asked = arguments()
    full: bool = asked.full
    options = ["-m", "not native" if full else "smoke and not native and not full"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    binary = test_run_binary()
    ended = [("native", 0, Results.read(asked.native)) if asked.native else native(options)]
    # Only guests have kprobes for certain; what this kernel can do of the lessons, the lane learn checks.
    os.environ["EBPFLAB_COURSE"] = str(course())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ended += pool.map(lambda series: guest(series, binary, options, FULL if full else SMOKE), GUESTS)
    well = [judge(*each) for each in ended]
    if not all(well):
        sys.exit("the matrix failed")
    text = page([results for _, _, results in ended if results])
    if asked.write:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        (FOLDER / PAGE.name).write_text(text, encoding="utf-8")
        sys.exit(f"{PAGE} is not what these runs say ({FOLDER / PAGE.name}); run it with --write and commit the page")


if __name__ == "__main__":
    main()
