"""The Python records against the one declaration of them, in crates/loader/src/records.rs."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any, get_type_hints

import pytest
from ebpflab import _ebpflab, records
from ebpflab.records import (
    Attached,
    Broken,
    BtfEnumerator,
    BtfMember,
    BtfType,
    BucketCount,
    CallCount,
    CgroupCounts,
    Container,
    Cost,
    DeniedCount,
    ErrorCount,
    ExecEvent,
    ExitEvent,
    ExplainedStep,
    Explanation,
    Feature,
    Firewall,
    FlowCount,
    GroupCount,
    Holder,
    Hook,
    HookVerdict,
    LatencyCount,
    LatencyCounts,
    Ledger,
    Ledgers,
    Link,
    Map,
    MapEntry,
    Mode,
    OpenEvent,
    PacketCount,
    PidCount,
    PinnedXdp,
    ProcessCount,
    Program,
    Reading,
    Recorded,
    Recording,
    RegisterHistory,
    ReturnCount,
    RuleCount,
    SlowCall,
    SourceCount,
    SourceLine,
    Sources,
    StackCount,
    Summary,
    SyscallCount,
    TraceEvent,
    Tracepoint,
    TracepointArgument,
    TracepointField,
    TrafficCounts,
    Trial,
    UnattributedCount,
    ValueBucket,
    Verdict,
)
from ebpflab.values import Enumerator, Struct

from tests.support import examples

#: The classes of records by their names: all but a type variable.
CLASSES = {name: getattr(records, name) for name in dir(records) if isinstance(getattr(records, name), type)}
#: What has no class of its name in Python, and what stands for it.
STAND_INS = {
    # The session knows its tool and its interface, so one class holds the readings of all tools.
    "PacketReading": {"time", "counts", "firewall", "sources", "capture"},
    "CallReading": {"time", "counts"},
    "CgroupReading": {"time", "counts"},
    "FlowReading": {"time", "counts"},
    "LatencyReading": {"time", "counts"},
    "ReturnReading": {"time", "counts"},
    "RunqueueReading": {"time", "counts"},
    "PidReading": {"time", "counts"},
    "StackReading": {"time", "counts"},
    "TrafficReading": {"time", "counts"},
    "SyscallReading": {"time", "counts"},
    # A dict by protocol.
    "PacketCounts": None,
}
#: Fields that only the JSON lines need: the session knows its interface or cgroup.
ONLY_IN_JSON = {
    "CgroupReading": {"cgroup"},
    "FlowReading": {"iface"},
    "LatencyReading": {"target"},
    "PacketReading": {"iface"},
    "ReturnReading": {"target", "bits", "signed"},
    "TrafficReading": {"iface"},
}

TRACEPOINT_FIELD = TracepointField("pid", "pid_t", 8, 4, signed=True)
TRACEPOINT_ARGUMENT = TracepointArgument("preempt", "bool", 0, 1)
BTF_MEMBER = BtfMember("ihl", "__u8", 0, 1, 0, 4, ())
BTF_ENUMERATOR = BtfEnumerator("AF_INET", 2)
LEDGER = Ledger(
    seen=10,
    filtered=3,
    submitted=5,
    dropped=0,
    unpaired=0,
    pending=0,
    map_full=2,
    missed=None,
    faults=0,
    truncated=0,
    received=5,
    shown=5,
)
HOOK = Hook("count_sys_enter", "raw_tracepoint", "sys_enter", "first choice")
OPEN = replace(
    examples.OPEN,
    pid=7,
    comm="caf\udce9",
    path="/tmp/caf\udce9",  # noqa: S108  nothing is written there
    full_path=None,
    ret=-2,
    error="ENOENT",
    inode=None,
    device=None,
)
EXEC = replace(examples.EXEC, pid=7, argv=("ls", "-l", "caf\udce9"))
EXIT = replace(examples.EXIT, pid=7, comm="caf\udce9")
TRACE = replace(examples.TRACE, pid=7, data="caf\udce9")
HOLDER = Holder(4211, "ebpflab")
HOOK_VERDICT = HookVerdict("opens", "kprobe", works=True, taken=True, reason=None, fix=None)
DENIED = DeniedCount("10.0.0.0/8", 3, 180)
CONTAINER = Container("0123456789abcdef" * 4, "docker", "web-1")
RULE = RuleCount("192.0.2.0/24", "block", active=True, packets=1, bytes=98)
ERROR = ErrorCount("EAGAIN", 7)
BUCKET = BucketCount(16, 32, 23)
VALUES = ValueBucket(16, 32, 22)
RETURNED = ReturnCount(None, "sh", None, None, None, 23, 459, -1, 30, 1, (VALUES,), 0.5)
COST = Cost("process", 4211, "ebpflab", 2, 1.0, 46, 15_700, 0.0, 1.0, 34_000_000)
LATENCY = LatencyCount(None, "sh", None, None, None, 23, 460, 19, 21, 29, 30, (BUCKET,), 0.5)
SLOW = SlowCall(1, 7, 8, "caf\udce9", 30)
SOURCE = SourceCount("192.0.2.1", 1, 98)
PROCESS = ProcessCount(7, "curl", "egress", "tcp", 23, 2300, 0.5)
UNATTRIBUTED = UnattributedCount("ingress", "no_socket", 1, 60)
LINE = SourceLine("zoo.rs", 108, "if *word == 0 {")
STEP = ExplainedStep(7, "r1 = *(u64 *)(r0 +0)", LINE, None, None)
REGISTER = RegisterHistory("R0", "map_value_or_null(id=1)", (STEP,))
EXPLANATION = Explanation(
    "missing-null-check",
    "it may be null",
    "program",
    None,
    "R0 is bad",
    "m",
    "f",
    None,
    None,
    STEP,
    (),
    0,
    (REGISTER,),
    None,
)
EXAMPLES = [
    LINE,
    STEP,
    REGISTER,
    EXPLANATION,
    Broken("null", "Reads.", "missing-null-check", "it may be null", ("5.10",), None, "zoo.rs", 108, "fn", "fn"),
    Trial("null", refused_here=True, explanation=EXPLANATION, log="R0 is bad", verified_instructions=7),
    OPEN,
    CONTAINER,
    replace(OPEN, cgroup_path=None, container=CONTAINER),
    EXEC,
    replace(EXEC, filename=None, argv=None, argc=None, loginuid=None, exe=None, path_fault="filename and exe"),
    EXIT,
    TRACE,
    replace(EXIT, exit_code=None, signal=11, core=True, exec_duration_ns=None, exec_time=None),
    HOOK,
    Mode("auto", "skb"),
    Feature("kernel", "tracefs", "no", "it is not mounted", "no tracepoints", "mount it"),
    HOOK_VERDICT,
    Program(7, "xdp", "xdp_count", "ab12", 1, 0, 9, 8, 4096, 22, 0, 23, 2300, (1, 2), (HOLDER,)),
    Map(1, "hash", "COUNTS", 4, 8, 16, 0, 4096, (HOLDER, Holder(8, None))),
    Link(3, "xdp", 7, "lo", ()),
    MapEntry(Struct("flow", {"port": 80}), Enumerator(7, "DROP"), (1, 2)),
    TRACEPOINT_FIELD,
    TRACEPOINT_ARGUMENT,
    Tracepoint("sched", "sched_switch", (TRACEPOINT_FIELD,), (TRACEPOINT_ARGUMENT,)),
    BTF_MEMBER,
    BTF_ENUMERATOR,
    BtfType("iphdr", "struct", 20, None, (BTF_MEMBER,), (BTF_ENUMERATOR,)),
    HOLDER,
    Verdict("open", works=True, reason=None, fix=None, hooks=(HOOK_VERDICT,)),
    Attached("count", (HOOK,), ("io_uring",), None, "6.18.0", None),
    Recording(1, "web-1", ("ebpflab", "open"), 7, Attached("open", (HOOK,), (), 4_096, "6.18.0", None)),
    Recorded(8, 5, continued=False, recovered=False, ledger=LEDGER, ledgers=None),
    LEDGER,
    CgroupCounts((GroupCount(7, "/build", None, "egress", "udp", 23, 2300, 0.5),), (DENIED,)),
    GroupCount(7, None, CONTAINER, "egress", "udp", 23, 2300, 0.5),
    DENIED,
    FlowCount("egress", "udp", "192.0.2.1", 1000, "192.0.2.2", 53, 42, 23, 2300, 0.5),
    PacketCount(1, 98),
    RULE,
    Firewall(1, PacketCount(1, 98), PacketCount(0, 0), PacketCount(0, 0), (RULE,)),
    PinnedXdp("eth0", "/sys/fs/bpf/ebpflab/xdp-1-2", 7, "skb", {"tcp": PacketCount(1, 60)}, None),
    SOURCE,
    Sources((SOURCE,), 1, PacketCount(0, 0)),
    PidCount(1, "init", 7, 0.5),
    PROCESS,
    UNATTRIBUTED,
    TrafficCounts((PROCESS,), (UNATTRIBUTED,), PacketCount(1, 60), PacketCount(23, 2300)),
    CallCount("libc:malloc", 1, "init", None, None, None, 23, 0.5),
    StackCount(1, "init", None, None, None, ("vfs_read", "ksys_read"), ("read", "main"), 23),
    SyscallCount("read", 0, "x86_64", None, None, 7, "/build", CONTAINER, 23, 7, (ERROR,), 2300, 200, 0.5),
    ERROR,
    BUCKET,
    SLOW,
    LATENCY,
    LatencyCounts((LATENCY,), (SLOW,), 0),
    VALUES,
    RETURNED,
    COST,
    Reading(1_700_000_000_000_000_000, {"tcp": PacketCount(1, 60)}),
    Ledgers(LEDGER, LEDGER, LEDGER),
    Ledgers(None, LEDGER, LEDGER),
    Summary(LEDGER, 1.5, [PidCount(1, None, 7, 0.0)]),
]


def field_names(record: Any) -> list[str]:  # noqa: ANN401  a class or an instance of it
    return [field.name for field in fields(record)]


def schemas() -> dict[str, list[str]]:
    found = {schema["name"]: [field["name"] for field in schema["fields"]] for schema in _ebpflab.schemas()}
    assert len(found) >= 10, "the native module describes its records"
    return found


@pytest.mark.parametrize(("name", "native"), schemas().items())
def test_every_native_record_has_its_class(name: str, native: list[str]) -> None:
    if name not in STAND_INS:
        assert field_names(getattr(records, name)) == native
        return
    stand_in = STAND_INS[name]
    if stand_in is not None:
        assert set(native) - ONLY_IN_JSON.get(name, set()) == stand_in
        assert stand_in <= set(field_names(Reading))


@pytest.mark.parametrize("name", CLASSES)
def test_the_types_of_all_fields_are_found(name: str) -> None:
    assert set(field_names(CLASSES[name])) <= set(get_type_hints(CLASSES[name]))


def test_the_stand_ins_are_of_records_that_exist() -> None:
    assert set(STAND_INS) <= set(schemas())
    assert set(ONLY_IN_JSON) <= set(STAND_INS)


def test_the_stand_in_of_readings_has_what_they_have_and_no_more() -> None:
    found = [stand_in for name, stand_in in STAND_INS.items() if name.endswith("Reading") and stand_in]
    assert set().union(*found) == set(field_names(Reading))


def test_every_class_has_its_native_record() -> None:
    assert set(CLASSES) - {"Reading"} == set(schemas()) - set(STAND_INS)


def test_every_field_is_described() -> None:
    for schema in _ebpflab.schemas():
        assert schema["doc"]
        assert all(field["doc"] and field["type"] for field in schema["fields"])


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_records_are_frozen_and_pickle(record: Any) -> None:  # noqa: ANN401
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301  our own bytes
    with pytest.raises(FrozenInstanceError):
        setattr(record, field_names(record)[0], None)


def test_the_examples_are_all_the_records() -> None:
    assert {type(example) for example in EXAMPLES} == set(CLASSES.values())


def test_records_match_patterns() -> None:
    match PidCount(7, "sh", 23, 0.0):
        case PidCount(pid, "sh", count=23):
            assert pid == 7
        case _:
            pytest.fail("the pattern does not match")


def test_opens_match_patterns() -> None:
    match OPEN:
        case OpenEvent(path=str(path), ret=ret) if ret < 0:
            assert (path, ret) == (OPEN.path, -2)
        case _:
            pytest.fail("the pattern does not match")


def test_execs_match_patterns() -> None:
    match EXEC:
        case ExecEvent(pid=7, argv=["ls", *rest]):
            assert rest == ["-l", "caf\udce9"]
        case _:
            pytest.fail("the pattern does not match")
    match replace(EXEC, argv=None):
        case ExecEvent(argv=None):
            pass
        case _:
            pytest.fail("the pattern does not match")


@pytest.mark.parametrize("event", [OPEN, EXEC], ids=lambda event: type(event).__name__)
def test_events_become_dicts(event: OpenEvent | ExecEvent) -> None:
    told = event.to_dict()
    assert list(told) == field_names(event)
    assert type(event)(**told) == event
    # A dict of its own: the record stays as it is.
    told["pid"] = 0
    assert event.pid == 7


@pytest.mark.parametrize("event", [OPEN, EXEC, EXIT, TRACE], ids=lambda event: type(event).__name__)
def test_events_are_hashed_and_compared(event: OpenEvent | ExecEvent | ExitEvent | TraceEvent) -> None:
    assert len({event, replace(event), replace(event, time=1)}) == 2
    assert replace(event, cpu=0) != event
    other: object = tuple(event.to_dict().values())
    assert event != other
    told = ", ".join(f"{name}={value!r}" for name, value in event.to_dict().items())
    assert repr(event) == f"{type(event).__name__}({told})"


@pytest.mark.parametrize("event", [OPEN, EXEC, EXIT, TRACE], ids=lambda event: type(event).__name__)
def test_events_are_made_by_names_or_in_order(event: OpenEvent | ExecEvent | ExitEvent | TraceEvent) -> None:
    make: Any = type(event)
    values = event.to_dict()
    assert make(*values.values()) == event
    first, *rest = values
    assert make(values[first], **{name: values[name] for name in rest}) == event
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        make(**values, other=1)
    with pytest.raises(TypeError, match=f"multiple values for argument '{first}'"):
        make(1, **values)
    with pytest.raises(TypeError, match=f"missing 1 required positional argument: '{first}'"):
        make(**{name: values[name] for name in rest})


@pytest.mark.parametrize("event", [OPEN, EXEC, EXIT], ids=lambda event: type(event).__name__)
def test_events_stay_as_they_are(event: Any) -> None:  # noqa: ANN401
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'pid'"):
        del event.pid
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'other'"):
        event.other = 1


def test_help_says_what_fields_are() -> None:
    told = OpenEvent.__doc__ or ""
    assert "    latency_ns (int): From entry to return, in nanoseconds.\n" in told
    assert [line.split(" (")[0].strip() for line in told.splitlines() if line.startswith("    ")] == field_names(OPEN)


def test_a_ledger_adds_up_or_does_not() -> None:
    assert LEDGER.balanced
    for term in ("seen", "filtered", "submitted", "dropped", "unpaired", "pending", "map_full", "received"):
        assert not replace(LEDGER, **{term: getattr(LEDGER, term) + 1}).balanced, term


def test_a_balanced_ledger_may_hold_any_term() -> None:
    assert replace(LEDGER, seen=16, dropped=1, unpaired=2, pending=3).balanced
    # What is told beside the equations has no part in them.
    assert replace(LEDGER, missed=1, faults=1, truncated=1, shown=0).balanced


def test_what_was_lost_is_named() -> None:
    assert LEDGER.lost == {"map_full": 2}
    assert replace(LEDGER, map_full=0).lost == {}
    lossy = replace(LEDGER, dropped=1, unpaired=3, missed=4, pending=5, filtered=6)
    assert lossy.lost == {"dropped": 1, "unpaired": 3, "map_full": 2, "missed": 4}
