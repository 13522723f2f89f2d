"""Kernel observability for people who live in Python: typed events out of the running Linux kernel.

>>> import ebpflab
>>> with ebpflab.xdp("lo") as counter:
...     counter.read()["tcp"]
PacketCount(packets=0, bytes=0)
"""

from ebpflab._ebpflab import RecordBatch
from ebpflab.doctor import features, verdict
from ebpflab.errors import (
    AttachError,
    ClosedError,
    EbpflabError,
    NotSupportedError,
    PrivilegeError,
    VerifierError,
)
from ebpflab.inspect import links, maps, programs
from ebpflab.recordings import Answer, QueryError, Replay, query, recover, replay
from ebpflab.records import (
    Attached,
    BucketCount,
    CallCount,
    CgroupCounts,
    Container,
    DeniedCount,
    ErrorCount,
    ExecEvent,
    ExitEvent,
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
    Mode,
    OpenEvent,
    PacketCount,
    PidCount,
    Program,
    Reading,
    Recorded,
    Recording,
    RuleCount,
    SlowCall,
    SourceCount,
    Sources,
    Summary,
    SyscallCount,
    Verdict,
)
from ebpflab.session import CountSession, EventSession, Session
from ebpflab.tools.calls import CallCounter, calls
from ebpflab.tools.cgroup import CgroupCounter, cgroup
from ebpflab.tools.count import PidCounter, counts
from ebpflab.tools.dashboard import Activity, ActivityEvent, activity
from ebpflab.tools.exec import Execs, execs
from ebpflab.tools.flows import FlowCounter, flows
from ebpflab.tools.latency import Histogram, LatencyCounter, latency
from ebpflab.tools.open import Opens, opens
from ebpflab.tools.syscalls import SyscallCounter, syscalls
from ebpflab.tools.xdp import PacketCounter, xdp

__all__ = [
    "Activity",
    "ActivityEvent",
    "Answer",
    "AttachError",
    "Attached",
    "BucketCount",
    "CallCount",
    "CallCounter",
    "CgroupCounter",
    "CgroupCounts",
    "ClosedError",
    "Container",
    "CountSession",
    "DeniedCount",
    "EbpflabError",
    "ErrorCount",
    "EventSession",
    "ExecEvent",
    "Execs",
    "ExitEvent",
    "Feature",
    "Firewall",
    "FlowCount",
    "FlowCounter",
    "GroupCount",
    "Histogram",
    "Holder",
    "Hook",
    "HookVerdict",
    "LatencyCount",
    "LatencyCounter",
    "LatencyCounts",
    "Ledger",
    "Ledgers",
    "Link",
    "Map",
    "Mode",
    "NotSupportedError",
    "OpenEvent",
    "Opens",
    "PacketCount",
    "PacketCounter",
    "PidCount",
    "PidCounter",
    "PrivilegeError",
    "Program",
    "QueryError",
    "Reading",
    "RecordBatch",
    "Recorded",
    "Recording",
    "Replay",
    "RuleCount",
    "Session",
    "SlowCall",
    "SourceCount",
    "Sources",
    "Summary",
    "SyscallCount",
    "SyscallCounter",
    "Verdict",
    "VerifierError",
    "activity",
    "calls",
    "cgroup",
    "counts",
    "execs",
    "features",
    "flows",
    "latency",
    "links",
    "maps",
    "opens",
    "programs",
    "query",
    "recover",
    "replay",
    "syscalls",
    "verdict",
    "xdp",
]
