"""Without privileges: status 77 and the names of what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

# Root stays root, so that it may enter the folder of the interpreter, but `noroot` takes from uid 0 the right to get
# capabilities back at exec.
DROP = ("setpriv", "--securebits=+noroot", "--inh-caps=-all", "--bounding-set=-all") if os.geteuid() == 0 else ()


def test_the_privileges_are_dropped() -> None:
    status = subprocess.run([*DROP, "cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    assert "CapEff:\t0000000000000000\n" in status


def outside(missing: str) -> str:
    """What gives capabilities to a process whose bounding set has none: something outside of what it was started by."""
    if os.geteuid() != 0:
        return "sudo" if shutil.which("sudo") else "run as root: setpriv "
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "add to the container of the pod: securityContext: "
    if any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")):
        added = "".join(f" --cap-add {name.removeprefix('CAP_')}" for name in missing.rstrip(";").split(" and "))
        return f"; add to docker run (or podman run):{added}\n"
    return "; from another login, since nothing gets more that is started here, "


@pytest.mark.parametrize("json", [(), ("--json",)], ids=["table", "json"])
@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (("calls", "libc:malloc"), "CAP_BPF and CAP_PERFMON;"),
        (("cgroup", "/"), "CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN;"),
        (("cost",), "CAP_SYS_ADMIN;"),
        (("count",), "CAP_BPF and CAP_PERFMON;"),
        (("exec",), "CAP_BPF and CAP_PERFMON;"),
        (("flows", "--iface", "lo"), "CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN;"),
        (("latency", "libc:malloc"), "CAP_BPF and CAP_PERFMON;"),
        (("links",), "CAP_SYS_ADMIN;"),
        (("maps",), "CAP_SYS_ADMIN;"),
        (("open",), "CAP_BPF and CAP_PERFMON;"),
        (("programs",), "CAP_SYS_ADMIN;"),
        (("returns", "libc:malloc"), "CAP_BPF and CAP_PERFMON;"),
        (("runqueue",), "CAP_BPF and CAP_PERFMON;"),
        (("traffic", "--iface", "lo"), "CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN;"),
        (("stacks", "libc:malloc"), "CAP_BPF and CAP_PERFMON;"),
        (("syscalls",), "CAP_BPF and CAP_PERFMON;"),
        (("trace", "libc:malloc"), "CAP_BPF and CAP_PERFMON;"),
        (("xdp", "--iface", "lo"), "CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN;"),
    ],
    ids=[
        "calls",
        "cgroup",
        "cost",
        "count",
        "exec",
        "flows",
        "latency",
        "links",
        "maps",
        "open",
        "programs",
        "returns",
        "runqueue",
        "stacks",
        "syscalls",
        "trace",
        "traffic",
        "xdp",
    ],
)
def test_missing_capabilities_are_named(
    run: Run, command: tuple[str, ...], missing: str, json: tuple[str, ...]
) -> None:
    done = run(*command, *json, wrapper=DROP)
    assert done.returncode == 77
    assert done.stdout == ""
    assert done.stderr.startswith("ebpflab: ")
    assert done.stderr.count("\n") == 1
    assert missing in done.stderr
    assert outside(missing) in done.stderr
    assert "setcap" not in done.stderr


def test_from_python_it_is_a_privilege_error() -> None:
    program = (
        "import ebpflab\n"
        "try: ebpflab.counts()\n"
        "except ebpflab.PrivilegeError as error: print(*error.missing_caps, bool(error.fix))"
    )
    done = subprocess.run([*DROP, sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "CAP_BPF CAP_PERFMON True\n"


def test_verifying_an_object_is_a_privilege_error_too() -> None:
    program = (
        "import ebpflab, ebpflab.testing\n"
        "try: ebpflab.testing.verify(b'')\n"
        "except ebpflab.PrivilegeError as error: print(*error.missing_caps, bool(error.fix))"
    )
    done = subprocess.run([*DROP, sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "CAP_BPF CAP_PERFMON True\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to keep")
def test_only_what_is_missing_is_named(run: Run) -> None:
    # CAP_BPF (39) alone is kept, by its number, which older setpriv understands.
    keep = ("setpriv", "--securebits=+noroot", "--inh-caps=-all,+cap_39", "--ambient-caps=-all,+cap_39")
    done = run("xdp", "--iface", "lo", wrapper=keep)
    assert done.returncode == 77
    assert " CAP_PERFMON and CAP_NET_ADMIN;" in done.stderr
    assert "CAP_BPF" not in done.stderr
