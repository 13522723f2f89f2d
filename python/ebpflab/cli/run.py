"""What every command does: attach, show readings, end with a summary and a status."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

import typer

from ebpflab.cli.output import STDOUT, complain, write, write_text
from ebpflab.errors import AttachError, EbpflabError, NotSupportedError, PrivilegeError, VerifierError
from ebpflab.records import Counts
from ebpflab.views import live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ebpflab.records import Ledger, Reading, Summary
    from ebpflab.session import Session

FAILED = 1
LOSS = 3
UNABLE = 77


@dataclass(frozen=True)
class View(Generic[Counts]):
    """How a command shows itself to people: its readings as a series of texts, and the end."""

    frames: Callable[[Iterable[Reading[Counts]]], Iterator[str]]
    totals: Callable[[Summary[Counts]], str]


@dataclass(frozen=True)
class Options:
    """What every counting command is told."""

    interval: float
    duration: float | None
    json: bool
    verbose: bool
    fail_on_loss: bool


def run(attach: Callable[[], Session[Counts]], view: View[Counts], options: Options) -> None:
    """Attach, show readings until the end, and leave with a status.

    Raises:
        typer.Exit: Always.

    """
    try:
        session = attach()
    except (EbpflabError, OSError, ValueError) as error:
        raise typer.Exit(_explain(error, verbose=options.verbose)) from None
    with session:
        status = _follow(session, view, options)
    raise typer.Exit(status)


def _follow(session: Session[Counts], view: View[Counts], options: Options) -> int:
    # Stopping is what ends the loops below, between two lines and never inside one.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: session.stop())
    if options.verbose or not options.json:
        _announce(session, verbose=options.verbose)
    try:
        gone = _show(session, view, options)
    except BrokenPipeError:
        # Whoever read has seen enough. Python must not try to flush into the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        return 0
    except OSError as error:
        complain(f"cannot write to standard output: {error.strerror}")
        return FAILED
    return _account(session.ledger, gone, options)


def _show(session: Session[Counts], view: View[Counts], options: Options) -> AttachError | None:
    """Write everything up to the summary; return the error if what is watched goes away."""
    gone = None
    try:
        if options.json:
            for line in session.json_lines(options.interval, options.duration):
                write(line)
        else:
            live.show(view.frames(session.readings(options.interval, options.duration)), write_text)
    except AttachError as error:
        gone = error
    if not options.json:
        write_text(view.totals(session.stop()))
        write_text(_ledger_line(session.ledger))
    return gone


def _announce(session: Session[Any], *, verbose: bool) -> None:
    attached = session.attached
    kinds = sorted({hook.kind for hook in attached.hooks})
    targets = ", ".join(hook.target for hook in attached.hooks)
    mode = f" in {attached.mode.got} mode" if attached.mode else ""
    complain(f"{attached.command} attached by {' and '.join(kinds)} to {targets}{mode}; Ctrl-C ends it")
    for reason in sorted({hook.reason for hook in attached.hooks}):
        if verbose or reason not in {"first choice", "asked for"}:
            complain(f"this hook was taken because: {reason}")
    if verbose:
        complain(f"kernel {attached.kernel}; these hooks do not see: {', '.join(attached.blind_to) or 'nothing'}")


def _account(ledger: Ledger, gone: AttachError | None, options: Options) -> int:
    if not ledger.balanced:
        complain(f"the ledger does not add up, which is a bug of ebpflab; please report it: {ledger}")
    if ledger.lost:
        complain(f"lost: {', '.join(f'{name} {count}' for name, count in ledger.lost.items())}")
    if gone:
        complain(str(gone))
        return FAILED
    return LOSS if ledger.lost and options.fail_on_loss else 0


def _ledger_line(ledger: Ledger) -> str:
    missed = "unknown" if ledger.missed is None else ledger.missed
    return (
        f"ledger: seen {ledger.seen} = filtered {ledger.filtered} + submitted {ledger.submitted}"
        f" + map_full {ledger.map_full}; received {ledger.received}; missed {missed}"
    )


def _explain(error: Exception, *, verbose: bool) -> int:
    complain(str(error))
    if verbose and isinstance(error, VerifierError):
        print(error.log, file=sys.stderr)
    return UNABLE if isinstance(error, (NotSupportedError, PrivilegeError)) else FAILED
