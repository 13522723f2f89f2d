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
PR_SET_PDEATHSIG = 1
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
FIFO = os.fsencode(f"{FOLDER}/fifo")
FOLDER_FD = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)
#: Children that are blocked in open.
BLOCKED: list[int] = []
# Asked now, because asking opens a file.
CPUS = os.cpu_count() or 1
PAGE = 4096
CHILDREN = 2


def call(name: str, path: bytes | int, flags: int = os.O_RDONLY, mode: int = 0o600, dirfd: int = AT_FDCWD) -> int:
    """Make one system call; return its file descriptor or a negative errno. A path may be an address."""
    # struct open_how, include/uapi/linux/openat2.h: flags, mode, resolve. It is strict about modes without use.
    how = (ctypes.c_uint64 * 3)(flags, mode if flags & os.O_CREAT else 0, 0)
    where = ctypes.c_void_p(path) if isinstance(path, int) else path
    opening, permissions, folder = ctypes.c_long(flags), ctypes.c_long(mode), ctypes.c_long(dirfd)
    arguments = {
        "open": (where, opening, permissions),
        "creat": (where, permissions),
        "openat": (folder, where, opening, permissions),
        "openat2": (folder, where, how, ctypes.c_long(ctypes.sizeof(how))),
    }[name]
    fd = int(LIBC.syscall(ctypes.c_long(CALLS[name]), *arguments))
    return fd if fd >= 0 else -ctypes.get_errno()


def syscalls(asked: list[tuple[str, str | int, int, int, int]]) -> list[int]:
    """Make calls of which all is told (`call`), and return their results."""
    results = []
    for name, path, flags, mode, dirfd in asked:
        results.append(call(name, path if isinstance(path, int) else os.fsencode(path), flags, mode, dirfd))
        if results[-1] >= 0:
            os.close(results[-1])
    return results


def folder(_: None) -> int:
    """Return a file descriptor of the folder."""
    return FOLDER_FD


def edge(closed: bool) -> list[int]:
    """Open a file by a path that ends with its page, before one that cannot be read; with its closing NUL or not."""
    path = FILE + b"\0" * closed
    LIBC.mmap.restype = ctypes.c_void_p
    prot_read_write, map_private_anonymous = 3, 0x22
    pages = LIBC.mmap(None, 2 * PAGE, prot_read_write, map_private_anonymous, -1, 0)
    LIBC.mprotect(ctypes.c_void_p(pages + PAGE), PAGE, 0)
    address = pages + PAGE - len(path)
    ctypes.memmove(address, path, len(path))
    return [call(name, address) for name in CALLS]


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


def floods(number: int) -> int:
    """Open a file that many times in each of two children; return how many opens that were."""
    children = []
    for _ in range(CHILDREN):
        child = os.fork()
        if child == 0:
            opens(number)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * CHILDREN
    return number * CHILDREN


def block(number: int) -> list[int]:
    """Fork that many children that open a FIFO, which blocks; return their ids."""
    os.mkfifo(FIFO)
    for _ in range(number):
        child = os.fork()
        if child == 0:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.open(FIFO, os.O_RDONLY)
            os._exit(0)
        BLOCKED.append(child)
    return BLOCKED


def release(kill: bool) -> None:
    """Open the other end of the FIFO, or kill the children; return when they are gone."""
    if kill:
        for child in BLOCKED:
            os.kill(child, signal.SIGKILL)
        fd = -1
    else:
        fd = os.open(FIFO, os.O_RDWR)
    while BLOCKED:
        os.waitpid(BLOCKED.pop(), 0)
    if fd >= 0:
        os.close(fd)


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
    # push rbx; mov eax, edi; mov ebx, esi; xchg ecx, edx; mov esi, r8d; int 0x80; pop rbx; ret
    code = bytes.fromhex("53 89f8 89f3 87d1 4489c6 cd80 5b c3")
    ctypes.memmove(page, code, len(code))
    path, how = page + 1024, page + 2048
    ctypes.memmove(path, FILE + b"\0", len(FILE) + 1)
    ctypes.memmove(how, (ctypes.c_uint64 * 3)(os.O_RDWR, 0, 0), 24)
    int80 = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 5)(page)
    # open, creat, openat, openat2; and readlink, which has the native number of creat.
    called = (
        (5, path, os.O_RDONLY, 0, 0),
        (8, path, 0o640, 0, 0),
        (295, AT_FDCWD, path, os.O_WRONLY, 0),
        (437, AT_FDCWD, path, how, 24),
    )
    for _ in range(number):
        for arguments in called:
            os.close(int80(*arguments))
        int80(85, path, 0, 0, 0)
    return number * len(called)


COMMANDS = {
    function.__name__: function
    for function in (
        *(block, calls, compat, edge, fails, floods, folder, forks, name, opens, others, release, syscalls),
        *(threads, uid),
    )
}


def main() -> None:
    """Get ready, say so, and obey."""
    os.chmod(FOLDER, 0o777)  # noqa: S103  for `uid`
    os.close(os.open(FILE, os.O_CREAT | os.O_RDWR, 0o666))
    # Whatever threads need when they first start is there afterwards.
    threads(1)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, argument = json.loads(line)
        print(json.dumps(COMMANDS[command](argument)), flush=True)


if __name__ == "__main__":
    main()
