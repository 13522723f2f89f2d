"""Records of a buffer, taken apart by the layout that a lesson fixes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import struct

    from ebpflab.learn.report import Report


_NOTHING = "Nothing comes out of the buffer: the program returns early, or never hands its event over (the last TODO)."


def unpack(report: Report, name: str, layout: struct.Struct, records: list[bytes], padded: int = 0) -> list[Any]:
    """Need records, all as long as the layout (perf buffers add up to `padded` bytes); return the fields of each.

    Raises:
        StopError: There are none, or others.

    """
    wrong = sorted({len(record) for record in records if not layout.size <= len(record) <= layout.size + padded})
    found = f"records of {', '.join(map(str, wrong))} bytes" if wrong else f"records of {layout.size} bytes"
    report.need(
        name,
        f"records of {layout.size} bytes",
        found if records else "no record at all",
        (not records, _NOTHING),
        (True, "The event has to be as src/common.rs had it at first, and to be written whole."),
    )
    return [layout.unpack_from(record) for record in records]


def text(field: bytes) -> bytes:
    """Return the bytes of a field before its first zero byte."""
    return field.split(b"\0")[0]


def shown(names: list[bytes]) -> str:
    """Return names for people."""
    return ", ".join(name.decode(errors="backslashreplace") or "(empty)" for name in names)
