"""The dashboard: a live screen over any iterator of opens, execs and exits."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.widgets import DataTable, Footer, Input, Sparkline, Static

from ebpflab.records import ActivityEvent, ExecEvent, OpenEvent
from ebpflab.views.activity import COLUMNS, outcome, what
from ebpflab.views.live import OwnCpu
from ebpflab.views.table import header, line, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ebpflab.records import Ledger

#: Seconds between two drawings.
REFRESH = 0.25
#: Events kept for the stream; what scrolls by faster than it is drawn is counted and not shown.
KEPT = 200
#: Processes kept; the one that was quiet longest goes first.
PROCESSES = 4_096
#: Seconds of the sparklines.
HISTORY = 60


@dataclass
class Process:
    """What a process has done so far."""

    pid: int
    comm: str
    opens: int = 0
    execs: int = 0
    last: str = ""
    #: Its status or the signal that killed it, once it has ended.
    end: str = ""
    rate: float = 0.0
    counted: int = 0

    @property
    def events(self) -> int:
        """Opens, execs, and its end."""
        return self.opens + self.execs + bool(self.end)


#: What the table of processes can be sorted by.
ORDERS: dict[str, Callable[[Process], Any]] = {
    "rate": lambda process: (-process.rate, -process.events, process.pid),
    "opens": lambda process: (-process.opens, process.pid),
    "execs": lambda process: (-process.execs, process.pid),
    "pid": lambda process: process.pid,
}


class Model:
    """What there is to draw; fed by one thread and drawn by another."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._processes: dict[int, Process] = {}
        self._recent: deque[tuple[int, ActivityEvent]] = deque(maxlen=KEPT)
        self.opens = 0
        self.execs = 0
        self.exits = 0
        #: Only events that contain this text are kept for the stream.
        self.wanted = ""

    @property
    def total(self) -> int:
        """Events so far."""
        return self.opens + self.execs + self.exits

    def feed(self, event: ActivityEvent) -> None:
        """Take an event in."""
        with self._lock:
            process = self._processes.pop(event.pid, None)
            if process is None or process.end:
                # Or another one of the same id.
                process = Process(event.pid, event.comm)
            # Back in at the end: the dict's order is that of the last activity.
            self._processes[event.pid] = process
            if len(self._processes) > PROCESSES:
                del self._processes[next(iter(self._processes))]
            process.comm = event.comm
            if isinstance(event, OpenEvent):
                self.opens += 1
                process.opens += 1
                process.last = event.path or process.last
            elif isinstance(event, ExecEvent):
                self.execs += 1
                process.execs += 1
            else:
                self.exits += 1
                process.end = outcome(event)
            # Here and not when it is drawn: by then the many may have pushed out the few that somebody looks for.
            if self._is_wanted(event):
                self._recent.append((self.total, event))

    def rate(self, seconds: float) -> None:
        """Set the rates of all processes, over the `seconds` since the last call."""
        with self._lock:
            found = list(self._processes.values())
        for process in found:
            process.rate = (process.events - process.counted) / seconds
            process.counted = process.events

    def processes(self, order: str) -> list[Process]:
        """Return the processes that match."""
        with self._lock:
            found = list(self._processes.values())
        matching = [process for process in found if self.wanted in f"{process.pid} {process.comm} {process.last}"]
        return sorted(matching, key=ORDERS[order])

    def since(self, number: int) -> list[ActivityEvent]:
        """Return the kept events after that many that match."""
        with self._lock:
            recent = list(self._recent)
        # Those from before the text was asked for are among them.
        return [event for at, event in recent if at > number and self._is_wanted(event)]

    def _is_wanted(self, event: ActivityEvent) -> bool:
        return not self.wanted or self.wanted in f"{event.pid} {event.comm} {what(event)}"


class Dashboard(App[None]):
    """The screen. Quitting it leaves the source of events running."""

    CSS = """
    #title { height: 1; background: $primary; color: $text; }
    #rates { height: 4; }
    .rate { width: 1fr; height: 4; padding: 0 1; }
    #processes { height: 1fr; scrollbar-size: 0 0; }
    #stream { height: 1fr; border-top: solid $primary; }
    #ledger { height: 1; background: $panel; }
    #filter { display: none; height: 3; }
    """
    TITLE = "ebpflab"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = [
        Binding("space", "pause", "Pause"),
        Binding("slash", "filter", "Filter"),
        Binding("s", "sort", "Sort"),
        Binding("question_mark", "help", "Help"),
        Binding("q,ctrl+c", "quit", "Quit", key_display="q"),
        Binding("escape", "unfilter", show=False),
    ]
    HELP = (
        "space: pause drawing (counting goes on) · /: show only what contains a text · "
        "s: sort by rate, opens, execs, pid · q: quit"
    )

    def __init__(
        self,
        events: Iterable[ActivityEvent],
        ledger: Callable[[], Ledger],
        title: str,
        *,
        refresh: float = REFRESH,
        clock: Callable[[], float] = time.monotonic,
        own: OwnCpu | None = None,
    ) -> None:
        """Draw these events every `refresh` seconds of the clock; `ledger` is asked for the state of their source.

        `own` tells what it costs itself.
        """
        super().__init__()
        self._refresh = refresh
        self._clock = clock
        self._own = own or OwnCpu()
        self._events = events
        self._ledger = ledger
        self._title = title
        self.model = Model()
        self.paused = False
        self.order = "rate"
        #: Events that were on the screen.
        self.drawn = 0
        self._ticked_at = clock()
        self._last_number = 0
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._rates = {kind: deque([0.0] * HISTORY, HISTORY) for kind in ("opens", "execs", "exits")}
        self._counted = dict.fromkeys(self._rates, 0)

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield Static(Text(self._title), id="title")
        with Horizontal(id="rates"):
            for kind in self._rates:
                yield Static(id=f"{kind}-label", classes="rate")
                yield Sparkline(id=kind, classes="rate")
        table: DataTable[str | Text] = DataTable(id="processes", cursor_type="none")
        table.add_columns("PID", "COMM", "OPENS", "EXECS", "EVENTS/S", "ENDED", "LAST FILE")
        yield table
        yield Static(id="stream")
        yield Input(placeholder="show only what contains this text; Enter or Escape", id="filter")
        yield Static(id="ledger")
        yield Footer()

    def on_mount(self) -> None:
        """Start reading and drawing."""
        threading.Thread(target=self._read, daemon=True).start()
        self.set_interval(self._refresh, self.tick)
        self.query_one("#processes").focus()

    def _read(self) -> None:
        for event in self._events:
            self.model.feed(event)
        # The source ended by itself: its duration was over, or it was stopped. (Or because the screen was left.)
        if self.is_running:
            self.call_from_thread(self.exit)

    def tick(self) -> None:
        """Bring the screen up to date, unless paused."""
        if not self.paused:
            now = self._clock()
            seconds, self._ticked_at = now - self._ticked_at, now
            self.model.rate(seconds)
            for kind, history in self._rates.items():
                count = getattr(self.model, kind)
                history.append((count - self._counted[kind]) / seconds)
                self._counted[kind] = count
        self.draw()

    def draw(self) -> None:
        """Draw what there is."""
        if not self.paused:
            for kind, history in self._rates.items():
                self.query_one(f"#{kind}", Sparkline).data = list(history)
                label = Text(f"{kind}\n{self._counted[kind]} in all\n{history[-1]:.0f}/s")
                self.query_one(f"#{kind}-label", Static).update(label)
            self._draw_processes()
            self._draw_stream()
        self._draw_ledger()

    def _draw_processes(self) -> None:
        table: DataTable[str | Text] = self.query_one("#processes", DataTable)
        rows = self.model.processes(self.order)
        table.clear()
        for row in rows[: max(table.size.height - 1, 1)]:
            names = (Text(printable(row.comm)), Text(printable(row.last)))
            counts = (str(row.opens), str(row.execs), f"{row.rate:.0f}")
            table.add_row(str(row.pid), names[0], *counts, row.end, names[1])

    def _draw_stream(self) -> None:
        stream = self.query_one("#stream", Static)
        room = max(stream.size.height - 2, 1)
        new = self.model.since(self._last_number)[-room:]
        self._last_number = self.model.total
        self.drawn += len(new)
        self._lines.extend(line(COLUMNS, event) for event in new)
        shown = [header(COLUMNS), *list(self._lines)[-room:]]
        stream.update(Text("\n".join(shown), no_wrap=True, overflow="crop"))

    def _draw_ledger(self) -> None:
        self.query_one("#title", Static).update(Text(f"{self._title} · {self._own}"))
        ledger = self._ledger()
        state = "PAUSED  " if self.paused else ""
        state += f"filter {self.model.wanted!r}  " if self.model.wanted else ""
        text = (
            f"{state}drew {self.drawn} of {self.model.total} by {self.order}  seen {ledger.seen}"
            f"  dropped {ledger.dropped}  unpaired {ledger.unpaired}  pending {ledger.pending}"
            f"  filtered {ledger.filtered}"
        )
        self.query_one("#ledger", Static).update(Text(text))

    def action_pause(self) -> None:
        """Stop drawing, or go on."""
        self.paused = not self.paused
        self.draw()

    def action_sort(self) -> None:
        """Sort by the next order."""
        orders = list(ORDERS)
        self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        self.draw()

    def action_filter(self) -> None:
        """Ask for a text."""
        entry = self.query_one("#filter", Input)
        entry.display = True
        entry.focus()

    def action_unfilter(self) -> None:
        """Show everything again."""
        self.query_one("#filter", Input).value = ""
        self._filter("")

    def on_input_submitted(self, entry: Input.Submitted) -> None:
        """Take the text."""
        self._filter(entry.value)

    def _filter(self, wanted: str) -> None:
        self.model.wanted = wanted
        self._lines.clear()
        self.query_one("#filter", Input).display = False
        self.query_one("#processes").focus()
        self.draw()

    def action_help(self) -> None:
        """Say what the keys do."""
        self.notify(self.HELP, title="Keys", markup=False)
