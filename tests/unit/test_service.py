"""The example of a service, as systemd judges it; its command is one that ebpflab has."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import typer.main
from ebpflab.cli import app

SERVICE = Path(__file__).parents[2] / "docs/examples/ebpflab-opens.service"
#: Tenths of what systemd calls exposure: 20 is still OK to it, and 96 what a service without any of this has.
MOST = 20


def test_the_service_is_hardened() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST}", "--no-pager", str(SERVICE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_of_the_service_are_there() -> None:
    root = typer.main.get_group(app())
    lines = [line.partition("=")[2] for line in SERVICE.read_text().splitlines() if line.startswith("ExecStart")]
    assert len(lines) == 2
    for line in lines:
        _, name, *arguments = shlex.split(line)
        options = {option for parameter in root.commands[name].params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("-")} <= options
