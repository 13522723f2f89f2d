"""The private native module: all of it is wrapped, declared and exported."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path

import ebpflab
import pytest
from ebpflab import _ebpflab, errors, records

PACKAGE = Path(ebpflab.__file__).parent
#: The module by its name, and as the package's stub has it.
NATIVE = {"ebpflab._ebpflab", "_ebpflab"}


def public(names: list[str]) -> set[str]:
    found = {name for name in names if not name.startswith("_")}
    assert found
    return found


def names_used(module: ast.Module) -> set[str]:
    """Return the attributes that are asked for, and what is imported from the native module."""
    nodes = list(ast.walk(module))
    native = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module in NATIVE]
    imported = {alias.name for node in native for alias in node.names}
    return imported | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def used_by_the_package() -> set[str]:
    sources = [*PACKAGE.rglob("*.py"), PACKAGE / "__init__.pyi"]
    assert len(sources) >= 10
    return set().union(*(names_used(ast.parse(source.read_text())) for source in sources))


def stubs() -> dict[str, ast.stmt]:
    module = ast.parse((PACKAGE / "_ebpflab.pyi").read_text())
    return {node.name: node for node in module.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}


def test_every_native_name_is_used() -> None:
    # The schemas and kinds are for the documentation and for test_records.py; the others are what methods return.
    unused = {"Events", "ReplayEvents", "schemas", "verifier_kinds"}
    assert public(dir(_ebpflab)) - used_by_the_package() == unused


def test_every_native_method_is_used() -> None:
    assert public(dir(_ebpflab.Session)) <= used_by_the_package()


def test_the_stubs_declare_every_native_name() -> None:
    assert set(stubs()) == public(dir(_ebpflab))


def test_the_stubs_declare_every_native_method() -> None:
    session = stubs()["Session"]
    assert isinstance(session, ast.ClassDef)
    declared = {node.name for node in session.body if isinstance(node, ast.FunctionDef)}
    assert declared == public(dir(_ebpflab.Session))


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_all_that_the_stub_names_is_there() -> None:
    assert dir(ebpflab) == sorted(dir(ebpflab))
    assert len(dir(ebpflab)) > 100
    assert all(hasattr(ebpflab, name) for name in dir(ebpflab))
    with pytest.raises(AttributeError, match="nothing"):
        _ = ebpflab.nothing  # type: ignore[attr-defined]


def test_all_has_every_public_record_and_error() -> None:
    classes = {name for name in dir(records) if isinstance(getattr(records, name), type)}
    classes |= {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert len(classes) > 50
    assert classes <= set(dir(ebpflab))


def test_every_record_is_named_by_the_stub() -> None:
    modules = [
        importlib.import_module(f"ebpflab.records.{path.stem}") for path in (PACKAGE / "records").glob("[!_]*.py")
    ]
    made = {name for module in modules for name, value in vars(module).items() if is_dataclass(value)}
    assert made == {name for name in dir(records) if is_dataclass(getattr(records, name))}


def test_a_tool_imports_its_own_records_only() -> None:
    """To make those of all takes longer than to attach."""
    code = "import sys, ebpflab; ebpflab.opens; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "ebpflab.records.session" in loaded
    assert not {"ebpflab.records.inspect", "ebpflab.records.verifier", "ebpflab.tools.calls"} & set(loaded)
