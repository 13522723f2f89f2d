"""From where functions, tracepoints and instructions are come to, or where the CPUs are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ebpflab import _ebpflab
from ebpflab.records import StackCount
from ebpflab.session import CountSession
from ebpflab.tools.only import only
from ebpflab.views.table import printable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable


class StackCounter(CountSession[list[StackCount]]):
    """Counts of stacks, the most frequent first. After the end `folded` and `svg` give those of the whole run.

    Functions have names as long as their process is there. New stacks get theirs at each reading, and four times a
    second while `wait` or `readings` waits: of a process that ends sooner nothing is known.
    """

    def __init__(self, native: _ebpflab.Session, title: str, unit: str) -> None:
        """Wrap a native session, whose flame graph has a title and a word for what it counts."""
        super().__init__(native)
        self._title = title
        self._unit = unit

    def _counts(self, raw: Any) -> list[StackCount]:  # noqa: ANN401
        return [StackCount(**row) for row in raw]

    def top(self, n: int = 10) -> list[StackCount]:
        """Return the `n` most frequent.

        Raises:
            ClosedError: The session was stopped.

        """
        return self.read()[:n]

    def wait(self, seconds: float | None = None) -> None:
        """Let it run for so many seconds, or until it is stopped."""
        self._native.wait(seconds)

    def folded(self) -> str:
        """Return a line for each stack: its functions from the outermost on, with `;` between, a blank and its count.

        The first is who was seen, as far as that is told apart; those of the kernel end in `_[k]`. What makes flame
        graphs takes this format.
        """
        return folded(self.stop().counts if self.stopped else self.read())

    def svg(self) -> str:
        """Return a flame graph, as an SVG for a browser.

        Raises:
            ValueError: There is no stack yet.

        """
        return _ebpflab.flame_graph(self.folded(), self._title, self._unit)


def folded(counts: Iterable[StackCount]) -> str:
    """Return stacks in the format that `StackCounter.folded` describes."""
    lines: dict[str, int] = {}
    for row in counts:
        frames = [*_who(row), *reversed(row.user), *(f"{function}_[k]" for function in reversed(row.kernel))]
        line = ";".join(printable(frame).replace(";", ":") for frame in frames) or "[no stack]"
        lines[line] = lines.get(line, 0) + row.count
    return "".join(f"{line} {count}\n" for line, count in sorted(lines.items()))


def _who(row: StackCount) -> list[str]:
    """Return what stands below the functions."""
    names = []
    if row.container is not None:
        names.append(f"{row.container.runtime} {row.container.name or row.container.id[:12]}")
    elif row.cgroup is not None:
        names.append(str(row.cgroup) if row.cgroup_path is None else row.cgroup_path)
    if row.pid is not None:
        names.append(f"{row.comm or '(gone)'}-{row.pid}")
    elif row.comm is not None:
        names.append(row.comm)
    return names


def stacks(
    *targets: str,
    sample: int | None = None,
    by: Iterable[str] = ("comm",),
    pid: int | None = None,
    tid: int | None = None,
    uid: int | None = None,
    name: str | bytes | None = None,
    not_pid: int | None = None,
    tree: int | None = None,
    cgroup: str | os.PathLike[str] | None = None,
    container: str | None = None,
    max_entries: int | None = None,
) -> StackCounter:
    """Count the stacks from which targets are come to (docs/targets.md), or those of each CPU, `sample` times a second.

    A stack is functions of the kernel and of the process. Those of processes are found by their frame pointers: code
    that is built without them leaves callers out. Idle CPUs are not sampled. `by` is what stacks are told apart by
    beside themselves: any of `pid`, `comm` (the name of the thread) and `cgroup`. The filters are those of
    `ebpflab.counts`; a library is looked for in the process `pid` if there is one. `max_entries` is the most counters
    that the map holds (16,384); further stacks are `ledger.map_full`, and so are those for which the kernel has no
    place.

    Raises:
        AttachError: The kernel refuses a target.
        NotSupportedError: This kernel has no hook for a target.
        PrivilegeError: CAP_BPF and CAP_PERFMON are needed.
        ValueError: There is no such target (the nearest names are told), or an argument is out of its range.

    """
    keep = only(
        pid=pid,
        tid=tid,
        uid=uid,
        name=name,
        not_pid=not_pid,
        tree=tree,
        cgroup=cgroup,
        container=container,
    )
    if sample is not None and not 0 < sample < 2**32:
        raise ValueError(f"a CPU is sampled once a second at least, and not {sample} times")
    native = _ebpflab.attach_stacks(list(targets), sample, keep, list(by), max_entries)
    title = ", ".join(targets) if sample is None else f"CPUs, {sample} times a second"
    return StackCounter(native, title, "calls" if sample is None else "samples")
