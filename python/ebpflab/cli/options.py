"""The options that mean the same in every command."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ebpflab.cli import completion


def check_seconds(seconds: float | None) -> float | None:
    """Refuse what is no time."""
    if seconds is not None and not 0 < seconds < float("inf"):
        raise typer.BadParameter(f"{seconds} is no number of seconds above 0")
    return seconds


def _interval(seconds: float) -> float:
    check_seconds(seconds)
    if seconds < SHORTEST_INTERVAL:
        raise typer.BadParameter(f"{seconds} is less than {SHORTEST_INTERVAL}")
    return seconds


SHORTEST_INTERVAL = 0.01

Interval = Annotated[
    float,
    typer.Option("-i", "--interval", metavar="SECONDS", callback=_interval, help="Seconds between readings."),
]
Duration = Annotated[
    float | None,
    typer.Option("-d", "--duration", metavar="SECONDS", callback=check_seconds, help="End after so many seconds."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines (docs/json.md).")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more on stderr.")]
KeepCapabilities = Annotated[
    bool, typer.Option("--keep-capabilities", help="Keep all capabilities, also those needed no longer.")
]
FailOnLoss = Annotated[bool, typer.Option("--fail-on-loss", help="Exit with status 3 if anything was lost.")]

Pid = Annotated[int | None, typer.Option("-p", "--pid", metavar="PID", min=1, max=2**32 - 1, help="Only this process.")]
Tid = Annotated[int | None, typer.Option("-t", "--tid", metavar="TID", min=1, max=2**32 - 1, help="Only this thread.")]


def _name(name: str | None) -> str | None:
    if name is not None and not 0 < len(name.encode(errors="surrogateescape")) < 16:  # noqa: PLR2004  TASK_COMM_LEN
        raise typer.BadParameter("a thread's name has 1 to 15 bytes")
    return name


Name = Annotated[
    str | None, typer.Option("-n", "--name", metavar="NAME", callback=_name, help="Only threads of this name (comm).")
]


def _uid(user: str | None) -> str | None:
    if user is None:
        return None
    if user.isascii() and user.isdigit():
        if int(user) < 2**32:
            return user
        raise typer.BadParameter(f"{user} is too large for a user id")
    try:
        return str(pwd.getpwnam(user).pw_uid)
    except KeyError:
        raise typer.BadParameter(f"there is no user {user}") from None


Uid = Annotated[
    str | None, typer.Option("-u", "--uid", metavar="USER", callback=_uid, help="Only this user, by id or name.")
]
Tree = Annotated[
    int | None,
    typer.Option("--tree", metavar="PID", min=1, max=2**32 - 1, help="Only this process and its descendants."),
]
Cgroup = Annotated[
    str | None,
    typer.Option("-c", "--cgroup", metavar="PATH", help="Only this cgroup and those below it."),
]


Container = Annotated[
    str | None,
    typer.Option(metavar="CONTAINER", help="Only this container, by name, id or the first digits of that."),
]


def _path_prefix(prefix: str | None) -> str | None:
    if prefix is not None and not 0 < len(prefix.encode(errors="surrogateescape")) < 256:  # noqa: PLR2004  PathPrefix
        raise typer.BadParameter("the beginning of a path has 1 to 255 bytes")
    return prefix


PathPrefix = Annotated[
    str | None,
    typer.Option(
        "--path-prefix",
        metavar="PREFIX",
        callback=_path_prefix,
        help="Only files whose whole path begins so, or is not known.",
    ),
]
Failed = Annotated[bool, typer.Option("-x", "--failed", help="Only what failed.")]
Hook = Annotated[
    Literal["fentry", "kprobe", "kretprobe", "raw_tracepoint", "tracepoint"] | None,
    typer.Option("--hook", help="Take this hook or fail; else the best that the kernel has."),
]
Bits = Annotated[
    Literal["8", "16", "32", "64"] | None,
    typer.Option(help="How many bits a value has: 32 for an int; 64 where the kernel tells nothing of it."),
]
Unsigned = Annotated[bool, typer.Option("--unsigned", help="With --bits: no value is negative.")]


def check_unsigned(unsigned: bool, bits: str | None) -> None:
    """Refuse what does not go together."""
    if unsigned and bits in {None, "64"}:
        raise typer.BadParameter("--unsigned needs --bits 8, 16 or 32")


Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="End after so many events.")]
Readings = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="End after so many readings.")]
TcHook = Annotated[
    Literal["tcx", "clsact"] | None,
    typer.Option("--hook", help="Take this hook or fail; else tcx where the kernel has it."),
]
Timestamp = Annotated[bool, typer.Option("-T", "--timestamp", help="Show the time of each event.")]
ShowContainer = Annotated[bool, typer.Option("-C", "--show-container", help="Show the container of each event.")]
Buffer = Annotated[
    int | None,
    typer.Option(metavar="BYTES", min=1, max=2**31, help="Size of the event buffer, rounded up to a power of two."),
]


Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Record the events to FILE.parquet, .arrow or .jsonl instead of printing them.",
    ),
]
RotateBytes = Annotated[
    int | None,
    typer.Option(
        metavar="BYTES", min=1, max=2**63, help="Record to a folder, and to another file when one is so large."
    ),
]
RotateSeconds = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", callback=check_seconds, help="Record to a folder, and to another file when one is so old."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Let --output replace a file that is there.")]


def _by(*words: str) -> Any:  # noqa: ANN401  for Typer
    """Return an option that is a list of some of these words."""

    def check(text: str | None) -> str | None:
        if text is not None and set(text.split(",")) - set(words):
            raise typer.BadParameter(f"it is a list of {', '.join(words)}, not {text}")
        return text

    told = f"What to tell apart, with commas between: {', '.join(words)}."
    return typer.Option("--by", metavar="WHAT", callback=check, help=told)


def _above_zero(number: float | None) -> float | None:
    if number is not None and not 0 < number < float("inf"):
        raise typer.BadParameter(f"{number} is no number above 0")
    return number


LinearTime = Annotated[
    float | None,
    typer.Option(
        "--linear", metavar="US", callback=_above_zero, help="Steps of so many microseconds, not powers of two."
    ),
]
Slower = Annotated[
    float | None,
    typer.Option(metavar="MS", callback=_above_zero, help="Show each that takes longer, and the table at the end."),
]
Buckets = Annotated[int, typer.Option("--max-entries", metavar="N", min=1, max=2**24, help="Most buckets of all.")]


def scaled(number: float | None, scale: float) -> float | None:
    """Return what was asked for, if anything, in seconds."""
    return None if number is None else number / scale


By = Annotated[str | None, _by("pid", "comm", "cgroup")]
SyscallBy = Annotated[str | None, _by("syscall", "pid", "comm", "cgroup")]


_IFACE = typer.Option("--iface", metavar="IFACE", autocompletion=completion.interfaces, help="The interface to watch.")
Iface = Annotated[str, _IFACE]
AnyIface = Annotated[str | None, _IFACE]


def own_pid() -> int | None:
    """Return this process's id as BPF programs see it, if that can be known: in the initial PID namespace."""
    # PROC_PID_INIT_INO, include/linux/proc_ns.h
    return os.getpid() if Path("/proc/self/ns/pid").stat().st_ino == 0xEFFFFFFC else None  # noqa: PLR2004
