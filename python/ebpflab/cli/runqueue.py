"""`ebpflab runqueue`."""

from __future__ import annotations

from ebpflab.cli import options
from ebpflab.cli.run import Options, measuring, run


def command(
    by: options.By = None,
    linear: options.LinearTime = None,
    slower: options.Slower = None,
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    tree: options.Tree = None,
    cgroup: options.Cgroup = None,
    container: options.Container = None,
    max_entries: options.Buckets = 16_384,
    interval: options.Interval = 1.0,
    duration: options.Duration = None,
    limit: options.Readings = None,
    keep_capabilities: options.KeepCapabilities = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Measure how long tasks wait for a CPU once they could run."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.runqueue import runqueue  # noqa: PLC0415

    run(
        lambda: runqueue(
            by=() if by is None else by.split(","),
            linear=options.scaled(linear, 1e6),
            slower=options.scaled(slower, 1e3),
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            tree=tree,
            cgroup=cgroup,
            container=container,
            not_pid=options.own_pid(),
            max_entries=max_entries,
        ),
        measuring(views.runqueue, interval, duration, limit, slow=slower is not None),
        Options(json, verbose, fail_on_loss, keep_capabilities),
    )
