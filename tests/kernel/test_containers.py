"""Containers: a cgroup with the name that Docker gives, and a PID namespace, made by hand; beside a neighbour."""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import socketserver
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import ebpflab
import pytest

from tests.kernel import lab
from tests.kernel.test_privileges import capabilities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.conftest import Start

RANDOM = random.SystemRandom()


class Container:
    """A workload in a container of its own."""

    def __init__(self, workload: type[lab.Workload], mount: Path, number: str | None = None) -> None:
        self.id = number or secrets.token_hex(32)
        self.cgroup = lab.Cgroup(mount, f"docker-{self.id}.scope")
        self.workload = workload(wrapper=lab.IN_PID_NAMESPACE)
        #: Of the workload, not of its wrapper; in the namespace it has the number 1.
        self.pid = self.workload.child
        self.cgroup.take(self.pid)

    def close(self) -> None:
        self.workload.close()
        self.cgroup.close()


@pytest.fixture(params=lab.HIERARCHIES)
def mount(request: pytest.FixtureRequest) -> Path:
    """Where a hierarchy of each kind is mounted."""
    found = lab.cgroup_mount(request.param)
    if found is None:
        pytest.skip(f"no cgroup hierarchy of {request.param} is mounted")
    return found


@contextlib.contextmanager
def two(workload: type[lab.Workload], mount: Path) -> Iterator[tuple[Container, Container]]:
    """Make a container and its neighbour."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(2):
            made.append(Container(workload, mount))
            stack.callback(made[-1].close)
        yield made[0], made[1]


def told(event: lab.Record) -> tuple[object, ...]:
    """Return what a record says of where it is from."""
    return tuple(event[field] for field in ("pid", "ns_pid", "cgroup", "cgroup_path", "container"))


def expected(container: Container, name: str | None = None) -> tuple[object, ...]:
    """Return what it should say."""
    cgroup, path = container.cgroup.path.stat().st_ino, f"/{container.cgroup.path.name}"
    return container.pid, 1, cgroup, path, {"id": container.id, "runtime": "docker", "name": name}


@pytest.mark.smoke
def test_only_one_container(start: Start, mount: Path) -> None:
    with two(lab.Opener, mount) as (container, neighbour):
        asked = RANDOM.choice([container.id, container.id[:12]])
        tool = start("open", "--container", asked).attached()
        done = container.workload.do("opens", RANDOM.randint(2, 30))
        others = neighbour.workload.do("opens", RANDOM.randint(2, 30))
        ended = tool.stop()
        assert [told(event) for event in ended.events] == [expected(container)] * done
    assert ended.ledger["submitted"] == done
    assert ended.ledger["filtered"] >= others
    assert (ended.status, ended.stderr) == (0, "")


@pytest.mark.smoke
def test_what_runs_in_a_container_is_told_with_it(start: Start, mount: Path) -> None:
    with two(lab.Runner, mount) as (container, neighbour):
        tool = start("exec", "-n", "known-program").attached()
        known = {}
        for each in (container, neighbour):
            program = each.workload.do("link", "known-program")
            known[each.id] = each.workload.do("run", [(program, [each.id])] * RANDOM.randint(2, 20))
        ended = tool.stop()
    for each in (container, neighbour):
        events = [event for event in ended.events if event["argv"] == [each.id]]
        # The workload knows them by their numbers in its namespace.
        assert [event["ns_pid"] for event in events] == known[each.id]
        assert {event["container"]["id"] for event in events} == {each.id}
        assert {event["ppid"] for event in events} == {each.pid}
    assert ended.ledger["submitted"] == sum(map(len, known.values()))


def test_a_container_is_known_when_it_is_gone(start: Start, mount: Path) -> None:
    # One that is there from the start, so that the hierarchy is lived in.
    with two(lab.Opener, mount) as (_, resident), contextlib.ExitStack() as stack:
        tool = start("open", "-n", "for-a-moment").attached()
        workloads = [lab.Opener() for _ in range(3)]
        known = []
        with tool.paused():
            for workload in workloads:
                stack.callback(workload.close)
                cgroup = lab.Cgroup(mount, f"libpod-{secrets.token_hex(32)}.scope")
                inner = lab.Cgroup(cgroup.path, "container")
                inner.take(workload.pid)
                number, path = inner.path.stat().st_ino, f"/{cgroup.path.name}/container"
                workload.do("name", "for-a-moment")
                known += [(number, path)] * workload.do("opens", RANDOM.randint(2, 30))
                inner.close()
                cgroup.close()
        resident.workload.do("name", "for-a-moment")
        resident.workload.do("opens", 1)
        ended = tool.stop()
        assert told(ended.events[-1]) == expected(resident)
    events = ended.events[:-1]
    assert [(event["cgroup"], event["cgroup_path"]) for event in events] == known
    assert {(event["container"]["runtime"], len(event["container"]["id"])) for event in events} == {("podman", 64)}
    assert ended.ledger["submitted"] == len(known) + 1


def test_what_is_in_no_container_has_none(opener: lab.Opener) -> None:
    with ebpflab.opens(pid=opener.pid) as session:
        opener.do("opens", 1)
        (event,) = session.events(limit=1)
    assert event.container is None
    paths = {line.split(":", 2)[2] for line in Path(f"/proc/{opener.pid}/cgroup").read_text().splitlines()}
    assert event.cgroup_path in paths


@pytest.mark.native
def test_there_has_to_be_one_container(start: Start, mount: Path) -> None:
    ended = start("count", "--container", "no-such-container").ended()
    assert (ended.status, ended.records) == (1, [])
    assert ended.stderr.startswith("ebpflab: there is no container no-such-container")
    with two(lab.Opener, mount) as (container, neighbour):
        ended = start("exec", "--container", "no-such-container").ended()
        assert container.id[:12] in ended.stderr
        assert neighbour.id[:12] in ended.stderr
        assert (ended.status, ended.stderr.count("\n")) == (1, 1)
    ended = start("open", "--container", "ab", "--cgroup", "/").ended()
    assert (ended.status, ended.stderr.count("\n")) == (1, 1)


class Engine(socketserver.StreamRequestHandler):
    """Answers as Docker does, for the containers of its server."""

    names: dict[str, str]

    def handle(self) -> None:
        """Answer one request."""
        method, path, version = self.rfile.readline().decode().split()
        assert (method, version) == ("GET", "HTTP/1.0")
        while self.rfile.readline().strip():
            pass
        answer: object = [{"Id": number, "Names": [f"/{name}"]} for number, name in self.names.items()]
        if not path.startswith("/containers/json"):
            answer = {"Name": "/" + self.names.get(path.split("/")[2], "unknown")}
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(answer).encode())


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[tuple[dict[str, str], tuple[str, ...]]]:
    """The names that a server has, and the wrapper that shows it to a tool in the place of Docker."""
    names: dict[str, str] = {}
    handler = type("Handler", (Engine,), {"names": names})
    with socketserver.UnixStreamServer(str(tmp_path / "docker.sock"), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        script = 'mount --bind "$0" /run && exec "$@"'
        yield names, ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(tmp_path))
        server.shutdown()
        thread.join()


@pytest.mark.native
def test_names_are_those_that_docker_tells(
    start: Start, mount: Path, engine: tuple[dict[str, str], tuple[str, ...]]
) -> None:
    names, wrapper = engine
    with two(lab.Opener, mount) as (container, neighbour):
        names |= {container.id: "web-1", neighbour.id: "db-1"}
        tool = start("open", "--container", "web-1", wrapper=wrapper).attached()
        # The thread that asks has been there for a while.
        threads = Path(f"/proc/{tool.process.pid}/task").iterdir()
        assert "container-names" in {(thread / "comm").read_text().strip() for thread in threads}
        assert not capabilities(tool.process.pid)
        neighbour.workload.do("opens", 3)
        done = container.workload.do("opens", RANDOM.randint(2, 30))
        ended = tool.stop()
        assert [told(event) for event in ended.events] == [expected(container, "web-1")] * done
        ended = start("open", "--container", "web", wrapper=wrapper).ended()
        assert f"{container.id[:12]} (web-1)" in ended.stderr


@pytest.mark.native
def test_the_name_of_a_new_container_is_asked_for(
    start: Start, mount: Path, engine: tuple[dict[str, str], tuple[str, ...]]
) -> None:
    names, wrapper = engine
    # Others are there from the start, so that the hierarchy is lived in.
    with two(lab.Opener, mount) as (first, _):
        name, number = f"later-{os.getpid()}", secrets.token_hex(32)
        names |= {number: "later", first.id: "first"}
        tool = start("open", "-n", name, wrapper=wrapper).attached()
        later = Container(lab.Opener, mount, number)
        told: list[str | None] = []
        try:
            later.workload.do("name", name)
            while "later" not in told:
                assert len(told) < 1_000
                later.workload.do("opens", 1)
                told.append(tool.record()["container"]["name"])
        finally:
            later.close()
    # Known from some moment on.
    assert told == [None] * (len(told) - 1) + ["later"]
