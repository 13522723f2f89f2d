"""`ebpflab dashboard`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ebpflab.cli import options
from ebpflab.cli.run import Options, Output, events, recording, run

if TYPE_CHECKING:
    from ebpflab.session import EventSession


def command(
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    tree: options.Tree = None,
    cgroup: options.Cgroup = None,
    container: options.Container = None,
    path_prefix: options.PathPrefix = None,
    hook: options.Hook = None,
    buffer: options.Buffer = None,
    duration: options.Duration = None,
    limit: options.Limit = None,
    timestamp: options.Timestamp = False,
    show_container: options.ShowContainer = False,
    output: options.Output = None,
    overwrite: options.Overwrite = False,
    rotate_bytes: options.RotateBytes = None,
    rotate_seconds: options.RotateSeconds = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Watch opened files, executed programs and their ends on a live screen; in a pipe, or with --json, as a stream."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.dashboard import activity  # noqa: PLC0415

    def screen(session: EventSession[Any]) -> None:
        from ebpflab.views.dashboard import Dashboard  # noqa: PLC0415  Textual is large

        kinds = " and ".join(sorted({hook.kind for hook in session.attached.hooks}))
        title = f"ebpflab dashboard · kernel {session.attached.kernel} · by {kinds}"
        Dashboard(session.events(duration, limit), lambda: session.ledger, title).run()

    shown = events(views.activity.lines, duration, limit, timestamp=timestamp, container=show_container)
    if os.isatty(0) and os.isatty(1):
        shown = Output(lines=shown.lines, show=screen, totals=shown.totals)
    run(
        lambda: activity(
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            tree=tree,
            cgroup=cgroup,
            container=container,
            path_prefix=path_prefix,
            not_pid=options.own_pid(),
            hook=hook,
            buffer=buffer,
        ),
        recording(output, duration, limit, overwrite=overwrite, rotate=(rotate_bytes, rotate_seconds)) or shown,
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
