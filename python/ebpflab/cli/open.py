"""`ebpflab open`."""

from __future__ import annotations

from ebpflab.cli import options
from ebpflab.cli.run import Options, events, recording, run


def command(
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    tree: options.Tree = None,
    cgroup: options.Cgroup = None,
    container: options.Container = None,
    path_prefix: options.PathPrefix = None,
    failed: options.Failed = False,
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
    """Show every opened file: open, creat, openat, openat2. ebpflab itself is left out."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.open import opens  # noqa: PLC0415

    run(
        lambda: opens(
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            tree=tree,
            cgroup=cgroup,
            container=container,
            path_prefix=path_prefix,
            not_pid=options.own_pid(),
            failed=failed,
            hook=hook,
            buffer=buffer,
        ),
        recording(output, duration, limit, overwrite=overwrite, rotate=(rotate_bytes, rotate_seconds))
        or events(views.open.lines, duration, limit, timestamp=timestamp, container=show_container),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
