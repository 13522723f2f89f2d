"""`ebpflab stacks`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ebpflab.cli import completion, options
from ebpflab.cli.calls import check_target
from ebpflab.cli.output import complain
from ebpflab.cli.run import FAILED, Options, counting, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpflab.tools.stacks import StackCounter

#: What it takes to see what processes have mapped, and to read their files.
NEEDS = ("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH")


def _targets(targets: list[str] | None) -> list[str]:
    return [check_target(target) for target in targets or []]


def command(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET...]",
            callback=_targets,
            autocompletion=completion.targets,
            show_default=False,
            help="vfs_read, libc:malloc, tracepoint:sched:sched_switch and so on (docs/targets.md); * is any text.",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(metavar="HZ", min=1, max=2**32 - 1, help="Instead where each CPU is, so often a second."),
    ] = None,
    folded: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the stacks to a file in the end, a line each.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a flame graph to a file in the end.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Let these files replace those that are there.")
    ] = False,
    by: options.By = "comm",
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    tree: options.Tree = None,
    cgroup: options.Cgroup = None,
    container: options.Container = None,
    max_entries: Annotated[int, typer.Option(metavar="N", min=1, max=2**24, help="Most counters.")] = 16_384,
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    limit: options.Readings = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Count the stacks from which functions and tracepoints are come to, or those of the CPUs."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.stacks import StackCounter, stacks  # noqa: PLC0415

    if bool(targets) == (sample is not None):
        raise typer.BadParameter("it is either targets or --sample HZ")
    if overwrite and not (folded or svg):
        raise typer.BadParameter("--overwrite needs --folded or --svg")
    files = [_File(path, text) for path, text in ((folded, StackCounter.folded), (svg, StackCounter.svg)) if path]
    attached: list[StackCounter] = []

    def attach() -> StackCounter:
        # First of all: capabilities are given up soon, and a long run shall not end in an error.
        for file in files:
            file.make(overwrite=overwrite)
        session = stacks(
            *targets or (),
            sample=sample,
            by=() if by is None else by.split(","),
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            tree=tree,
            cgroup=cgroup,
            container=container,
            not_pid=options.own_pid(),
            max_entries=max_entries,
        )
        attached.append(session)
        return session

    output = replace(counting(views.stacks, interval, duration, limit), needs=NEEDS)
    if files:
        output = replace(output, show=lambda session: cast("StackCounter", session).wait(duration))
    try:
        run(attach, output, Options(json, verbose, fail_on_loss, keep_capabilities))
    except typer.Exit as ended:
        written = [file.write(session) for session in attached for file in files]
        raise typer.Exit(ended.exit_code if all(written) else FAILED) from None
    finally:
        for file in files:
            file.close()


class _File:
    """A file for the whole run."""

    def __init__(self, path: Path, text: Callable[[StackCounter], str]) -> None:
        """Say where it goes, and what goes into it."""
        self._path = path
        self._text = text
        self._fd: int | None = None

    def make(self, *, overwrite: bool) -> None:
        """Make it, for its owner alone."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (0 if overwrite else os.O_EXCL)
        try:
            self._fd = os.open(self._path, flags, 0o600)
        except FileExistsError:
            raise FileExistsError(f"{self._path} is there already; --overwrite replaces it") from None
        except OSError as error:
            raise OSError(f"cannot make {self._path}: {error.strerror}") from None

    def write(self, session: StackCounter) -> bool:
        """Write what the session saw, and say so; whether that worked."""
        if self._fd is None:
            return False
        try:
            text = self._text(session).encode()
        except ValueError:
            text = b""
        try:
            os.ftruncate(self._fd, 0)
            with os.fdopen(os.dup(self._fd), "wb") as file:
                file.write(text)
        except OSError as error:
            complain(f"cannot write {self._path}: {error.strerror}")
            return False
        if not text:
            complain(f"no stack was seen, so there is no {self._path}")
        return True

    def close(self) -> None:
        """Close it; where nothing was written into it, it goes again."""
        if self._fd is not None:
            if os.fstat(self._fd).st_size == 0:
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
