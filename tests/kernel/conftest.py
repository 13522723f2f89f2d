"""Fixtures of the kernel tests. After each of them the kernel is as it was before."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import shutil
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.kernel import lab

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = itertools.count()


class Start(Protocol):
    def __call__(self, *arguments: str, wrapper: tuple[str, ...] = ()) -> lab.Tool: ...


@pytest.fixture(scope="session", autouse=True)
def _able() -> None:
    if os.geteuid() != 0:
        pytest.skip("the kernel tests need root")
    lacking = [program for program in ("bpftool", "ip", "ping", "unshare") if shutil.which(program) is None]
    assert not lacking, f"the kernel tests run {', '.join(lacking)}; install them"


@pytest.fixture(autouse=True)
def _nothing_is_left(_able: None) -> Iterator[None]:
    kernel, files = lab.kernel_ids(), lab.open_files()
    yield
    gc.collect()
    left = lab.left_behind(kernel)
    assert not left, f"still in the kernel: {left}"
    leaked = {fd: target for fd, target in lab.open_files().items() if files.get(fd) != target}
    assert not leaked, f"still open: {leaked}"


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `ebpflab ARGUMENTS --json`."""
    with contextlib.ExitStack() as stack:

        def tool(*arguments: str, wrapper: tuple[str, ...] = ()) -> lab.Tool:
            started = lab.Tool(*arguments, wrapper=wrapper)
            stack.callback(started.close)
            return started

        yield tool


@pytest.fixture
def opener() -> Iterator[lab.Opener]:
    """A process that opens files when told to."""
    workload = lab.Opener()
    yield workload
    workload.close()


@pytest.fixture
def runner() -> Iterator[lab.Runner]:
    """A process that executes programs when told to."""
    workload = lab.Runner()
    yield workload
    workload.close()


@pytest.fixture
def loopback() -> Iterator[str]:
    """A network namespace whose lo is up, and where nobody else sends anything."""
    with lab.namespace("lo") as name:
        lab.ip("-n", name, "link", "set", "lo", "up")
        yield name


@pytest.fixture
def wire() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a veth each, called `wire`, that are joined."""
    with lab.namespace("left") as left, lab.namespace("right") as right:
        lab.ip("link", "add", "wire", "netns", left, "type", "veth", "peer", "name", "wire", "netns", right)
        for end in (left, right):
            lab.ip("-n", end, "link", "set", "wire", "up")
        yield left, right


@pytest.fixture
def iface() -> Iterator[str]:
    """An interface of our own in this network namespace, for tests of runs and not of counts."""
    name = f"ebl{os.getpid()}x{next(_NUMBERS)}"
    lab.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    lab.ip("link", "set", name, "up")
    yield name
    lab.ip("link", "delete", name)
