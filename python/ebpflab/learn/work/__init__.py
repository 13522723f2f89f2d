"""Workloads of which everything is known, and nothing could be known before: names and counts are drawn at random."""

from __future__ import annotations

import json
import random
import secrets
import string
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ebpflab.errors import EbpflabError

if TYPE_CHECKING:
    from typing_extensions import Self

_Thing = TypeVar("_Thing")
_WORKER = Path(__file__).parent / "worker.py"
_RANDOM = random.SystemRandom()


def draw(least: int, most: int) -> int:
    """Return a number between these, which are among them."""
    return _RANDOM.randint(least, most)


def shuffled(things: list[_Thing]) -> list[_Thing]:
    """Return them in an order that is drawn."""
    return _RANDOM.sample(things, len(things))


def possible_cpus() -> int:
    """Return how many CPUs there may ever be, for each of which per-CPU maps have a value."""
    ranges = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii").strip().split(",")
    ends = [list(map(int, each.split("-"))) for each in ranges]
    return sum(each[-1] - each[0] + 1 for each in ends)


def word(length: int) -> str:
    """Return a word of so many letters and digits."""
    return "".join(_RANDOM.choices(string.ascii_letters + string.digits, k=length))


class Names:
    """Paths of files that there are not, known by a word at their beginning."""

    def __init__(self) -> None:
        """Draw the word."""
        self._prefix = f"/{secrets.token_hex(4)}/"
        #: It, as bytes.
        self.prefix = self._prefix.encode()

    def make(self, count: int, least: int = 20, most: int = 60) -> list[str]:
        """Return so many, all different, each of a length between these."""
        made: dict[str, None] = {}
        while len(made) < count:
            made[self._prefix + word(draw(least, most) - len(self._prefix))] = None
        return list(made)


class Worker:
    """A process that opens files and executes programs when told to (`worker.py`), in some threads of its own."""

    def __init__(self, threads: int = 1) -> None:
        """Start it, and wait until it is ready."""
        command = [sys.executable, "-I", str(_WORKER), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            #: Its id, and those of its threads, of which the first is the same.
            self.pid, self.tids = self._answer()
        except BaseException:
            self.close()
            raise

    def _answer(self) -> Any:  # noqa: ANN401  of each command something else
        assert self._process.stdout is not None  # noqa: S101  it was asked for
        line = self._process.stdout.readline()
        if not line:
            raise EbpflabError("the workload of the check ended before its time")
        return json.loads(line)

    def do(self, command: str, plan: object) -> Any:  # noqa: ANN401
        """Have a command of worker.py done, wait until it is; return what it says."""
        assert self._process.stdin is not None  # noqa: S101  it was asked for
        self._process.stdin.write(json.dumps([command, plan]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()
