"""Lessons as data: the marks in their sources, the workspaces made of them, progress."""

from __future__ import annotations

import json
import os
import pwd
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ebpflab.learn import Lesson, lesson, lessons, progress, workspace
from ebpflab.learn.invoker import invoker
from ebpflab.learn.marks import lay
from ebpflab.learn.report import Report, StopError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "python/ebpflab/learn"
SOURCE = """\
first
    // <only kprobe>
    // TODO 1: do it
    // <solution>
    done();
    // </solution>
    // <skeleton>
    //| todo();
    //|
    //|     deeper();
    // </skeleton>
    // </only>
    // <only tracepoint>
    //| // <solution>
    //| other();
    //| // </solution>
    // </only>
    // <course>
    ours();
    // </course>
last
"""


def test_one_source_is_skeleton_and_solution_of_each_variant() -> None:
    todo = "    // TODO 1: do it\n"
    assert lay(SOURCE, "kprobe", solved=True) == f"first\n{todo}    done();\nlast\n"
    assert lay(SOURCE, "kprobe", solved=False) == f"first\n{todo}    todo();\n    \n        deeper();\nlast\n"
    assert lay(SOURCE, "tracepoint", solved=True) == "first\n    other();\nlast\n"
    assert lay(SOURCE, "tracepoint", solved=False) == "first\nlast\n"


@pytest.mark.parametrize(
    "source",
    [
        "// <solution>\n",
        "// </solution>\n",
        "// <only a>\n// </course>\n",
        "// <solution>\n// <skeleton>\n// </skeleton>\n",
    ],
)
def test_a_mark_that_stands_wrong_is_an_error(source: str) -> None:
    with pytest.raises(ValueError, match="mark"):
        lay(source, "a", solved=True)


def test_each_folder_is_a_lesson_and_part_of_the_course() -> None:
    stems = [each.stem for each in lessons()]
    assert sorted(stems) == sorted(path.parent.name for path in FOLDER.glob("lessons/*/ebpf.rs"))
    for crate, source in (("course", "user.rs"), ("course-ebpf", "ebpf.rs")):
        manifest = (ROOT / "crates" / crate / "Cargo.toml").read_text(encoding="utf-8")
        built = re.findall(r'^name = "(?!ebpflab)(.*)"\npath = "(.*)"$', manifest, re.MULTILINE)
        assert built == [(stem, f"../../python/ebpflab/learn/lessons/{stem}/{source}") for stem in stems]
        assert all((ROOT / "crates" / crate / path).is_file() for _, path in built)


@pytest.mark.parametrize("taken", lessons(), ids=lambda taken: taken.stem)
def test_what_a_learner_gets(taken: Lesson) -> None:
    assert len(taken.hints()) >= 3
    for variant in taken.variants:
        skeleton, solution = (taken.files(variant.name, solved=solved) for solved in (False, True))
        changed = {name for name in skeleton if skeleton[name] != solution[name]}
        assert changed == {"src/ebpf.rs"}
        todos = re.findall(r"TODO (\d+):", skeleton["src/ebpf.rs"])
        assert todos == re.findall(r"TODO (\d+):", solution["src/ebpf.rs"])
        assert sorted(map(int, todos)) == list(range(1, len(todos) + 1))
        for files in (skeleton, solution):
            assert not [name for name, text in files.items() if re.search(r"(//|#)( </?\w|\|)|LESSON", text)]
            compile(files["user.py"], "user.py", "exec")
    assert max(map(len, taken.text("theory.md").splitlines())) <= 120


def packages(lock: Path) -> set[str]:
    """Return the packages of a lock file that come from a registry."""
    return {
        f"{name} {version} {checksum}"
        for name, version, checksum in re.findall(
            r'name = "(.*)"\nversion = "(.*)"\nsource = ".*"\nchecksum = "(.*)"', lock.read_text(encoding="utf-8")
        )
    }


def test_a_workspace_has_the_crates_of_the_project_so_that_it_builds_offline_where_they_are_fetched() -> None:
    theirs = packages(FOLDER / "template/workspace.lock")
    assert {package.split()[0] for package in theirs} >= {"aya", "aya-ebpf", "aya-build", "env_logger"}
    assert theirs <= packages(ROOT / "Cargo.lock")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SUDO_UID", raising=False)
    return tmp_path


def test_progress_is_kept_and_the_first_time_counts(home: Path) -> None:
    taken = lesson("ex4_xdp_counter")
    laid = workspace.lay_down(taken, taken.variants[0], home / "here")
    assert progress.read() == {}
    progress.passed(laid)
    first = progress.read()
    assert first[taken.stem]["variant"] == "xdp"
    progress.passed(laid)
    assert progress.read() == first
    assert [path.name for path in progress.path().parent.iterdir()] == ["learn.json"]
    progress.path().write_text(json.dumps([1]), encoding="utf-8")
    with pytest.raises(ValueError, match="is damaged"):
        progress.read()


def test_a_folder_is_found_from_inside_and_never_written_over(home: Path) -> None:
    taken = lesson("ex1_kprobe_open")
    laid = workspace.lay_down(taken, taken.variants[1], home / "here")
    found = workspace.find(home / "here" / "src")
    assert (found.folder, found.lesson.stem, found.variant.name) == (laid.folder, taken.stem, "raw_tracepoint")
    with pytest.raises(FileExistsError, match="not empty"):
        workspace.lay_down(taken, taken.variants[0], home / "here")
    (home / "here" / "lesson.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"lesson\.json is damaged"):
        workspace.find(home / "here")


def test_a_report_compares_and_tells_the_first_mistake_that_applies() -> None:
    report = Report({"one": "It is one.", "two": "It is two.", "three": "It is three."}, "kprobe")
    assert report.judge("one", 1, 1, (True, "never told"))
    with pytest.raises(StopError):
        report.need("two", 2, 3, (False, "not this"), (True, "this"), (True, "nor this"))
    told = [(each.passed, each.wanted, each.found, each.mistake) for each in report.outcomes()]
    assert told == [(True, "", "", ""), (False, "2", "3", "this"), (None, "", "", "")]
    assert not report.passed


def test_under_sudo_it_is_whoever_called_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setenv("SUDO_UID", str(nobody.pw_uid))
    monkeypatch.setenv("SUDO_GID", str(nobody.pw_gid))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    is_root: Callable[[], int] = lambda: 0  # noqa: E731
    monkeypatch.setattr(os, "geteuid", is_root)
    us = invoker()
    assert (us.uid, us.gid) == (nobody.pw_uid, nobody.pw_gid)
    assert us.data() == Path(nobody.pw_dir, ".local/share/ebpflab"), "the setting is root's"
    process = us.process()
    assert (process["user"], process["group"], process["env"]["HOME"]) == (us.uid, us.gid, nobody.pw_dir)
    assert process["env"]["PATH"].endswith(f":{nobody.pw_dir}/.cargo/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert invoker().uid is None, "not root: SUDO_UID is only a variable"
