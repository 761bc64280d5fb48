"""Closed-form thresholds as boxes of any size: an identity, and the sign of a derivative, for all values of the symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from proofs_check.box import Box, Claim, Curve, Range, Route, signed, vanishes
from proofs_check.enclosure import Outcome

POINTS = 41
"""Points of the picture's curve."""


@dataclass(frozen=True)
class Picture:
    """A section of a box: two parameters vary, the others are fixed.

    Attributes
    ----------
    x : str, name of the parameter on the horizontal axis
    labels : (str, str), of both axes
    x_range, y_range : (float, float)
    fixed : dict, values of the other parameters
    """

    x: str
    labels: tuple[str, str]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    fixed: dict[str, float]


@dataclass(frozen=True)
class ClosedForm:
    """A condition that holds from a threshold on, or up to it, for all positive values of its parameters.

    Attributes
    ----------
    statement : str
    names : dict from names of parameters to their ranges
    variable : str, the parameter whose threshold is stated
    rising : bool, whether the condition holds above the threshold
    margin : callable of parameters: the condition holds iff it is not negative
    threshold : callable of parameters, the claimed value of the variable at which the margin vanishes
    identities : callable of parameters and the margin, yields (name, expression that must vanish), which derive the margin
    wrong : dict from names to other thresholds, which must be rejected
    regions : (str, str), what is certified below and above
    picture : Picture or None
    argument : str
    """

    statement: str
    names: dict[str, Range]
    variable: str
    rising: bool
    margin: Callable[[Any], Any]
    threshold: Callable[[Any], Any]
    identities: Callable[[Any, Any], Iterator[tuple[str, Any]]]
    wrong: dict[str, Callable[[Any], Any]]
    regions: tuple[str, str]
    picture: Picture
    argument: str

    def symbols(self) -> SimpleNamespace:
        """The parameters as positive symbols of computer algebra."""
        import sympy as sp

        return SimpleNamespace(**{name: sp.Symbol(name, positive=True) for name in self.names})

    def at(self, threshold: Callable[[Any], Any]) -> Any:
        """The margin where the variable has a claimed threshold."""
        p = self.symbols()
        return self.margin(SimpleNamespace(**(vars(p) | {self.variable: threshold(p)})))

    def claim(self) -> Claim:
        """What is claimed, over which ranges."""
        return Claim(self.statement, tuple(self.names.values()), Route.CLOSED, self.argument, *self.regions)

    def evaluate(self) -> Box:
        """The box with everything that certifies it."""
        import sympy as sp

        p = self.symbols()
        margin = self.margin(p)
        findings = [vanishes(name, expression) for name, expression in self.identities(p, margin)]
        symbol = p.__dict__[self.variable]
        claim = "the margin vanishes at the claimed threshold"
        findings.append(vanishes(claim, self.at(self.threshold)))
        way = "rises" if self.rising else "falls"
        name = self.names[self.variable].symbol
        findings.append(signed(f"the margin {way} in ${name}$", sp.diff(margin, symbol), self.rising))
        controls = [vanishes(what, self.at(formula)) for what, formula in self.wrong.items()]
        open_share = 0.0 if all(f.outcome is Outcome.HOLDS for f in findings) else 1.0
        return Box(
            **vars(self.claim()), band=open_share, findings=tuple(findings), controls=tuple(controls), curve=self.curve()
        )

    def curve(self) -> Curve:
        """The threshold in the section that is shown."""
        import sympy as sp

        p, shown = self.symbols(), self.picture
        fixed = {p.__dict__[name]: value for name, value in shown.fixed.items()}
        height = sp.lambdify(p.__dict__[shown.x], sp.sympify(self.threshold(p)).subs(fixed), "numpy")
        xs = np.geomspace(*shown.x_range, POINTS)
        with np.errstate(all="ignore"):  # a formula may have no value in a part of the section
            ys = np.broadcast_to(height(xs), xs.shape)
        points = tuple((float(x), float(y)) for x, y in zip(xs, ys, strict=True) if np.isfinite(y) and y > 0)
        below, above = self.regions
        return Curve(*shown.labels, points, shown.x_range, shown.y_range, above, below)
