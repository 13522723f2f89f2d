"""The folder of a lesson: laid down, found again, compared with the solution."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING

from ebpflab.learn.invoker import invoker
from ebpflab.learn.lesson import Lesson, Variant, lesson

if TYPE_CHECKING:
    from pathlib import Path

#: The file that makes a folder one of a lesson.
_MARK = "lesson.json"


@dataclass(frozen=True)
class Workspace:
    """A folder in which somebody does a lesson."""

    folder: Path
    lesson: Lesson
    variant: Variant

    @property
    def source(self) -> Path:
        """The program for BPF, in which the work is done."""
        return self.folder / "src" / "ebpf.rs"

    def solution(self) -> dict[str, str]:
        """Return the files of the solution."""
        return self.lesson.files(self.variant.name, solved=True)

    def difference(self) -> str:
        """Return what to change so that this becomes the solution, as a unified diff; empty if there is nothing.

        Raises:
            OSError: A file of the lesson cannot be read.

        """
        lines: list[str] = []
        for name, text in self.solution().items():
            if name.startswith("src/") or name == "user.py":
                here = (self.folder / name).read_text(encoding="utf-8", errors="surrogateescape")
                compared = here.splitlines(keepends=True), text.splitlines(keepends=True)
                lines += unified_diff(*compared, f"a/{name}", f"b/{name}")
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def solve(self) -> list[str]:
        """Put the solution in the place of what is here, which stays beside it as `.orig`; return what was replaced."""
        replaced: list[str] = []
        with invoker().files():
            for name, text in self.solution().items():
                file = self.folder / name
                if (name.startswith("src/") or name == "user.py") and file.read_bytes() != text.encode():
                    file.replace(file.with_name(f"{file.name}.orig"))
                    file.write_text(text, encoding="utf-8")
                    replaced.append(name)
        return replaced

    def next_hint(self) -> tuple[int, int, str]:
        """Return the next hint, its number and how many there are; the last one again when there are no more."""
        hints = self.lesson.hints()
        shown = int(_read(self.folder).get("hints", "0"))
        number = min(shown + 1, len(hints))
        _write(self, number)
        return number, len(hints), hints[number - 1]


def lay_down(taken: Lesson, variant: Variant, folder: Path) -> Workspace:
    """Lay the skeleton of a lesson down in a folder, which is made, or empty.

    Raises:
        FileExistsError: There is something in it.
        OSError: It cannot be written.

    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there and not empty; name another folder, or go on in it")
    workspace = Workspace(folder, taken, variant)
    with invoker().files():
        for name, text in taken.files(variant.name, solved=False).items():
            to = folder / name
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(text, encoding="utf-8")
    _write(workspace, 0)
    return workspace


def find(folder: Path) -> Workspace:
    """Return the lesson of a folder, or of one that it is in.

    Raises:
        ValueError: There is none.

    """
    folder = folder.absolute()
    for place in (folder, *folder.parents):
        if (place / _MARK).is_file():
            about = _read(place)
            taken = lesson(about.get("lesson", "without a name"))
            return Workspace(place, taken, taken.variant(about.get("variant", "")))
    raise ValueError(f"{folder} is not the folder of a lesson; `ebpflab learn start LESSON` makes one, then cd there")


def _read(folder: Path) -> dict[str, str]:
    file = folder / _MARK
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); start the lesson anew in another folder") from None
    return {str(key): str(value) for key, value in about.items()} if isinstance(about, dict) else {}


def _write(workspace: Workspace, hints: int) -> None:
    about = {"lesson": workspace.lesson.stem, "variant": workspace.variant.name, "hints": str(hints)}
    with invoker().files():
        (workspace.folder / _MARK).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
