"""A known workload: has functions of libc called when told to, and at no other time.

Reads commands from stdin, each a line of JSON, and answers each with another once it is done. Needs no compiler:
`lfind` calls a function that it is given once for each element that it is not, in C and without the interpreter.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CPUS = os.cpu_count() or 1
PR_SET_NAME = 15
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
#: It is given 1, which is not 0: so nothing is ever found.
LLABS = ctypes.cast(LIBC.llabs, ctypes.c_void_p)
LIBC.atol.restype = ctypes.c_long
LIBC.getenv.restype = ctypes.c_char_p
#: One of no bytes, and one that is not UTF-8.
VARIABLES = {"EBPFLAB_ONE": b"one", "EBPFLAB_EMPTY": b"", "EBPFLAB_ODD": b"caf\xe9"}


def calls(number: int) -> int:
    """Have llabs called that many times."""
    left = ctypes.c_size_t(number)
    LIBC.lfind(ctypes.c_void_p(1), ctypes.c_void_p(1), ctypes.byref(left), ctypes.c_size_t(0), LLABS)
    return number


def threads(number: int) -> int:
    """The same in as many threads as there are CPUs, that many in each; return how many calls that were."""
    start = threading.Barrier(CPUS)

    def work() -> None:
        start.wait()
        calls(number)

    workers = [threading.Thread(target=work) for _ in range(CPUS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return number * CPUS


def others(number: int) -> int:
    """Have labs called instead."""
    for _ in range(number):
        LIBC.labs(1)
    return number


def named(names: list[str]) -> list[str]:
    """Give this thread one name after the other, and call llabs once under each; the last one stays."""
    for name in names:
        LIBC.prctl(PR_SET_NAME, os.fsencode(name))
        calls(1)
    return names


def renames(number: int) -> int:
    """Give as many threads as there are CPUs their own name again, that many times in all."""
    start = threading.Barrier(CPUS)
    shares = [number // CPUS + (index < number % CPUS) for index in range(CPUS)]

    def work(share: int) -> None:
        start.wait()
        for _ in range(share):
            LIBC.prctl(PR_SET_NAME, b"renamed")

    workers = [threading.Thread(target=work, args=(share,)) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return number


def sleeps(asked: tuple[int, int]) -> int:
    """Call usleep that many times for so many microseconds; return how many nanoseconds all of it took."""
    number, microseconds = asked
    start = time.monotonic_ns()
    for _ in range(number):
        LIBC.usleep(microseconds)
    return time.monotonic_ns() - start


def longs(texts: list[str]) -> list[int]:
    """Have atol called with each text; return what it returned."""
    return [LIBC.atol(text.encode()) for text in texts]


def ints(texts: list[str]) -> list[int]:
    """The same of atoi, which leaves more than an int in the register."""
    return [LIBC.atoi(text.encode()) for text in texts]


def variables(names: list[str]) -> list[str | None]:
    """Have getenv called with each name; return what it returned."""
    found = (LIBC.getenv(name.encode()) for name in names)
    return [None if value is None else os.fsdecode(value) for value in found]


def pipes(sizes: list[int]) -> list[str]:
    """Have so many bytes written to a pipe and read again, by write and read of libc; then have read fail."""
    texts = []
    for size in sizes:
        ends = (ctypes.c_int * 2)()
        LIBC.pipe(ends)
        text = b"%d " % size * size
        LIBC.write(ends[1], text[:size], ctypes.c_size_t(size))
        buffer = ctypes.create_string_buffer(size)
        LIBC.read(ends[0], buffer, ctypes.c_size_t(size))
        texts.append(buffer.raw.decode())
        for end in ends:
            os.close(end)
    LIBC.read(-1, None, ctypes.c_size_t(1))
    return texts


def spins(milliseconds: int) -> None:
    """Do nothing for so long, and never sleep."""
    end = time.monotonic_ns() + milliseconds * 1_000_000
    while time.monotonic_ns() < end:
        pass


def nested(depth: int) -> int:
    """Have lfind call itself, that many times one in the other; return how many calls that were."""

    def compare(_key: int, _element: int) -> int:
        nonlocal depth
        depth -= 1
        if depth:
            find()
        return 0

    callback = COMPARE(compare)

    def find() -> None:
        one = ctypes.c_size_t(1)
        LIBC.lfind(ctypes.c_void_p(1), ctypes.c_void_p(1), ctypes.byref(one), ctypes.c_size_t(0), callback)

    asked = depth
    find()
    return asked


def fails(number: int) -> int:
    """Make a system call that fails, that many times: close of what is not open."""
    for _ in range(number):
        LIBC.close(-1)
    return number


def getppids(number: int) -> int:
    """Make a system call that nothing else makes, that many times."""
    for _ in range(number):
        LIBC.getppid()
    return number


def syscall_threads(number: int) -> int:
    """The same in as many threads as there are CPUs, that many in each."""
    start = threading.Barrier(CPUS)

    def work() -> None:
        start.wait()
        getppids(number)

    workers = [threading.Thread(target=work) for _ in range(CPUS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return number * CPUS


def naps(milliseconds: int) -> None:
    """Sleep in one system call: poll of nothing."""
    LIBC.poll(None, ctypes.c_ulong(0), ctypes.c_int(milliseconds))


def forks(number: int) -> int:
    """Fork that many children that call getppid once and end."""
    for _ in range(number):
        child = os.fork()
        if child == 0:
            LIBC.getppid()
            os._exit(0)
        os.waitpid(child, 0)
    return number


COMMANDS = {
    function.__name__: function
    for function in (
        *(calls, fails, forks, getppids, ints, longs, named, naps, nested, others, renames, sleeps, spins),
        *(pipes, syscall_threads, threads, variables),
    )
}


def main() -> None:
    """Get ready, say so, and obey."""
    os.environb.update({os.fsencode(name): value for name, value in VARIABLES.items()})
    # Whatever threads need when they first start is there afterwards.
    threads(1)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, argument = json.loads(line)
        print(json.dumps(COMMANDS[command](argument)), flush=True)


if __name__ == "__main__":
    main()
