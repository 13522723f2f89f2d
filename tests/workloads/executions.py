"""A known workload: executes programs in every way, fails to, and ends in every way; and says of each what it was.

Reads commands from stdin, each a line of JSON, and answers each with another once it is done, like opener.py. The truth
about an end is what wait(2) tells this process; the truth about a call that failed is what the call returned. How often
each is done, names and arguments are made up anew each time.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import random
import resource
import signal
import struct
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
FOLDER = sys.argv[1]
PR_SET_NAME, PR_SET_PDEATHSIG = 15, 1
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000
#: What everything is called that the tests look for: programs, and processes that never execute one.
NAME = "executed"
#: Of this process; another each time.
PARENT = f"parent{random.randint(0, 999)}\xe9".encode("latin-1")
#: Numbers of execveat and exit.
EXECVEAT, EXIT = {"x86_64": (322, 60), "aarch64": (281, 93)}[platform.machine()]
#: Most bytes of arguments in a record, their closing NULs counted, and most arguments of a call that failed.
MOST_BYTES, MOST_ARGUMENTS = 8_192, 128
#: What was done, since the last answer.
DONE: list[dict[str, Any]] = []


def program(*, crash: bool = False) -> bytes:
    """Make a static program: it exits with the number of its arguments, modulo 256; or is killed by SIGILL."""
    if platform.machine() == "x86_64":
        # mov edi, [rsp]; mov eax, 60; syscall -- or ud2
        machine, code = 62, bytes.fromhex("0f0b" if crash else "8b3c24b83c0000000f05")
    else:
        # ldr w0, [sp]; mov w8, #93; svc #0 -- or udf #0
        machine, code = 183, bytes.fromhex("00000000" if crash else "e00340b9a80b8052010000d4")
    # elf(5): the headers and the code, all of it in one segment.
    base, start = 0x40_0000, 64 + 56
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, base + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, start + len(code), start + len(code), 0x1_0000)
    return header + segment + code


def file(folder: str, content: bytes, mode: int = 0o755, name: str = NAME) -> str:
    """Write a file, in a folder that there is not yet, and return its path."""
    os.makedirs(folder, exist_ok=True)
    path = f"{folder}/{name}"
    # Without a writer in any child that is forked meanwhile, the kernel would not execute it.
    with open(path, "wb") as out:
        out.write(content)
    os.chmod(path, mode)
    return path


def fresh(part: str = "x") -> str:
    """Make up a folder; one of four is no UTF-8."""
    ending = random.choice(["a", " b", "\xe9", chr(0xDCE9)])
    return f"{FOLDER}/{part}{random.randint(0, 10**9)}{ending}"


def words(count: int | None = None) -> list[str]:
    """Make up arguments, empty ones and ones that are no UTF-8 among them."""
    some = ["", "", "plain", "two words", "new\nline", "\xe9", chr(0xDCFF), "-x", "*", '"']
    return [random.choice(some) for _ in range(random.randint(1, 9) if count is None else count)]


def called(name: bytes) -> None:
    """Give this thread a name."""
    LIBC.prctl(PR_SET_NAME, name)


def vector(strings: list[str] | None) -> Any:  # noqa: ANN401  an array of C strings, or a null pointer
    """Make what execve takes."""
    return None if strings is None else (ctypes.c_char_p * (len(strings) + 1))(*map(os.fsencode, strings), None)


def execve(filename: str, argv: list[str] | None) -> int:
    """Become a program with an empty environment; return the errno where that fails."""
    LIBC.execve(os.fsencode(filename), vector(argv), vector([]))
    return ctypes.get_errno()


def execveat(dirfd: int, filename: str, argv: list[str] | None, flags: int = 0) -> int:
    """Do the same from a folder."""
    arguments = (os.fsencode(filename), vector(argv), vector([]), flags)
    LIBC.syscall(ctypes.c_long(EXECVEAT), ctypes.c_long(dirfd), *arguments)
    return ctypes.get_errno()


def loginuid() -> int | None:
    """Return who logged in."""
    try:
        with open("/proc/self/loginuid") as told:
            number = int(told.read())
    except FileNotFoundError:
        return None
    return None if number == 2**32 - 1 else number


LOGIN = loginuid()


def cut(argv: list[str]) -> tuple[list[str], bool]:
    """Return the arguments that a record has, and whether they are not all of them."""
    whole = b"".join(os.fsencode(argument) + b"\0" for argument in argv)
    if len(whole) <= MOST_BYTES:
        return argv, False
    return [os.fsdecode(part) for part in whole[:MOST_BYTES].removesuffix(b"\0").split(b"\0")], True


def child(does: Callable[[], object], *, executes: dict[str, Any] | None = None, named: bool = True) -> None:
    """Fork a child that does something, and note its exec, if it does one, and its end; its name, if it has ours."""
    pid = os.fork()
    if pid == 0:
        try:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            called(NAME.encode())
            does()
        finally:
            os._exit(99)
    _, status = os.waitpid(pid, 0)
    who: dict[str, Any] = {"pid": pid, "ns_pid": pid, "ppid": os.getpid(), "uid": os.getuid(), "gid": os.getgid()}
    if named:
        who["comm"] = NAME
    if executes is not None:
        assert not (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 99), executes
        argv, truncated = cut(executes["argv"])
        known = {"type": "exec", **who, "parent_comm": os.fsdecode(PARENT), "loginuid": LOGIN, "cwd": os.getcwd()}
        known |= {"argc": len(executes["argv"]), "path_truncated": False, "path_fault": None, "path_notes": []}
        DONE.append(known | executes | {"argv": argv, "argv_truncated": truncated, "ret": 0, "error": None})
    signaled = os.WIFSIGNALED(status)
    end = {"exit_code": None if signaled else os.WEXITSTATUS(status), "signal": os.WTERMSIG(status) or None}
    DONE.append({"type": "exit", **who, **end, "core": signaled and os.WCOREDUMP(status)})


def some(*cases: Callable[[], None]) -> None:
    """Do each a few times, in no order."""
    chosen = [case for case in cases for _ in range(random.randint(1, 3))]
    random.shuffle(chosen)
    for case in chosen:
        case()


def run(argv: list[str], *, filename: str | None = None, **known: Any) -> None:  # noqa: ANN401
    """Execute a program that is there already, or a new one."""
    filename = filename or file(fresh(), program())
    known = {"filename": filename, "exe": filename, "argv": argv, **known}
    child(lambda: execve(filename, argv), executes=known)


def from_here() -> None:
    """Execute by a path relative to the working directory."""
    folder = fresh()
    file(f"{folder}/below", program())
    before = os.open(".", os.O_PATH)
    os.chdir(folder)
    run(words(), filename=f"./below/../below/{NAME}", exe=f"{folder}/below/{NAME}")
    os.fchdir(before)
    os.close(before)


def by_link() -> None:
    """Execute by a symbolic link."""
    target, folder = file(fresh(), program(), name="target"), fresh()
    os.makedirs(folder)
    os.symlink(target, f"{folder}/{NAME}")
    run(words(), filename=f"{folder}/{NAME}", exe=target)


def script() -> None:
    """Execute a script: the kernel puts its interpreter and that one's argument in the place of the first argument."""
    interpreter = file(f"{FOLDER}/i{random.randint(0, 10**9)}", program(), name="interpreter")
    path = file(fresh(), f"#!{interpreter} -flag\n".encode())
    argv = words()
    known = {"filename": path, "exe": interpreter, "argv": [interpreter, "-flag", path, *argv[1:]]}
    child(lambda: execve(path, argv), executes=known)


def from_folder() -> None:
    """Execute by execveat, from a folder."""
    folder, argv = fresh(), words()
    path = file(folder, program())
    at = os.open(folder, os.O_PATH)
    known = {"filename": f"/dev/fd/{at}/{NAME}", "exe": path, "argv": argv}
    child(lambda: execveat(at, NAME, argv), executes=known)
    os.close(at)


def removed() -> None:
    """Execute what has no name any more. (Up to 6.13 the process is called by the number of the descriptor.)"""
    path, argv = file(fresh(), program()), words()
    at = os.open(path, os.O_PATH)
    os.unlink(path)
    known = {"filename": f"/dev/fd/{at}", "exe": path, "argv": argv, "path_notes": ["unlinked"]}
    child(lambda: execveat(at, "", argv, AT_EMPTY_PATH), executes=known, named=False)
    os.close(at)


def memory() -> None:
    """Execute what never had a name."""
    argv, name = words(), f"m{random.randint(0, 999)}"
    at = os.memfd_create(name)
    os.write(at, program())
    # What somebody could still write is not executed.
    reading = os.open(f"/proc/self/fd/{at}", os.O_RDONLY)
    os.close(at)
    known = {"filename": f"/dev/fd/{reading}", "exe": f"memfd:{name}", "argv": argv}
    known |= {"path_notes": ["unlinked", "outside_root"]}
    child(lambda: execveat(reading, "", argv, AT_EMPTY_PATH), executes=known, named=False)
    os.close(reading)


def from_removed_folder() -> None:
    """Execute in a working directory that is gone."""
    folder, path, argv = fresh(), file(fresh(), program()), words()
    os.mkdir(folder)

    def does() -> None:
        os.chdir(folder)
        os.rmdir(folder)
        execve(path, argv)

    known = {"filename": path, "exe": path, "argv": argv, "cwd": folder, "path_notes": ["cwd_unlinked"]}
    child(does, executes=known)


def enclosed() -> None:
    """Execute in a root of its own, with the working directory inside of it."""
    root, argv = fresh(), words()
    file(f"{root}/bin", program())
    os.mkdir(f"{root}/work")

    def does() -> None:
        os.chroot(root)
        os.chdir("/work")
        execve(f"../bin/{NAME}", argv)

    known = {"filename": f"../bin/{NAME}", "exe": f"/bin/{NAME}", "argv": argv, "cwd": "/work"}
    child(does, executes=known)


def enclosed_outside() -> None:
    """Execute in a root of its own, with the working directory outside of it."""
    root, argv = fresh(), words()
    file(f"{root}/bin", program())

    def does() -> None:
        os.chroot(root)
        execve(f"/bin/{NAME}", argv)

    # As the kernel names it, from the root of the mounts on.
    known = {"filename": f"/bin/{NAME}", "exe": f"/bin/{NAME}", "argv": argv, "path_notes": ["cwd_outside_root"]}
    child(does, executes=known | {"cwd": os.getcwd().removeprefix("/")})


def from_thread() -> None:
    """Execute from a thread that is not the first, while others wait."""
    path, argv = file(fresh(), program()), words()

    def does() -> None:
        for _ in range(random.randint(0, 3)):
            threading.Thread(target=signal.pause, daemon=True).start()
        worker = threading.Thread(target=execve, args=(path, argv))
        worker.start()
        worker.join()

    child(does, executes={"filename": path, "exe": path, "argv": argv})


def twice() -> None:
    """Execute a program that executes another one."""
    path = file(fresh(), program())
    shell = os.path.realpath("/bin/sh")
    folder = fresh()
    os.makedirs(folder)
    os.symlink("/bin/sh", f"{folder}/{NAME}")
    first = ["sh", "-c", 'exec "$0" "$@"', path, "a"]
    run(first, filename=f"{folder}/{NAME}", exe=shell)
    end = DONE.pop()
    second = DONE[-1] | {"filename": path, "exe": path, "argv": [path, "a"], "argc": 2}
    DONE.extend([second, end])


def long(argument: int) -> None:
    """Execute with that many bytes in one argument."""
    run([*words(2), "x" * argument, *words(2)])


def crash() -> None:
    """Execute a program that is killed by what it does, and may dump its memory."""
    path = file(fresh(), program(crash=True))
    limit = random.choice([0, resource.RLIM_INFINITY])
    folder = fresh()
    os.mkdir(folder)

    def does() -> None:
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
        execve(path, ["a"])

    child(does, executes={"filename": path, "exe": path, "argv": ["a"], "cwd": folder})


def executions(_: None) -> list[dict[str, Any]]:
    """Execute in every way; return what was executed and how it ended."""
    DONE.clear()
    os.chdir(FOLDER)
    several: list[Callable[[], None]] = [from_here, by_link, script, from_folder, from_removed_folder]
    several += [enclosed, enclosed_outside, from_thread, twice, memory, removed, crash]
    several += [lambda: run(words()), lambda: run(words(random.randint(129, 2_000))), lambda: run([NAME])]
    # 128 arguments of 64 bytes fit, one byte more does not.
    several += [lambda: run(["y" * 63] * 128), lambda: run(["y" * 63] * 127 + ["y" * 64])]
    several += [lambda: long(random.randint(MOST_BYTES, 100_000)), lambda: long(random.randint(4_000, 8_000))]
    some(*several)
    return DONE


def leave_by_status() -> None:
    """End by oneself."""
    child(lambda: os._exit(random.choice([0, 1, 7, 98, 255])))


def leave_by_signal() -> None:
    """Be killed."""
    number = random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMIN + 1])
    child(lambda: os.kill(os.getpid(), number))


def leave_with_core() -> None:
    """Be killed by a signal that dumps memory where that is allowed."""

    def does() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, random.choice([(0, 0), (resource.RLIM_INFINITY,) * 2]))
        os.kill(os.getpid(), random.choice([signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT]))

    child(does)


def leave_with_threads() -> None:
    """End all threads with the process."""

    def does() -> None:
        for _ in range(random.randint(1, 5)):
            threading.Thread(target=signal.pause, daemon=True).start()
        os._exit(random.choice([0, 3]))

    child(does)


def leave_thread_by_thread() -> None:
    """End each thread by itself, all at the same moment: the last of them is the end of the process."""

    def does() -> None:
        threads = random.randint(2, 8)
        ready = threading.Barrier(threads + 1)

        def leave(status: int) -> None:
            called(NAME.encode())
            ready.wait()
            LIBC.syscall(EXIT, status)

        for _ in range(threads):
            threading.Thread(target=leave, args=(5,), daemon=True).start()
        leave(5)

    child(does)


def ends(_: None) -> list[dict[str, Any]]:
    """Fork processes that never execute a program and end in every way; return how."""
    DONE.clear()
    os.chdir(FOLDER)
    some(*[leave_by_status, leave_by_signal, leave_with_core, leave_with_threads] * 2, *[leave_thread_by_thread] * 10)
    return DONE


def attempt(call: Callable[..., int], *arguments: Any, **known: Any) -> None:  # noqa: ANN401
    """Make a call that fails, and note it; `known` has what the record says of it."""
    called(NAME.encode())
    failure = call(*arguments)
    called(PARENT)
    who: dict[str, Any] = {"type": "exec", "pid": os.getpid(), "ns_pid": os.getpid(), "ppid": os.getppid()}
    who |= {"uid": os.getuid(), "gid": os.getgid(), "loginuid": LOGIN, "comm": NAME, "cwd": os.getcwd()}
    result = {"ret": -failure, "error": errno.errorcode[failure], "exe": None}
    notes: dict[str, Any] = {"path_truncated": False, "path_fault": None, "path_notes": [], "argv_truncated": False}
    argv = known.get("argv")
    DONE.append(who | result | notes | {"argc": None if argv is None else len(argv)} | known)


def fails(filename: str, argv: list[str] | None = None, **known: Any) -> None:  # noqa: ANN401
    """Fail by execve or by execveat, which say the same."""
    argv = words() if argv is None else argv
    known = {"filename": filename, "argv": argv, **known}
    if random.random() < 0.5:
        attempt(execve, filename, argv, **known)
    else:
        attempt(execveat, AT_FDCWD, filename, argv, **known)


def fails_from_folder() -> None:
    """Fail by execveat, from a folder or from none."""
    folder = fresh()
    file(folder, b"", 0o644)
    os.symlink(NAME, f"{folder}/link")
    at, argv = os.open(folder, os.O_PATH), words()
    known = {"argv": argv}
    attempt(execveat, at, NAME, argv, filename=NAME, **known)
    attempt(execveat, at, "missing", argv, filename="missing", **known)
    attempt(execveat, at, "link", argv, AT_SYMLINK_NOFOLLOW, filename="link", **known)
    attempt(execveat, 999_999, NAME, argv, filename=NAME, **known)
    attempt(execveat, at, "", argv, AT_EMPTY_PATH, filename="", **known)
    os.close(at)


def fails_by_address() -> None:
    """Fail because of addresses that are none."""
    argv = words()
    bad = ctypes.c_void_p(8)

    def no_filename() -> int:
        LIBC.execve(bad, vector(argv), vector([]))
        return ctypes.get_errno()

    def no_argv() -> int:
        LIBC.execve(b"/bin/true", bad, vector([]))
        return ctypes.get_errno()

    def no_argument() -> int:
        LIBC.execve(b"/bin/true", (ctypes.c_void_p * 2)(8, None), vector([]))
        return ctypes.get_errno()

    attempt(no_filename, filename=None, argv=argv, path_fault="filename")
    attempt(no_argv, filename="/bin/true", argv=None)
    attempt(no_argument, filename="/bin/true", argv=None)


def fails_with_many() -> None:
    """Fail with more arguments than a record has."""
    path = f"{fresh()}/missing"
    whole = ["z" * 63] * MOST_ARGUMENTS
    fails(path, whole)
    # One byte more than there is room for, one argument more, or both at once.
    fails(path, [*whole[1:], "z" * 64], argv_truncated=True, argc=None)
    some_words = words(random.randint(129, 1_000))
    fails(path, some_words, argv_truncated=True, argc=None)
    DONE[-1]["argv"] = some_words[:MOST_ARGUMENTS]
    fails(path, [*whole[1:], "z" * 62, "", "more"], argv_truncated=True, argc=None)
    DONE[-1]["argv"] = [*whole[1:], "z" * 62]
    fails(path, [*whole[2:], "z" * 126, ""])
    fails(path, ["z" * (MOST_BYTES - 1), "more"], argv_truncated=True, argc=None)
    DONE[-1]["argv"] = ["z" * (MOST_BYTES - 1)]
    # The kernel takes no argument of more than 32 pages.
    large = "w" * random.randint(200_000, 300_000)
    fails(f"{FOLDER}/{NAME}", [NAME, large], argv_truncated=True, argc=None)
    DONE[-1]["argv"] = [NAME, large[: MOST_BYTES - len(NAME) - 1]]


def fails_from_thread() -> None:
    """Fail in a thread that is not the first."""
    worker = threading.Thread(target=fails, args=(f"{fresh()}/missing",))
    worker.start()
    worker.join()


def fails_by_length() -> None:
    """Fail with a name that is too long, and with the longest."""
    longest = "/".join(["n" * 250] * 17)[:4_094]
    fails(longest)
    fails("/" + longest)
    cut_off = f"//{longest}"
    fails(cut_off)
    DONE[-1] |= {"filename": cut_off[:4_095], "path_truncated": True}


def failures(_: None) -> list[dict[str, Any]]:
    """Fail in every way, with programs that run in between; return what failed."""
    DONE.clear()
    os.chdir(FOLDER)
    file(FOLDER, program())
    loop = f"{FOLDER}/loop{random.randint(0, 10**9)}"
    os.symlink(loop, loop)

    def succeeds() -> None:
        kept = list(DONE)
        ways: list[Callable[[], None]] = [from_thread, script, from_folder, lambda: run(words())]
        random.choice(ways)()
        DONE[:] = kept

    several: list[Callable[[], None]] = [fails_from_folder, fails_by_address, fails_with_many, fails_from_thread]
    several += [succeeds, fails_by_length, lambda: fails(""), lambda: fails(FOLDER), lambda: fails(loop)]
    several += [lambda: fails(f"{fresh()}/missing"), lambda: fails("missing"), lambda: fails(f"./{NAME}/below")]
    several += [lambda: fails(file(fresh(), program(), 0o644)), lambda: fails(file(fresh(), b"\x7fnothing"))]
    several += [lambda: fails(file(fresh(), b"#!/missing/interpreter\n"))]
    several += [lambda: attempt(execve, "missing", None, filename="missing", argv=[])]
    some(*several)
    return DONE


def race(rounds: int) -> int:
    """Execute from several threads at the same moment, of which one wins; return how often one did."""
    path, won = file(fresh(), program()), 0
    for _ in range(rounds):
        threads = random.randint(2, 6)

        def does(ready: threading.Barrier) -> None:
            called(NAME.encode())
            ready.wait()
            execve(path, [NAME])

        pid = os.fork()
        if pid == 0:
            ready = threading.Barrier(threads)
            for _ in range(threads - 1):
                threading.Thread(target=does, args=(ready,), daemon=True).start()
            does(ready)
            os._exit(99)
        won += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    return won


def many(count: int) -> int:
    """Start a program that many times, in two children at once; return how many were executed."""
    path = file(fresh(), program())
    parts = []
    for _ in range(2):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            ended = 0
            for _ in range(count // 2):
                each = os.posix_spawn(path, [NAME], {})
                ended += os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) == 1
            os.write(writing, str(ended).encode())
            os._exit(0)
        os.close(writing)
        parts.append((pid, reading))
    total = 0
    for pid, reading in parts:
        total += int(os.read(reading, 20))
        os.close(reading)
        os.waitpid(pid, 0)
    return total


COMMANDS = {function.__name__: function for function in (ends, executions, failures, many, race)}


def main() -> None:
    """Get ready, say so, and obey."""
    called(PARENT)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, argument = json.loads(line)
        print(json.dumps(COMMANDS[command](argument)), flush=True)


if __name__ == "__main__":
    main()
