"""What a lesson is, and which there are."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab.learn.marks import lay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ebpflab.learn.report import Report
    from ebpflab.objects import Object

_FOLDER = Path(__file__).parent
#: In the order in which they are learnt; each is a folder of `lessons`.
STEMS = (
    "ex1_kprobe_open",
    "ex2_kprobe_counter",
    "ex3_tracepoint_exec",
    "ex4_xdp_counter",
    "ex5_dashboard",
    "kretprobe",
    "uprobe",
    "raw_tracepoint",
    "tc",
    "cgroup_skb",
    "percpu_hash_map",
    "lpm_trie",
    "program_array",
    "co_re",
    "loss_accounting",
    "verifier",
)


@dataclass(frozen=True)
class Variant:
    """A way to do a lesson: `hooks` are what the kernel must have for it, as `ebpflab doctor` names them."""

    name: str
    hooks: tuple[str, ...]


@dataclass(frozen=True)
class Lesson:
    """A lesson.

    Attributes:
        stem: Its name, and that of its folder.
        title: What it is, in a line.
        variants: The ways to do it. The first is the lesson's own, the others are for kernels that lack its hook.
        requirements: What the check requires, in words, by short names.
        check: Judges a program that is opened, and not loaded yet.

    """

    stem: str
    title: str
    variants: tuple[Variant, ...]
    requirements: Mapping[str, str]
    check: Callable[[Report, Object], None]

    def text(self, name: str) -> str:
        """Return a file of the lesson."""
        return (_FOLDER / "lessons" / self.stem / name).read_text(encoding="utf-8")

    def variant(self, name: str) -> Variant:
        """Return a variant by its name.

        Raises:
            ValueError: It has none of that name.

        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        names = ", ".join(variant.name for variant in self.variants)
        raise ValueError(f"{self.stem} has no variant {name}; it has {names}")

    def files(self, variant: str, *, solved: bool) -> dict[str, str]:
        """Return all files of the workspace of this lesson: its own, and those that are the same for all."""
        own = {f"src/{name}": lay(self.text(name), variant, solved=solved) for name in self._sources()}
        own["user.py"] = lay(self.text("user.py"), variant, solved=solved)
        own["README.md"] = self.text("theory.md")
        template = {to: _template(name).replace("LESSON", self.stem) for to, name in _TEMPLATE.items()}
        if "src/core.ll" in own:
            own["build.rs"] = self.text("build.rs")
            template["Cargo.toml"] = template["Cargo.toml"].replace(_NO_BUILD, "")
        return own | template

    def _sources(self) -> list[str]:
        """Return the names of its sources: not each has something that both sides share, or questions to the kernel."""
        folder = _FOLDER / "lessons" / self.stem
        return [name for name in ("ebpf.rs", "common.rs", "core.ll", "user.rs") if (folder / name).exists()]

    def hints(self) -> list[str]:
        """Return the hints, the first first."""
        return [hint.strip() for hint in self.text("hints.md").split("\n---\n")]


#: What a workspace with something to link beside the program has not.
_NO_BUILD = "build = false\n"
#: Where the files of the template go. What begins with a dot, or is a manifest, has another name there, so that no tool
#: takes it for its own.
_TEMPLATE = {
    "Cargo.toml": "workspace.toml",
    "Cargo.lock": "workspace.lock",
    "user/Cargo.toml": "user.toml",
    "user/build.rs": "build.rs",
    "user/toolchain.rs": "toolchain.rs",
    ".gitignore": "gitignore",
}


def _template(name: str) -> str:
    return (_FOLDER / "template" / name).read_text(encoding="utf-8")


def lesson(stem: str) -> Lesson:
    """Return a lesson by its name.

    Raises:
        ValueError: There is none of that name.

    """
    if stem not in STEMS:
        raise ValueError(f"there is no lesson {stem}; there are {', '.join(STEMS)}")
    found: Lesson = importlib.import_module(f"ebpflab.learn.lessons.{stem}").LESSON
    return found


def lessons() -> tuple[Lesson, ...]:
    """Return all lessons, in the order in which they are learnt."""
    return tuple(map(lesson, STEMS))
