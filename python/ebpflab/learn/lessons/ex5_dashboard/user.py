"""Loads the programs of this folder, attaches them, and draws a dashboard: `python user.py`, as root."""

from __future__ import annotations

import sys
from collections import Counter, deque

import ebpflab
from ebpflab import learn

#: As in common.rs.
KINDS = {1: "open", 2: "exec"}


def text(field: object) -> str:
    """Return what is before the first zero byte."""
    raw = field if isinstance(field, bytes) else str(field).encode() if isinstance(field, str) else bytes(field)  # type: ignore[call-overload]
    return str(raw.split(b"\0")[0].decode(errors="backslashreplace"))


def main() -> None:
    """Draw twice a second until Ctrl-C."""
    counts: Counter[str] = Counter()
    last: deque[str] = deque(maxlen=15)
    with ebpflab.load(learn.build()) as obj:
        events = obj.maps["EVENTS"].events(as_="ActivityEvent")
        for program in obj.programs.values():
            program.attach()
        while True:
            for event in events.read(timeout=0.5):
                kind = KINDS.get(event.kind, "what?")
                counts[kind] += 1
                last.append(f"{kind}  {event.pid:>7}  {text(event.comm):<16} {text(event.name)}")
            # To the upper left corner, and clear.
            print("\x1b[H\x1b[2J" + "  ".join(f"{kind} {count}" for kind, count in counts.items()), *last, sep="\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except (ebpflab.EbpflabError, OSError, ValueError) as error:
        sys.exit(str(error))
