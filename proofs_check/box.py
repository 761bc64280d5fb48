"""Boxes: what a theorem says over continuous ranges of its parameters, certified as a whole and not at points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from proofs_check.enclosure import Enclosure, Finding, Outcome, decided, less

ALLOWED = 1e-6
"""Largest relative measure of the undecided band with which a box counts as certified."""


class Route(Enum):
    """How a box is decided."""

    CLOSED = "closed form"
    MESH = "monotonicity and a mesh"
    NEWTON = "interval Newton"

    @property
    def meaning(self) -> str:
        """One sentence for readers."""
        return {
            "closed form": "an identity of computer algebra and the sign of a derivative, for all values of the symbols",
            "monotonicity and a mesh": "enclosures in ball arithmetic on every cell of a mesh, and proved monotonicity",
            "interval Newton": "the equations of the optimum solved in ball arithmetic on every cell of a mesh",
        }[self.value]


class Range(NamedTuple):
    """One parameter of a box and the values that it takes.

    Attributes
    ----------
    symbol : str, LaTeX without dollars
    values : str, in words, with LaTeX between dollars
    """

    symbol: str
    values: str


class Curve(NamedTuple):
    """The border between both certified regions, for a picture.

    Attributes
    ----------
    x, y : str, what the axes show, plain text
    points : tuple of (float, float), on the border, x increasing
    x_range, y_range : (float, float), the box, all positive; both axes are logarithmic
    upper : str, what is certified above the border
    lower : str, what is certified below it
    """

    x: str
    y: str
    points: tuple[tuple[float, float], ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    upper: str
    lower: str


@dataclass(frozen=True)
class Claim:
    """A statement over continuous ranges, and how it is decided.

    Attributes
    ----------
    statement : str, words with LaTeX between dollars
    ranges : tuple of Range
    route : Route
    argument : str, what decides it, words with LaTeX between dollars
    below, above : str, the regions on both sides of the border
    """

    statement: str
    ranges: tuple[Range, ...]
    route: Route
    argument: str
    below: str
    above: str


@dataclass(frozen=True)
class Box(Claim):
    """A claim over continuous ranges, and everything that certifies it.

    Attributes
    ----------
    band : float, upper bound of the relative measure of what is undecided; 0 for closed forms
    cells : int, cells of the mesh; 0 for closed forms
    findings : tuple of Finding, all must hold
    controls : tuple of Finding, wrong formulas put to the same check: all must be violated
    curve : Curve or None
    """

    band: float
    findings: tuple[Finding, ...]
    controls: tuple[Finding, ...]
    cells: int = 0
    curve: Curve | None = field(default=None)

    @property
    def measured(self) -> Finding:
        """The undecided band against what is allowed."""
        return less("relative measure of the undecided band", Enclosure(self.band, self.band), _LIMIT, level="rigorous")

    @property
    def certified(self) -> bool:
        """Whether all of it is."""
        return not self.trouble

    @property
    def trouble(self) -> list[str]:
        """Everything that keeps the box from being certified, one line each."""
        lines = [f"box: {f.what}: {f.outcome.value}" for f in (self.measured, *self.findings) if f.outcome != Outcome.HOLDS]
        lines += [] if self.findings else ["box: nothing was certified"]
        lines += [] if self.controls else ["box: there is no negative control"]
        return lines + [f"box: wrong formula not rejected: {f.what}" for f in self.controls if f.outcome != Outcome.VIOLATED]


_LIMIT = Enclosure(ALLOWED, ALLOWED)


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Ball arithmetic with so many bits, and series of any length, inside the block."""
    from flint import ctx

    before, cap = ctx.prec, ctx.cap
    ctx.prec, ctx.cap = bits, 64
    try:
        yield
    finally:
        ctx.prec, ctx.cap = before, cap


def vanishes(what: str, expression: Any, samples: int = 3) -> Finding:
    """Whether an expression of positive symbols is zero for all of their values.

    That it is not is shown by its value in ball arithmetic at a point, which must exclude zero. Computer algebra decides that
    it is; if neither succeeds the finding is inconclusive.

    Parameters
    ----------
    what : str, in words
    expression : sympy expression
    samples : int, points that are tried

    Returns
    -------
    Finding
    """
    import sympy as sp

    expression = sp.sympify(expression)
    names = sorted(expression.free_symbols, key=str)
    for sample in range(samples):
        # Points with different numbers for all symbols: 2 + 1/3, 3 + 1/4, ...
        point = {name: sp.Rational(2 + k + 3 * sample, 1) + sp.Rational(1, 3 + k) for k, name in enumerate(names)}
        value, error = _enclosed(expression.subs(point))
        if abs(value) > error:
            return decided(what, "yes", "no", margin=abs(value) - error, level="rigorous")
    simple = sp.simplify(expression)
    simple = simple if simple == 0 else sp.simplify(sp.powsimp(sp.expand_log(sp.expand(simple), force=True), force=True))
    return decided(what, "yes", "yes" if simple == 0 else "undecided", margin=1.0, level="rigorous")


def _enclosed(number: Any) -> tuple[float, float]:
    """A number of computer algebra without symbols: value and an error bound that holds with certainty.

    The value is computed in interval arithmetic by walking the expression; what it does not know has an infinite error.
    """
    from flint import arb

    def walk(e: Any) -> Any:
        import sympy as sp

        if e.is_Rational:
            return arb(int(e.p)) / arb(int(e.q))
        parts = [walk(a) for a in e.args]
        if e.is_Add:
            return sum(parts, arb(0))
        if e.is_Mul:
            product = arb(1)
            for part in parts:
                product *= part
            return product
        if e.is_Pow:
            return parts[0] ** parts[1]
        functions: dict[Any, Callable[[Any], Any]] = {sp.exp: lambda v: v.exp(), sp.log: lambda v: v.log()}
        if e is sp.E:
            return arb(1).exp()
        return functions[e.func](parts[0])

    with precision(200):
        try:
            found = walk(number)
        except (KeyError, ZeroDivisionError):
            return 0.0, float("inf")
        if not found.is_finite():
            return 0.0, float("inf")
        # Both floats are rounded: a relative 1e-9 covers it.
        return float(found.mid()), float(found.rad()) * 1.01 + 1e-9 * abs(float(found.mid()))


def signed(what: str, expression: Any, positive: bool) -> Finding:
    """Whether an expression of positive symbols has one sign for all of their values, decided by computer algebra.

    Parameters
    ----------
    what : str, in words
    expression : sympy expression
    positive : bool, the sign that is claimed

    Returns
    -------
    Finding
    """
    import sympy as sp

    for form in (expression, sp.simplify(expression), sp.factor(sp.simplify(expression))):
        sign = form.is_positive if positive else form.is_negative
        if sign is not None:
            return decided(what, "yes", "yes" if sign else "no", margin=1.0, level="rigorous")
    return decided(what, "yes", "undecided", margin=0.0, level="rigorous")
