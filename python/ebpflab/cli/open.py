"""`ebpflab open`."""

from __future__ import annotations

import os

from ebpflab.cli import options
from ebpflab.cli.output import write_text
from ebpflab.cli.run import Options, Output, run


def command(
    pid: options.Pid = None,
    tid: options.Tid = None,
    uid: options.Uid = None,
    name: options.Name = None,
    failed: options.Failed = False,
    hook: options.Hook = None,
    buffer: options.Buffer = None,
    duration: options.Duration = None,
    limit: options.Limit = None,
    timestamp: options.Timestamp = False,
    json: options.Json = False,
    verbose: options.Verbose = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Show every opened file: open, creat, openat, openat2. ebpflab itself is left out."""
    from ebpflab import views  # noqa: PLC0415  so that --help stays quick
    from ebpflab.tools.open import Opens, opens  # noqa: PLC0415

    def show(session: Opens) -> None:
        for line in views.open.lines(session.events(duration, limit), timestamp=timestamp):
            write_text(line)

    run(
        lambda: opens(
            pid=pid,
            tid=tid,
            uid=None if uid is None else int(uid),
            name=name,
            not_pid=os.getpid(),
            failed=failed,
            hook=hook,
            buffer=buffer,
        ),
        Output(lines=lambda session: session.json_lines(duration, limit), show=show, totals=lambda _: None),
        Options(json, verbose, fail_on_loss),
    )
