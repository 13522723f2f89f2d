"""Write docs/json.md and the stubs of events from the schema of the records, and the picture of the dashboard.

With `--check` the page and the stubs are compared instead (the picture is compared by tests/unit/test_dashboard.py).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from textwrap import wrap
from typing import Any

from ebpflab._ebpflab import schemas

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "json.md"
STUBS = ROOT / "python" / "ebpflab" / "_ebpflab.pyi"
PICTURE = ROOT / "docs" / "dashboard.svg"

INTRO = """\
# JSON lines

<!-- Written by scripts/docs.py from crates/loader/src/records.rs; CI compares. -->

With `--json` every tool prints JSON lines: one whole object a line, UTF-8, each with a field `type`. The first is
`attached`, then come the readings of the tool, the last is `summary`. Everything else is said on stderr.

Integers may exceed 2^53. A field of type *text* comes from the kernel as bytes: it is a string, and where the bytes
are not UTF-8 the bad ones are U+FFFD in it and a field of the same name with `_bytes` at its end has them all, in
base64. An *optional* field is there only for the tools that its description names.
"""


def page(described: list[dict[str, Any]]) -> str:
    """Return the whole page."""
    lines = [schema for schema in described if schema["tag"]]
    parts = [schema for schema in described if not schema["tag"]]
    sections = [_section(f'`"type": "{schema["tag"]}"`', schema) for schema in lines]
    sections += ["# Parts\n", *(_section(schema["name"], schema) for schema in parts)]
    return "\n".join([INTRO, *sections])


def _section(title: str, schema: dict[str, Any]) -> str:
    rows = [f"| `{field['name']}` | {field['type']} | {field['doc']} |" for field in schema["fields"]]
    return "\n".join(
        [f"## {title}\n", f"{schema['doc']}\n", "| field | type | what it is |", "|---|---|---|", *rows, ""]
    )


#: What is written by hand ends with it.
MARK = "# What follows is written by scripts/docs.py from crates/loader/src/records.rs; CI compares.\n"


def stubs(described: list[dict[str, Any]]) -> str:
    """Return the whole file of stubs: what is written by hand, and the classes of events."""
    by_hand, _, _ = STUBS.read_text(encoding="utf-8").partition(MARK)
    return by_hand + MARK + "".join(_stub(schema) for schema in described if schema["name"].endswith("Event"))


def _stub(schema: dict[str, Any]) -> str:
    fields = "".join(
        f"    {field['name']}: {field['python']}\n{_docstring(field['doc'])}" for field in schema["fields"]
    )
    arguments = [f"        {field['name']}: {field['python']}," for field in schema["fields"]]
    return "\n".join(
        [
            "\n@final",
            "@dataclass(frozen=True, init=False)",
            f"class {schema['name']}:",
            _docstring(schema["doc"]),
            f"{fields}    def __new__(",
            "        cls,",
            *arguments,
            "    ) -> Self: ...",
            "    def to_dict(self) -> dict[str, Any]: ...\n",
        ]
    )


def _docstring(text: str) -> str:
    in_python = text.replace("null", "None").replace("Null", "None")
    return "\n".join(wrap(f'"""{in_python}"""', 120, initial_indent="    ", subsequent_indent="    ")) + "\n"


def picture() -> str:
    """Return the dashboard over the events of its tests."""
    sys.path.insert(0, str(ROOT))
    from tests.unit.dashboard_example import build, screenshot  # noqa: PLC0415  found by the line above

    svg, _ = asyncio.run(screenshot(build()))
    return svg


def main() -> None:
    """Write the files, or complain that they are not up to date."""
    described = schemas()
    texts = {PAGE: page(described), STUBS: stubs(described)}
    if "--check" not in sys.argv[1:]:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        PICTURE.write_text(picture(), encoding="utf-8")
        return
    for path, text in texts.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.relative_to(ROOT)} is not what scripts/docs.py writes; run it and commit the file")


if __name__ == "__main__":
    main()
