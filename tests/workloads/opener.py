"""A known workload: opens files when told to, and at no other time.

Reads commands from stdin, each a line of JSON, and answers each with another once it is done. Small on purpose: it
forks 20,000 times, and what it does not import it need not copy. Runs by any Python, without this package.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import sys
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
PR_SET_NAME = 15
#: System calls that open files, by number; arm64 has no open and no creat.
CALLS = {
    "x86_64": {"open": 2, "creat": 85, "openat": 257, "openat2": 437},
    "aarch64": {"openat": 56, "openat2": 437},
}[platform.machine()]
#: Given by whoever starts this, and removed by them: after `uid` this process may not.
FOLDER = sys.argv[1]
FILE = os.fsencode(f"{FOLDER}/file")
MISSING = os.fsencode(f"{FOLDER}/missing/file")
# Asked now, because asking opens a file.
CPUS = os.cpu_count() or 1
#: struct open_how, include/uapi/linux/openat2.h: flags, mode, resolve.
HOW = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)


def call(name: str, path: bytes) -> int:
    """Make one system call; return its file descriptor or a negative errno."""
    arguments = {
        "open": (path, ctypes.c_long(os.O_RDONLY)),
        "creat": (path, ctypes.c_long(0o600)),
        "openat": (ctypes.c_long(AT_FDCWD), path, ctypes.c_long(os.O_RDONLY)),
        "openat2": (ctypes.c_long(AT_FDCWD), path, HOW, ctypes.c_long(ctypes.sizeof(HOW))),
    }[name]
    fd = int(LIBC.syscall(ctypes.c_long(CALLS[name]), *arguments))
    return fd if fd >= 0 else -ctypes.get_errno()


def calls(number: int) -> int:
    """Open a file by each of the system calls, that many times; return how many opens that were."""
    for name in CALLS:
        for _ in range(number):
            os.close(call(name, FILE))
    return number * len(CALLS)


def fails(number: int) -> int:
    """The same with a file that is not there."""
    return sum(call(name, MISSING) == -2 for name in CALLS for _ in range(number))


def opens(number: int) -> int:
    """Open a file that many times."""
    for _ in range(number):
        os.close(os.open(FILE, os.O_RDONLY))
    return number


def threads(number: int) -> dict[int, int]:
    """Open files in as many threads as there are CPUs, that many in each; return how many by thread id.

    The interpreter is let go of during each call, so they do meet in the kernel.
    """
    done: dict[int, int] = {}
    start = threading.Barrier(CPUS)

    def work() -> None:
        start.wait()
        done[threading.get_native_id()] = opens(number)

    workers = [threading.Thread(target=work) for _ in range(start.parties)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return done


def forks(number: int) -> int:
    """Fork that many children that open a file each; return when all are gone."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in range(number):
        if os.fork() == 0:
            os.open(FILE, os.O_RDONLY)
            os._exit(0)
    try:
        # With SIGCHLD ignored this returns, with an error, when there are no children any more.
        os.wait()
    except ChildProcessError:
        signal.signal(signal.SIGCHLD, before)
    return number


def name(text: str) -> str:
    """Give this thread and its children a name."""
    LIBC.prctl(PR_SET_NAME, os.fsencode(text))
    return text


def uid(number: int) -> int:
    """Become another user, who owns the files."""
    os.chown(FILE, number, -1)
    os.setresuid(number, number, number)
    return os.getuid()


def others(number: int) -> int:
    """Make native calls whose numbers are those of open, creat and openat in the other interface."""
    for nr in {"x86_64": (5, 8, 295), "aarch64": (5, 8, 322)}[platform.machine()]:
        for _ in range(number):
            LIBC.syscall(ctypes.c_long(nr), *[ctypes.c_long(-1)] * 4)
    return 3 * number


def compat(number: int) -> int:
    """Open a file through the 32-bit interface of x86_64, by each of the system calls; return how many opens."""
    prot_all, map_private_anonymous_32bit = 7, 0x62
    LIBC.mmap.restype = ctypes.c_void_p
    page = LIBC.mmap(None, 4096, prot_all, map_private_anonymous_32bit, -1, 0)
    # push rbx; mov eax, edi; mov ebx, esi; mov ecx, edx; mov edx, 0; int 0x80; pop rbx; ret
    code = bytes.fromhex("53 89f8 89f3 89d1 ba00000000 cd80 5b c3")
    ctypes.memmove(page, code, len(code))
    path = page + 1024
    ctypes.memmove(path, FILE + b"\0", len(FILE) + 1)
    int80 = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 3)(page)
    # open(path, O_RDONLY), creat(path, 0), openat(AT_FDCWD, path); and readlink, which has the native number of creat.
    for _ in range(number):
        for arguments in ((5, path, os.O_RDONLY), (8, path, 0), (295, AT_FDCWD, path)):
            os.close(int80(*arguments))
        int80(85, path, 0)
    return 3 * number


COMMANDS = {
    function.__name__: function for function in (calls, fails, opens, threads, forks, name, uid, others, compat)
}


def main() -> None:
    """Get ready, say so, and obey."""
    os.chmod(FOLDER, 0o777)  # noqa: PTH101, S103  for `uid`
    os.close(os.open(FILE, os.O_CREAT | os.O_RDWR, 0o666))
    # Whatever threads need when they first start is there afterwards.
    threads(1)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, argument = json.loads(line)
        print(json.dumps(COMMANDS[command](argument)), flush=True)


if __name__ == "__main__":
    main()
