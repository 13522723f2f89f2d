"""`ebpflab explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ebpflab.cli import options

if TYPE_CHECKING:
    from ebpflab.records import Explanation
    from ebpflab.testing import VerifiedProgram

_ELF = b"\x7fELF"

Of = Annotated[
    Path | None,
    typer.Option("--object", metavar="OBJECT", help="What was loaded, for its lines: before 6.9 logs have none."),
]
Program = Annotated[str | None, typer.Option("--program", metavar="NAME", help="Which of the object's programs.")]


def command(
    file: Annotated[Path, typer.Argument(metavar="LOG|OBJECT", help="A log (- is stdin), or an object to load.")],
    of: Of = None,
    program: Program = None,
    json: options.Json = False,
) -> None:
    """Explain why the verifier refused a program.

    A log needs no privileges and may come from any loader. The programs of an object are loaded here, and unloaded; the
    exit status is 1 if one of them is refused, 77 if they cannot be loaded.
    """
    from ebpflab.cli.output import StdoutError  # noqa: PLC0415  so that --help stays quick
    from ebpflab.cli.run import explain as complain_of  # noqa: PLC0415
    from ebpflab.cli.run import unwritten  # noqa: PLC0415
    from ebpflab.errors import EbpflabError  # noqa: PLC0415

    try:
        content = _read(file)
        if content.startswith(_ELF):
            if of or program:
                raise typer.BadParameter("--object and --program are for a log, and this is an object")
            status = _object(content, json=json)
        else:
            from ebpflab.verifier import explain  # noqa: PLC0415

            _write(explain(content, bpf_object=of, program=program), json=json)
            status = 0
    except StdoutError as error:
        raise typer.Exit(unwritten(error)) from None
    except (EbpflabError, OSError, ValueError) as error:
        raise typer.Exit(complain_of(error, verbose=False)) from None
    raise typer.Exit(status)


def _read(file: Path) -> bytes:
    import sys  # noqa: PLC0415

    return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()


def _object(elf: bytes, *, json: bool) -> int:
    """Load an object's programs; explain what keeps the kernel from taking one."""
    from ebpflab.cli.run import FAILED, UNABLE  # noqa: PLC0415
    from ebpflab.errors import NotSupportedError, PrivilegeError, VerifierError  # noqa: PLC0415
    from ebpflab.testing import verify  # noqa: PLC0415
    from ebpflab.verifier import explain  # noqa: PLC0415

    try:
        verified = verify(elf)
    except VerifierError as error:
        _write(error.explained, json=json)
        return FAILED
    except (NotSupportedError, PrivilegeError) as error:
        explained = explain(str(error))
        if explained.cause != "environment":
            raise
        _write(explained, json=json)
        return UNABLE
    _accepted(verified)
    return 0


def _write(explained: Explanation, *, json: bool) -> None:
    from dataclasses import asdict  # noqa: PLC0415
    from json import dumps  # noqa: PLC0415

    from ebpflab.cli.output import write_text  # noqa: PLC0415
    from ebpflab.views import verifier as view  # noqa: PLC0415
    from ebpflab.views.table import harmless  # noqa: PLC0415

    if json:
        write_text(harmless(dumps({"type": "explanation"} | asdict(explained), ensure_ascii=False)))
    else:
        write_text(view.explanation(explained))


def _accepted(verified: tuple[VerifiedProgram, ...]) -> None:
    from ebpflab.cli.output import complain  # noqa: PLC0415

    complain(f"this kernel takes {', '.join(program.name for program in verified)}")
