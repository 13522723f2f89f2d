"""Write docs/json.md and the stubs of events from the schema of the records, docs/verifier.md, and a picture.

With `--check` the pages and the stubs are compared instead (the picture, of the dashboard, is compared by
tests/unit/test_dashboard.py).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from ebpflab._ebpflab import schemas, verifier_kinds
from ebpflab.verifier import zoo

if TYPE_CHECKING:
    from ebpflab.records import Broken

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "json.md"
VERIFIER = ROOT / "docs" / "verifier.md"
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


VERIFIER_INTRO = """\
# The verifier, explained

<!-- Written by scripts/docs.py from crates/loader/src/verifier/kinds.rs and zoo.rs; CI compares. -->

The kernel proves of every program that it ends and touches nothing that it may not, or refuses it. Why, it says in a
log. ebpflab makes of that: what could not be proved, at which line of the source, on which way, which registers it is
about and how they became what they are, and what mends it.

```
ebpflab explain LOG          # of any loader; - is stdin
ebpflab explain LOG --object prog.o --program NAME
ebpflab explain prog.o       # loads its programs, and attaches nothing
ebpflab verifier             # small broken programs
ebpflab verifier null        # see one refused, and its mended twin taken
```

From Python: `ebpflab.explain(log)`, and `explained` of every `VerifierError`. The fields are in [json.md](json.md).

Logs of Linux 5.10 to 7.3 are understood. Kernels before 6.9 write no places of the source into them, and none writes
more than the name of a file: where the object is at hand its own line info (BTF.ext) is used. That knows the line of a
library that was inlined, not who called it. So `source` is the nearest line of the program's own before it, and
`library` the line in the library. From 7.3 on the kernel explains some refusals by itself; then `reason`, `suggestion`
and `causal_path` are its own.

A log of none of these kinds is of kind `unknown`, and comes back whole. Kinds whose cause is outside of the program
come first. The programs are those of the zoo, crates/ebpf/src/zoo.rs, and tests/kernel/test_zoo.py loads all of them
on every kernel of the matrix.
"""


def verifier_page() -> str:
    """Return the page on the kinds of refusals."""
    shown = {broken.kind: broken for broken in zoo()}
    return "\n".join([VERIFIER_INTRO, *(_kind(kind, shown.get(kind["id"])) for kind in verifier_kinds())])


def _kind(kind: dict[str, Any], broken: Broken | None) -> str:
    """Return a section."""
    parts = [
        f"## {kind['id']}\n",
        f"*{kind['title'][0].upper()}{kind['title'][1:]}*; the cause is in the {kind['cause']}.\n",
    ]
    parts += [*wrap(kind["meaning"], 120), "", "Kernels and loaders say, with anything for `*`:\n"]
    parts += [*(f"- `{message}`" for message in kind["messages"]), "", "What mends it:\n", *wrap(kind["fix"], 120), ""]
    if broken:
        accepted = f" {broken.accepted_because}" if broken.accepted_because else ""
        parts += [*wrap(f"`ebpflab verifier {broken.name}`: {broken.what}", 120), ""]
        parts += [*wrap(f"Refused by Linux {', '.join(broken.refused_by)}.{accepted}", 120), ""]
        parts += _repair(broken.source, broken.mended)
    elif kind["example"]:
        parts += _repair(*kind["example"])
    return "\n".join(parts)


def _repair(source: str, mended: str) -> list[str]:
    return ["```rust", source, "```\n", "Mended:\n", "```rust", mended, "```\n"]


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
    texts = {PAGE: page(described), STUBS: stubs(described), VERIFIER: verifier_page()}
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
