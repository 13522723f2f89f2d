"""A known workload: opens files by every way that a path may take, and says of each what it was.

Reads commands from stdin, each a line of JSON, and answers each with another once it is done, like opener.py. The truth
about an opened file is what this process itself sees: its link in procfs and fstat(2), neither of which opens anything.
Names are made up anew each time.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import random
import string
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
PAGE = 4096
PR_SET_NAME, NAME = 15, b"attempting"
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x2_0000, 1 << 12, 1 << 14, 1 << 18
FOLDER = sys.argv[1]
#: Opened now: after chroot there is no way to it by name.
PROC = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
#: What was done, since the last answer.
DONE: list[dict[str, Any]] = []


def name(length: int = 8) -> str:
    """Make up a name; one of four is no UTF-8."""
    letters = "".join(random.choices(string.ascii_letters + " .é\n", k=length - 2))
    return f"x{letters}{random.choice(['a', 'b', 'c', chr(0xDCE9)])}"


def there(fd: int) -> str:
    """Return where a file is, as the kernel names it for this process and its root."""
    return os.readlink(f"self/fd/{fd}", dir_fd=PROC)


def attempt(
    path: str | None,
    flags: int = os.O_RDONLY,
    mode: int = 0o600,
    dirfd: int = AT_FDCWD,
    at: int | None = None,
    **known: Any,  # noqa: ANN401  fields of a record
) -> int:
    """Open a path, which is at an address where that is told, by openat; note what a record of it has to say."""
    where = ctypes.c_void_p(at) if path is None or at else os.fsencode(path)
    # Whoever traces threads of this name sees this, and nothing else that this process opens.
    LIBC.prctl(PR_SET_NAME, NAME)
    fd = LIBC.openat(dirfd, where, ctypes.c_int(flags), ctypes.c_uint(mode))
    failure = ctypes.get_errno()
    LIBC.prctl(PR_SET_NAME, b"between")
    creates = flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE
    record: dict[str, Any] = {"path": path, "flags": flags, "mode": mode if creates else 0, "dirfd": dirfd}
    record |= {"path_truncated": False, "path_fault": None, "path_notes": []}
    if fd >= 0:
        status = os.fstat(fd)
        record |= {"ret": fd, "error": None, "inode": status.st_ino, "device": status.st_dev}
    else:
        record |= {"ret": -failure, "error": errno.errorcode[failure], "inode": None, "device": None}
    if not known.keys() & {"full_path", "full_end"}:
        record["full_path"] = there(fd) if fd >= 0 else joined(dirfd, path)
    DONE.append(record | known)
    return int(fd)


def joined(dirfd: int, path: str | None) -> str:
    """Return a path from the root: the folder that it starts from, and then itself."""
    assert path is not None
    folder = os.readlink("self/cwd", dir_fd=PROC) if dirfd == AT_FDCWD else there(dirfd)
    return path if path.startswith("/") else f"{folder.rstrip('/')}/{path}"


def close(fd: int) -> None:
    """Close what was opened."""
    assert fd >= 0, DONE[-1]
    os.close(fd)


@contextlib.contextmanager
def inside(folder: str) -> Iterator[None]:
    """Work in a folder."""
    before = os.open(".", os.O_PATH)
    os.chdir(folder)
    yield
    os.fchdir(before)
    os.close(before)


def ordinary(base: str, at: int) -> None:
    """Open by paths of each form: from the root, from here, from a folder; with links, `.` and `..`."""
    file, folder, link, hard = name(), name(12), name(), name()
    close(attempt(f"{base}/{file}", os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o640))
    os.mkdir(f"{base}/{folder}")
    os.symlink(f"../{file}", f"{base}/{folder}/{link}")
    os.symlink(folder, f"{base}/{link}")
    os.link(f"{base}/{file}", f"{base}/{folder}/{hard}")
    below = os.open(folder, os.O_PATH | os.O_DIRECTORY, dir_fd=at)
    for _ in range(random.randint(1, 3)):
        close(attempt(f"{base}//{folder}/.././{file}"))
        close(attempt(file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
        close(attempt(file, dirfd=at))
        close(attempt(f"../{file}", dirfd=below))
        close(attempt(f"{base}/{link}/{link}"))
        close(attempt(f"{folder}/{hard}", os.O_RDONLY | os.O_NONBLOCK, dirfd=at))
    close(attempt(".", os.O_RDONLY | os.O_DIRECTORY))
    close(attempt(f"{base}/{folder}/", os.O_PATH))
    close(attempt("/", os.O_RDONLY))
    # And what fails.
    attempt(f"{base}/{file}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o604)
    attempt(name())
    attempt(f"{base}/{name()}/{file}")
    attempt(f"{file}/below", dirfd=at)
    attempt(f"../{name()}", dirfd=below)
    attempt(link, os.O_RDONLY | os.O_NOFOLLOW)
    attempt(folder, os.O_WRONLY, dirfd=at)
    attempt("", dirfd=at, full_path=there(at))
    attempt(file, dirfd=999_999, full_path=None, path_fault="folder")
    os.close(below)


def special(base: str, at: int) -> None:
    """Open what has no name, has lost it, or is known by a link of procfs."""
    fd = attempt(base, os.O_TMPFILE | os.O_RDWR, path_notes=["tmpfile"])
    # The link in procfs has a mark behind the name, which is `#` and the inode number.
    DONE[-1]["full_path"] = DONE[-1]["full_path"].removesuffix(" (deleted)")
    close(fd)
    gone = name()
    fd = attempt(f"{base}/{gone}", os.O_CREAT | os.O_RDWR)
    if os.path.exists("/proc/self/fd"):
        close(attempt(f"/proc/self/fd/{fd}", path_notes=["magic_link"]))
        os.unlink(f"{base}/{gone}")
        whole = there(fd).removesuffix(" (deleted)")
        close(attempt(f"/proc/self/fd/{fd}", full_path=whole, path_notes=["unlinked", "magic_link"]))
        reading, writing = os.pipe()
        outside = ["magic_link", "outside_root"]
        close(attempt(f"/proc/self/fd/{reading}", os.O_RDONLY | os.O_NONBLOCK, full_path=None, path_notes=outside))
        memory = os.memfd_create("what is it")
        close(attempt(f"/proc/self/fd/{memory}", full_path="memfd:what is it", path_notes=outside))
        for each in (reading, writing, memory):
            os.close(each)
    else:
        os.unlink(f"{base}/{gone}")
    os.close(fd)
    close(attempt(name(), os.O_CREAT | os.O_RDWR, dirfd=at))


def strings(base: str) -> None:
    """Open by paths that lie oddly in memory, or are too long."""
    file = f"{base}/{name()}"
    close(attempt(file, os.O_CREAT | os.O_RDWR))
    whole = os.fsencode(file) + b"\0"
    LIBC.mmap.restype = ctypes.c_void_p
    # Over the border of two pages.
    pages = LIBC.mmap(None, 2 * PAGE, 3, 0x22, -1, 0)
    address = pages + PAGE - len(whole) // 2
    ctypes.memmove(address, whole, len(whole))
    close(attempt(file, at=address))
    # In a page of a file that nobody has looked at yet.
    lair = os.open(f"{base}/{name()}", os.O_CREAT | os.O_RDWR)
    os.write(lair, whole)
    address = LIBC.mmap(None, PAGE, 1, 2, lair, 0)
    os.close(lair)
    close(attempt(file, at=address))
    attempt(None, at=8, full_path=None, path_fault="path")
    longest = file.rjust(PAGE - 1 - (len(whole) - 1 - len(file)), "/")
    close(attempt(longest))
    cut = os.fsdecode(os.fsencode(f"/{longest}")[: PAGE - 1])
    attempt(f"/{longest}", full_path=cut, path_truncated=True)
    DONE[-1]["path"] = cut
    LIBC.munmap(ctypes.c_void_p(pages), 2 * PAGE)


def deep(base: str) -> None:
    """Open at the end of many folders, and of folders whose path is longer than a path may be."""
    for depth, length, whole in ((600, 1, True), (30, 250, True), (2_000, 1, False), (40, 250, False)):
        with inside(base):
            top = name(100)
            folders = [top, *["d" * length] * depth]
            for folder in folders:
                os.mkdir(folder)
                os.chdir(folder)
            file, missing = name(), name()
            # The kernel names only what fits into a page.
            full = "/".join([base, *folders])
            known = {"full_path": f"{full}/{file}"} if whole else {"full_end": file, "path_truncated": True}
            fd = os.open(file, os.O_CREAT | os.O_RDWR)
            os.close(fd)
            close(attempt(file, **known))
            known = {"full_path": f"{full}/{missing}"} if whole else {"full_end": missing, "path_truncated": True}
            attempt(missing, **known)
            os.unlink(file)
            for folder in reversed(folders):
                os.chdir("..")
                os.rmdir(folder)


def cases(base: str) -> list[dict[str, Any]]:
    """Open by all ways below a folder; return what was opened."""
    DONE.clear()
    at = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    with inside(base):
        ordinary(base, at)
        special(base, at)
        strings(base)
    deep(base)
    os.close(at)
    return DONE


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """mount(2)."""
    told = (os.fsencode(source), os.fsencode(target), kind and kind.encode())
    if LIBC.mount(*told, ctypes.c_ulong(flags), None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def enclose(kind: str) -> str:
    """Move into a root of its own, which is a tmpfs or ext4; return a folder that is bound into it."""
    assert LIBC.unshare(CLONE_NEWNS) == 0
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    root = f"{FOLDER}/{name()}"
    os.mkdir(root)
    if kind == "ext4":
        image = f"{FOLDER}/image"
        with open(image, "wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        # Not by mount(8) alone: it takes a file of the same inode number, which was removed, for this one.
        attach = subprocess.run(["losetup", "--find", "--show", image], check=True, stdout=subprocess.PIPE, text=True)
        device = attach.stdout.strip()
        mount(device, root, "ext4", 0)
        # When it is unmounted, that is.
        subprocess.run(["losetup", "--detach", device], check=True)
    else:
        mount("tmpfs", root, "tmpfs", 0)
    for folder in ("a", "a/b", "bound"):
        os.mkdir(f"{root}/{folder}")
    mount(f"{root}/bound", f"{root}/a/b", None, MS_BIND)
    os.chroot(root)
    os.chdir("/")
    return "/a/b"


COMMANDS = {function.__name__: function for function in (cases, enclose)}


def main() -> None:
    """Get ready, say so, and obey."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, argument = json.loads(line)
        print(json.dumps(COMMANDS[command](argument)), flush=True)


if __name__ == "__main__":
    main()
