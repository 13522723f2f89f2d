"""Calling a function as somebody else: in a child process, with other capabilities or without tracefs."""

from __future__ import annotations

import ctypes
import os
import pickle
import struct
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

CAP_PERFMON = 38
CAP_BPF = 39

_LIBC = ctypes.CDLL(None, use_errno=True)
NOBODY = 65534
# include/uapi/linux/sched.h, mount.h, prctl.h and capability.h
_CLONE_NEWNS = 0x2_0000
_MS_PRIVATE_REC = 1 << 18 | 1 << 14
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS = 4, 8
_CAPABILITY_VERSION_3 = 0x2008_0522


def in_child(become: Callable[[], None], function: Callable[[], Result]) -> Result:
    """Fork, become somebody else, call a function; return what it returns, which must pickle.

    The interpreter is started already: nobody may not read the folder that it is in.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            become()
            answer = pickle.dumps(function())
            while answer:
                answer = answer[os.write(writing, answer) :]
        except BaseException:  # noqa: BLE001  pytest must not go on twice
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, "the child failed; its traceback is on stderr"
    result: Result = pickle.loads(answer)  # noqa: S301  of our own child
    return result


def root() -> None:
    """Stay root, and see tracefs."""
    _own_mounts()
    if not Path("/sys/kernel/tracing/events").exists():
        _mount("tracefs", "/sys/kernel/tracing")


def root_without_tracefs() -> None:
    """Stay root, with empty folders in the place of tracefs."""
    _own_mounts()
    _mount("tmpfs", "/sys/kernel/tracing")
    _mount("tmpfs", "/sys/kernel/debug")


def root_without_btf() -> None:
    """Stay root, on a kernel that does not describe its types."""
    root()
    _mount("tmpfs", "/sys/kernel/btf")


def nobody(*capabilities: int) -> Callable[[], None]:
    """Become nobody, with nothing but these capabilities; tracefs is there, and closed to nobody."""

    def become() -> None:
        root()
        _check(_LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        wanted = sum(1 << capability for capability in capabilities)
        header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
        low, high = wanted & 0xFFFF_FFFF, wanted >> 32
        # Effective, permitted and inheritable, the low halves first.
        _check(_LIBC.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)))
        # As after an exec: /proc/self belongs to the process again.
        _check(_LIBC.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))

    return become


def _own_mounts() -> None:
    _check(_LIBC.unshare(_CLONE_NEWNS))
    _check(_LIBC.mount(None, b"/", None, ctypes.c_ulong(_MS_PRIVATE_REC), None))


def _mount(kind: str, target: str) -> None:
    _check(_LIBC.mount(kind.encode(), target.encode(), kind.encode(), ctypes.c_ulong(0), None))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
