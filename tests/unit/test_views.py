"""The tables that people see, for readings that are made up."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from ebpflab.records import (
    BucketCount,
    CallCount,
    CgroupCounts,
    Container,
    Cost,
    DeniedCount,
    ErrorCount,
    ExecEvent,
    ExitEvent,
    Firewall,
    FlowCount,
    GroupCount,
    LatencyCount,
    LatencyCounts,
    Ledger,
    OpenEvent,
    PacketCount,
    PidCount,
    PinnedXdp,
    ProcessCount,
    Reading,
    ReturnCount,
    RuleCount,
    SlowCall,
    SourceCount,
    Sources,
    StackCount,
    Summary,
    SyscallCount,
    TrafficCounts,
    UnattributedCount,
    ValueBucket,
)
from ebpflab.tools.stacks import folded
from ebpflab.views import (
    activity,
    calls,
    cgroup,
    count,
    flows,
    inspect,
    latency,
    live,
    returns,
    runqueue,
    stacks,
    syscalls,
    trace,
    traffic,
    xdp,
)
from ebpflab.views import exec as execs
from ebpflab.views import open as opens
from ebpflab.views.table import harmless, printable, time_of_day

from tests.support import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 1_000_000_000
LARGEST = 2**64 - 1
NO_LEDGER = Ledger(*([0] * 12))


OPEN = replace(examples.OPEN, time=1_700_000_000_123_999_999)
EXEC = replace(examples.EXEC, time=1_700_000_000_007_000_000)
EXIT = examples.EXIT
TRACE = replace(examples.TRACE, time=1_700_000_000_123_999_999)
#: What kernel strings may hold, and how it is shown.
NAMES = [
    ("[kworker/0:1]", "[kworker/0:1]"),
    ("café", "café"),
    ("two words", "two words"),
    ("\x1b[31mred", r"\x1b[31mred"),
    ("a\nb\tc\r", r"a\nb\tc\r"),
    ("\x07\x7f\x9b", r"\x07\x7f\x9b"),
    # A byte that is no UTF-8, as os.fsdecode gives it.
    ("caf\udce9", r"caf\udce9"),
    # Right-to-left override would turn the rest of the line around.
    ("\u202ecod", r"\u202ecod"),
]


@pytest.fixture(params=["UTC", "Asia/Kathmandu"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def packets(tcp: int, size: int) -> dict[str, PacketCount]:
    return {"tcp": PacketCount(tcp, tcp * size), "icmp": PacketCount(2, 196)}


def test_cgroups_are_shown_with_what_was_denied() -> None:
    container = Container("0123456789abcdef" * 4, "docker", "web")
    groups = (
        GroupCount(7, "/build\x1b", None, "egress", "udp", 23, 2300, 11.6),
        GroupCount(8, "/docker/x", container, "ingress", "tcp", 2, 120, 0.0),
        GroupCount(9, None, None, "ingress", "icmpv6", 1, 100, 0.0),
    )
    denied = (DeniedCount("10.0.0.0/8", 3, 180),)
    (text,) = cgroup.frames([Reading(SECOND, CgroupCounts(groups, denied))])
    assert text.splitlines() == [
        "DIR     PACKETS          BYTES      BYTES/S  PROTO   CGROUP",
        "out          23           2300           12  udp     /build\\x1b",
        "in            2            120            0  tcp     docker web",
        "in            1            100            0  icmpv6  (removed)",
        "         DENIED          BYTES  RULE",
        "              3            180  10.0.0.0/8",
    ]
    text = cgroup.totals(Summary(NO_LEDGER, 2.0, CgroupCounts(groups[:1] * 21, ())))
    assert text.splitlines()[-1] == "1 more counters with 23 packets and 2300 bytes"
    assert "         1150  udp" in text


def test_calls_are_shown_by_what_they_are_told_apart() -> None:
    plain = [CallCount("libc:malloc", None, None, None, None, None, 23, 11.6)]
    (text,) = calls.frames([Reading(SECOND, plain)])
    assert text.splitlines() == ["       CALLS     CALLS/S  TARGET", "          23          12  libc:malloc"]
    container = Container("0123456789abcdef" * 4, "docker", "web")
    rows = [
        CallCount("vfs_read", 7, "sh\x1b", 8, "/build", None, 23, 0.0),
        CallCount("vfs_read", 8, None, 9, None, container, 2, 0.0),
        CallCount("vfs_read", 9, "x", 10, None, None, 1, 0.0),
    ]
    text = calls.totals(Summary(NO_LEDGER, 2.0, rows))
    assert text.splitlines() == [
        "       CALLS     CALLS/S      PID  COMM             CGROUP                    TARGET",
        "          23          12        7  sh\\x1b           /build                    vfs_read",
        "           2           1        8  (gone)           docker web                vfs_read",
        "           1           0        9  x                10                        vfs_read",
    ]
    (text,) = calls.frames([Reading(SECOND, plain * (calls.ROWS + 2))])
    assert text.splitlines()[-1] == "2 more with 46 calls"


def test_stacks_are_shown_from_the_innermost_function_on() -> None:
    user = ("f\x1b", "g", "h", "i", "main", "start")
    rows = [
        StackCount(None, "sh", None, None, None, ("vfs_read",), user, 3),
        StackCount(None, "sh", None, None, None, (), (), 1),
    ]
    (text,) = stacks.frames([Reading(SECOND, rows)])
    assert text.splitlines() == [
        "    COUNT      %  COMM             STACK, THE INNERMOST FIRST",
        "        3   75.0  sh               vfs_read < f\\x1b < g < h < i < main < 1 more",
        "        1   25.0  sh               [no stack]",
    ]
    text = stacks.totals(Summary(NO_LEDGER, 2.0, rows[:1] * (stacks.ROWS + 2)))
    assert text.splitlines()[-1] == "2 more with 6"
    assert stacks.totals(Summary(NO_LEDGER, 2.0, [])) == "    COUNT      %  STACK, THE INNERMOST FIRST"


def test_stacks_are_folded_from_the_outermost_function_on() -> None:
    container = Container("0123456789abcdef" * 4, "docker", "web")
    rows = [
        StackCount(None, "a;b", None, None, None, ("vfs_read", "ksys_read"), ("read", "main"), 2),
        StackCount(None, "a;b", None, None, None, ("vfs_read", "ksys_read"), ("read", "main"), 1),
        StackCount(7, None, 8, "/build", None, (), ("x\ny",), 1),
        StackCount(None, None, 8, "/build", container, (), ("f",), 1),
        StackCount(None, None, None, None, None, (), (), 1),
    ]
    assert folded(rows).splitlines() == [
        "/build;(gone)-7;x\\ny 1",
        "[no stack] 1",
        "a:b;main;read;ksys_read_[k];vfs_read_[k] 3",
        "docker web;f 1",
    ]
    assert folded([]) == ""


def test_latencies_are_shown_with_bars() -> None:
    buckets = (BucketCount(512, 1_024, 1), BucketCount(1_024, 2_048, 0), BucketCount(2_048, None, 80))
    row = LatencyCount(None, None, None, None, None, 81, 9_000, 2_111, 2_999, 3_000, 3_456, buckets, 11.6)
    slow = SlowCall(SECOND, 7, 8, "sh\x1b", 70_000_000)
    (text,) = latency.frames([Reading(SECOND, LatencyCounts((row,), (slow,), 2))])
    assert text.splitlines()[0].endswith("   70.0 ms        7  sh\\x1b")
    assert list(latency.slow([Reading(SECOND, LatencyCounts((row,), (slow,), 2))])) == text.splitlines()[:1]
    assert text.splitlines()[1:6] == [
        "     CALLS    CALLS/S       P50       P90       P99       MAX",
        "        81         12   2.11 us   3.00 us   3.00 us   3.46 us",
        "  512 ns to  1.02 us           1  #",
        " 1.02 us to  2.05 us           0",
        " 2.05 us to  3.46 us          80  ########################################",
    ]
    assert text.splitlines()[6:] == ["2 more calls that took long, since the start"]
    text = latency.totals(Summary(NO_LEDGER, 81.0, LatencyCounts((row, replace(row, comm="x")), (), 0)))
    assert text.splitlines()[0].endswith("COMM")
    assert text.splitlines()[3:] == [
        "  512 ns to  1.02 us           2  #",
        " 1.02 us to  2.05 us           0",
        " 2.05 us to  3.46 us         160  ########################################",
    ]


def test_waits_are_shown_as_latencies() -> None:
    buckets = (BucketCount(512, 1_024, 81),)
    row = LatencyCount(None, None, None, None, None, 81, 9_000, 800, 900, 1_000, 1_000, buckets, 11.6)
    slow = SlowCall(SECOND, 7, 8, "sh", 70_000_000)
    (text,) = runqueue.frames([Reading(SECOND, LatencyCounts((row,), (slow,), 2))])
    assert text.splitlines()[1].startswith("     WAITS    WAITS/S       P50")
    assert text.splitlines()[-1] == "2 more waits that took long, since the start"
    assert list(runqueue.slow([Reading(SECOND, LatencyCounts((row,), (slow,), 2))])) == text.splitlines()[:1]
    assert "        81         40" in runqueue.totals(Summary(NO_LEDGER, 2.0, LatencyCounts((row,), (), 0)))


def test_values_are_shown_with_bars() -> None:
    buckets = (ValueBucket(1, 2, 40), ValueBucket(2, 4, 0), ValueBucket(4, None, 80))
    row = ReturnCount(None, None, None, None, None, 123, 900, -13, 99, 3, buckets, 11.6)
    (text,) = returns.frames([Reading(SECOND, [row])])
    assert text.splitlines() == [
        "     CALLS    CALLS/S  NEGATIVE         MIN         MAX             SUM",
        "       123         12         3         -13          99             900",
        "below 0           3  ##",
        "      1          40  ####################",
        " 2 to 3           0",
        "4 to 99          80  ########################################",
    ]
    text = returns.totals(Summary(NO_LEDGER, 123.0, [replace(row, comm="x")] * (latency.ROWS + 2)))
    assert text.splitlines()[0].endswith("COMM")
    assert text.splitlines()[latency.ROWS + 1] == "2 more with 246 calls"
    assert returns.totals(Summary(NO_LEDGER, 2.0, [])).count("\n") == 0


def test_costs_are_shown_for_each_and_all() -> None:
    rows = [
        Cost("process", 4211, "ebpflab\x1b", 2, 2.0, 4_000, 2_000_000, 0.1, 3.5, 34 << 20),
        Cost("pinned", None, None, 1, 2.0, 0, 0, 0.0, 0.0, 0),
        Cost("all", None, None, 3, 2.0, 4_000, 2_000_000, 0.1, 3.5, 34 << 20),
    ]
    assert inspect.costs(rows).splitlines() == [
        "PROGRAMS     RUNS/S   NS/RUN   CPU %  READER CPU %   MEMORY  OF",
        "       2       2000      500    0.10           3.5   34816K  ebpflab\\x1b 4211",
        "       1          0        -    0.00           0.0       0K  pinned, held by nobody",
        "       3       2000      500    0.10           3.5   34816K  all",
    ]


def test_the_own_cpu_time_is_that_since_the_last_reading() -> None:
    clock, cpu = iter([0.0, 0.1, 0.5, 2.1, 2.2]), iter([5.0, 5.01, 5.05])
    own = live.OwnCpu(clock.__next__, cpu.__next__)
    # The first is of a short time, and stands for a second.
    assert [str(own) for _ in range(4)] == ["own CPU 10.0 %", "own CPU 10.0 %", "own CPU 2.0 %", "own CPU 2.0 %"]


@pytest.mark.parametrize(
    ("ns", "expected"),
    [(0, "0 ns"), (999, "999 ns"), (1_000, "1.00 us"), (12_345, "12.3 us"), (999_999, "1000 us"), (10**10, "10.0 s")],
)
def test_durations_have_three_digits(ns: int, expected: str) -> None:
    assert latency.duration(ns) == expected


def test_system_calls_are_shown_with_their_errors() -> None:
    errors = (ErrorCount("EAGAIN", 5), ErrorCount("EINTR", 2))
    rows = [
        SyscallCount("read", 0, "x86_64", None, None, None, None, None, 23, 7, errors, 2_345_678, 1_000_000, 0.0),
        SyscallCount("open", 5, "i386", None, None, None, None, None, 1, 0, (), 999, 999, 0.0),
    ]
    text = syscalls.totals(Summary(NO_LEDGER, 2.0, rows))
    assert text.splitlines() == [
        "    CALLS   CALLS/S    TOTAL MS   WORST MS  SYSCALL             ERRORS",
        "       23        12         2.3      1.000  read                EAGAIN 5, EINTR 2",
        "        1         0         0.0      0.001  open (i386)",
    ]
    by_name = [replace(rows[0], syscall=None, number=None, abi=None, comm="sh")]
    (text,) = syscalls.frames([Reading(SECOND, by_name)])
    assert text.splitlines()[0] == "    CALLS   CALLS/S    TOTAL MS   WORST MS  COMM             ERRORS"


def test_flows_are_shown_with_what_they_have() -> None:
    rows = [
        FlowCount("egress", "udp", "192.0.2.1", 1000, "192.0.2.2", 53, 42, 23, 2300, 11.6),
        FlowCount("ingress", "tcp", "2001:db8::1", 1000, "2001:db8::2", 53, None, 2, 120, 0.0),
        FlowCount("ingress", "icmpv6", "2001:db8::1", None, "2001:db8::2", None, None, 1, 100, 0.0),
        FlowCount("ingress", "arp", None, None, None, None, None, 1, 42, 0.0),
    ]
    (text,) = flows.frames([Reading(SECOND, rows)])
    assert text.splitlines() == [
        "DIR     PACKETS          BYTES      BYTES/S  PROTO   FLOW",
        "out          23           2300           12  udp     192.0.2.1:1000 > 192.0.2.2:53 vlan 42",
        "in            2            120            0  tcp     [2001:db8::1]:1000 > [2001:db8::2]:53",
        "in            1            100            0  icmpv6  2001:db8::1 > 2001:db8::2",
        "in            1             42            0  arp     -",
    ]


def test_flows_beyond_the_table_are_summed_up() -> None:
    row = FlowCount("egress", "udp", "192.0.2.1", 1000, "192.0.2.2", 53, None, 2, 100, 0.0)
    text = flows.totals(Summary(NO_LEDGER, 2.0, [row] * 22))
    assert text.splitlines()[-1] == "2 more flows with 4 packets and 200 bytes"
    assert "           50  udp" in text


def test_traffic_is_shown_with_what_is_of_no_process() -> None:
    processes = (
        ProcessCount(4211, "curl\x1b", "ingress", "tcp", 23, 2300, 11.6),
        ProcessCount(1, "init", "egress", "udp", 2, 120, 0.0),
    )
    unattributed = (UnattributedCount("ingress", "no_socket", 1, 60),)
    counts = TrafficCounts(processes, unattributed, PacketCount(24, 2360), PacketCount(3, 180))
    (text,) = traffic.frames([Reading(SECOND, counts)])
    assert text.splitlines() == [
        "DIR     PACKETS          BYTES      BYTES/S  PROTO      PID  COMM",
        "in           23           2300           12  tcp       4211  curl\\x1b",
        "out           2            120            0  udp          1  init",
        "DIR     PACKETS          BYTES  OF NO PROCESS",
        "in            1             60  no_socket",
        "DIR     PACKETS          BYTES  THE INTERFACE",
        "in           24           2360  the same",
        "out           3            180  differs by 1 packets and 60 bytes",
    ]
    text = traffic.totals(
        Summary(NO_LEDGER, 2.0, TrafficCounts(processes[:1] * 21, (), PacketCount(0, 0), PacketCount(0, 0)))
    )
    assert "1 more counters with 23 packets and 2300 bytes" in text
    assert "         1150  tcp" in text


def test_what_is_pinned_is_shown_with_where_it_is() -> None:
    allowed = RuleCount("192.0.2.7/32", "allow", active=True, packets=2, bytes=120)
    rules = Firewall(1, PacketCount(0, 0), PacketCount(7, 496), PacketCount(5, 376), (allowed,))
    text = xdp.pinned(PinnedXdp("eth0", "/sys/fs/bpf/ebpflab/xdp-1-2", 42, "skb", packets(5, 60), rules))
    assert text.splitlines() == [
        "pinned on eth0 in skb mode (program 42), in /sys/fs/bpf/ebpflab/xdp-1-2",
        "PROTO          PACKETS              BYTES",
        "tcp                  5                300",
        "icmp                 2                196",
        "",
        "RULE           PACKETS              BYTES  SOURCE",
        "allow                2                120  192.0.2.7/32",
        "dropped 0 packets (0 bytes), passed 7 packets (496 bytes), of these 5 packets (376 bytes) by no rule",
    ]
    assert xdp.pinned(PinnedXdp(None, "/f", 42, None, {}, None)).startswith(
        "pinned on an interface that is not here (p"
    )


def test_the_first_table_of_packets_has_no_rates() -> None:
    (text,) = xdp.frames([Reading(SECOND, packets(5, 60))])
    assert text.splitlines() == [
        "PROTO          PACKETS              BYTES     PACKETS/S         BYTES/S",
        "tcp                  5                300             0               0",
        "icmp                 2                196             0               0",
    ]


def test_rates_of_packets_are_those_since_the_reading_before() -> None:
    readings = [
        Reading(SECOND, packets(5, 60)),
        Reading(3 * SECOND, packets(25, 60)),
        Reading(4 * SECOND, packets(25, 60)),
    ]
    _, second, third = xdp.frames(readings)
    assert second.splitlines()[1].split() == ["tcp", "25", "1500", "10", "600"]
    assert third.splitlines()[1].split() == ["tcp", "25", "1500", "0", "0"]


def test_rates_of_a_whole_run_are_over_all_of_it() -> None:
    text = xdp.totals(Summary(NO_LEDGER, 2.5, packets(5, 60)))
    assert text.splitlines()[1].split() == ["tcp", "5", "300", "2", "120"]


def test_rules_and_sources_come_after_the_protocols() -> None:
    rules = (RuleCount("10.0.0.0/8", "block", True, 7, 294), RuleCount("::1/128", "allow", False, 1, 62))
    firewall = Firewall(1, PacketCount(7, 294), PacketCount(2, 104), PacketCount(1, 42), rules)
    sources = Sources((SourceCount("10.0.0.1", 7, 294),), 3, PacketCount(5, 210))
    (text,) = xdp.frames([Reading(SECOND, packets(5, 60), firewall, sources)])
    assert text.splitlines()[3:] == [
        "",
        "RULE           PACKETS              BYTES  SOURCE",
        "block                7                294  10.0.0.0/8",
        "allow                1                 62  ::1/128 (gone)",
        "dropped 7 packets (294 bytes), passed 2 packets (104 bytes), of these 1 packets (42 bytes) by no rule",
        "",
        "               PACKETS              BYTES  BUSIEST",
        "                     7                294  10.0.0.1",
        "3 sources; 5 packets of others, which there was no room for",
    ]


def test_rules_that_do_not_fit_are_counted() -> None:
    rules = tuple(RuleCount(f"10.0.0.{number}/32", "block", True, 0, 0) for number in range(xdp.ROWS + 5))
    nothing = PacketCount(0, 0)
    (text,) = xdp.frames([Reading(SECOND, packets(5, 60), Firewall(len(rules), nothing, nothing, nothing, rules))])
    assert text.splitlines()[-2] == "5 more rules"


def test_the_table_of_processes() -> None:
    rows = [PidCount(4_194_304, "postgres", 1_000_000, 1234.4), PidCount(1, "systemd", 7, 0.6), PidCount(7, None, 1, 0)]
    (text,) = count.frames([Reading(SECOND, rows)])
    assert text.splitlines() == [
        "    PID           OPENS      OPENS/S  COMM",
        "4194304         1000000         1234  postgres",
        "      1               7            1  systemd",
        "      7               1            0  (gone)",
    ]


def test_processes_that_do_not_fit_are_summed_up() -> None:
    rows = [PidCount(pid, "sh", 3, 0.0) for pid in range(count.ROWS + 5)]
    (text,) = count.frames([Reading(SECOND, rows)])
    assert len(text.splitlines()) == 1 + count.ROWS + 1
    assert text.splitlines()[-1] == "5 more processes with 15 opens"


def test_process_rates_of_a_whole_run_are_over_all_of_it() -> None:
    text = count.totals(Summary(NO_LEDGER, 4.0, [PidCount(7, "sh", 100, 999.0)]))
    assert text.splitlines()[1].split() == ["7", "100", "25", "sh"]


def test_tables_without_rows_have_a_header() -> None:
    assert list(count.frames([Reading(SECOND, [])])) == ["    PID           OPENS      OPENS/S  COMM"]


def test_tables_stay_under_80_columns() -> None:
    name = "x" * 15
    (processes,) = count.frames([Reading(SECOND, [PidCount(2**22, name, 10**13, 1e10)])])
    # A year at 100 Gbit/s.
    counts = {"other": PacketCount(10**14, 4 * 10**16)}
    (protocols,) = xdp.frames([Reading(SECOND, counts)])
    for text in (processes, protocols):
        assert max(map(len, text.splitlines())) < 80


@pytest.mark.parametrize("module", [count, xdp])
def test_numbers_of_any_size_stay_apart(module: object) -> None:
    if module is count:
        (text,) = count.frames([Reading(SECOND, [PidCount(2**32 - 1, "sh", LARGEST, 1e18)])])
        expected = ["4294967295", str(LARGEST), "1000000000000000000", "sh"]
    else:
        (text,) = xdp.frames([Reading(SECOND, {"tcp": PacketCount(LARGEST, LARGEST)})])
        expected = ["tcp", str(LARGEST), str(LARGEST), "0", "0"]
    assert text.splitlines()[1].split() == expected


@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_names_cannot_harm_a_terminal(name: str, shown: str) -> None:
    assert printable(name) == shown
    (text,) = count.frames([Reading(SECOND, [PidCount(1, name, 1, 1.0)])])
    assert text.splitlines()[1].endswith(f"  {shown}")
    assert len(text.splitlines()) == 2
    text.encode()


def test_json_cannot_harm_a_terminal() -> None:
    name = "".join(map(chr, range(0x100)))
    text = harmless(json.dumps(name, ensure_ascii=False))
    assert not [char for char in text if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0]
    assert json.loads(text) == name


def test_lines_of_opens() -> None:
    failed = replace(OPEN, full_path=None, inode=None, device=None)
    events = [
        OPEN,
        replace(OPEN, path="passwd", path_notes=("unlinked", "magic_link")),
        replace(OPEN, full_path=None, path_notes=("outside_root",), path="/proc/self/fd/3"),
        replace(OPEN, full_path="d/d/file", path_truncated=True),
        replace(failed, path="/nonexistent", ret=-2, error="ENOENT"),
        replace(failed, pid=4_194_304, comm="x" * 15, path="relative", ret=1_048_575),
        replace(failed, path="", ret=-13, error="EACCES"),
        replace(failed, path=None, ret=-14, error="EFAULT", path_fault="path"),
        replace(failed, path="/" + "x" * 4_094, path_truncated=True, ret=-36, error="ENAMETOOLONG"),
        # Inside the kernel only: the call is made again.
        replace(OPEN, ret=-512, error="ERESTARTSYS"),
    ]
    assert list(opens.lines(events)) == [
        "    PID  COMM               RESULT  PATH",
        "   4211  python                  3  /etc/passwd",
        "   4211  python                  3  /etc/passwd (unlinked, magic_link)",
        "   4211  python                  3  /proc/self/fd/3 (outside_root)",
        "   4211  python                  3  ...d/d/file",
        "   4211  python             ENOENT  /nonexistent",
        "4194304  xxxxxxxxxxxxxxx   1048575  relative",
        "   4211  python             EACCES",
        "   4211  python             EFAULT  (not readable)",
        "   4211  python           ENAMETOOLONG  /" + "x" * 4_094 + "...",
        "   4211  python            RESTART  /etc/passwd",
    ]


def test_lines_of_execs() -> None:
    events = [
        EXEC,
        replace(EXEC, pid=4_194_304, ppid=4_194_303, uid=2**32 - 1, comm="x" * 15),
        replace(EXEC, argv=("sh", "-c", "echo 'a b' > $HOME", "", "*")),
        replace(EXEC, argv=("a", "b"), argv_truncated=True),
        replace(EXEC, argv=()),
        replace(EXEC, argv=("",)),
        replace(EXEC, argv=None, filename=None),
    ]
    assert list(execs.lines(events)) == [
        "    PID     PPID     UID  COMM             ARGV",
        "   4211     4210    1000  ls               ls -l",
        "4194304  4194303  4294967295  xxxxxxxxxxxxxxx  ls -l",
        """   4211     4210    1000  ls               sh -c 'echo '"'"'a b'"'"' > $HOME' '' '*'""",
        "   4211     4210    1000  ls               a b ...",
        "   4211     4210    1000  ls",
        "   4211     4210    1000  ls               ''",
        "   4211     4210    1000  ls               (not readable)",
    ]


def test_lines_of_execs_and_exits() -> None:
    events: list[ExecEvent | ExitEvent] = [
        EXEC,
        EXIT,
        replace(EXIT, exit_code=255, exec_duration_ns=None, exec_time=None),
        replace(EXIT, exit_code=None, signal=9),
        replace(EXIT, exit_code=None, signal=11, core=True, exec_duration_ns=12_345_678_901),
        # The first of the real-time signals that is free, which has no name.
        replace(EXIT, exit_code=None, signal=35),
    ]
    assert list(execs.lines(events, exits=True)) == [
        "KIND      PID     PPID     UID  COMM               RESULT  ARGV",
        "exec     4211     4210    1000  ls                         ls -l",
        "exit     4211     4210    1000  ls                      0  after 0.002 s",
        "exit     4211     4210    1000  ls                    255  after 0.003 s",
        "exit     4211     4210    1000  ls                SIGKILL  after 0.002 s",
        "exit     4211     4210    1000  ls                SIGSEGV  after 12.346 s, dumped core",
        "exit     4211     4210    1000  ls                 SIG 35  after 0.002 s",
    ]


def test_lines_of_traced_calls() -> None:
    events = [
        TRACE,
        replace(TRACE, value=None, data=None, latency_ns=999),
        replace(TRACE, value=-2, data="\x1b[2J\n", data_truncated=True),
        replace(TRACE, value=0x7FFC_1234_5678),
        replace(TRACE, value=2**63 - 1, data=None, data_fault=True, latency_ns=3_600 * SECOND),
    ]
    assert list(trace.lines(events)) == [
        "    PID  COMM                     US         RETURNED  DATA",
        "   4211  curl                 1234.6                0  example.org",
        "   4211  curl                    1.0",
        r"   4211  curl                 1234.6               -2  \x1b[2J\n...",
        "   4211  curl                 1234.6  140720613906040  example.org",
        "   4211  curl             3600000000.0  9223372036854775807  (not readable)",
    ]
    (_, timed) = trace.lines([TRACE], timestamp=True)
    assert timed == f"{time_of_day(TRACE.time)}     4211  curl                 1234.6                0  example.org"


def test_lines_of_execs_that_failed() -> None:
    failed = replace(EXEC, exe=None, ret=-2, error="ENOENT", filename="/usr/local/bin/ls")
    events = [
        failed,
        replace(failed, filename=None, ret=-14, error="EFAULT"),
        replace(failed, filename="a\nb", argv=None, ret=-7, error="E2BIG"),
        # A signal came first: the kernel makes the call again.
        replace(failed, ret=-513, error="ERESTARTNOINTR"),
    ]
    assert list(execs.lines(events, failed=True)) == [
        "    PID     PPID     UID  COMM               RESULT  FILE",
        "   4211     4210    1000  ls                 ENOENT  /usr/local/bin/ls: ls -l",
        "   4211     4210    1000  ls                 EFAULT  (not readable): ls -l",
        "   4211     4210    1000  ls                  E2BIG  a\\nb: (not readable)",
        "   4211     4210    1000  ls                RESTART  /usr/local/bin/ls: ls -l",
    ]
    header, first, second = execs.lines([failed, replace(EXIT, exit_code=1)], failed=True, exits=True)
    assert header == "KIND      PID     PPID     UID  COMM               RESULT  FILE"
    assert (first[:4], second[:4]) == ("exec", "exit")
    assert first.endswith("  ENOENT  /usr/local/bin/ls: ls -l")
    assert second.endswith("  1  after 0.002 s")


def test_lines_of_all_kinds() -> None:
    assert list(activity.lines([OPEN, EXEC, EXIT])) == [
        "KIND      PID  COMM               RESULT  PATH OR ARGV",
        "open     4211  python                  3  /etc/passwd",
        "exec     4211  ls                         ls -l",
        "exit     4211  ls                      0  after 0.002 s",
    ]


def test_containers_are_shown_by_name_or_the_start_of_their_id() -> None:
    container = Container("0123456789abcdef" * 4, "docker", None)
    for view, event in ((opens, OPEN), (execs, EXEC)):
        events = [
            event,
            replace(event, container=container),
            replace(event, container=replace(container, name="web\n")),
        ]
        header, *lines = view.lines(events, container=True)
        assert header.split()[:2] == ["CONTAINER", "PID"]
        assert [line[:17].strip() for line in lines] == ["", "0123456789ab", "web\\n"]


def test_time_of_day_is_local(zone: str) -> None:
    clock = {"UTC": "22:13:20", "Asia/Kathmandu": "03:58:20"}[zone]
    assert time_of_day(OPEN.time) == f"{clock}.123"
    header, line = opens.lines([OPEN], timestamp=True)
    assert header == "TIME              PID  COMM               RESULT  PATH"
    assert line == f"{clock}.123     4211  python                  3  /etc/passwd"
    header, line = execs.lines([EXEC], timestamp=True)
    assert header == "TIME              PID     PPID     UID  COMM             ARGV"
    assert line == f"{clock}.007     4211     4210    1000  ls               ls -l"


@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_names_in_events_cannot_harm_a_terminal(name: str, shown: str) -> None:
    (_, path) = opens.lines([replace(OPEN, full_path=name)])
    (_, comm) = opens.lines([replace(OPEN, comm=name)])
    (_, argument) = execs.lines([replace(EXEC, argv=("ls", name))])
    (_, program) = execs.lines([replace(EXEC, comm=name)])
    assert path.endswith(f"  {shown}")
    assert comm[9:].startswith(shown)
    assert shown in argument
    assert shown in program
    for line in (path, comm, argument, program):
        assert line.isprintable()
        line.encode()


def test_lines_come_as_events_do() -> None:
    taken: list[int] = []

    def events() -> Iterator[OpenEvent]:
        for number in range(3):
            taken.append(number)
            yield OPEN

    lines = opens.lines(events())
    # The header is there before anything happens.
    assert next(lines).endswith("PATH")
    assert taken == []
    next(lines)
    assert taken == [0]


@pytest.mark.parametrize("timestamp", [False, True])
def test_headers_of_events_stay_under_80_columns(timestamp: bool) -> None:
    all_columns = execs.lines([], timestamp=timestamp, failed=True, exits=True)
    for (header,) in (opens.lines([], timestamp=timestamp), execs.lines([], timestamp=timestamp), all_columns):
        assert len(header) < 80


def test_without_a_terminal_texts_follow_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []

    def frames() -> Iterator[str]:
        for number in range(3):
            # Each is written before the next is asked for.
            assert len(written) == number
            yield f"frame {number}"

    live.show(frames(), written.append)
    assert written == ["frame 0\n", "frame 1\n", "frame 2\n"]
    assert capsys.readouterr().out == ""


def test_on_a_terminal_names_are_not_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("os.isatty", lambda fd: fd == live.STDOUT)
    live.show(["[kworker/0:1] :smile:"], pytest.fail)
    shown = capsys.readouterr().out
    assert "[kworker/0:1] :smile:" in shown
    assert "own CPU " in shown
