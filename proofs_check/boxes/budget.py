r"""Norm budgets over continuous ranges: collapse exactly above ``R0(c)``, for the explicit head and for the linear DEQ.

The minority has collapsed iff ``K c_eff <= C*(R)`` (docs/theory, Proposition 7.4), and ``C*`` comes from one angle (Proposition
7.5). On every cell of a mesh in ``t = log R`` the angle is enclosed by interval Newton, and its Taylor series, by implicit
differentiation in ball arithmetic, gives a polynomial and a remainder that enclose ``C*`` at *every* ratio of the cell. The
derivative of ``C*`` is enclosed too and is positive on every cell: what Proposition 7.6 proves, met again by computation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from math import ceil, exp, isfinite, log
from typing import Any, NamedTuple

from proofs_check.box import Box, Claim, Curve, Range, Route, precision
from proofs_check.boxes.newton import enclosed, polished
from proofs_check.enclosure import Enclosure, Finding, Outcome, decided, equal, less
from ufm._balls import outward
from ufm.analysis.thresholds.budget import critical_budget, find_root

BITS, ORDER, CELL = 96, 8, 0.2
"""Working precision; terms of the polynomial; largest cell in log R."""
WIDTH = 8e-7
"""Relative width of the band that a cell may leave."""
RATIOS, BUDGETS, STRONGEST = (1.0, 1000.0), (0.5, 6.0), 0.5
"""Ratios, budgets c, and largest spectral budget rho of the boxes."""
FEW = ((1, 2), (2, 2), (3, 7), (5, 5))
"""Pairs (K_A, K_B) of a quick run."""


def system(majority: int, minority: int, theta: Any, t: Any) -> tuple[Any, Any]:
    """``w_B cos(theta) - w_A sin(theta)`` and ``C*`` at an angle and at ``t = log R``.

    Parameters
    ----------
    majority, minority : int, K_A and K_B
    theta, t : series of balls

    Returns
    -------
    pair of series
    """
    from flint import arb

    a, b = arb(majority), arb(minority)
    nu = (1 / a + 1 / b).sqrt()
    sine, cosine, inverse = theta.sin(), theta.cos(), (-t).exp()
    eps, mass = cosine * (1 / (a.sqrt() * nu)), sine * (1 / (b.sqrt() * nu))
    other = (1 - eps) * inverse * (1 / a)
    own = (other + 1 - inverse).log()
    rest = other.log()  # drops out for one majority class
    w_a = (own * (1 / a) + rest * (1 - 1 / a) - (eps * inverse * (1 / b)).log()) * (a.sqrt() / nu)
    w_b = ((1 - mass) * (a / b) / mass).log() * (b.sqrt() / nu)
    return w_b * cosine - w_a * sine, w_a * cosine + w_b * sine + (own - rest) * (a - 1)


System = Callable[[int, int, Any, Any], tuple[Any, Any]]


class Cell(NamedTuple):
    """An interval of log R with the enclosure of C* on it.

    Attributes
    ----------
    low, high : float, ends in log R
    terms : tuple of balls, of the polynomial in ``t`` less the middle
    rest : ball, coefficient of the remainder, over the whole cell
    slope : ball, derivative of C* in log R over the whole cell
    """

    low: float
    high: float
    terms: tuple[Any, ...]
    rest: Any
    slope: Any

    @property
    def width(self) -> float:
        """Largest width of the enclosure."""
        from flint import arb

        half = (self.high - self.low) / 2 * 1.0000001
        total = 2 * self.rest.rad() * arb(half) ** len(self.terms)
        for power, term in enumerate(self.terms):
            total += 2 * term.rad() * arb(half) ** power
        return outward(total)[1]

    def at(self, t: Any) -> Any:
        """C* at a point of the cell."""
        step, value = t - (self.low + self.high) / 2, self.rest
        for term in reversed(self.terms):
            value = value * step + term
        return value


def angle(equations: System, majority: int, minority: int, t: float) -> float:
    """The angle at a point, not proved."""
    from flint import arb, arb_series
    from scipy.optimize import brentq

    def balance(theta: float) -> float:
        return float(equations(majority, minority, arb_series([arb(theta)], 1), arb_series([arb(t)], 1))[0][0].mid())

    found: Any = brentq(balance, 1e-9, 1.5707963, xtol=1e-14)
    return float(found)


def series(equations: System, majority: int, minority: int, theta: Any, t: Any, order: int) -> tuple[list[Any], list[Any]]:
    """Taylor coefficients of the angle and of C* in log R, for every value in the balls.

    Parameters
    ----------
    equations : `system`, or a wrong version of it
    majority, minority : int
    theta, t : balls: log R, and what encloses the angle there
    order : int, highest power

    Returns
    -------
    list of balls, list of balls
    """
    from flint import arb_series

    slope = equations(majority, minority, arb_series([theta, 1], 2), arb_series([t], 2))[0][1]
    terms = [theta]
    for power in range(1, order + 1):
        length = power + 1
        # The next coefficient enters this power linearly, with the derivative by the angle.
        value = equations(majority, minority, arb_series(terms, length), arb_series([t, 1], length))[0]
        terms.append(-value[power] / slope)
    radius = equations(majority, minority, arb_series(terms, order + 1), arb_series([t, 1], order + 1))[1]
    return terms, [radius[power] for power in range(order + 1)]


def enclosed_angle(equations: System, majority: int, minority: int, start: float, t: float, half: float) -> Any:
    """A ball with the only angle, for every log R within ``half`` of t; None where interval Newton fails."""
    from flint import arb, arb_series

    def balance(theta: Any, log_ratio: Any) -> Any:
        return equations(majority, minority, theta, log_ratio)[0]

    middle = arb(start)
    for _ in range(4):
        value = balance(arb_series([middle, 1], 2), arb_series([arb(t)], 2))
        middle = (middle - value[0] / value[1]).mid()
        if not middle.is_finite():
            return None
    drift = balance(arb_series([middle], 2), arb_series([arb(t, half), 1], 2))[1]
    value = balance(arb_series([middle], 1), arb_series([arb(t)], 1))[0] + drift * arb(0, half)
    radius = 0.5 * half + 1e-24
    for _ in range(12):
        tried = middle + arb(0, radius)
        slope = balance(arb_series([tried, 1], 2), arb_series([arb(t, half)], 2))[1]
        if not slope.is_finite() or slope.contains(0):
            return None
        image = middle - value / slope
        if tried.contains_interior(image):
            return image
        radius *= 2
    return None


def ends(majority: int, minority: int) -> tuple[float, float]:
    """The part of the ratios, as logarithms, on which budgets of the box meet the curve."""
    classes = majority + minority
    low, high = (
        find_root(lambda t, radius=radius: critical_budget(majority, minority, exp(t)) - radius, 0.0, 200.0)
        for radius in (classes * BUDGETS[0], classes * BUDGETS[1] / (1 - STRONGEST))
    )
    return low * (1 - 1e-5), min(high * (1 + 1e-5), log(RATIOS[1]) * (1 + 1e-12))


def covered(equations: System, majority: int, minority: int) -> list[Cell] | None:
    """Cells that cover the ratios on which the border lies; None where one cannot be certified."""
    from flint import arb

    low, high = ends(majority, minority)
    count = max(1, ceil((high - low) / CELL))
    marks = [low + (high - low) * i / count for i in range(count)] + [high]
    waiting = list(pairwise(marks))[::-1]
    try:
        start = angle(equations, majority, minority, (waiting[-1][0] + waiting[-1][1]) / 2)
    except ValueError:
        return None
    allowed = WIDTH * (majority + minority) * BUDGETS[0]
    found: list[Cell] = []
    while waiting:
        a, b = waiting.pop()
        t, half = (a + b) / 2, (b - a) / 2 * 1.0000001
        wide = enclosed_angle(equations, majority, minority, start, t, half)
        narrow = None if wide is None else enclosed_angle(equations, majority, minority, start, t, 0.0)
        if wide is not None and narrow is not None:
            rest = series(equations, majority, minority, wide, arb(t, half), ORDER)[1]
            terms = series(equations, majority, minority, narrow, arb(t), ORDER - 1)[1]
            cell = Cell(a, b, tuple(terms), rest[ORDER], rest[1])
            if isfinite(cell.width) and cell.width <= allowed and cell.slope > 0:
                found.append(cell)
                start = float(narrow.mid())
                continue
        if b - a < 1e-4:
            return None
        waiting += [(t, b), (a, t)]
    return found


@cache
def mesh(majority: int, minority: int) -> list[Cell] | None:
    """`covered` for the formula of the book."""
    with precision(BITS):
        return covered(system, majority, minority)


def gradient(majority: int, minority: int, ratio: Any, unknowns: Sequence[Any]) -> list[Any]:
    """Slopes of ``R sum_A CE + sum_B CE + ||Z||_*`` at a collapsed minority, from the logits themselves.

    Parameters
    ----------
    majority, minority : int
    ratio : ball
    unknowns : x_A (left out for one majority class), w_A, w_B, balls or series

    Returns
    -------
    list
    """
    from flint import arb

    a, b = arb(majority), arb(minority)
    nu = (1 / a + 1 / b).sqrt()
    *contrast, w_a, w_b = unknowns
    x = contrast[0] if contrast else w_a * 0
    into_a, into_b = (1 / (a.sqrt() * a * nu), 1 / (a.sqrt() * b * nu)), (1 / (b.sqrt() * a * nu), 1 / (b.sqrt() * b * nu))
    # Columns: (own, other A, B) of the majority, (A, B) of the minority.
    first = [x * (1 - 1 / a) + w_a * into_a[0], w_a * into_a[0] - x * (1 / a), -w_a * into_a[1]]
    second = [-w_b * into_b[0], w_b * into_b[1]]
    powers = [z.exp() for z in first]
    mass = powers[0] + powers[1] * (a - 1) + powers[2] * b
    own, other, across = powers[0] / mass, powers[1] / mass, powers[2] / mass
    powers = [z.exp() for z in second]
    mass = powers[0] * a + powers[1] * b
    lost, kept = powers[0] / mass, powers[1] / mass
    length = (w_a * w_a + w_b * w_b).sqrt()
    slope_a = ((own - 1) + other * (a - 1)) * into_a[0] - across * b * into_a[1]
    slope_b = -lost * a * into_b[0] + (kept * b - 1) * into_b[1]
    found = [slope_a * (ratio * a) + w_a / length, slope_b * b + w_b / length]
    if contrast:
        found.insert(0, ((own - 1) * (1 - 1 / a) - other * ((a - 1) / a)) * (ratio * a) + (a - 1))
    return found


def stationary(majority: int, minority: int, ratio: Any, start: Sequence[float]) -> Any:
    """C* from the stationary point of the program itself, enclosed by interval Newton; None where that fails."""

    def slopes(unknowns: list[Any]) -> list[Any]:
        return gradient(majority, minority, ratio, unknowns)

    box = enclosed(slopes, polished(slopes, start), 1e-20)
    if box is None:
        return None
    *contrast, w_a, w_b = box
    return (contrast[0] * (majority - 1) if contrast else 0) + (w_a * w_a + w_b * w_b).sqrt()


def begun(majority: int, minority: int, ratio: float) -> list[float]:
    """Unknowns near the stationary point, from minimising in float64."""
    import numpy as np
    from scipy.optimize import minimize

    a, b = majority, minority
    nu = np.sqrt(1 / a + 1 / b)

    def objective(v: Any) -> float:
        x, w_a, w_b = (v[0], v[1], v[2]) if a > 1 else (0.0, v[0], v[1])
        to_b = x * (1 - 1 / a) + nu * w_a / np.sqrt(a)
        loss = ratio * a * np.log1p((a - 1) * np.exp(-x) + b * np.exp(-to_b))
        loss += b * np.log(b + a * np.exp(-nu * w_b / np.sqrt(b)))
        return float(loss + (a - 1) * x + np.hypot(w_a, w_b))

    start = np.ones(3 if a > 1 else 2) * (1 + np.log(ratio))
    return [float(v) for v in minimize(objective, start, method="BFGS", options={"gtol": 1e-9}).x]


def compared(equations: System, pairs: Sequence[tuple[int, int]], ratio: float) -> Finding:
    """The worst agreement of C* by formula and by the stationary point, over pairs of numbers of classes."""
    from flint import arb

    found = []
    with precision(BITS):
        for majority, minority in pairs:
            what = f"C* by its formula and by the stationary point, K_A = {majority}, K_B = {minority}, R = {ratio:g}"
            t = arb(ratio).log()
            try:
                start = angle(equations, majority, minority, float(t.mid()))
            except ValueError:
                found.append(decided(what, "yes", "undecided", margin=0.0, level="rigorous"))
                continue
            theta = enclosed_angle(equations, majority, minority, start, float(t.mid()), 1e-15)
            direct = stationary(majority, minority, arb(ratio), begun(majority, minority, ratio))
            if theta is None or direct is None:
                found.append(decided(what, "yes", "undecided", margin=0.0, level="rigorous"))
                continue
            _, (value,) = series(equations, majority, minority, theta, arb(float(t.mid()), 1e-15), 0)
            sides = Enclosure(*outward(value)), Enclosure(*outward(direct))
            found.append(equal(what, *sides, tolerance=1e-10, level="rigorous"))
    return worst(found)


def worst(found: list[Finding]) -> Finding:
    """The finding that is farthest from holding."""
    order = {Outcome.VIOLATED: 0, Outcome.INCONCLUSIVE: 1, Outcome.HOLDS: 2}
    return min(found, key=lambda f: (order[f.outcome], -f.margin if f.equality else f.margin))


def pairs_of(scale: str) -> tuple[tuple[int, int], ...]:
    """Pairs (K_A, K_B)."""
    return FEW if scale == "quick" else tuple((a, b) for a in range(1, 11) for b in range(2, 11))


class Mesh(NamedTuple):
    """What the cells of all pairs say."""

    cells: int
    band: float
    findings: tuple[Finding, ...]


def summed(equations: System, pairs: Sequence[tuple[int, int]], strongest: float) -> Mesh:
    """Cells of all pairs: number, widest band, smallest slope, and both ends.

    Parameters
    ----------
    equations : `system`, or a wrong version of it
    pairs : sequence of (int, int)
    strongest : float, largest rho: budgets up to ``6 / (1 - rho)`` are decided

    Returns
    -------
    Mesh
    """
    from flint import arb

    count, band, slope, before, after = 0, 0.0, float("inf"), [], []
    with precision(BITS):
        for majority, minority in pairs:
            cells = mesh(majority, minority) if equations is system else covered(equations, majority, minority)
            name, classes = f"K_A = {majority}, K_B = {minority}", majority + minority
            if cells is None:
                what = f"the cells of {name} are certified"
                return Mesh(count, 1.0, (decided(what, "yes", "undecided", margin=0.0, level="rigorous"),))
            count += len(cells)
            slope = min(slope, *(outward(cell.slope)[0] for cell in cells))
            least = classes * BUDGETS[0]
            band = max(band, *(cell.width / (least * (1 - 1e-9)) for cell in cells))
            first = Enclosure(*outward(cells[0].at(arb(cells[0].low))))
            what = f"at the first cell's ratio the smallest budget does not collapse, {name}"
            before.append(less(what, first, Enclosure(least, least), level="rigorous"))
            top, end = classes * BUDGETS[1] / (1 - strongest), cells[-1].high
            if end < log(RATIOS[1]):
                last = Enclosure(*outward(cells[-1].at(arb(end))))
                what = f"at the last cell's ratio the largest budget collapses, {name}"
                after.append(less(what, Enclosure(top, top), last, level="rigorous"))
    rises = less("C* rises with R on every cell", Enclosure(0.0, 0.0), Enclosure(slope, slope), level="rigorous")
    return Mesh(count, band, (rises, worst(before), *([worst(after)] if after else [])))


def border(majority: int, minority: int) -> Curve:
    """The border of one pair for the picture."""
    from flint import arb

    classes, points = majority + minority, []
    for cell in mesh(majority, minority) or []:
        points.append((exp(cell.low), float(cell.at(arb(cell.low)).mid()) / classes))
    low, high = "separated above the line", "collapsed below it"
    name = f"budget c, K_A = {majority}, K_B = {minority}"
    return Curve("ratio R", name, tuple(points), (RATIOS[0], RATIOS[1]), BUDGETS, low, high)


def shared(pairs: Sequence[tuple[int, int]], scale: str) -> tuple[Range, ...]:
    """Ranges of both boxes."""
    classes = (
        Range("(K_A, K_B)", "all with $K_A = 1, \\ldots, 10$ and $K_B = 2, \\ldots, 10$")
        if scale != "quick"
        else Range("(K_A, K_B)", ", ".join(map(str, pairs)))
    )
    return (Range("R", "all of $[1, 1000]$"), Range("c", "all of $[0.5, 6]$"), classes)


def doubled(majority: int, minority: int, theta: Any, t: Any) -> tuple[Any, Any]:
    """A wrong C*: that of twice the ratio."""
    return system(majority, minority, theta, t + log(2.0))


def _exchanged(majority: int, minority: int, theta: Any, t: Any) -> tuple[Any, Any]:
    """A wrong C*: numbers of classes exchanged."""
    return system(minority, majority, theta, t)


def explicit_claim(scale: str = "default") -> Claim:
    """What F5 says over its box.

    Parameters
    ----------
    scale : str, "quick", "default" or "full"

    Returns
    -------
    Claim
    """
    return Claim(
        "The minority has collapsed exactly for $R \\ge R_0(K_A, K_B, c)$: at every ratio and budget of the box outside of "
        "the band the verdict is certified, and there is one border only.",
        shared(pairs_of(scale), scale), Route.MESH,
        "The minority has collapsed iff $K c \\le C^*(R)$. A polynomial with a remainder in ball arithmetic encloses $C^*$ at "
        "all ratios of each cell, its derivative is positive there, and outside of the cells $C^*$ is monotone (proved).",
        "separated where $K c > C^*(R)$, so below $R_0$", "collapsed where $K c \\le C^*(R)$, so from $R_0$ on",
    )  # fmt: skip


def explicit(scale: str = "default", equations: System | None = None) -> Box:
    """F5: the explicit head.

    Parameters
    ----------
    scale : str, "quick", "default" or "full"
    equations : `system`, or a wrong version of it

    Returns
    -------
    Box
    """
    pairs, used = pairs_of(scale), equations or system
    found = summed(used, pairs, STRONGEST)
    checks = [compared(used, pairs, ratio) for ratio in (1.5, 40.0, 900.0)]
    controls = tuple(compared(wrong, ((5, 4),), 40.0) for wrong in (doubled, _exchanged))
    return Box(
        **vars(explicit_claim(scale)), band=found.band, findings=(*found.findings, *checks), controls=controls,
        cells=found.cells, curve=border(5, 5),
    )  # fmt: skip


def gain(rho: Any) -> Any:
    """Factor by which a spectral budget on the map enlarges the budget of the logits."""
    return 1 / (1 - rho)


def _forgetful(rho: Any) -> Any:
    """A wrong gain: the geometric series cut after two terms."""
    return 1 + rho


def _shrinking(rho: Any) -> Any:
    """A wrong gain: its inverse."""
    return 1 - rho


def thresholds(factor: Callable[[Any], Any]) -> Finding:
    """C* at certified thresholds of the DEQ against the radius ``K c`` times a gain; the worst of three."""
    from flint import arb

    import ufm

    found = []
    with precision(BITS):
        for majority, minority, e_h, rho in ((5, 5, 5.0, 0.25), (3, 7, 2.0, 0.125), (1, 4, 1.0, 0.5)):
            head = ufm.LinearDEQ(rho)
            critical = ufm.threshold(classes=(majority, minority), regularizer=ufm.NormBudget(1, e_h), head=head)
            t = arb(critical.lower).union(arb(critical.upper)).log()
            start = angle(system, majority, minority, float(t.mid()))
            theta = enclosed_angle(system, majority, minority, start, float(t.mid()), 2 * float(t.rad()) + 1e-15)
            if theta is None:
                continue
            _, (value,) = series(system, majority, minority, theta, t, 0)
            radius = arb(e_h).sqrt() * (majority + minority) * factor(arb(rho))
            what = f"C* at the DEQ's threshold is its radius, K_A = {majority}, K_B = {minority}, rho = {rho:g}"
            found.append(equal(what, Enclosure(*outward(radius)), Enclosure(*outward(value)), tolerance=1e-9, level="rigorous"))
    return worst(found) if found else decided("thresholds of the DEQ", "yes", "undecided", margin=0.0, level="rigorous")


def few_pairs(scale: str) -> tuple[tuple[int, int], ...]:
    """Numbers of classes that the mesh of D3 covers: fewer than that of F5, whose cells it shares.

    Parameters
    ----------
    scale : str, "quick", "default" or "full"

    Returns
    -------
    tuple of (K_A, K_B)
    """
    if scale == "full":
        return pairs_of(scale)
    return FEW if scale == "quick" else tuple((a, b) for a in (1, 3, 5, 7, 10) for b in (2, 5, 10))


def equilibrium_claim(scale: str = "default") -> Claim:
    """What D3 says over its box.

    Parameters
    ----------
    scale : str, "quick", "default" or "full"

    Returns
    -------
    Claim
    """
    values = "all with $K_A = 1, \\ldots, 10$ and $K_B = 2, \\ldots, 10$"
    if scale != "full":
        values = ", ".join(map(str, few_pairs(scale)))
    return Claim(
        "The linear DEQ's minority has collapsed exactly for $R \\ge R_0(K_A, K_B, c/(1-\\rho))$, at every ratio, budget and "
        "contraction of the box outside of the band.",
        (
            Range("R", "all of $[1, 1000]$"), Range("c", "all of $[0.5, 6]$"), Range("\\rho", "all of $[0, 0.5]$"),
            Range("(K_A, K_B)", values),
        ),
        Route.MESH,
        "As in F5 with the radius $K c/(1 - \\rho)$, up to $12 K$: the border in $c$ is $(1 - \\rho)\\, C^*(R)/K$, so the "
        "relative width of the band is the same for every $\\rho$.",
        "separated where $K c/(1-\\rho) > C^*(R)$", "collapsed where $K c/(1-\\rho) \\le C^*(R)$",
    )  # fmt: skip


def equilibrium(scale: str = "default") -> Box:
    """D3: the linear DEQ with a spectral budget.

    Parameters
    ----------
    scale : str, "quick", "default" or "full"

    Returns
    -------
    Box
    """
    from flint import arb

    found = summed(system, few_pairs(scale), STRONGEST)
    with precision(BITS):
        whole = arb(STRONGEST / 2, STRONGEST / 2)
        rise = 1 / (1 - whole) ** 2  # the derivative of the gain over all rho of the box
        low = outward(rise)[0]
    rises = less("the gain rises with rho over the box", Enclosure(0.0, 0.0), Enclosure(low, low), level="rigorous")
    return Box(
        **vars(equilibrium_claim(scale)), band=found.band, findings=(*found.findings, rises, thresholds(gain)),
        controls=(thresholds(_forgetful), thresholds(_shrinking)), cells=found.cells, curve=border(5, 5),
    )  # fmt: skip
