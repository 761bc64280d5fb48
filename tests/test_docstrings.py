"""What the docstring of a public function must hold: parameters with shapes, what is returned, what is raised."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "ufm").rglob("*.py"))
MANY = 3
"""Parameters from which on they need a section of their own."""
ARRAY = re.compile(r"\b(Floats|NDArray|ArrayLike)\b")
SHAPE = re.compile(r"\([A-Z0-9][^)]*\)|\(n[^)]*\)|\(m[^)]*\)|\(r[^)]*\)|\(d[^)]*\)|array|arrays|shape|scalar", re.IGNORECASE)


@dataclass(frozen=True)
class Documented:
    """A public function or method, the classes around it, and the text that describes it."""

    name: str
    node: ast.FunctionDef
    owner: ast.ClassDef | None
    text: str


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def public(path: Path) -> Iterator[Documented]:
    """Public functions of a module and public methods of its public classes; properties, too."""

    def visit(body: list[ast.stmt], owner: ast.ClassDef | None) -> Iterator[Documented]:
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and owner is None:
                yield from visit(node.body, node)
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                overloaded = any("overload" in ast.unparse(d) for d in node.decorator_list)
                if not overloaded:
                    around = f"{owner.name}." if owner else ""
                    yield Documented(around + node.name, node, owner, ast.get_docstring(node) or "")

    yield from visit(ast.parse(path.read_text(encoding="utf-8")).body, None)


def base_names(owner: ast.ClassDef) -> list[str]:
    """Names of the direct base classes, without modules and type arguments."""
    return [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in owner.bases]


def known_classes() -> tuple[dict[str, set[str]], dict[tuple[str, str], str]]:
    """Direct bases of each class name of the package, and the docstrings of its methods by (class, method)."""
    bases: dict[str, set[str]] = {}
    texts: dict[tuple[str, str], str] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(base_names(node))
                for method in node.body:
                    if isinstance(method, ast.FunctionDef):
                        key = (node.name, method.name)
                        texts[key] = texts.get(key, "") + "\n" + (ast.get_docstring(method) or "")
    return bases, texts


BASES, TEXTS = known_classes()


def inherited(owner: ast.ClassDef, method: str) -> str:
    """Docstrings of the methods that a method of this class overrides, in all its base classes."""
    waiting, seen = base_names(owner), set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += BASES.get(name, ())
    return "\n".join(TEXTS.get((name, method), "") for name in sorted(seen))


def parameters(node: ast.FunctionDef) -> list[ast.arg]:
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [a for a in given if a.arg not in ("self", "cls")]


def is_command(node: ast.FunctionDef) -> bool:
    """Commands are documented by the help texts of their options (tests/ufm/cli/test_help.py)."""
    return any("command" in ast.unparse(d) for d in node.decorator_list)


def described(item: Documented) -> str:
    """The docstring, and those of the methods that it overrides."""
    return item.text if item.owner is None else item.text + "\n" + inherited(item.owner, item.node.name)


def told(text: str, name: str) -> str | None:
    """What a docstring says of a parameter: the rest of the line that names it, and the indented lines below."""
    pattern = rf"^[ \t]*(?:[\w*]+, )*\*{{0,2}}{re.escape(name)}(?:, [\w*]+)* :(.*(?:\n[ \t]+\S.*)*)"
    found = re.search(pattern, text, flags=re.MULTILINE)
    return found.group(1) if found else None


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_public_function_says_what_it_is(path):
    silent = [item.name for item in public(path) if not described(item).strip()]
    assert not silent


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_many_parameters_have_a_section(path):
    missing = []
    for item in public(path):
        names = parameters(item.node)
        if len(names) < MANY or is_command(item.node):
            continue
        text = described(item)
        missing += [f"{item.name}: {a.arg}" for a in names if told(text, a.arg) is None]
    assert not missing


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_what_many_parameters_return_is_said(path):
    missing = []
    for item in public(path):
        node = item.node
        returns = node.returns is not None and ast.unparse(node.returns) not in ("None", "NoReturn")
        generator = node.returns is not None and ast.unparse(node.returns).startswith(("Iterator", "Generator"))
        if len(parameters(node)) < MANY or is_command(node) or not returns or generator:
            continue
        text = described(item)
        if "Returns\n" not in text and "Yields\n" not in text:
            missing.append(item.name)
    assert not missing


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_arrays_have_a_shape(path):
    """Array parameters of functions with a section, and of all others by a shape anywhere in the text."""
    missing = []
    for item in public(path):
        if is_command(item.node):
            continue
        text = described(item)
        arrays = [a for a in parameters(item.node) if a.annotation is not None and ARRAY.search(ast.unparse(a.annotation))]
        for a in arrays:
            said = told(text, a.arg)
            if not SHAPE.search(text if said is None else said):
                missing.append(f"{item.name}: {a.arg}")
        returned = item.node.returns is not None and ARRAY.search(ast.unparse(item.node.returns))
        if returned and not SHAPE.search(text):
            missing.append(f"{item.name} returns an array")
    assert not missing


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_what_is_raised_is_said(path):
    """Errors of this package that the function itself raises, by name, in a section Raises."""
    missing = []
    for item in public(path):
        if is_command(item.node):
            continue
        raised = {
            n.exc.func.id
            for n in ast.walk(item.node)
            if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call) and isinstance(n.exc.func, ast.Name)
        } & {"InputError", "ConvergenceError", "RunError"}
        text = described(item)
        missing += [f"{item.name}: {name}" for name in raised if "Raises\n" not in text or name not in text]
    assert not missing


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_section_comes_once(path):
    names = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Notes", "Examples")
    twice = [
        f"{item.name}: {name}"
        for item in public(path)
        for name in names
        if len(re.findall(rf"^[ \t]*{name}\n[ \t]*---", item.text, flags=re.MULTILINE)) > 1
    ]
    assert not twice
