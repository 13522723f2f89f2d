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
    Broken,
    CgroupCounts,
    Container,
    DeniedCount,
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
    RegisterHistory,
    RuleCount,
    SourceCount,
    SourceLine,
    Sources,
    Summary,
    Trial,
    Verdict,
)
from ebpflab.session import CountSession, EventSession, Session
from ebpflab.tools.cgroup import CgroupCounter, cgroup
from ebpflab.tools.count import PidCounter, counts
from ebpflab.tools.dashboard import Activity, ActivityEvent, activity
from ebpflab.tools.exec import Execs, execs
from ebpflab.tools.flows import FlowCounter, flows
from ebpflab.tools.open import Opens, opens
from ebpflab.tools.xdp import PacketCounter, xdp
from ebpflab.verifier import explain

__all__ = [
    "Activity",
    "ActivityEvent",
    "Answer",
    "AttachError",
    "Attached",
    "Broken",
    "CgroupCounter",
    "CgroupCounts",
    "ClosedError",
    "Container",
    "CountSession",
    "DeniedCount",
    "EbpflabError",
    "EventSession",
    "ExecEvent",
    "Execs",
    "ExitEvent",
    "ExplainedStep",
    "Explanation",
    "Feature",
    "Firewall",
    "FlowCount",
    "FlowCounter",
    "GroupCount",
    "Holder",
    "Hook",
    "HookVerdict",
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
    "RegisterHistory",
    "Replay",
    "RuleCount",
    "Session",
    "SourceCount",
    "SourceLine",
    "Sources",
    "Summary",
    "Trial",
    "Verdict",
    "VerifierError",
    "activity",
    "cgroup",
    "counts",
    "execs",
    "explain",
    "features",
    "flows",
    "links",
    "maps",
    "opens",
    "programs",
    "query",
    "recover",
    "replay",
    "verdict",
    "xdp",
]
