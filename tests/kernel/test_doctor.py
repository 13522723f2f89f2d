"""`doctor` and the verdicts behind it, beside what really happens."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest
from ebpflab.doctor import TOOLS

from tests.kernel import lab
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.smoke

IDENTITIES: dict[str, Callable[[], None]] = {
    "root": identity.root,
    "root-without-tracefs": identity.root_without_tracefs,
    "root-without-btf": identity.root_without_btf,
    "nobody": identity.nobody(),
    "nobody-bpf-perfmon": identity.nobody(identity.CAP_BPF, identity.CAP_PERFMON),
    "nobody-bpf": identity.nobody(identity.CAP_BPF),
}
#: Every tool is attached by every hook, as it is for root.
LONG = ("root", "root-without-tracefs", "nobody-bpf-perfmon")
#: For each tool: the kinds of hooks that it takes by itself, or None if it does not work; and those that can be forced.
Abilities = dict[str, tuple[set[str] | None, set[str]]]


def told() -> Abilities:
    """What doctor says."""
    return {tool: _of_verdict(ebpflab.verdict(tool)) for tool in TOOLS}


def _of_verdict(verdict: ebpflab.Verdict) -> tuple[set[str] | None, set[str]]:
    first = verdict.hooks[0].part if verdict.hooks else ""
    taken = {hook.hook for hook in verdict.hooks if hook.taken}
    # A hook of one part is of no use if another part has none.
    can = {hook.hook for hook in verdict.hooks if hook.works and hook.part == first} if verdict.works else set()
    return (taken if verdict.works else None), can


#: A target for each hook of `calls` and `stacks`, in the order in which doctor tries examples of them.
CALLS = {
    "fentry": "fentry:vfs_read",
    "kprobe": "kprobe:vfs_read",
    "raw_tracepoint": "raw_tracepoint:sys_enter",
    "tracepoint": "tracepoint:sched:sched_process_exec",
    "uprobe": "libc:llabs",
}


#: The same for `latency` and `returns`.
TIMED = {"fentry": "fentry:vfs_read", "kprobe": "kprobe:vfs_read", "uprobe": "libc:llabs"}


def stacks(hook: str | None = None) -> ebpflab.StackCounter:
    """Take the stacks of a target that needs a hook, or of the first that works."""
    if hook:
        return ebpflab.stacks(CALLS[hook])
    for target in CALLS.values():
        with contextlib.suppress(ebpflab.EbpflabError, OSError):
            return ebpflab.stacks(target)
    raise ebpflab.AttachError("nothing works", "", "")


def of_a_function(attach: Callable[[str], ebpflab.Session]) -> Callable[..., ebpflab.Session]:
    """Attach to a target that needs a hook, or to the first that works."""

    def attached(hook: str | None = None) -> ebpflab.Session:
        if hook:
            return attach(TIMED[hook])
        for target in TIMED.values():
            with contextlib.suppress(ebpflab.EbpflabError, OSError):
                return attach(target)
        raise ebpflab.AttachError("nothing works", "", "")

    return attached


def calls(hook: str | None = None) -> ebpflab.CallCounter:
    """Count calls of a target that needs a hook, or of the first that works."""
    if hook:
        return ebpflab.calls(CALLS[hook])
    for target in CALLS.values():
        with contextlib.suppress(ebpflab.EbpflabError, OSError):
            return ebpflab.calls(target)
    raise ebpflab.AttachError("nothing works", "", "")


def real(iface: str) -> Callable[[], Abilities]:
    """What happens when the tools are attached."""
    tools: dict[str, tuple[Callable[..., ebpflab.Session], tuple[str, ...]]] = {
        "calls": (calls, tuple(CALLS)),
        # It has one hook, which there is no need to ask for.
        "cgroup": (lambda **_: ebpflab.cgroup("/"), ("cgroup_skb",)),
        "count": (ebpflab.counts, lab.HOOKS),
        "dashboard": (ebpflab.activity, lab.HOOKS),
        "exec": (ebpflab.execs, ("tracepoint", "raw_tracepoint")),
        "flows": (lambda **options: ebpflab.flows(iface, **options), ("tcx", "clsact")),
        "latency": (of_a_function(ebpflab.latency), tuple(TIMED)),
        "open": (ebpflab.opens, lab.HOOKS),
        "returns": (of_a_function(ebpflab.returns), tuple(TIMED)),
        "runqueue": (lambda **_: ebpflab.runqueue(), ("raw_tracepoint",)),
        "stacks": (stacks, tuple(CALLS)),
        "traffic": (lambda **options: ebpflab.traffic(iface, **options), ("tcx", "clsact")),
        "trace": (of_a_function(ebpflab.trace), tuple(TIMED)),
        "syscalls": (lambda **_: ebpflab.syscalls(), ("raw_tracepoint",)),
        "xdp": (lambda: ebpflab.xdp(iface), ()),
    }

    def abilities() -> Abilities:
        found = {
            tool: (_taken(attach), {hook for hook in hooks if _works(attach, hook)})
            for tool, (attach, hooks) in tools.items()
        }
        # Its clocks are another part, which does not go with targets.
        (calls, can), clocks = found["stacks"], _taken(lambda: ebpflab.stacks(sample=49))
        found["stacks"] = (None, set()) if calls is None or clocks is None else (calls | clocks, can)
        return found

    return abilities


def _taken(attach: Callable[..., ebpflab.Session]) -> set[str] | None:
    try:
        with attach() as session:
            # A way is called after its first program's hook; fentry's may be at the return.
            hooks = [hook for hook in session.attached.hooks if hook.program != "cgroup_new"]
            by_part = {hook.program.partition("_")[0]: hook for hook in reversed(hooks)}
            return {{"fexit": "fentry"}.get(hook.kind, hook.kind) for hook in by_part.values()} - {"xdp"}
    except (ebpflab.EbpflabError, OSError):
        return None


def _works(attach: Callable[..., ebpflab.Session], hook: str) -> bool:
    try:
        attach(hook=hook).close()
    except (ebpflab.EbpflabError, OSError):
        return False
    return True


@pytest.mark.parametrize(
    "who", [pytest.param(who, marks=pytest.mark.full) if who in LONG else who for who in IDENTITIES]
)
def test_a_tool_works_if_and_only_if_doctor_says_so(who: str, iface: str) -> None:
    expected = identity.in_child(IDENTITIES[who], real(iface))
    assert identity.in_child(IDENTITIES[who], told) == expected
    print(who, expected)
    works = {tool for tool, (taken, _) in expected.items() if taken is not None}
    if who == "root":
        assert works == set(TOOLS)
    if who == "root-without-btf":
        assert works == {"cgroup", "flows", "xdp"}
    if who in {"nobody", "nobody-bpf"}:
        assert works == set()


def doctor(*arguments: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return lab.run(("doctor", *arguments), wrapper)


def features(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the features of a run by group and name."""
    assert (done.returncode, done.stderr) == (0, "")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["tool"] for record in records if record["type"] == "verdict"] == list(TOOLS)
    return {(record["group"], record["name"]): record for record in records if record["type"] == "feature"}


@pytest.mark.full
def test_features_are_what_the_machine_says_elsewhere(iface: str) -> None:
    # Others may make and remove interfaces meanwhile.
    interfaces = set(os.listdir("/sys/class/net"))  # noqa: PTH208  names
    found = features(doctor("--json", wrapper=lab.WITH_TRACEFS))
    interfaces &= set(os.listdir("/sys/class/net"))  # noqa: PTH208
    answers = {key: record["answer"] for key, record in found.items()}
    assert answers["kernel", "BTF"] == ("yes" if Path("/sys/kernel/btf/vmlinux").exists() else "no")
    jit = Path("/proc/sys/net/core/bpf_jit_enable")
    assert answers["kernel", "JIT"] == ("no" if jit.read_text().strip() == "0" else "yes")
    assert answers["kernel", "tracefs"] == "yes"
    for hook in lab.HOOKS:
        assert answers["hook", hook] == ("yes" if lab.probe(hook) is None else "no")
    mounted = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    assert answers["cgroup", "v2"] == ("yes" if "cgroup2" in mounted else "no")
    assert answers["cgroup", "v1"] == ("yes" if "cgroup" in mounted else "no")
    assert iface in interfaces
    for name in interfaces:
        assert answers["xdp", f"{name} skb"] == "yes"
        assert ("xdp", f"{name} drv") in answers
    # veth has XDP of its own, on kernels that tell.
    assert answers["xdp", f"{iface} drv"] in {"yes", "unknown"}
    assert answers["leftovers", "nothing left behind"] == "yes"
    for kind in ("kprobe", "tracepoint", "raw_tracepoint", "xdp", "sched_cls", "cgroup_skb", "cgroup_sock"):
        assert answers["program type", kind] == "yes"
    assert {record["answer"] for (group, _), record in found.items() if group == "map type"} == {"yes"}
    cookies = tuple(int(number) for number in os.uname().release.split(".")[:2]) >= (5, 15)
    lacking = {name for (group, name), record in found.items() if group == "helper" and record["answer"] != "yes"}
    assert lacking == (set() if cookies else {"bpf_get_attach_cookie"})
    assert {record["answer"] for record in found.values()} <= {"yes", "no", "unknown"}


@pytest.mark.native
def test_a_mount_that_is_missing_comes_with_its_command() -> None:
    record = features(doctor("--json", wrapper=lab.WITHOUT_TRACEFS))["kernel", "tracefs"]
    assert record["answer"] == "no"
    assert "mount -t tracefs tracefs /sys/kernel/tracing" in record["fix"]
    assert record["costs"]


def test_the_fix_for_a_closed_tracefs_opens_it() -> None:
    def tracefs() -> ebpflab.Feature:
        return next(feature for feature in ebpflab.features() if feature.name == "tracefs")

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", "/sys/kernel/tracing"], check=True)

    closed = identity.in_child(identity.nobody(), tracefs)
    assert closed.answer == "no"
    assert "mount -o remount,gid=GROUP,mode=750 /sys/kernel/tracing" in str(closed.fix)
    try:
        # The options are those of the file system, wherever it is mounted.
        identity.in_child(identity.root, lambda: remount(f"gid={identity.NOBODY},mode=750"))
        assert identity.in_child(identity.nobody(), tracefs).answer == "yes"
    finally:
        identity.in_child(identity.root, lambda: remount("gid=0,mode=700"))


def test_a_tool_is_explained_hook_by_hook() -> None:
    done = doctor("open", wrapper=lab.WITHOUT_TRACEFS)
    first, *lines = done.stdout.splitlines()
    taken = [line for line in lines if line.startswith("  taken ")]
    assert (done.returncode, done.stderr, len(taken)) == (0, "", 1)
    assert first == f"open works here, by {taken[0].split()[-1]}"
    assert [line.split()[3] for line in lines if " opens by " in line] == [
        "fentry",
        "kprobe",
        "kretprobe",
        "raw_tracepoint",
        "tracepoint",
    ]
    refused = lines.index(next(line for line in lines if " by tracepoint" in line))
    assert "tracefs is not mounted" in lines[refused]
    assert "mount -t tracefs" in lines[refused + 1]


@pytest.mark.native
def test_an_interface_that_is_taken_is_told(iface: str) -> None:
    with ebpflab.xdp(iface):
        found = features(doctor("--json"))
    record = found["xdp", f"{iface} free"]
    assert record["answer"] == "no"
    assert "it carries an XDP program" in record["found"]
    # The program belongs to a process that runs: this one.
    assert str(os.getpid()) in found["leftovers", "nothing left behind"]["found"]


def test_what_is_left_behind_is_told(iface: str, tmp_path: Path) -> None:
    """A program like ours that no process holds: it is pinned."""
    pin = tmp_path / "bpf"
    pin.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", pin], check=True)
    try:
        with ebpflab.xdp(iface):
            ours = next(each["id"] for each in lab.kernel_list("prog") if each["name"] == "xdp_count")
            subprocess.run(["bpftool", "prog", "pin", "id", str(ours), pin / "left"], check=True)
        assert lab.eventually(lambda: left() == f"xdp_count (id {ours})")
        (pin / "left").unlink()
        assert lab.eventually(lambda: left() == "")
    finally:
        subprocess.run(["umount", pin], check=True)


@pytest.mark.parametrize(
    "wrapper",
    [
        ("unshare", "--fork", "--pid", "--mount-proc"),
        # sys_ptrace by its number, which older setpriv understands.
        ("setpriv", "--inh-caps=-cap_19", "--bounding-set=-cap_19"),
    ],
    ids=["pid-namespace", "without-ptrace"],
)
@pytest.mark.native
def test_what_cannot_be_seen_is_not_left_behind(iface: str, wrapper: tuple[str, ...]) -> None:
    with ebpflab.xdp(iface):
        found = features(doctor("--json", wrapper=wrapper))
    # Before 5.14 root may look into others' fdinfo without CAP_SYS_PTRACE, and sees that nothing is left.
    assert found["leftovers", "nothing left behind"]["answer"] in {"unknown", "yes"}


def left() -> str:
    """What of ours is held by no process."""
    (feature,) = (feature for feature in ebpflab.features() if feature.group == "leftovers")
    return feature.found.partition("held by no process: ")[2] if feature.answer == "no" else ""


@pytest.mark.native
def test_before_5_8_it_is_one_sentence(tmp_path: Path) -> None:
    """Such a kernel knows no CAP_BPF, and says so here."""
    last_cap = tmp_path / "cap_last_cap"
    last_cap.write_text("37\n")
    script = f'mount --bind {last_cap} /proc/sys/kernel/cap_last_cap && exec "$@"'
    wrapper = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
    for tool in (["open"], ["xdp", "--iface", "lo"]):
        done = subprocess.run([*wrapper, *lab.EBPFLAB, *tool], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (77, "")
        assert done.stderr.count("\n") == 1
        assert "Linux 5.8 or later" in done.stderr
    assert doctor("open", wrapper=wrapper).returncode == 77
