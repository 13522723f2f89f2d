"""Which lessons were passed, and when: a small file of the user's."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ebpflab.learn.invoker import invoker

if TYPE_CHECKING:
    from ebpflab.learn.workspace import Workspace


def path() -> Path:
    """Return where the file is."""
    return invoker().data() / "learn.json"


def read() -> dict[str, dict[str, str]]:
    """Return, by lesson, when and in which variant it was passed.

    Raises:
        ValueError: The file is damaged.

    """
    try:
        text = path().read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        found = json.loads(text)
        return {str(stem): {"passed": str(of["passed"]), "variant": str(of["variant"])} for stem, of in found.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path()} is damaged ({error}); take it away, and progress starts anew") from None


def passed(workspace: Workspace) -> None:
    """Write down that a lesson was passed, unless it was before. The file is written whole or not at all."""
    known = read()
    now = datetime.now(timezone.utc).astimezone().isoformat(timespec="seconds")
    known.setdefault(workspace.lesson.stem, {"passed": now, "variant": workspace.variant.name})
    to = path()
    with invoker().files():
        to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=to.parent, prefix="learn.", delete=False, encoding="utf-8") as file:
            file.write(json.dumps(known, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(to)
