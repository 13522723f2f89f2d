"""Check the Python in the README and the docs with mypy --strict and pyright.

All blocks of a page, of ```python and ```pycon, are one module. It goes to target/examples.
"""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "target" / "examples"
BLOCK = re.compile(r"^```(python|pycon)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
#: What pyright has unless told otherwise; at the prompt an expression is printed.
CONFIGURATION = '{"typeCheckingMode": "standard", "reportUnusedExpression": false}'


def module(page: str) -> str:
    """Return the code of a page; empty if there is none."""
    parser = doctest.DocTestParser()
    blocks = [
        code if kind == "python" else "".join(example.source for example in parser.get_examples(code))
        for kind, code in BLOCK.findall(page)
    ]
    return "\n".join(blocks)


def main() -> None:
    """Write the modules and check them."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (FOLDER / "pyrightconfig.json").write_text(CONFIGURATION, encoding="utf-8")
    modules = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if code := module(path.read_text(encoding="utf-8")):
            modules.append(FOLDER / f"{path.stem.lower().replace('-', '_')}.py")
            modules[-1].write_text(code, encoding="utf-8")
    for checker in (
        ["mypy", "--strict"],
        ["basedpyright", "--level", "error", "--pythonpath", sys.executable, "-p", "."],
    ):
        files = [path.name for path in modules] if checker[0] == "mypy" else []
        if subprocess.run([sys.executable, "-m", *checker, *files], cwd=FOLDER, check=False).returncode != 0:
            sys.exit(f"{checker[0]} refuses examples of the docs")


if __name__ == "__main__":
    main()
