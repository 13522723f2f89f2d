"""`ebpflab learn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from ebpflab.cli.output import complain

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpflab.learn.workspace import Workspace

command = typer.Typer(
    help="Learn to write programs for BPF: lessons with a check that says what is wrong, and what that mostly is.",
    rich_markup_mode=None,
)

_Folder = Annotated[Path, typer.Argument(metavar="[DIR]", help="The lesson's folder, or one in it.")]
_HERE = Path()


@command.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    """Learn to write programs for BPF: lessons with a check that says what is wrong, and what that mostly is."""
    if context.invoked_subcommand is None:
        list_()


def _guarded(do: Callable[[], object]) -> None:
    """Do it; what goes wrong is a sentence and a status."""
    from ebpflab.cli.output import StdoutError  # noqa: PLC0415  so that --help stays quick
    from ebpflab.cli.run import explain, unwritten  # noqa: PLC0415
    from ebpflab.errors import EbpflabError  # noqa: PLC0415

    try:
        do()
    except StdoutError as error:
        raise typer.Exit(unwritten(error)) from None
    except (EbpflabError, OSError, ValueError) as error:
        raise typer.Exit(explain(error, verbose=False)) from None


def _show(text: str) -> None:
    from ebpflab.cli.output import write_text  # noqa: PLC0415

    write_text(text)


def _show_page(markdown: str) -> None:
    """Show a page, as a terminal can; anything else gets it as it is."""
    import sys  # noqa: PLC0415

    if not sys.stdout.isatty():
        _show(markdown)
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.markdown import Markdown  # noqa: PLC0415

    console = Console()
    with console.capture() as page:
        console.print(Markdown(markdown), width=min(console.width, 100))
    _show(page.get().rstrip())


@command.command("list")
def list_() -> None:
    """List the lessons, and when you passed them."""
    from ebpflab.learn import lessons, progress  # noqa: PLC0415
    from ebpflab.views import learn as view  # noqa: PLC0415

    _guarded(lambda: _show(view.listed(lessons(), progress.read())))


@command.command()
def setup(
    how: Annotated[
        Literal["auto", "debian", "rustup"],
        typer.Argument(help="Debian's Rust, or rustup's nightly; auto takes what there is."),
    ] = "auto",
    check: Annotated[bool, typer.Option("--check", help="Only say what is there, and what is missing.")] = False,
) -> None:
    """Install what compiles programs for BPF: a Rust with `core` for BPF, and bpf-linker.

    Debian's packages are installed by apt (root or sudo), the rest goes to ~/.cargo. It takes some minutes, once.
    """

    def do() -> None:
        from ebpflab.learn import toolchain  # noqa: PLC0415

        if not check and (status := toolchain.setup([how])) != 0:
            complain("the toolchain was not installed; what is wrong stands above")
            raise typer.Exit(1 if status > 0 else 128 - status)
        found = toolchain.find()
        _show(f"{' '.join(found.cargo)}\n{found.rustc}\n{found.linker}")

    _guarded(do)


@command.command()
def start(
    lesson: Annotated[str, typer.Argument(metavar="LESSON", help="Which one; `ebpflab learn` lists them.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where to; a folder of the lesson's name unless told.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(metavar="NAME", help="By which hook, where a lesson has several.")
    ] = None,
) -> None:
    """Lay a lesson down in a folder, and show its theory.

    Where this kernel lacks the lesson's own hook, another variant of the lesson is taken, and that is said.
    """

    def do() -> None:
        from ebpflab.learn import lesson as named  # noqa: PLC0415
        from ebpflab.learn import workspace  # noqa: PLC0415

        taken = named(lesson)
        chosen = taken.variant(variant) if variant else _possible(taken)
        laid = workspace.lay_down(taken, chosen, folder or Path(lesson))
        _show_page(taken.text("theory.md"))
        complain(f"{laid.folder} has {taken.stem} by {chosen.name}; cd there, edit src/ebpf.rs, `ebpflab learn check`")

    _guarded(do)


def _possible(lesson: Any) -> Any:  # noqa: ANN401  they are imported late
    """Return the first variant that this kernel can do; say why the ones before it were passed over."""
    from ebpflab.learn.check import lacking  # noqa: PLC0415

    for variant in lesson.variants:
        hook = lacking(variant)
        if hook is None:
            return variant
        fix = f"; it takes: {hook.fix}" if hook.fix else ""
        complain(f"{lesson.stem} by {variant.name} cannot be checked on this machine: {hook.found}{fix}")
    return lesson.variants[0]


@command.command()
def check(folder: _Folder = _HERE) -> None:
    """Build the program, load it, have a workload done, and compare with the truth. Needs root.

    Exit status: 0 passed, 1 not passed, 77 the kernel or the privileges cannot do it.
    """

    def do() -> None:
        from tempfile import TemporaryDirectory  # noqa: PLC0415

        from ebpflab.learn import toolchain, workspace  # noqa: PLC0415

        found = workspace.find(folder)
        _require(found)
        complain(f"building {found.source}")
        with TemporaryDirectory(prefix="ebpflab-") as ours:
            try:
                built = toolchain.build(found, Path(ours))
            except toolchain.BuildError as error:
                complain("it does not compile; the compiler says:")
                _repeat(str(error))
                raise typer.Exit(1) from None
            _judge(found, built)

    _guarded(do)


def _repeat(text: str) -> None:
    """Say on stderr what another program said, line by line."""
    import sys  # noqa: PLC0415

    from ebpflab.views.table import printable  # noqa: PLC0415

    print(*map(printable, text.splitlines()), sep="\n", file=sys.stderr)


def _require(found: Workspace) -> None:
    """Refuse where the hook is not to be had, with what to do."""
    from ebpflab.errors import NotSupportedError  # noqa: PLC0415
    from ebpflab.learn.check import lacking  # noqa: PLC0415

    hook = lacking(found.variant)
    if hook is None:
        return
    others = [variant.name for variant in found.lesson.variants if lacking(variant) is None]
    stem = found.lesson.stem
    ways = [f"`ebpflab learn start {stem} {stem}_{other} --variant {other}` does it here" for other in others]
    needs = "; ".join([*([hook.fix] if hook.fix else []), *ways, "or check it on a kernel that has it"])
    message = f"{stem} by {found.variant.name} cannot be checked here: {hook.found}; {needs}"
    raise NotSupportedError(message, hook.name, needs, hook.found)


def _judge(found: Workspace, built: Path) -> NoReturn:
    from ebpflab.learn import progress  # noqa: PLC0415
    from ebpflab.learn.check import check as judge  # noqa: PLC0415
    from ebpflab.views import learn as view  # noqa: PLC0415

    report = judge(found.lesson, found.variant.name, built)
    _show(view.report(report))
    if report.passed:
        progress.passed(found)
        complain(f"passed; `ebpflab learn next` says what comes next (noted in {progress.path()})")
        raise typer.Exit(0)
    complain("not passed yet: mend the first that failed, and check again; `ebpflab learn hint` helps")
    raise typer.Exit(1)


@command.command()
def hint(folder: _Folder = _HERE) -> None:
    """Show the next hint."""

    def do() -> None:
        from ebpflab.learn import workspace  # noqa: PLC0415

        number, count, text = workspace.find(folder).next_hint()
        _show_page(text)
        complain(f"hint {number} of {count}" + ("; the next help is `ebpflab learn solution`" * (number == count)))

    _guarded(do)


@command.command()
def solution(
    folder: _Folder = _HERE,
    write: Annotated[
        bool, typer.Option("--write", help="Put it in the place of yours, which stays beside it as .orig.")
    ] = False,
) -> None:
    """Show what to change so that yours is the solution, as a diff. Other ways may pass just as well."""

    def do() -> None:
        from ebpflab.learn import workspace  # noqa: PLC0415

        found = workspace.find(folder)
        difference = found.difference()
        if not difference:
            complain("yours is the solution")
            return
        _show(difference.rstrip("\n"))
        if write:
            complain(f"written: {', '.join(found.solve())}; what was there is beside it as .orig")

    _guarded(do)


@command.command("next")
def next_() -> None:
    """Say which lesson is the next."""

    def do() -> None:
        from ebpflab.learn import lessons, progress  # noqa: PLC0415

        passed = progress.read()
        left = [lesson for lesson in lessons() if lesson.stem not in passed]
        if left:
            _show(f"{left[0].stem}: {left[0].title}\nebpflab learn start {left[0].stem}")
        else:
            _show("you passed them all; docs/adding-a-tool.md says how the tools of ebpflab itself are made")

    _guarded(do)
