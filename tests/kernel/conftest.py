"""Fixtures of the kernel tests. After each of them the kernel is as it was before."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.kernel import lab
from tests.kernel.network import Peers
from tests.kernel.tls import Talk, talk
from tests.support import forked
from tests.vm.page import Results

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_NUMBERS = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the matrix ask for the outcomes, and for less time."""
    parser.addoption("--results", type=Path, help="where to write the outcomes for the kernel matrix")
    parser.addoption("--fork", action="store_true", help="fork where that is the same as to start Python")


def pytest_configure(config: pytest.Config) -> None:
    """Do what is asked for."""
    if path := config.getoption("--results"):
        config.pluginmanager.register(_Outcomes(path))
    if config.getoption("--fork"):
        forked.prepare()


class _Outcomes:
    """Which tests ran, which were skipped and why, and the cells of docs/kernel-support.md."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._results = Results(os.uname().release, ran=0, failed=0, skipped=[], cells={})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        del call
        reason = None
        if report.skipped:
            assert isinstance(report.longrepr, tuple)
            reason = report.longrepr[2].removeprefix("Skipped: ")
            self._results.skipped.append(reason)
        elif report.failed:
            reason = "the test failed"
        if report.when == "call" or reason:
            self._count(item, reason, failed=report.failed)
        return report

    def _count(self, item: pytest.Item, reason: str | None, *, failed: bool) -> None:
        ran = 0 if reason and not failed else 1
        results = self._results
        self._results = replace(results, ran=results.ran + ran, failed=results.failed + failed)
        for name, value in item.user_properties:
            if name in {"verified", "needs"}:
                assert isinstance(value, dict)
                getattr(self._results, name).update(value)
        if cell := item.get_closest_marker("cell"):
            tool, hook = cell.args
            self._results.cells[tool, hook] = reason

    def pytest_sessionfinish(self) -> None:
        self._results.write(self._path)


class Start(Protocol):
    def __call__(self, *arguments: str, wrapper: tuple[str, ...] = ()) -> lab.Tool: ...


@pytest.fixture(scope="session", autouse=True)
def _able() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("the kernel tests need root")
    # Under nohup(1) SIGHUP is ignored, and so it would be by all that is started here.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    lacking = [program for program in ("bpftool", "ip", "ping", "unshare") if shutil.which(program) is None]
    assert not lacking, f"the kernel tests run {', '.join(lacking)}; install them"
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _nothing_is_left(_able: None) -> Iterator[None]:
    kernel, files = lab.kernel_ids(), lab.open_files()
    # Only what a test leaves is looked through at its end, and not all that was imported: a second under emulation.
    gc.freeze()
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


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for objects that are compiled once."""
    return tmp_path_factory.mktemp("objects")


@pytest.fixture
def opener() -> Iterator[lab.Opener]:
    """A process that opens files when told to."""
    workload = lab.Opener()
    yield workload
    workload.close()


@pytest.fixture
def caller() -> Iterator[lab.Caller]:
    """A process that has functions called when told to."""
    workload = lab.Caller()
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
def tls(loopback: str, tmp_path: Path) -> Iterator[Talk]:
    """A client and a server of openssl."""
    with talk(loopback, tmp_path) as client_and_server:
        yield client_and_server


@pytest.fixture
def wire() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a veth each, called `wire`, that are joined."""
    with lab.namespace("left") as left, lab.namespace("right") as right:
        lab.ip("link", "add", "wire", "netns", left, "type", "veth", "peer", "name", "wire", "netns", right)
        for end in (left, right):
            lab.ip("-n", end, "link", "set", "wire", "up")
        yield left, right


@pytest.fixture
def peers(wire: tuple[str, str]) -> Peers:
    """Two hosts on a wire, who know each other and keep silent."""
    hosts = Peers(*wire)
    hosts.prepare()
    return hosts


@pytest.fixture
def iface() -> Iterator[str]:
    """An interface of our own in this network namespace, for tests of runs and not of counts."""
    name = f"ebl{os.getpid()}x{next(_NUMBERS)}"
    lab.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    lab.ip("link", "set", name, "up")
    yield name
    lab.ip("link", "delete", name)


@pytest.fixture
def noise(opener: lab.Opener, runner: lab.Runner) -> Iterator[None]:
    """Something to see all the time: a few opens and an exec, again and again."""
    program, over = runner.do("link", "noise"), threading.Event()

    def work() -> None:
        while not over.is_set():
            opener.do("opens", 5)
            runner.do("run", [(program, ["noise"])])

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()
