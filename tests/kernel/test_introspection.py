"""`maps dump`, `tracepoints` and `btf` against bpftool, tracefs, and what is known."""

from __future__ import annotations

import ctypes
import json
import subprocess
from typing import TYPE_CHECKING, Any

import ebpflab
import pytest
from ebpflab.values import plain

from tests.kernel import lab
from tests.support.objects import clang

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.conftest import Start


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int16), ("y", ctypes.c_int16))


class Flow(ctypes.Structure):
    _fields_ = (
        ("source", ctypes.c_uint32),
        ("port", ctypes.c_uint16),
        ("mac", ctypes.c_uint8 * 6),
        ("action", ctypes.c_uint32),
    )


class About(ctypes.Structure):
    """`struct about` of maps.bpf.c; the unions by one of their members."""

    _fields_ = (
        ("packets", ctypes.c_uint64),
        ("balance", ctypes.c_int64),
        ("comm", ctypes.c_char * 16),
        ("bytes", ctypes.c_uint8 * 5),
        ("seen", ctypes.c_bool),
        ("flags", ctypes.c_bool * 2),
        ("corners", Point * 2),
        ("grid", (ctypes.c_int32 * 3) * 2),
        ("word", ctypes.c_uint32),
        ("address", ctypes.c_uint32),
        ("version", ctypes.c_uint32, 4),
        ("kind", ctypes.c_uint32, 3),
        ("depth", ctypes.c_int32, 5),
        ("unused", ctypes.c_uint32, 4),
        ("rest", ctypes.c_uint32, 16),
        ("wide", ctypes.c_uint64, 33),
        ("where", ctypes.c_uint64),
        ("last", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
        ("huge", ctypes.c_uint64 * 2),
    )


class Sums(ctypes.Structure):
    _fields_ = (
        ("packets", ctypes.c_uint64),
        ("delta", ctypes.c_int32),
        ("name", ctypes.c_char * 8),
        ("point", Point),
    )


#: What is written, and what is to be read. `flow` and `about` are of maps.bpf.c.
FLOW = Flow(0x0100_007F, 65_535, (ctypes.c_uint8 * 6)(2, 0, 0, 0, 0, 255), 200)
FLOW_READ = {"source": 0x0100_007F, "port": 65_535, "mac": b"\x02\0\0\0\0\xff", "action": "LOG"}
ABOUT = About(
    packets=2**64 - 1,
    balance=-5,
    comm=b"kworker/0:1",
    bytes=(ctypes.c_uint8 * 5)(0, 1, 2, 254, 255),
    seen=True,
    flags=(ctypes.c_bool * 2)(False, True),
    corners=(Point * 2)(Point(1, -2), Point(-32_768, 32_767)),
    grid=((ctypes.c_int32 * 3) * 2)((ctypes.c_int32 * 3)(1, 2, 3), (ctypes.c_int32 * 3)(-4, 5, -(2**31))),
    word=0x1234_5678,
    address=0x0403_0201,
    version=4,
    kind=5,
    depth=-7,
    rest=65_535,
    wide=2**33 - 1,
    where=0xFFFF_8880_1234_5678,
    last=9,
    huge=(ctypes.c_uint64 * 2)(1, 2**63),
)
ABOUT_READ = {
    "packets": 2**64 - 1,
    "balance": -5,
    "comm": "kworker/0:1",
    "bytes": b"\0\x01\x02\xfe\xff",
    "seen": True,
    "flags": (False, True),
    "corners": ({"x": 1, "y": -2}, {"x": -32_768, "y": 32_767}),
    "grid": ((1, 2, 3), (-4, 5, -(2**31))),
    "word": 0x1234_5678,
    "low": 0x5678,
    "high": 0x1234,
    "from": {"octets": b"\x01\x02\x03\x04", "address": 0x0403_0201},
    "version": 4,
    "kind": 5,
    "depth": -7,
    "rest": 65_535,
    "wide": 2**33 - 1,
    "where": 0xFFFF_8880_1234_5678,
    # No enumerator has this value.
    "last": 9,
    "huge": 2**127 + 1,
}


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system for pins, which takes them with it."""
    subprocess.run(["mount", "-t", "bpf", "bpf", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


@pytest.fixture
def pinned(bpffs: Path, objects: Path) -> Path:
    """Have bpftool load maps.bpf.c, and return the folder of its maps."""
    folder = bpffs / "maps"
    load = ["bpftool", "prog", "loadall", str(clang("maps", objects)), str(bpffs / "programs")]
    subprocess.run([*load, "pinmaps", str(folder)], check=True)
    return folder


def map_id(path: Path) -> int:
    shown = subprocess.run(["bpftool", "-j", "map", "show", "pinned", path], check=True, stdout=subprocess.PIPE)
    number: int = json.loads(shown.stdout)["id"]
    return number


def dumped(number: int, *flags: str) -> list[dict[str, Any]]:
    """What `ebpflab maps dump ID --json` prints."""
    ended = lab.run(("maps", "dump", str(number), "--json", *flags), ())
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {line.pop("type") for line in lines} <= {"map_entry"}
    return lines


def theirs(number: int) -> list[dict[str, Any]]:
    """What bpftool prints, in the same shape."""
    shown = subprocess.run(["bpftool", "-j", "map", "dump", "id", str(number)], check=True, stdout=subprocess.PIPE)
    entries = []
    for entry in json.loads(shown.stdout):
        typed = entry.get("formatted", entry)
        # It does not show the key of a section.
        found = {"key": as_ours(typed.get("key", 0))}
        if "values" in typed:
            found["values"] = [as_ours(each["value"]) for each in typed["values"]]
        else:
            found["value"] = as_ours(typed["value"])
        entries.append(found)
    return entries


def as_ours(value: Any) -> Any:  # noqa: ANN401
    """Return a value of bpftool's in ebpflab's shape.

    It shows bytes and bit fields in hexadecimal, the latter without their sign; members of structs without a name it
    keeps in one of the empty name, and variables of a section in objects of their own.
    """
    if isinstance(value, str) and value.startswith("0x"):
        return int(value, 16)
    if isinstance(value, list):
        return [as_ours(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and next(iter(value)).startswith("."):
        (variables,) = value.values()
        return {name: as_ours(each) for variable in variables for name, each in variable.items()}
    found: dict[str, Any] = {}
    for name, member in value.items():
        found |= as_ours(member) if name == "" else {name: as_ours(member)}
    return found


def without_sign(value: Any, bits: dict[str, int]) -> Any:  # noqa: ANN401
    """Return a value of ours with bit fields as bpftool shows them."""
    if not isinstance(value, dict):
        return value
    return {name: member & 2 ** bits[name] - 1 if name in bits else member for name, member in value.items()}


def test_keys_and_values_are_decoded_as_they_were_written(pinned: Path) -> None:
    lab.update_map(pinned / "flows", bytes(FLOW), bytes(ABOUT))
    number = map_id(pinned / "flows")
    (entry,) = ebpflab.map_entries(number)
    assert plain(entry.key) == FLOW_READ
    assert plain(entry.value) == ABOUT_READ
    assert entry.values is None
    assert entry.value.corners[1].y == 32_767
    assert (entry.key.action, entry.key.action.name) == (200, "LOG")
    assert {entry.key: 1}[entry.key] == 1
    (line,) = dumped(number)
    (its,) = theirs(number)
    assert without_sign(line["value"], {"depth": 5}) == its["value"]
    assert line["key"] == its["key"]


def test_values_of_each_cpu_are_added_up_and_shown_apart(pinned: Path) -> None:
    cpus = len(ebpflab.map_entries(map_id(pinned / "per_cpu_array"), per_cpu=True)[0].values or ())
    assert cpus == lab.possible_cpus()
    each = [Sums(2**40 + cpu, -cpu, b"eth0" if cpu == 0 else b"", Point(1, cpu)) for cpu in range(cpus)]
    lab.update_map(pinned / "per_cpu_hash", (7).to_bytes(8, "little"), b"".join(map(bytes, each)))
    lab.update_map(
        pinned / "per_cpu_array", bytes((1, 0, 0, 0)), b"".join((5).to_bytes(8, "little") for _ in range(cpus))
    )
    total = sum(range(cpus))
    (entry,) = ebpflab.map_entries(map_id(pinned / "per_cpu_hash"))
    assert plain(entry.value) == {
        "packets": cpus * 2**40 + total,
        "delta": -total,
        "name": "eth0",
        "point": {"x": cpus, "y": total},
    }
    for name in ("per_cpu_hash", "per_cpu_array"):
        number = map_id(pinned / name)
        lines = dumped(number, "--per-cpu")
        assert [{"key": line["key"], "values": line["values"]} for line in lines] == theirs(number)
    assert [line["value"] for line in lines] == [0, 5 * cpus, 0]
    assert [line["values"] for line in dumped(number)] == [None] * 3


@pytest.mark.full
def test_all_maps_of_an_object_are_as_bpftool_has_them(pinned: Path) -> None:
    lab.update_map(pinned / "untyped", b"\1\2\3", b"\0\1\2\3\xff")
    lab.update_map(pinned / "actions", bytes((2, 0, 0, 0)), bytes((7, 0, 0, 0)))
    for name in ("untyped", "actions", "maps_data", "maps_rodata"):
        number = map_id(pinned / name)
        lines = dumped(number)
        assert [{"key": line["key"], "value": line["value"]} for line in lines] == theirs(number)
    assert lines[0]["value"] == {"origin": {"x": -3, "y": 4}}
    assert [plain(entry.value) for entry in ebpflab.map_entries(map_id(pinned / "actions"))] == ["PASS", "PASS", "DROP"]
    (raw,) = ebpflab.map_entries(map_id(pinned / "untyped"))
    assert (raw.key, raw.value) == (b"\1\2\3", b"\0\1\2\3\xff")


def test_maps_of_our_own_tools_are_as_bpftool_has_them(start: Start, wire: tuple[str, str]) -> None:
    left, _ = wire
    tool = start("xdp", "--iface", "wire", "--block", "192.0.2.0/24", "-i", "60", wrapper=lab.netns_exec(left))
    assert tool.first_line()
    compared = set()
    for each in ebpflab.maps():
        # Nobody can read what is in a buffer.
        if tool.process.pid not in [holder.pid for holder in each.holders] or each.kind == "perf_event_array":
            continue
        its = theirs(each.id)
        lines = dumped(each.id, "--per-cpu")
        for line, entry in zip(lines, its, strict=True):
            # An array's key is its index for us, and bytes for bpftool where there is no type that says so.
            raw = isinstance(entry["key"], list) and "array" in each.kind
            assert line["key"] == (int.from_bytes(entry["key"], "little") if raw else entry["key"]), each
            assert entry.get("value", line["value"]) == line["value"], each
            assert entry.get("values") == line["values"], each
        compared.add(each.name)
    assert {"COUNTS", "ENABLED"} <= compared


def test_a_map_that_is_not_there_or_cannot_be_read(start: Start) -> None:
    ended = lab.run(("maps", "dump", "4294967295"), ())
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "ebpflab: there is no map 4294967295; ebpflab maps lists those there are\n"
    tool = start("open")
    assert tool.first_line()
    ring = [
        each.id
        for each in ebpflab.maps()
        if each.kind == "ringbuf" and tool.process.pid in [holder.pid for holder in each.holders]
    ]
    for number in ring:
        ended = lab.run(("maps", "dump", str(number)), ())
        assert (ended.returncode, ended.stdout) == (77, "")
        assert "it is one of kind ringbuf" in ended.stderr


#: The whole of a program: it lists the tracepoints of a pattern and prints one of them.
LIST = ("tracepoints", "sched:sched_process_*", "--json")


def test_fields_of_tracepoints_are_those_of_tracefs() -> None:
    ended = lab.run(LIST, lab.WITH_TRACEFS)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = {line["name"]: line for line in map(json.loads, ended.stdout.splitlines())}
    assert {"sched_process_exec", "sched_process_exit", "sched_process_fork"} <= set(found)
    format_file = subprocess.run(
        [*lab.WITH_TRACEFS, "cat", "/sys/kernel/tracing/events/sched/sched_process_exec/format"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    exec_event = found["sched_process_exec"]
    assert exec_event["category"] == "sched"
    for field in exec_event["fields"]:
        array = field["c_type"].partition(" [")
        declared = f"{array[0]} {field['name']}{array[1].strip()}{array[2]}"
        place = f"offset:{field['offset']};\tsize:{field['bytes']};\tsigned:{int(field['signed'])};"
        assert f"field:{declared};\t{place}" in format_file
    assert len(exec_event["fields"]) == format_file.count("field:")
    assert exec_event["fields"][-1]["name"] == "old_pid"


@pytest.mark.smoke
def test_arguments_of_raw_tracepoints_need_no_tracefs() -> None:
    ended = lab.run(("tracepoints", "sched_process_exec", "--json"), lab.WITHOUT_TRACEFS)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert (found["category"], found["fields"]) == (None, None)
    assert [(each["c_type"], each["index"], each["bytes"]) for each in found["arguments"]] == [
        ("struct task_struct *", 0, 8),
        ("pid_t", 1, 4),
        ("struct linux_binprm *", 2, 8),
    ]
    assert [each["name"] for each in found["arguments"]] == ["p", "old_pid", "bprm"]
    ended = lab.run(("tracepoints", "sched_process_exce"), lab.WITHOUT_TRACEFS)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "there is sched_process_exec" in ended.stderr
    ended = lab.run(("tracepoints", "sched:sched_process_exec"), lab.WITHOUT_TRACEFS)
    assert "tracefs is not mounted" in ended.stderr


def kernel_types() -> list[dict[str, Any]]:
    """All types of the kernel, as bpftool reads them."""
    command = ["bpftool", "-j", "btf", "dump", "file", "/sys/kernel/btf/vmlinux"]
    types: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)[
        "types"
    ]
    return types


#: Structs with bit fields, unions, arrays, pointers to functions and members without names.
STRUCTS = ("task_struct", "sk_buff", "iphdr", "tcp_sock", "file_operations", "page", "bpf_prog", "io_uring_sqe")


@pytest.mark.native  # bpftool takes a second for it, an emulated one a minute
def test_types_of_the_kernel_are_as_bpftool_has_them() -> None:
    types = kernel_types()
    named = {each["name"]: each for each in types if each["kind"] == "STRUCT"}
    for name in STRUCTS:
        its, ours = named[name], ebpflab.btf(name)
        assert (ours.kind, ours.bytes) == ("struct", its["size"])
        members = [
            (member.name.removeprefix("(anon)"), member.offset * 8 + (member.bit or 0), member.bits or 0)
            for member in ours.members
        ]
        assert members == [
            (member["name"].removeprefix("(anon)"), member["bits_offset"], member.get("bitfield_size", 0))
            for member in its["members"]
        ]
        # The classes have the same places, as Python itself lays them out.
        classes: dict[str, Any] = {}
        exec(ebpflab.btf_layout(name, python=True), classes)  # noqa: S102  it is code of ours
        layout = classes[name]
        assert ctypes.sizeof(layout) == its["size"]
        for member in ours.members:
            if member.name and member.bits is None:
                assert getattr(layout, member.name).offset == member.offset, (name, member)
    (link_type,) = [each for each in types if each["kind"] == "ENUM" and each["name"] == "bpf_link_type"]
    assert [(each.name, each.value) for each in ebpflab.btf("enum bpf_link_type").enumerators] == [
        (each["name"], each["val"]) for each in link_type["values"]
    ]


def test_bit_fields_of_the_classes_are_read_from_their_bits() -> None:
    classes: dict[str, Any] = {}
    exec(ebpflab.btf_layout("iphdr", python=True), classes)  # noqa: S102
    header = classes["iphdr"].from_buffer_copy(bytes.fromhex("45000014") + bytes(8) + bytes((127, 0, 0, 1, 1, 2, 3, 4)))
    assert (header.version, header.ihl, header.tot_len) == (4, 5, 0x1400)
    assert (header.saddr, header.daddr) == (0x0100_007F, 0x0403_0201)


def test_types_print_as_c_that_a_compiler_takes() -> None:
    # Those that hold no others by value.
    text = "".join(f"{ebpflab.btf_layout(name)}\n" for name in ("list_head", "hlist_node", "rb_root", "enum pid_type"))
    source = f'struct rb_node;\n{text}_Static_assert(sizeof(struct list_head) == 16, "");\n'
    subprocess.run(["gcc", "-fsyntax-only", "-x", "c", "-"], input=source, text=True, check=True)
    assert ebpflab.btf("pid_t").target == "__kernel_pid_t"
    assert ebpflab.btf_layout("vfs_read").startswith("ssize_t vfs_read(struct file *file, char *buf")
    with pytest.raises(ValueError, match="the kernel has no type tsk_struct; there is task_struct"):
        ebpflab.btf("tsk_struct")
    with pytest.raises(ValueError, match="pid_t is no struct or union"):
        ebpflab.btf_layout("pid_t", python=True)
