"""`ebpflab replay`."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ebpflab.cli import options
from ebpflab.cli.output import write_text
from ebpflab.cli.run import Options, Output, recording, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ebpflab.recordings import Replay
    from ebpflab.records import ActivityEvent
    from ebpflab.session import Events


def _speed(speed: str) -> str:
    try:
        if speed == "max" or 0 < float(speed) < float("inf"):
            return speed
    except ValueError:
        pass
    raise typer.BadParameter(f"{speed} is neither a number above 0 nor max")


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording.")],
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    cgroup: Annotated[
        str | None, typer.Option("-c", "--cgroup", metavar="PATH", help="Only this cgroup_path and those below it.")
    ] = None,
    container: options.Container = None,
    path_prefix: options.PathPrefix = None,
    failed: options.Failed = False,
    speed: Annotated[
        str, typer.Option(metavar="N|max", callback=_speed, help="So many times as fast as it happened, or at once.")
    ] = "1",
    duration: options.Duration = None,
    limit: options.Limit = None,
    timestamp: options.Timestamp = False,
    show_container: options.ShowContainer = False,
    output: options.Output = None,
    overwrite: options.Overwrite = False,
    rotate_bytes: options.RotateBytes = None,
    rotate_seconds: options.RotateSeconds = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
) -> None:
    """Show a recording as the command that made it shows events, at the pace of then. Needs no root."""
    from ebpflab.recordings import replay  # noqa: PLC0415  so that --help stays quick

    shown: Output[Any] = Output(
        lines=lambda session: session.json_lines(duration, limit),
        show=partial(_show, duration=duration, limit=limit, timestamp=timestamp, container=show_container),
        totals=lambda _: None,
    )
    shown = recording(output, duration, limit, overwrite=overwrite, rotate=(rotate_bytes, rotate_seconds)) or shown
    run(
        lambda: replay(
            file,
            speed=None if speed == "max" else float(speed),
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            cgroup=cgroup,
            container=container,
            path_prefix=path_prefix,
            failed=failed,
        ),
        replace(shown, announce=_announce),
        Options(json, verbose, fail_on_loss=False),
    )


def _announce(session: Replay) -> Iterator[str]:
    """Say what must not be overlooked: that the file is not all that happened."""
    if session.recorded is None:
        yield "this recording was not ended: what follows is what can be read; `ebpflab recover` ends it"
    elif session.recorded.continued:
        yield "this is a part of a recording that goes on in another file, the last of which has the ledger"
    elif session.recorded.ledger is None:
        yield "the writer of this recording was killed: its ledger, and up to its last second, are lost"
    elif session.recorded.ledger.lost:
        lost = ", ".join(f"{name} {count}" for name, count in session.recorded.ledger.lost.items())
        yield f"lost while it was recorded: {lost}"


def _show(session: Replay, *, duration: float | None, limit: int | None, timestamp: bool, container: bool) -> None:
    """Show the events as the tool does that they are of."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick

    lines: dict[str, Callable[..., Iterator[str]]] = {
        "open": views.open.lines,
        # Those of a recording may have failed or ended, whatever was asked for.
        "exec": partial(views.exec.lines, exits=True),
        "dashboard": views.activity.lines,
        "trace": views.trace.lines,
    }
    tool = session.attached.command
    if tool == "dashboard" and os.isatty(0) and os.isatty(1):
        from ebpflab.views.dashboard import Dashboard  # noqa: PLC0415  Textual is large

        title = f"ebpflab dashboard · recorded on {session.recording.host} · kernel {session.attached.kernel}"
        # A recording of `dashboard` has no calls.
        shown = cast("Events[ActivityEvent]", session.events(duration, limit))
        Dashboard(shown, lambda: session.ledger, title).run()
        return
    for line in lines[tool](session.events(duration, limit), timestamp=timestamp, container=container):
        write_text(line)
