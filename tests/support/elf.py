"""Writes BPF object files, so that tests need no toolchain for programs that the kernel refuses.

The layout is that of clang's: a section for each program, `license`, and symbols that name the programs; no BTF.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_ET_REL, _EM_BPF, _EV_CURRENT = 1, 247, 1
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB = 1, 2, 3
_SHF_ALLOC_EXECINSTR = 0x2 | 0x4
_STB_GLOBAL_STT_FUNC = 1 << 4 | 2
_HEADER, _SECTION, _SYMBOL = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")


@dataclass(frozen=True)
class Program:
    """A function alone in its section, such as `xdp` or `kprobe/x`."""

    name: str
    section: str
    instructions: bytes


def instruction(code: int, *, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """Encode an instruction (Documentation/bpf/standardization/instruction-set.rst)."""
    return struct.pack("<BBhi", code, dst | src << 4, off, imm)


class _Strings:
    """A string table."""

    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, text: str) -> int:
        """Add a string; return its offset."""
        self.data += text.encode() + b"\0"
        return len(self.data) - len(text.encode()) - 1


def bpf_object(*programs: Program, bpf_license: str = "GPL") -> bytes:
    """Write an object file."""
    strings = _Strings()
    # Symbols name their section by its index; section 0 and symbol 0 are empty.
    symbols = _SYMBOL.pack(0, 0, 0, 0, 0, 0) + b"".join(
        _SYMBOL.pack(strings.add(program.name), _STB_GLOBAL_STT_FUNC, 0, index, 0, len(program.instructions))
        for index, program in enumerate(programs, start=1)
    )
    strtab = len(programs) + 3
    # Name, type, flags, content, and of the symbols: their strings, the first global one, the size of each.
    sections = [
        *((p.section, _SHT_PROGBITS, _SHF_ALLOC_EXECINSTR, p.instructions, 0, 0, 0) for p in programs),
        ("license", _SHT_PROGBITS, 0, bpf_license.encode() + b"\0", 0, 0, 0),
        (".symtab", _SHT_SYMTAB, 0, symbols, strtab, 1, _SYMBOL.size),
    ]
    names = [strings.add(name) for name, *_ in sections]
    sections.append((".strtab", _SHT_STRTAB, 0, b"", 0, 0, 0))
    names.append(strings.add(".strtab"))
    contents = [content for _, _, _, content, *_ in sections[:-1]] + [strings.data]

    body, table = b"", _SECTION.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    for name, content, (_, kind, flags, _, link, info, entry) in zip(names, contents, sections, strict=True):
        body += b"\0" * (-len(body) % 8)
        table += _SECTION.pack(name, kind, flags, 0, _HEADER.size + len(body), len(content), link, info, 8, entry)
        body += content
    body += b"\0" * (-len(body) % 8)
    magic = b"\x7fELF" + bytes([2, 1, _EV_CURRENT])  # 64 bits, little-endian
    offset, count = _HEADER.size + len(body), len(sections) + 1
    header = _HEADER.pack(
        magic, _ET_REL, _EM_BPF, _EV_CURRENT, 0, 0, offset, 0, _HEADER.size, 0, 0, _SECTION.size, count, strtab
    )
    return header + body + table
