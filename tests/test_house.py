"""The rules of the house, read off the syntax trees: layers, capabilities, names, and tests beside what they test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from ufm.problem.heads import Head
from ufm.problem.losses import Loss
from ufm.spectral.loss import BoundLoss
from ufm.spectral.penalties import Penalty

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ufm", "proofs_check", "figures", "benchmarks")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
HELPERS = {"_arrays", "_balls", "_files", "_interrupts", "_parallel", "_rounding"}
"""Modules of `ufm` that every room shares, underscore and all."""


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def descendants(cls: type) -> set[type]:
    return {cls}.union(*(descendants(sub) for sub in cls.__subclasses__()))


def parts() -> set[type]:
    """Every loss, head and penalty of the package."""
    for path in SOURCES:
        if path.name != "__main__.py":
            import_module(module_of(path))
    found = set().union(*(descendants(root) for root in (Loss, BoundLoss, Head, Penalty)))
    return {cls for cls in found if cls.__module__.startswith("ufm.")}


def class_tests(path: Path) -> Iterator[tuple[int, ast.expr]]:
    """Expressions that name the classes asked for by isinstance, issubclass and patterns."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass"):
            for part in ast.walk(node.args[1]):
                if isinstance(part, ast.Name | ast.Attribute):
                    yield node.lineno, part
        if isinstance(node, ast.MatchClass):
            yield node.cls.lineno, node.cls


def test_the_parts_are_found():
    names = {cls.__name__ for cls in parts()}
    assert {"CrossEntropy", "SquaredError", "Explicit", "DecayedDEQ", "ReLU", "Nuclear", "ColumnPenalty"} <= names


def test_no_part_is_asked_for_its_class():
    every = parts()
    by_name = {cls.__name__: cls for cls in every}
    asked = []
    for path in SOURCES:
        scope = {} if path.name == "__main__.py" else vars(import_module(module_of(path)))
        for line, expression in class_tests(path):
            try:
                meant = eval(ast.unparse(expression), dict(scope))
            except (NameError, AttributeError):  # imported inside a function
                meant = by_name.get(ast.unparse(expression).rpartition(".")[2])
            if isinstance(meant, type) and meant in every and meant.__module__ != module_of(path):
                asked.append(f"{relative(path)}:{line} asks for {meant.__name__}")
    assert not asked, "ask for a capability instead of a class"


def exported(path: Path) -> set[str]:
    """Functions and classes that a module defines or hands on."""
    found: set[str] = set()
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ImportFrom) and path.name == "__init__.py":
            found |= {alias.asname or alias.name for alias in node.names if node.module != path.parent.name}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_module_has_the_name_of_what_it_exports(path):
    if path.name != "__init__.py":
        assert path.stem not in exported(path)
        return
    inside = {p.stem for p in path.parent.glob("*.py")} | {p.parent.name for p in path.parent.glob("*/__init__.py")}
    handed = {
        alias.asname or alias.name
        for node in tree(path).body
        if isinstance(node, ast.ImportFrom) and node.module != ".".join(path.parent.relative_to(ROOT).parts)
        for alias in node.names
    }
    assert not inside & handed


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_tests_use_public_names_only(path):
    private = re.compile(r"^_[a-z]")
    allowed = HELPERS | {"_asdict", "_replace", "_fields", "_exit", "_repr_html_"}
    used = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGES):
            used |= {part for part in node.module.split(".") if private.match(part)}
            used |= {alias.name for alias in node.names if private.match(alias.name)}
        own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if isinstance(node, ast.Attribute) and private.match(node.attr) and not own:
            used.add(node.attr)
    assert not used - allowed


def test_tests_lie_beside_what_they_test():
    """Each folder of tests has the name of a folder of the sources, but for files of rules, documents and helpers."""
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in TESTS} - {"."}
    sources = {path.parent.relative_to(ROOT).as_posix() for path in SOURCES}
    assert folders <= sources
    rooms = {path.name for path in (ROOT / "ufm").iterdir() if (path / "__init__.py").is_file()}
    tested = {path.name for path in (ROOT / "tests" / "ufm").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms - tested <= {"plot"}  # drawn by tests/figures


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_arrow_is_hidden_in_a_function_of_the_cellar(path):
    """Rooms below the solvers import each other at the top; only libraries that load slowly, and what needs them, wait."""
    slow = {"ufm._balls", "ufm.certify.verify", "ufm.certify.optimum"}
    rooms = ("ufm/targets", "ufm/spectral", "ufm/problem", "ufm/metrics")
    if not relative(path).startswith(rooms):
        return
    for function in (n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ufm"):
                assert node.module in slow
