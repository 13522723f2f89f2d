"""What every command does: attach, show readings, end with a summary and a status."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import typer

from ebpflab.cli.output import StdoutError, Writer, complain, write_text
from ebpflab.errors import AttachError, EbpflabError, NotSupportedError, PrivilegeError, VerifierError
from ebpflab.records import Counts
from ebpflab.session import EventSession, Session
from ebpflab.views import live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ebpflab.records import LatencyCounts, Ledger, Reading, Summary
    from ebpflab.session import CountSession

FAILED = 1
LOSS = 3
UNABLE = 77

#: Most targets that are named where they are told.
TARGETS = 12

#: What ends a run well.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Running = TypeVar("Running", bound=Session)


class CountView(Protocol[Counts]):
    """A module of `ebpflab.views` for a tool that counts."""

    def frames(self, readings: Iterable[Reading[Counts]], /) -> Iterator[str]:
        """Yield a text for each reading."""

    def totals(self, summary: Summary[Counts], /) -> str:
        """Return the text of a whole run."""


class TimeView(CountView["LatencyCounts"], Protocol):
    """A module of `ebpflab.views` for a tool that measures times."""

    def slow(self, readings: Iterable[Reading[LatencyCounts]], /) -> Iterator[str]:
        """Yield a line for each that took long."""


@dataclass(frozen=True)
class Output(Generic[Running]):
    """The two ways a command's session is written to stdout."""

    #: As JSON lines, the summary last.
    lines: Callable[[Running], Iterator[bytes]]
    #: For people: everything up to the end of the run, and what comes after it.
    show: Callable[[Running], None]
    totals: Callable[[Running], str | None]
    #: What is said at the start of a session that is attached to nothing.
    announce: Callable[[Running], Iterable[str]] | None = None
    #: Capabilities that it needs to the end.
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """What every command is told."""

    json: bool
    verbose: bool
    fail_on_loss: bool
    keep_capabilities: bool = True


def run(
    attach: Callable[[], Running],
    output: Output[Running],
    options: Options,
    hangup: Callable[[Running], None] | None = None,
) -> None:
    """Attach, write what the session gives until its end, and leave with a status.

    SIGHUP ends it too, unless there is something else to do then: `hangup`.

    Raises:
        typer.Exit: Always.

    """
    try:
        session = attach()
    except (EbpflabError, OSError, ValueError) as error:
        raise typer.Exit(explain(error, verbose=options.verbose)) from None
    try:
        with session:
            if not options.keep_capabilities:
                # Whoever sends SIGHUP wants files read again, which may be somebody else's.
                session.give_up_capabilities(*output.needs, *(["CAP_DAC_READ_SEARCH"] if hangup else []))
            status = _follow(session, output, options, hangup)
    except (EbpflabError, OSError) as error:
        # Its end was not what it should be: counts that could not be read.
        status = explain(error, verbose=options.verbose)
    # All is said and detached; a second Ctrl-C shall not turn that into a death by signal.
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise typer.Exit(status)


def counting(
    view: CountView[Counts], interval: float, duration: float | None, limit: int | None = None
) -> Output[CountSession[Counts]]:
    """Make the output of a tool that counts."""
    return Output(
        lines=lambda session: session.json_lines(interval, duration, limit),
        show=lambda session: live.show(view.frames(session.readings(interval, duration, limit)), write_text),
        totals=lambda session: view.totals(session.stop()),
    )


def measuring(
    view: TimeView, interval: float, duration: float | None, limit: int | None, *, slow: bool
) -> Output[CountSession[LatencyCounts]]:
    """Make the output of a tool that measures times; `slow`: line by line what takes long."""

    def show(session: CountSession[LatencyCounts]) -> None:
        for line in view.slow(session.readings(interval, duration, limit)):
            write_text(line)

    output = counting(view, interval, duration, limit)
    return replace(output, show=show) if slow else output


def events(
    lines: Callable[..., Iterator[str]],
    duration: float | None,
    limit: int | None,
    *,
    timestamp: bool,
    container: bool,
) -> Output[EventSession[Any]]:
    """Make the output of a tool that has events; `lines` is that of its view."""

    def show(session: EventSession[Any]) -> None:
        for line in lines(session.events(duration, limit), timestamp=timestamp, container=container):
            write_text(line)

    return Output(lines=lambda session: session.json_lines(duration, limit), show=show, totals=lambda _: None)


def recording(
    path: Path | None,
    duration: float | None,
    limit: int | None,
    *,
    overwrite: bool,
    rotate: tuple[int | None, float | None],
) -> Output[EventSession[Any]] | None:
    """Make the output of a tool whose events go to files, or None: stdout has what comes before and after them.

    `rotate` are the bytes and the seconds after which it goes on in another file.

    Raises:
        typer.BadParameter: What is asked for does not go together.

    """
    rotated = rotate != (None, None)
    if path is None:
        if rotated or overwrite:
            raise typer.BadParameter("--rotate-bytes, --rotate-seconds and --overwrite need --output")
        return None
    if rotated and overwrite:
        raise typer.BadParameter("a recording in a folder overwrites nothing; leave --overwrite out")
    if not rotated and path.suffix not in {".parquet", ".arrow", ".jsonl"}:
        raise typer.BadParameter(
            f"the name of a recording ends in .parquet, .arrow or .jsonl, not {path}; "
            "for a folder say --rotate-bytes or --rotate-seconds"
        )
    record = partial(
        EventSession.record,
        path=path,
        duration=duration,
        limit=limit,
        overwrite=overwrite,
        rotate_bytes=rotate[0],
        rotate_seconds=rotate[1],
        command=("ebpflab", *sys.argv[1:]),
    )

    def show(session: EventSession[Any]) -> None:
        complain(f"recorded {record(session)} events to {path}")

    def lines(session: EventSession[Any]) -> Iterator[bytes]:
        yield session.attached_json()
        show(session)
        yield session.stop_json()

    # Its files may be in somebody else's folder.
    return Output(lines=lines, show=show, totals=lambda _: None, needs=("CAP_DAC_OVERRIDE",))


def _follow(
    session: Running, output: Output[Running], options: Options, hangup: Callable[[Running], None] | None
) -> int:
    # Stopping is what ends the loops below, between two lines and never inside one.
    for number in ENDING:
        # nohup(1) wants SIGHUP ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: session.stop())
    warned: set[str] = set()
    if hangup:

        def again(*_: object) -> None:
            hangup(session)
            _warn(session, warned)

        signal.signal(signal.SIGHUP, again)
    if output.announce:
        for sentence in output.announce(session):
            complain(sentence)
    elif options.verbose or not options.json:
        _announce(session, verbose=options.verbose)
    _warn(session, warned)
    try:
        gone = _write(session, output, options)
    except StdoutError as error:
        return unwritten(error)
    except (EbpflabError, OSError) as error:
        return explain(error, verbose=options.verbose)
    _warn(session, warned)
    return _account(session.stop(), gone, options)


def unwritten(error: StdoutError) -> int:
    """Return the status of a command that could not write what it had to say."""
    if error.nobody_reads:
        # Whoever read has seen enough.
        return 0
    complain(str(error))
    return FAILED


def _write(session: Running, output: Output[Running], options: Options) -> AttachError | None:
    """Write everything; return the error if what is watched goes away."""
    gone = None
    try:
        if options.json:
            with Writer(session.stop) as writer:
                for lines in output.lines(session):
                    writer.write(lines)
        else:
            output.show(session)
    except AttachError as error:
        gone = error
    if not options.json:
        session.stop()
        totals = output.totals(session)
        if totals:
            write_text(totals)
        write_text(_ledger_line(session.ledger))
    return gone


def _announce(session: Session, *, verbose: bool) -> None:
    attached = session.attached
    kinds = sorted({hook.kind for hook in attached.hooks})
    hooked = list(dict.fromkeys(hook.target for hook in attached.hooks))
    targets = ", ".join(hooked[:TARGETS])
    if len(hooked) > TARGETS:
        targets += f" and {len(hooked) - TARGETS} more"
    mode = f" in {attached.mode.got} mode" if attached.mode else ""
    complain(f"{attached.command} attached by {' and '.join(kinds)} to {targets}{mode}; Ctrl-C ends it")
    for reason in sorted({hook.reason for hook in attached.hooks}):
        if verbose or reason not in {"first choice", "asked for"}:
            complain(f"this hook was taken because: {reason}")
    if verbose:
        complain(f"kernel {attached.kernel}; these hooks do not see: {', '.join(attached.blind_to) or 'nothing'}")


def _warn(session: Session, warned: set[str]) -> None:
    """Say what there is to say, but nothing twice."""
    for warning in session.warnings:
        if warning not in warned:
            complain(warning)
    warned.update(session.warnings)


def _account(summary: Summary[Any], gone: AttachError | None, options: Options) -> int:
    for ledger in filter(None, (summary.ledger, summary.capture)):
        if not ledger.balanced:
            complain(f"the ledger does not add up, which is a bug of ebpflab; please report it: {ledger}")
    lost = _lost(summary)
    if lost:
        complain(f"lost: {', '.join(f'{name} {count}' for name, count in lost.items())}")
    if gone:
        complain(str(gone))
        return FAILED
    if summary.capture and summary.capture.shown < summary.capture.received:
        return FAILED
    return LOSS if lost and options.fail_on_loss else 0


def _lost(summary: Summary[Any]) -> dict[str, int]:
    """Return all that a run lost, by name."""
    lost = dict(summary.ledger.lost)
    if summary.capture:
        lost |= {f"{name} (of the packet file)": count for name, count in summary.capture.lost.items()}
    if summary.sources and summary.sources.untracked.packets:
        lost["packets of sources that there was no room for"] = summary.sources.untracked.packets
    return lost


def _ledger_line(ledger: Ledger) -> str:
    terms = ("submitted", "filtered", "dropped", "unpaired", "pending", "map_full")
    told = " + ".join(f"{term} {getattr(ledger, term)}" for term in terms if term == terms[0] or getattr(ledger, term))
    missed = "unknown" if ledger.missed is None else ledger.missed
    shown = "" if ledger.shown == ledger.received else f"; shown {ledger.shown}"
    return f"ledger: seen {ledger.seen} = {told}{shown}; missed {missed}"


def explain(error: Exception, *, verbose: bool) -> int:
    """Say what went wrong; return the status of a command that ends with it."""
    complain(str(error))
    if verbose and isinstance(error, VerifierError):
        print(error.log, file=sys.stderr)
    return UNABLE if isinstance(error, (NotSupportedError, PrivilegeError)) else FAILED
