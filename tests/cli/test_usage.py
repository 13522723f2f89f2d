"""Bad usage: one sentence on stderr, nothing on stdout, status 2; none of it needs privileges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

COMMANDS = (["xdp", "--iface", "lo"], ["count"])
#: Arguments that are wrong for every command, and a word that the sentence must have.
WRONG_FOR_ALL = (
    (["-d", "-1"], "--duration"),
    (["-d", "0"], "--duration"),
    (["-d", "soon"], "--duration"),
    (["-d", "nan"], "--duration"),
    (["-i", "0"], "--interval"),
    (["-i", "-1"], "--interval"),
    (["-i", "nan"], "--interval"),
    (["-i", "inf"], "--interval"),
    (["--nope"], "--nope"),
    (["-d"], "-d"),
    (["surplus"], "surplus"),
)
WRONG = [
    *((command + arguments, word) for command in COMMANDS for arguments, word in WRONG_FOR_ALL),
    (["--nope"], "--nope"),
    (["nope"], "nope"),
    (["xdp"], "--iface"),
    (["xdp", "--iface", "lo", "--mode", "turbo"], "turbo"),
    (["xdp", "--iface", "lo", "--hook", "fentry"], "--hook"),
    (["xdp", "--iface", "lo", "-p", "1"], "-p"),
    (["count", "--iface", "lo"], "--iface"),
    (["count", "--hook", "uprobe"], "uprobe"),
    (["count", "--hook", "kretprobe"], "kretprobe"),
    (["count", "-n", "sixteen-bytes-xx"], "--name"),
    # 8 characters, but 16 bytes.
    (["count", "-n", "éééééééé"], "--name"),
    (["count", "-n", ""], "--name"),
    (["count", "-u", "no-such-user"], "no-such-user"),
    (["count", "-u", "4294967296"], "4294967296"),
    (["count", "-u", "-1"], "-1"),
    (["count", "-p", "0"], "--pid"),
    (["count", "-p", "self"], "--pid"),
    (["count", "-t", "-5"], "--tid"),
    (["count", "--max-entries", "0"], "--max-entries"),
]


@pytest.mark.parametrize(("arguments", "word"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_bad_usage_is_one_sentence(run: Run, arguments: list[str], word: str) -> None:
    done = run(*arguments)
    assert done.stdout == ""
    assert done.stderr.startswith("ebpflab: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith("\n")
    assert word in done.stderr
    assert done.returncode == 2


def test_an_interface_that_is_not_there_is_no_usage_error(run: Run) -> None:
    done = run("xdp", "--iface", "no-such-iface")
    assert (
        done.stderr == "ebpflab: cannot attach to interface no-such-iface: there is none of that name; see `ip link`\n"
    )
    assert (done.returncode, done.stdout) == (1, "")
