"""Recordings that need no kernel: written as JSON lines, and in the other formats from that."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ebpflab
from ebpflab import Container, ExecEvent, ExitEvent, OpenEvent

from tests.support import examples

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("jsonl", "arrow", "parquet")
ODD = "/srv/caf\udce9"
WEB = Container("0123456789abcdef" * 4, "docker", "web-1")
EVENTS: list[ebpflab.ActivityEvent] = [
    examples.OPEN,
    replace(
        examples.OPEN, time=examples.OPEN.time + 1, pid=7, comm="caf\udce9", path=ODD, full_path=ODD, container=WEB
    ),
    examples.EXEC,
    replace(examples.EXEC, pid=7, argv=("ls", "caf\udce9", ""), filename=None, path_fault="filename", argc=None),
    replace(examples.OPEN, time=examples.OPEN.time + 2, path=None, full_path=None, path_fault="path", inode=None),
    replace(examples.OPEN, uid=0, ret=-2, error="ENOENT", flags=0o1101, flag_names=("O_WRONLY", "O_CREAT", "O_TRUNC")),
    replace(examples.EXEC, argv=None, cgroup_path=None, path_notes=("unlinked", "outside_root")),
    examples.EXIT,
    replace(examples.EXIT, pid=7, exit_code=None, signal=11, core=True, exec_duration_ns=None, exec_time=None),
    replace(examples.EXEC, ret=-13, error="EACCES", argv=(), time=examples.OPEN.time + 3),
]
KINDS = {OpenEvent: "open", ExecEvent: "exec", ExitEvent: "exit"}
ATTACHED = {
    "type": "attached",
    "command": "dashboard",
    "hooks": [{"program": "open_fentry", "kind": "fentry", "target": "do_sys_openat2", "reason": "first choice"}],
    "blind_to": ["io_uring"],
    "buffer": 4_194_304,
    "kernel": "6.18.0",
}
RECORDING = {
    "type": "recording",
    "version": 1,
    "host": "web-1",
    "command": ["ebpflab", "dashboard", "-o", "run.jsonl"],
    "start": examples.OPEN.time - 1,
    "attached": ATTACHED,
}
LEDGER = {
    "seen": 12,
    "filtered": 1,
    "submitted": 10,
    "dropped": 1,
    "unpaired": 0,
    "pending": 0,
    "map_full": 0,
    "missed": None,
    "faults": 1,
    "truncated": 0,
    "received": 10,
    "shown": 10,
}
RECORDED = {
    "type": "recorded",
    "end": RECORDING["start"],
    "rows": len(EVENTS),
    "continued": False,
    "recovered": False,
    "ledger": LEDGER,
}


def _texts(name: str, value: Any) -> dict[str, Any]:  # noqa: ANN401  a field of an event
    """Return a field as JSON lines have it: with its bytes beside it where the text is not all of them."""
    if isinstance(value, str):
        text, as_bytes = _lossy(value), base64.b64encode(os.fsencode(value)).decode()
        return {name: text} if text == value else {name: text, f"{name}_bytes": as_bytes}
    if name == "argv" and value is not None:
        texts = [_lossy(text) for text in value]
        if texts == list(value):
            return {name: texts}
        return {name: texts, f"{name}_bytes": [base64.b64encode(os.fsencode(text)).decode() for text in value]}
    if isinstance(value, Container):
        return {name: {"id": value.id, "runtime": value.runtime, "name": value.name}}
    return {name: value}


def _lossy(text: str) -> str:
    return os.fsencode(text).decode(errors="replace")


def line(event: ebpflab.ActivityEvent) -> str:
    """Return an event as a line of JSON."""
    record: dict[str, Any] = {"type": KINDS[type(event)]}
    for name, value in event.to_dict().items():
        record |= _texts(name, value)
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def write(folder: Path, kind: str = "jsonl", *, tool: str = "dashboard", events: Any = EVENTS) -> Path:  # noqa: ANN401
    """Write a recording of a tool."""
    path = folder / f"run.{kind}"
    if kind == "jsonl":
        first = RECORDING | {"attached": ATTACHED | {"command": tool}}
        lines = [json.dumps(first, separators=(",", ":")) + "\n", *map(line, events), json.dumps(RECORDED) + "\n"]
        path.write_text("".join(lines), encoding="utf-8")
    else:
        with ebpflab.replay(write(folder, tool=tool, events=events)) as replay:
            replay.record(path)
    return path
