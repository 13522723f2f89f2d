"""The private native module: all of it is wrapped, declared and exported."""

from __future__ import annotations

import ast
from pathlib import Path

import ebpflab
from ebpflab import _ebpflab

PACKAGE = Path(ebpflab.__file__).parent


def public(names: list[str]) -> set[str]:
    found = {name for name in names if not name.startswith("_")}
    assert found
    return found


def names_used(module: ast.Module) -> set[str]:
    """Return the attributes that are asked for, and what is imported from the native module."""
    nodes = list(ast.walk(module))
    native = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "ebpflab._ebpflab"]
    imported = {alias.name for node in native for alias in node.names}
    return imported | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def used_by_the_package() -> set[str]:
    sources = list(PACKAGE.rglob("*.py"))
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


def test_all_is_sorted_and_complete() -> None:
    assert list(ebpflab.__all__) == sorted(ebpflab.__all__)
    imported = [
        alias.name
        for node in ast.parse((PACKAGE / "__init__.py").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert set(ebpflab.__all__) == set(imported)
    assert all(hasattr(ebpflab, name) for name in ebpflab.__all__)


def test_all_has_every_public_record_and_error() -> None:
    for module in (ebpflab.records, ebpflab.errors):
        classes = {
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        }
        assert classes
        assert classes <= set(ebpflab.__all__)
