"""`ebpflab verifier`."""

from __future__ import annotations

from typing import Annotated

import typer

from ebpflab.cli import options


def command(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Load this one, and see.")] = None,
    json: options.Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the whole log.")] = False,
) -> None:
    """List small broken programs, or see one refused and explained, and its mended twin taken.

    Each shows a kind of refusal that people meet. Some kernels take what others refuse; where that is so it is said.
    Nothing is attached. The list needs no privileges.
    """
    from ebpflab import _ebpflab  # noqa: PLC0415  so that --help stays quick
    from ebpflab.cli.output import StdoutError, write, write_text  # noqa: PLC0415
    from ebpflab.cli.run import explain, unwritten  # noqa: PLC0415
    from ebpflab.errors import EbpflabError  # noqa: PLC0415
    from ebpflab.verifier import try_out, zoo  # noqa: PLC0415
    from ebpflab.views import verifier as view  # noqa: PLC0415

    programs = {broken.name: broken for broken in zoo()}
    if name is not None and name not in programs:
        raise typer.BadParameter(f"the zoo has no {name}; it has {', '.join(programs)}")
    try:
        if json:
            write(_ebpflab.zoo_json() if name is None else _ebpflab.zoo_trials_json(name))
        elif name is None:
            write_text(view.zoo(programs.values()))
        else:
            (tried,) = try_out(name)
            write_text(view.trial(programs[name], tried, whole_log=verbose))
    except StdoutError as error:
        raise typer.Exit(unwritten(error)) from None
    except (EbpflabError, OSError) as error:
        raise typer.Exit(explain(error, verbose=verbose)) from None
