"""Run a command under a seccomp profile in Docker's form, by the library that runc takes.

python seccomp.py PROFILE COMMAND...
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

#: include/seccomp.h of libseccomp.
_ALLOW, _ERRNO, _NO_SUCH_CALL = 0x7FFF_0000, 0x0005_0000, -1


def main() -> None:
    """Load the profile, which goes on in what is executed."""
    profile, *command = sys.argv[1:]
    load(json.loads(Path(profile).read_text()))
    os.execvp(command[0], command)  # noqa: S606  there is no shell to want


def load(profile: dict[str, Any]) -> None:
    """Have this thread obey a profile of names that are allowed, and get no new privileges."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ERRNO | profile["defaultErrnoRet"])))
    assert context
    (rule,) = profile["syscalls"]
    assert rule["action"] == "SCMP_ACT_ALLOW"
    for name in rule["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        assert number != _NO_SUCH_CALL, f"libseccomp knows no {name}"
        # Of calls that only other machines have it makes nothing.
        added = library.seccomp_rule_add(context, ctypes.c_uint32(_ALLOW), ctypes.c_int(number), ctypes.c_uint(0))
        assert added == 0, name
    assert library.seccomp_load(context) == 0


if __name__ == "__main__":
    main()
