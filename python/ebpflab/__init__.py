"""Kernel observability for people who live in Python: typed events out of the running Linux kernel.

>>> import ebpflab
>>> with ebpflab.xdp("lo") as counter:
...     counter.read()["tcp"]
PacketCount(packets=0, bytes=0)
"""

from ebpflab.errors import (
    AttachError,
    ClosedError,
    EbpflabError,
    NotSupportedError,
    PrivilegeError,
    VerifierError,
)
from ebpflab.records import Attached, Hook, Ledger, Mode, PacketCount, PidCount, Reading, Summary
from ebpflab.session import Session
from ebpflab.tools.count import PidCounter, counts
from ebpflab.tools.xdp import PacketCounter, xdp

__all__ = [
    "AttachError",
    "Attached",
    "ClosedError",
    "EbpflabError",
    "Hook",
    "Ledger",
    "Mode",
    "NotSupportedError",
    "PacketCount",
    "PacketCounter",
    "PidCount",
    "PidCounter",
    "PrivilegeError",
    "Reading",
    "Session",
    "Summary",
    "VerifierError",
    "counts",
    "xdp",
]
