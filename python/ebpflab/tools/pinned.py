"""XDP programs that stay when the process that attached them ends, with their rules and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ebpflab import _ebpflab
from ebpflab.records import PacketCount, PinnedXdp
from ebpflab.session import firewall
from ebpflab.tools.rules import optional_lists

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from ebpflab.tools.xdp import Range


def typed(raw: dict[str, Any]) -> PinnedXdp:
    """Make a typed record of the native one."""
    return PinnedXdp(
        iface=raw["iface"],
        folder=raw["folder"],
        program=raw["program"],
        mode=raw["mode"],
        counts={protocol: PacketCount(*count) for protocol, count in raw["counts"].items()},
        firewall=firewall(raw["firewall"]),
    )


def pin_xdp(
    iface: str,
    *,
    mode: Literal["auto", "skb", "drv", "hw"] = "auto",
    block: Iterable[Range] | None = None,
    allow: Iterable[Range] | None = None,
    block_file: str | os.PathLike[str] | None = None,
    max_rules: int | None = None,
) -> PinnedXdp:
    """Attach what `xdp` attaches, and leave it there: it stays until `unpin_xdp`, or until the machine is off.

    The arguments are those of `xdp`. Programs, link and maps are files in a folder below /sys/fs/bpf/ebpflab.

    Raises:
        AttachError: There is no such interface, it carries an XDP program already, or one is pinned on it.
        NotSupportedError: No bpffs is mounted on /sys/fs/bpf, or the driver lacks the mode.
        PrivilegeError: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed.
        ValueError: There is no such mode, or a range is none.
        OSError: A file cannot be read or written.

    """
    return typed(_ebpflab.pin_xdp(iface, mode, optional_lists(block, allow, block_file), max_rules))


def pinned_xdp(iface: str | None = None) -> tuple[PinnedXdp, ...]:
    """Return what is pinned, on an interface or everywhere, with its counts.

    Raises:
        AttachError: There is no such interface.
        PrivilegeError: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed.
        OSError: It cannot be read.

    """
    return tuple(map(typed, _ebpflab.pinned_xdp(iface)))


def unpin_xdp(iface: str | None = None) -> tuple[PinnedXdp, ...]:
    """Take away what is pinned, on an interface or everywhere; return what it was, with its last counts.

    Raises:
        AttachError: There is no such interface.
        PrivilegeError: CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed.
        OSError: It cannot be read, or not removed. What cannot be read is removed all the same.

    """
    return tuple(map(typed, _ebpflab.unpin_xdp(iface)))
