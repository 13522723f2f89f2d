"""Lines that wait for a disk, or for whoever reads a pipe."""

from __future__ import annotations

import os
import threading
import time

import pytest
from ebpflab.cli import output

LINE = b"x" * 999 + b"\n"
MOST = 100


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """A pipe that a writer takes for stdout, and how many lines may wait for it."""
    read, write = os.pipe()
    monkeypatch.setattr(output, "STDOUT", write)
    monkeypatch.setattr(output, "MOST_WAITING", MOST * len(LINE))
    return read, write


def test_lines_are_written_in_order_though_nobody_reads_yet(pipe: tuple[int, int]) -> None:
    # More than a pipe holds, 64 KiB.
    lines = [b"%014d\n" % number for number in range(10_000)]
    with open(pipe[0], "rb") as reader:  # noqa: PTH123
        with output.Writer(pytest.fail) as writer:
            for line in lines[:6_000]:
                writer.write(line)
            assert [reader.readline() for _ in range(6_000)] == lines[:6_000]
            for line in lines[6_000:]:
                writer.write(line)
        os.close(pipe[1])
        assert list(reader) == lines[6_000:]


def test_who_has_too_many_waits(pipe: tuple[int, int]) -> None:
    written: list[int] = []

    def write() -> None:
        with output.Writer(pytest.fail) as writer:
            for number in range(10 * MOST):
                writer.write(LINE)
                written.append(number)

    writing = threading.Thread(target=write)
    writing.start()
    time.sleep(0.5)
    # And at most what a pipe holds: 64 KiB.
    assert MOST <= len(written) <= MOST + 66
    with open(pipe[0], "rb") as reader:  # noqa: PTH123
        assert all(reader.readline() == LINE for _ in range(10 * MOST))
        writing.join()
        os.close(pipe[1])
        assert reader.read() == b""
    assert len(written) == 10 * MOST


def test_whoever_writes_on_hears_that_nobody_reads(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    failed = threading.Event()
    writer = output.Writer(failed.set)
    writer.write(LINE)
    assert failed.wait(10)
    with pytest.raises(output.StdoutError) as next_time:
        writer.write(LINE)
    with pytest.raises(output.StdoutError) as at_the_end:
        writer.__exit__(None, None, None)
    assert next_time.value.nobody_reads
    assert at_the_end.value.nobody_reads
    os.close(pipe[1])


def test_a_writer_that_waits_hears_that_nobody_reads(pipe: tuple[int, int]) -> None:
    def write() -> None:
        with output.Writer(lambda: None) as writer:
            while True:
                writer.write(LINE)

    closing = threading.Timer(0.2, os.close, pipe[:1])
    closing.start()
    with pytest.raises(output.StdoutError):
        write()
    closing.join()
    os.close(pipe[1])
