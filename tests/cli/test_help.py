"""What the command line says about itself."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer.main
from ebpflab.cli import app
from ebpflab.doctor import TOOLS

if TYPE_CHECKING:
    from tests.cli.conftest import Run

ROOT = typer.main.get_group(app())


def test_the_commands_are_those_of_this_test() -> None:
    others = {
        "btf",
        "cost",
        "doctor",
        "explain",
        "learn",
        "links",
        "maps",
        "programs",
        "query",
        "recover",
        "replay",
        "run",
        "tracepoints",
        "verifier",
    }
    assert set(ROOT.commands) == {*TOOLS, *others}


@pytest.mark.parametrize("name", sorted(ROOT.commands))
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_a_command_has_every_option(run: Run, name: str, flag: str) -> None:
    done = run(name, flag)
    assert (done.returncode, done.stderr) == (0, "")
    parameters = [parameter for parameter in ROOT.commands[name].params if parameter.param_type_name == "option"]
    options = [option for parameter in parameters for option in parameter.opts]
    assert len(options) >= (6 if name in TOOLS else 0 if name in {"learn", "recover"} else 1)
    assert [option for option in options if option not in done.stdout] == []
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_of_the_root_has_every_command(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ebpflab [OPTIONS] COMMAND" in done.stdout.splitlines()[0]
    assert all(f"\n  {name} " in done.stdout for name in ROOT.commands)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_version(run: Run) -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"ebpflab {importlib.metadata.version('ebpflab')}\n"


def test_the_command_is_installed() -> None:
    command = Path(sysconfig.get_path("scripts")) / "ebpflab"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: ebpflab [OPTIONS] COMMAND")
