"""`ebpflab run`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebpflab.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ebpflab.objects import Events, Object, UserProgram

Programs = Annotated[
    list[str] | None,
    typer.Option(
        "--program", metavar="NAME[=TARGET]", help="Attach only this program, to TARGET or where its section says."
    ),
]
Globals = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a global before the object is loaded.")
]
Buffers = Annotated[
    list[str] | None,
    typer.Option("--events", metavar="MAP=STRUCT", help="Read the records of a buffer as this struct of the object."),
]
Pins = Annotated[
    list[str] | None, typer.Option("--pin", metavar="MAP=FILE", help="Share a map by a file on a bpffs, and leave it.")
]
Every = Annotated[
    float | None, typer.Option("-i", "--interval", metavar="SECONDS", min=0.01, help="Print the maps so often too.")
]


def run(
    path: Annotated[Path, typer.Argument(metavar="OBJECT", help="An ELF file of eBPF, by aya or clang.")],
    program: Programs = None,
    set_: Globals = None,
    events: Buffers = None,
    pin: Pins = None,
    interval: Every = None,
    duration: options.Duration = None,
    limit: options.Limit = None,
    json: options.Json = False,
    fail_on_loss: options.FailOnLoss = False,
) -> None:
    """Attach the programs of an object of your own; print its events as they come, and its maps at the end.

    Each program is attached where its section says. One whose section does not say it is attached with
    --program NAME=TARGET only: the kinds of targets are in docs/load.md.
    """
    from ebpflab.cli.output import StdoutError  # noqa: PLC0415  so that --help stays quick
    from ebpflab.cli.run import LOSS, explain, unwritten  # noqa: PLC0415
    from ebpflab.errors import EbpflabError  # noqa: PLC0415
    from ebpflab.objects import load  # noqa: PLC0415

    try:
        with load(path, pinned=_pairs("--pin", pin)) as loaded:
            _set_globals(loaded, _pairs("--set", set_))
            loaded.load()
            printer = _Printer(loaded, _pairs("--events", events), json=json)
            _follow(printer, _attach(loaded, _programs(program)), interval, duration, limit)
    except StdoutError as error:
        raise typer.Exit(unwritten(error)) from None
    except (EbpflabError, OSError, ValueError) as error:
        raise typer.Exit(explain(error, verbose=False)) from None
    raise typer.Exit(LOSS if fail_on_loss and any(printer.lost.values()) else 0)


def _pairs(option: str, texts: Iterable[str] | None) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts or ()]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise typer.BadParameter(f"{option} takes NAME=VALUE, not {name}{equals}{value}")
    return {name: value for name, _, value in pairs}


def _programs(texts: Iterable[str] | None) -> dict[str, str | None]:
    pairs = [text.partition("=") for text in texts or ()]
    return {name: target or None for name, _, target in pairs}


def _known(name: str, names: Iterable[str], what: str) -> None:
    if name not in names:
        raise typer.BadParameter(f"the object has no {what} {name}; it has {', '.join(names) or 'none'}")


def _set_globals(loaded: Object, values: Mapping[str, str]) -> None:
    """Set them to numbers, tuples or dicts as Python writes them; what is none of these is a text."""
    from ast import literal_eval  # noqa: PLC0415

    for name, text in values.items():
        _known(name, loaded.globals, "global")
        value: object = text
        with suppress(ValueError, SyntaxError):
            value = literal_eval(text)
        loaded.globals[name] = value


def _attach(loaded: Object, wanted: Mapping[str, str | None]) -> list[tuple[UserProgram, str]]:
    """Attach those that are wanted, or all that say where; return them and where that is."""
    from ebpflab.cli.output import complain  # noqa: PLC0415

    for name in wanted:
        _known(name, loaded.programs, "program")
    programs = [loaded.programs[name] for name in wanted or loaded.programs]
    able = [each for each in programs if wanted or each.target]
    for each in programs:
        if each not in able:
            complain(f"{each.name} is not attached: {each.section or each.kind} does not say where; say --program")
    if not able:
        raise typer.BadParameter("no program says where it is attached; say --program NAME=TARGET")
    return [(each, each.attach(wanted.get(each.name))) for each in able]


class _Printer:
    """What an object's buffers and maps have, as text or as lines of JSON."""

    #: Kinds of maps that have no entries to read.
    BUFFERS = ("ringbuf", "perf_event_array")
    UNREAD = (*BUFFERS, "prog_array", "cgroup_array", "stack_trace")

    def __init__(self, loaded: Object, structs: Mapping[str, str], *, json: bool) -> None:
        """Open the reader of each buffer; `structs` are what records are, by the names of maps."""
        for name in structs:
            _known(name, loaded.maps, "map")
        kinds = {name: each.kind for name, each in loaded.maps.items()}
        wanted = [name for name, kind in kinds.items() if kind in self.BUFFERS or name in structs]
        self.buffers: dict[str, Events] = {name: loaded.maps[name].events(as_=structs.get(name)) for name in wanted}
        # Globals are maps too, whose names begin with a dot.
        self._maps = [loaded.maps[name] for name, kind in kinds.items() if kind not in self.UNREAD and name[0] != "."]
        self._kinds = kinds
        self._json = json
        self.events = dict.fromkeys(self.buffers, 0)

    @property
    def lost(self) -> dict[str, int]:
        """Return how many records did not fit, of the buffers that tell."""
        return {name: reader.lost for name, reader in self.buffers.items() if reader.lost is not None}

    def attached(self, programs: Sequence[tuple[UserProgram, str]]) -> None:
        """Say what is attached, and where."""
        from ebpflab.cli.output import complain  # noqa: PLC0415

        rows = [{"program": each.name, "kind": each.kind, "target": where} for each, where in programs]
        if self._json:
            self._line("attached", programs=rows)
            return
        for row in rows:
            complain(f"{row['program']} attached by {row['kind']} to {row['target']}; Ctrl-C ends it")

    def drain(self, most: int | None) -> int:
        """Print the records that there are, at most so many; return how many these were."""
        from ebpflab.cli.output import write_text  # noqa: PLC0415
        from ebpflab.views import inspect as view  # noqa: PLC0415

        printed = 0
        for name, reader in self.buffers.items():
            for value in reader.read()[: None if most is None else most - printed]:
                printed += 1
                self.events[name] += 1
                if self._json:
                    self._line("event", map=name, value=value)
                else:
                    write_text(f"{name}  {view.shown(value)}")
        return printed

    def maps(self) -> None:
        """Print the entries of the maps."""
        from ebpflab.cli.output import write_text  # noqa: PLC0415
        from ebpflab.records import MapEntry  # noqa: PLC0415
        from ebpflab.views import inspect as view  # noqa: PLC0415

        for each in self._maps:
            entries = each.entries()
            if self._json:
                for key, value in entries:
                    self._line("entry", map=each.name, key=key, value=value)
            else:
                rows = [MapEntry(key=key, value=value, values=None) for key, value in entries]
                write_text(f"\n{each.name}, {self._kinds[each.name]}, {len(rows)} entries\n{view.entries(rows)}")

    def summary(self) -> None:
        """Say how many records there were, and how many did not fit."""
        from ebpflab.cli.output import complain  # noqa: PLC0415

        if self._json:
            self._line("summary", events=self.events, lost=self.lost)
        for name, lost in self.lost.items():
            if lost:
                complain(f"lost: {lost} records did not fit into {name}")

    def _line(self, kind: str, **fields: Any) -> None:  # noqa: ANN401  of any type
        from json import dumps  # noqa: PLC0415

        from ebpflab.cli.output import write_text  # noqa: PLC0415
        from ebpflab.values import plain  # noqa: PLC0415
        from ebpflab.views.table import harmless  # noqa: PLC0415

        values = {name: plain(value) for name, value in fields.items()}
        write_text(harmless(dumps({"type": kind, **values}, ensure_ascii=False, default=list)))


def _follow(
    printer: _Printer,
    programs: Sequence[tuple[UserProgram, str]],
    interval: float | None,
    duration: float | None,
    limit: int | None,
) -> None:
    """Print what comes until a signal, the end of the time, or so many events; then the maps."""
    from select import POLLIN, poll  # noqa: PLC0415
    from time import monotonic  # noqa: PLC0415

    ending = _signals()
    waiting = poll()
    for fd in (ending, *(fd for reader in printer.buffers.values() for fd in reader.fds())):
        waiting.register(fd, POLLIN)
    printer.attached(programs)
    end = None if duration is None else monotonic() + duration
    reading = None if interval is None else monotonic() + interval
    left = limit
    while True:
        due = [at for at in (end, reading) if at is not None]
        ready = waiting.poll(max(0, min(due) - monotonic()) * 1_000 + 1 if due else None)
        # What was written before the end belongs to the run.
        printed = printer.drain(left)
        left = None if left is None else left - printed
        if left == 0 or any(fd == ending for fd, _ in ready) or (end is not None and monotonic() >= end):
            break
        if interval is not None and reading is not None and monotonic() >= reading:
            printer.maps()
            reading += interval
    printer.maps()
    printer.summary()


def _signals() -> int:
    """Return a descriptor that is readable once a signal wants the run to end: no line is cut by it."""
    import os  # noqa: PLC0415
    import signal  # noqa: PLC0415

    from ebpflab.cli.run import ENDING  # noqa: PLC0415

    readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in ENDING:
        # nohup(1) wants SIGHUP ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    return readable
