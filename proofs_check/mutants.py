"""Wrong versions of a formula, made by syntax tree: signs, factors, exponents, off by one, K_A and K_B exchanged, conventions.

Arguments with a default are switches of the negative controls: what they switch on is no part of the formula.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

SIGNS: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}
FACTORS: dict[type[ast.operator], type[ast.operator]] = {ast.Mult: ast.Div, ast.Div: ast.Mult}
CONDITIONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
CLASSES = {"k", "classes", "tokens"}
"""Names of numbers of classes."""
EXCHANGED = {"majority": "minority", "n_majority": "n_minority", "ka": "kb", "weights": "temperatures"}
PARAMETERS = {
    "weight", "features", "decay", "mu", "e_w", "e_h", "n", "size", "total", "strength", "budget", "rho", "ratio", "relative",
    "margin", "contraction", "smoothing", "bias", "lb", "t", "c", "layers", "depth",
}  # fmt: skip
"""Names of parameters whose convention (half, per sample, product of both) a wrong formula gets wrong: twice as large."""
PASSED = {"margin", "tolerance", "level", "method", "options", "key", "default", "strict", "start", "multiple"}
"""Keyword arguments that are no part of a formula."""
HIDDEN = {"margin", "what", "place", "name", "wide"}
"""Names that are assigned what is printed."""
SMALL = 1e-5
"""Constants below it are tolerances and not numbers of a formula."""
SKIPPED = {"range", "round", "isinstance", "ValueError", "InputError", "print"}


@dataclass(frozen=True)
class Mutant:
    """A module with one formula changed.

    Attributes
    ----------
    source : str, of the module
    function : str, where it is changed
    place : int, which of the changes of that function
    line : int, in the file
    sort : str, "sign", "factor", "exponent", "off by one", "exchange", "convention" or "condition"
    before, after : str, the expression
    """

    source: str
    function: str
    place: int
    line: int
    sort: str
    before: str
    after: str

    @property
    def name(self) -> str:
        """The change in one line, without the line's number, which moves."""
        return f"{self.function}: {self.before} -> {self.after}"

    def tree(self) -> ast.Module:
        """The syntax tree of the changed module."""
        tree = ast.parse(self.source)
        site = _all_sites(tree, self.function)[self.place]
        _put(site, ast.copy_location(site[4], _held(site)))
        return ast.fix_missing_locations(tree)


Site = tuple[ast.AST, str, int | None, str, ast.expr]
"""Parent, field, place in the field's list, sort, and the expression to put there."""


def _children(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Parts of a node that belong to a formula, with their places."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "ctx", "op", "ops", "func", "slice", "targets", "target"):
            if field == "func" and isinstance(value, ast.Attribute):
                yield value, field, None
            continue
        for place, part in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(part, ast.AST):
                yield part, field, place


def _left_out(node: ast.AST) -> bool:
    """Texts, errors, numbers of iterations, and what is printed."""
    if isinstance(node, ast.JoinedStr | ast.Raise | ast.Assert | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.BinOp):
        return any(
            isinstance(s, ast.Constant) and isinstance(s.value, float) and s.value < SMALL for s in (node.left, node.right)
        )
    if isinstance(node, ast.Compare):
        return any(isinstance(c, ast.Constant) and isinstance(c.value, str) for c in node.comparators)
    if isinstance(node, ast.keyword):
        return node.arg in PASSED
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in SKIPPED
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(t, ast.Name) and t.id in HIDDEN for t in targets)
    return False


def _defaults(function: ast.FunctionDef) -> dict[str, object]:
    """Arguments with a constant default, by name."""
    named = function.args.args[len(function.args.args) - len(function.args.defaults) :]
    pairs = zip(named, function.args.defaults, strict=True)
    return {argument.arg: default.value for argument, default in pairs if isinstance(default, ast.Constant)}


def _neutral(node: ast.AST, switches: dict[str, object]) -> bool:
    """Whether a node adds a switch that is zero, or multiplies by one that is one: then both signs and both factors agree."""
    if not isinstance(node, ast.BinOp):
        return False
    sides = (node.right,) if type(node.op) in FACTORS else (node.left, node.right)
    held = [switches[side.id] for side in sides if isinstance(side, ast.Name) and side.id in switches]
    return any(value == (1 if type(node.op) in FACTORS else 0) for value in held)


def _untaken(node: ast.AST, switches: dict[str, object]) -> ast.AST | None:
    """The branch of a conditional expression that a switch leaves out."""
    if isinstance(node, ast.IfExp) and isinstance(node.test, ast.Name) and isinstance(switches.get(node.test.id), bool):
        return node.orelse if switches[node.test.id] else node.body
    return None


def _switched_off(node: ast.AST, switches: dict[str, object]) -> bool:
    """Whether a statement runs only if a switch is set that is not."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and switches.get(node.test.id) is False


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Wrong versions of one expression."""
    if isinstance(node, ast.BinOp):
        kind = type(node.op)
        if kind in SIGNS:
            yield "sign", ast.BinOp(node.left, SIGNS[kind](), node.right)
        if kind in FACTORS:
            yield "factor", ast.BinOp(node.left, FACTORS[kind](), node.right)
        if kind is ast.Pow:
            more = ast.BinOp(node.right, ast.Add(), ast.Constant(1))
            yield "exponent", ast.BinOp(node.left, ast.Pow(), more)
            yield "exponent", node.left
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", node.operand
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        inner = node.func.value if isinstance(node.func, ast.Attribute) and not node.args else (node.args or [None])[0]
        if name == "sqrt" and inner is not None:
            yield "exponent", inner
        if name in ("log", "log1p", "exp") and inner is not None and isinstance(node.func, ast.Attribute) and not node.args:
            other = {"log": "log1p", "log1p": "log"}.get(name)
            if other:
                yield "off by one", ast.Call(ast.Attribute(inner, other, ast.Load()), [], [])
            yield "factor", ast.BinOp(ast.Constant(2), ast.Mult(), node)
        if name == "comb" and len(node.args) == 2:
            for place in (0, 1):
                args = list(node.args)
                args[place] = ast.BinOp(args[place], ast.Add(), ast.Constant(1))
                yield "off by one", ast.Call(node.func, args, [])
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in CONDITIONS:
        yield "condition", ast.Compare(node.left, [CONDITIONS[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "off by one", ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is float and node.value >= SMALL:
        yield "factor", ast.Constant(2 * node.value)
    elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
        yield from _named(node)


def _named(node: ast.Name | ast.Attribute) -> Iterator[tuple[str, ast.expr]]:
    """Wrong versions of a parameter."""
    name = node.id if isinstance(node, ast.Name) else node.attr
    plain = isinstance(node, ast.Name) or isinstance(node.value, ast.Name)
    if not plain:
        return
    if name in CLASSES:
        yield "off by one", ast.BinOp(node, ast.Sub(), ast.Constant(1))
        yield "off by one", ast.BinOp(node, ast.Add(), ast.Constant(1))
    elif name in PARAMETERS:
        yield "convention", ast.BinOp(ast.Constant(2), ast.Mult(), node)
    both = EXCHANGED | {other: name for name, other in EXCHANGED.items()}
    if name in both:
        other = (
            ast.Name(both[name], ast.Load())
            if isinstance(node, ast.Name)
            else ast.Attribute(node.value, both[name], ast.Load())
        )
        yield "exchange", other


def _sites(node: ast.AST, switches: dict[str, object]) -> Iterator[Site]:
    """Every expression below a node with its wrong versions."""
    for part, field, place in _children(node):
        if _left_out(part) or part is _untaken(node, switches) or _switched_off(part, switches):
            continue
        if not _neutral(part, switches):
            for sort, changed in _changes(part):
                yield node, field, place, sort, changed
        yield from _sites(part, switches)


def _function(tree: ast.Module, path: str) -> ast.FunctionDef:
    """The function or method of a dotted name.

    Raises
    ------
    KeyError
        There is none.
    """
    body: list[ast.stmt] = tree.body
    found: ast.stmt | None = None
    for name in path.split("."):
        found = next((n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name), None)
        if found is None:
            raise KeyError(path)
        body = found.body  # type: ignore[attr-defined]
    assert isinstance(found, ast.FunctionDef)
    return found


def _all_sites(tree: ast.Module, path: str) -> list[Site]:
    """All changes of a function, always in the same order."""
    function = _function(tree, path)
    return list(_sites(function, _defaults(function)))


def _held(site: Site) -> ast.expr:
    """The expression that a change replaces."""
    node, field, place, *_ = site
    held = getattr(node, field)
    return held if place is None else held[place]


def _put(site: Site, value: ast.expr) -> None:
    """Put an expression where a change is made."""
    node, field, place, *_ = site
    if place is None:
        setattr(node, field, value)
    else:
        getattr(node, field)[place] = value


def mutants_of(source: str, path: str) -> list[Mutant]:
    """All wrong versions of one function, each a change of one expression.

    Parameters
    ----------
    source : str, of the module
    path : str, dotted name of the function in it

    Returns
    -------
    list of Mutant
        Without those that read the same as another.

    Raises
    ------
    KeyError
        There is no such function.

    Examples
    --------
    >>> for found in mutants_of("def f(k):\\n    return k - 1\\n", "f"):
    ...     print(found.sort, found.name)
    sign f: k - 1 -> k + 1
    off by one f: k -> k - 1
    off by one f: k -> k + 1
    off by one f: 1 -> 2
    """
    tree = ast.parse(source)
    function, found = _function(tree, path), []
    seen = {ast.unparse(function)}
    for place, site in enumerate(_all_sites(tree, path)):
        before, after = _held(site), site[4]
        made = Mutant(source, path, place, before.lineno, site[3], ast.unparse(before), ast.unparse(after))
        _put(site, after)
        text = ast.unparse(function)
        _put(site, before)
        if text not in seen:
            seen.add(text)
            found.append(made)
    return found
