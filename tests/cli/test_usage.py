"""Bad usage: one sentence on stderr, nothing on stdout, status 2; none of it needs privileges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

COUNTERS = (["xdp", "--iface", "lo"], ["count"])
SOURCES = (["open"], ["exec"])
#: Arguments that are wrong for every command, and a word that the sentence must have.
WRONG_FOR_ALL = (
    (["-d", "-1"], "--duration"),
    (["-d", "0"], "--duration"),
    (["-d", "soon"], "--duration"),
    (["-d", "nan"], "--duration"),
    (["--nope"], "--nope"),
    (["-d"], "-d"),
    (["surplus"], "surplus"),
)
WRONG_FOR_COUNTERS = (
    (["-i", "0"], "--interval"),
    (["-i", "-1"], "--interval"),
    (["-i", "nan"], "--interval"),
    (["-i", "inf"], "--interval"),
    # There are no events.
    (["--limit", "1"], "--limit"),
    (["--buffer", "1"], "--buffer"),
    (["-T"], "-T"),
)
WRONG_FOR_SOURCES = (
    (["--buffer", "0"], "--buffer"),
    (["--buffer", "-1"], "--buffer"),
    (["--buffer", "2147483649"], "--buffer"),
    (["--buffer", "1M"], "--buffer"),
    (["--limit", "0"], "--limit"),
    (["--limit", "-1"], "--limit"),
    # There are no readings.
    (["-i", "1"], "-i"),
    (["--max-entries", "1"], "--max-entries"),
    (["--iface", "lo"], "--iface"),
    (["-p", "0"], "--pid"),
    (["-t", "0"], "--tid"),
    (["-u", "no-such-user"], "no-such-user"),
    (["-n", "sixteen-bytes-xx"], "--name"),
    (["--hook", "uprobe"], "uprobe"),
    (["-o", "runs"], "--rotate-bytes"),
    (["--rotate-bytes", "1"], "--output"),
    (["--overwrite"], "--output"),
    (["-o", "runs", "--rotate-bytes", "0"], "--rotate-bytes"),
    (["-o", "runs", "--rotate-seconds", "1", "--overwrite"], "--overwrite"),
)
#: Filters that have no meaning for packets.
GROUPS = (["--tree", "1"], ["-c", "/"], ["--container", "web"], ["--path-prefix", "/"], ["-C"])
#: They end after so many readings.
WRONG_FOR_LIMITED = (
    *((arguments, word) for arguments, word in WRONG_FOR_COUNTERS if arguments != ["--limit", "1"]),
    (["--limit", "0"], "--limit"),
    (["-p", "1"], "-p"),
)
LIMITED = (["cgroup", "/"], ["flows", "--iface", "lo"], ["traffic", "--iface", "lo"])
CALLS = (
    *([name, "libc:malloc"] for name in ("calls", "latency", "returns", "stacks")),
    ["runqueue"],
    ["syscalls"],
)
WRONG = [
    *((command + arguments, word) for command in (*COUNTERS, *LIMITED, *SOURCES) for arguments, word in WRONG_FOR_ALL),
    *((command + arguments, word) for command in COUNTERS for arguments, word in WRONG_FOR_COUNTERS),
    *((command + arguments, word) for command in SOURCES for arguments, word in WRONG_FOR_SOURCES),
    *((command + arguments, word) for command in LIMITED for arguments, word in WRONG_FOR_LIMITED),
    *(([*command, "--by", "uid"], "--by") for command in CALLS),
    *(([*command, "--hook", "kprobe"], "--hook") for command in CALLS),
    *(([*command, "--limit", "0"], "--limit") for command in CALLS),
    (["latency"], "TARGET"),
    (["latency", "vfs_read", "vfs_write"], "vfs_write"),
    (["latency", "libc:"], "a name is missing"),
    (["latency", "vfs_read", "--slower", "0"], "--slower"),
    (["latency", "vfs_read", "--linear", "-1"], "--linear"),
    (["returns"], "TARGET"),
    (["returns", "libc:"], "a name is missing"),
    (["returns", "vfs_read", "--linear", "0"], "--linear"),
    (["returns", "vfs_read", "--bits", "12"], "--bits"),
    (["returns", "vfs_read", "--unsigned"], "--unsigned needs --bits"),
    (["returns", "vfs_read", "--bits", "64", "--unsigned"], "--unsigned needs --bits"),
    (["returns", "vfs_read", "--slower", "1"], "--slower"),
    (["trace"], "TARGET"),
    (["trace", "libc:"], "a name is missing"),
    (["trace", "libc:atol", "--string", "arg6"], "--string"),
    (["trace", "libc:atol", "--payload", "return"], "--payload"),
    (["trace", "libc:atol", "--string", "arg0", "--payload", "arg1"], "only one of --string and --payload"),
    (["trace", "libc:atol", "--unsigned"], "--unsigned needs --bits"),
    (["trace", "libc:atol", "--hook", "kprobe"], "--hook"),
    (["runqueue", "vfs_read"], "vfs_read"),
    (["runqueue", "--slower", "0"], "--slower"),
    (["runqueue", "--linear", "-1"], "--linear"),
    (["cost", "-d", "0"], "--duration"),
    (["cost", "surplus"], "surplus"),
    (["calls"], "TARGET"),
    (["calls", "kprobe:"], "a name is missing"),
    (["calls", "vfs_read", "tracepoint:sched"], "tracepoint:CATEGORY:NAME"),
    (["calls", "libc:+0xg"], "hexadecimal"),
    (["calls", "libc:malloc", "-x"], "-x"),
    (["stacks"], "--sample HZ"),
    (["stacks", "vfs_read", "--sample", "99"], "either targets or --sample HZ"),
    (["stacks", "--sample", "0"], "--sample"),
    (["stacks", "--sample", "99", "--overwrite"], "--folded or --svg"),
    (["stacks", "kprobe:"], "a name is missing"),
    (["syscalls", "surplus"], "surplus"),
    (["--nope"], "--nope"),
    (["nope"], "nope"),
    (["xdp"], "--iface"),
    (["xdp", "--iface", "lo", "--mode", "turbo"], "turbo"),
    (["xdp", "--iface", "lo", "--hook", "fentry"], "--hook"),
    (["xdp", "--iface", "lo", "-p", "1"], "-p"),
    (["xdp", "--iface", "lo", "--block", "10.0.0.0/33"], "10.0.0.0/33"),
    (["xdp", "--iface", "lo", "--block", "10.0.0.1/8"], "10.0.0.0/8"),
    (["xdp", "--iface", "lo", "--allow", "localhost"], "localhost"),
    (["xdp", "--iface", "lo", "--top", "0"], "--top"),
    (["xdp", "--iface", "lo", "--max-rules", "9"], "--max-rules"),
    (["xdp", "--iface", "lo", "--pcap", "x.pcapng"], "--pcap-sample"),
    (["xdp", "--iface", "lo", "--pcap-sample", "9"], "--pcap"),
    (["xdp", "--iface", "lo", "--pin", "--unpin"], "one of --pin"),
    (["xdp", "--iface", "lo", "--pin", "--top", "3"], "--top"),
    (["xdp", "--iface", "lo", "--pin", "-d", "3"], "-d"),
    (["xdp", "--pinned", "--block", "10.0.0.0/8"], "--pinned"),
    (["xdp", "--pin"], "--iface"),
    (["cgroup"], "CGROUP"),
    (["cgroup", "/", "--deny", "10.0.0.1/8"], "the whole range is 10.0.0.0/8"),
    (["cgroup", "/", "--deny", "10.0.0.0/8", "--deny", "10.0.0.0/8:0"], "0 is no port"),
    (["cgroup", "/", "--deny", "[::1]:53/icmp"], "icmp is neither tcp nor udp"),
    (["cgroup", "/", "--hook", "tcx"], "--hook"),
    (["flows"], "--iface"),
    (["flows", "--iface", "lo", "--hook", "xdp"], "xdp"),
    (["flows", "--iface", "lo", "--max-entries", "0"], "--max-entries"),
    (["traffic"], "--iface"),
    (["traffic", "--iface", "lo", "--hook", "cgroup_sock"], "cgroup_sock"),
    (["traffic", "--iface", "lo", "--max-entries", "0"], "--max-entries"),
    (["count", "--iface", "lo"], "--iface"),
    (["count", "--hook", "uprobe"], "uprobe"),
    (["count", "--hook", "uprobe"], "uprobe"),
    (["count", "-n", "sixteen-bytes-xx"], "--name"),
    # 8 characters, but 16 bytes.
    (["count", "-n", "éééééééé"], "--name"),
    (["count", "-n", ""], "--name"),
    (["count", "-u", "no-such-user"], "no-such-user"),
    (["count", "-u", "4294967296"], "4294967296"),
    (["count", "-u", "-1"], "-1"),
    (["count", "-p", "0"], "--pid"),
    (["count", "-p", "self"], "--pid"),
    (["count", "-t", "-5"], "--tid"),
    (["count", "--max-entries", "0"], "--max-entries"),
    (["exec", "--hook", "kprobe"], "kprobe"),
    (["exec", "--hook", "fentry"], "fentry"),
    (["exec", "--path-prefix", "/etc/"], "--path-prefix"),
    # Counts are not told apart by path.
    (["count", "--path-prefix", "/etc/"], "--path-prefix"),
    (["count", "-C"], "-C"),
    *((["xdp", "--iface", "lo", *option], option[0]) for option in GROUPS),
    *(([command, "--tree", "0"], "--tree") for command in ("count", "dashboard", "exec", "open")),
    *(([command, "-o", "run.csv"], "run.csv") for command in ("dashboard", "exec", "open")),
    (["count", "-o", "run.parquet"], "-o"),
    (["replay"], "FILE"),
    (["replay", "run.parquet", "--speed", "0"], "--speed"),
    (["replay", "run.parquet", "--speed", "fast"], "fast"),
    (["replay", "run.parquet", "--tree", "1"], "--tree"),
    (["query", "run.parquet"], "SQL"),
    (["recover"], "FILE"),
    (["open", "--path-prefix", ""], "--path-prefix"),
    (["dashboard", "--path-prefix", "é" * 128], "--path-prefix"),
]


@pytest.mark.parametrize(("arguments", "word"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_bad_usage_is_one_sentence(run: Run, arguments: list[str], word: str) -> None:
    done = run(*arguments)
    assert done.stdout == ""
    assert done.stderr.startswith("ebpflab: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith("\n")
    assert word in done.stderr
    assert done.returncode == 2


def test_an_interface_that_is_not_there_is_no_usage_error(run: Run) -> None:
    done = run("xdp", "--iface", "no-such-iface")
    assert (
        done.stderr == "ebpflab: cannot attach to interface no-such-iface: there is none of that name; see `ip link`\n"
    )
    assert (done.returncode, done.stdout) == (1, "")
