r"""X3 over a continuous range: features of a fixed norm, the border of minority collapse beside it and along it.

At a given ratio and a given ``beta`` two of the three equations of docs/theory, Proposition 12.9, determine the others, and the
third gives the decay in closed form, ``lambda / r^2 = beta nu sqrt(K_B) / (g_B sin(theta) (K_A R + K_B))``. On every cell of a
mesh in ``(log R, log beta)`` the two unknowns are enclosed by interval Newton, and with them the derivatives of the decay:
where it rises with ``beta`` at fixed R, ``beta >= 1`` means a decay at or above the border, and Proposition 12.9 decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from math import ceil, cos, exp, inf, log, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from proofs_check.box import Box, Claim, Curve, Range, Route, precision
from proofs_check.boxes.newton import enclosed, jacobian, polished
from proofs_check.enclosure import Enclosure, Finding, Outcome, decided, equal, less
from ufm._balls import outward

if TYPE_CHECKING:
    from ufm import Threshold

BITS, CELL, ORDER = 96, 0.02, 5
RATIOS, NEAR = (40.0, 300.0), 1.02
"""Ratios of the box, and the largest factor by which beta differs from one."""
WIDTH = 8e-7
ROWS = 2
"""Cells of a column, before any is divided."""


def equations(majority: int, minority: int, unknowns: Sequence[Any], t: Any, s: Any) -> tuple[list[Any], Any]:
    """Two residuals and the logarithm of the effective decay.

    Parameters
    ----------
    majority, minority : int, K_A >= 2 and K_B >= 2
    unknowns : (log p_o, theta), p_o an A column's probability of another A class
    t, s : logarithms of R and beta

    Returns
    -------
    list of two, and one number
    """
    from flint import arb

    a, b = arb(majority), arb(minority)
    nu, root_a, root_b = (1 / a + 1 / b).sqrt(), a.sqrt(), b.sqrt()
    logarithm, theta = unknowns
    sine, cosine = theta.sin(), theta.cos()
    # alpha / R is what an A column does not put on itself: K_A p_o on the A classes and the part cos / (nu sqrt K_A) on B.
    part = cosine * (1 / (nu * root_a))
    left, other = (1 - part).log(), logarithm.exp()
    own = (1 - other * ((part - (1 - a)) / (1 - part))).log()  # 1 + p_o - K_A p_o / (1 - part)
    log_alpha = logarithm - left + t + a.log()
    gap_a = own * (1 / a) + (1 - part).log() + logarithm * (-1 / a) - part.log() - a.log() + b.log()
    along = s + (sine * (1 / (nu * root_b))).log()
    gap_b = (1 - along.exp()).log() - along + (a / b).log()
    first = log_alpha + gap_a.log() + (sine / cosine).log() - s - gap_b.log() + (root_a / root_b).log()
    second = (own - logarithm).log() - log_alpha + s + gap_b.log() - (gap_b - gap_a).log() - (gap_b + gap_a).log() - sine.log()
    second = second + ((1 - 1 / a) * nu * root_b).log()
    decay = s + (nu * root_b).log() - gap_b.log() - sine.log() - (t.exp() * a + b).log()
    return [first, second], decay


Equations = Callable[[int, int, Sequence[Any], Any, Any], tuple[list[Any], Any]]


def _forgotten(majority: int, minority: int, unknowns: Sequence[Any], t: Any, s: Any) -> tuple[list[Any], Any]:
    """A wrong decay: without the square root of the number of minority classes."""
    residuals, decay = equations(majority, minority, unknowns, t, s)
    return residuals, decay - log(minority) / 2


def _without(majority: int, minority: int, unknowns: Sequence[Any], t: Any, s: Any) -> tuple[list[Any], Any]:
    """A wrong decay: K_A R in place of K_A R + K_B."""
    residuals, decay = equations(majority, minority, unknowns, t, s)
    return residuals, decay + (t.exp() * majority + minority).log() - (t.exp() * majority).log()


def moved(rule: Equations, sizes: tuple[int, int], start: Sequence[float], path: Sequence[tuple[float, float]]) -> list[float]:
    """Unknowns at the end of a path of (log R, log beta), not proved, from those at its start."""
    from flint import arb

    point = list(start)
    for t, s in path:
        point = [float(v.mid()) for v in polished(lambda u, t=t, s=s: rule(*sizes, u, arb(t), arb(s))[0], point, 6)]  # type: ignore[misc]
    return point


class Start(NamedTuple):
    """Unknowns at beta = 1 and a ratio, from which all others are reached."""

    t: float
    unknowns: tuple[float, float]


@cache
def certified(sizes: tuple[int, int], decay: float) -> Threshold:
    """The ratio at which the minority collapses, by `ufm.threshold`."""
    import ufm

    return ufm.threshold(classes=sizes, regularizer=ufm.ClassifierDecay(decay), head="layernorm")


@cache
def begun(sizes: tuple[int, int]) -> Start:
    """From the threshold at one decay."""
    from ufm.analysis.thresholds.normalised import CollapsedOptimum

    ratio = certified(sizes, 0.01).value
    alpha, _, theta = CollapsedOptimum(*sizes, 0.01, 1.0).collapsed(ratio)
    majority, minority = sizes
    part = cos(theta) / sqrt(1 + majority / minority)
    return Start(log(ratio), (log(alpha / ratio * (1 - part) / majority), float(theta)))


def reached(rule: Equations, sizes: tuple[int, int], start: Start, t: float, s: float) -> list[float]:
    """Unknowns at a point, in steps from the start."""
    steps = max(1, ceil(abs(t - start.t) / 0.3))
    path = [(start.t + (t - start.t) * i / steps, s * i / steps) for i in range(1, steps + 1)]
    return moved(rule, sizes, start.unknowns, path)


def positive(sizes: tuple[int, int], unknowns: Sequence[Any], s: Any) -> bool:
    """Whether all numbers that Proposition 12.9 asks to be positive are."""
    from flint import arb

    a, b = (arb(k) for k in sizes)
    nu, (logarithm, theta) = (1 / a + 1 / b).sqrt(), unknowns
    part, along, other = theta.cos() / (nu * a.sqrt()), s.exp() * theta.sin() / (nu * b.sqrt()), logarithm.exp()
    share = other * a / (1 - part)
    across, own = share * part, 1 + other - share
    if not all(v > 0 for v in (part, 1 - part, along, 1 - along, own)):
        return False
    gap_a = own.log() / a + other.log() * (1 - 1 / a) - (across / b).log()
    gap_b = ((1 - along) * a / (along * b)).log()
    return all(v > 0 for v in (own - other, gap_a, gap_b))


class Slopes(NamedTuple):
    """Unknowns over a cell, and derivatives of the logarithm of the decay by log R and by log beta."""

    unknowns: list[Any]
    by_ratio: Any
    by_beta: Any


def cell(
    rule: Equations, sizes: tuple[int, int], at: Sequence[float], t: float, s: float, half: tuple[float, float]
) -> Slopes | None:
    """Enclosures over ``|log R - t| <= half[0]``, ``|log beta - s| <= half[1]``; None where interval Newton fails.

    Parameters
    ----------
    rule : `equations`, or a wrong version
    sizes : (K_A, K_B)
    at : unknowns near the middle
    t, s : float, the middle
    half : (float, float)

    Returns
    -------
    Slopes or None
    """
    from flint import arb, arb_mat, arb_series

    wide, high = arb(t, half[0]), arb(s, half[1])
    middle = polished(lambda u: rule(*sizes, u, arb(t), arb(s))[0], at, 4)

    def over(unknowns: list[Any]) -> list[Any]:
        return rule(*sizes, unknowns, wide, high)[0]

    spread = []
    centre = rule(*sizes, middle, arb(t), arb(s))[0]
    by_t = rule(*sizes, [arb_series([m], 2) for m in middle], arb_series([wide, 1], 2), arb_series([high], 2))[0]
    by_s = rule(*sizes, [arb_series([m], 2) for m in middle], arb_series([wide], 2), arb_series([high, 1], 2))[0]
    for value, one, two in zip(centre, by_t, by_s, strict=True):
        spread.append(value + one[1] * arb(0, half[0]) + two[1] * arb(0, half[1]))
    box = enclosed(over, middle, max(0.3 * max(half), 1e-24), spread)
    if box is None or not positive(sizes, box, high):
        return None
    try:
        inverse = jacobian(over, box).inv()
    except ZeroDivisionError:
        return None
    found = []
    for series in ((arb_series([wide, 1], 2), arb_series([high], 2)), (arb_series([wide], 2), arb_series([high, 1], 2))):
        residuals = rule(*sizes, [arb_series([v], 2) for v in box], *series)[0]
        along = inverse * arb_mat([[-r[1]] for r in residuals])
        ways = [arb_series([v, along[i, 0]], 2) for i, v in enumerate(box)]
        total = rule(*sizes, ways, *series)[1][1]
        found.append(total)
    return Slopes(box, *found)


def expansion(rule: Equations, sizes: tuple[int, int], unknowns: Sequence[Any], t: Any, order: int) -> list[Any]:
    """Taylor coefficients of the logarithm of the decay on the border, in log R."""
    from flint import arb, arb_mat, arb_series

    inverse = jacobian(lambda u: rule(*sizes, u, t, arb(0))[0], list(unknowns)).inv()
    terms = [[v] for v in unknowns]
    for power in range(1, order + 1):
        length = power + 1
        residuals = rule(*sizes, [arb_series(v, length) for v in terms], arb_series([t, 1], length), arb_series([0], length))[0]
        step = inverse * arb_mat([[-r[power]] for r in residuals])
        for i, term in enumerate(terms):
            term.append(step[i, 0])
    length = order + 1
    decay = rule(*sizes, [arb_series(v, length) for v in terms], arb_series([t, 1], length), arb_series([0], length))[1]
    return [decay[power] for power in range(length)]


class Strip(NamedTuple):
    """What the cells of one pair say.

    Attributes
    ----------
    cells : int
    band : float, widest enclosure of log decay on the border; infinite where a cell is not certified
    beside : float, smallest derivative of log decay by log beta beside the border
    along : float, largest derivative of log decay by log R on the border
    points : list of (R, decay)
    """

    cells: int
    band: float
    beside: float
    along: float
    points: list[tuple[float, float]]


FAILED = Strip(0, inf, -inf, inf, [])


class Column(NamedTuple):
    """A column of cells over an interval of log R: as `Strip`, and the root on the border at the right end.

    Attributes
    ----------
    beside, width, along, decay : float
    right : list of balls
    """

    beside: float
    width: float
    along: float
    decay: float
    right: list[Any]


def inside(point: Slopes | None, box: Slopes | None) -> bool:
    """Whether a root at a point lies in the box of a cell, which holds one root for each of its parameters."""
    if point is None or box is None:
        return False
    return all(b.contains(v) for b, v in zip(box.unknowns, point.unknowns, strict=True))


def column(
    rule: Equations, sizes: tuple[int, int], at: Sequence[float], ends: tuple[float, float], rows: int, left: list[Any] | None
) -> Column | None:
    """All cells over an interval of log R, and that their roots are those of one branch; None where something fails.

    Neighbouring cells share the root at the middle of their common edge. The Jacobian is regular on both, so that they share
    the roots on the whole edge.

    Parameters
    ----------
    rule : `equations`, or a wrong version
    sizes : (K_A, K_B)
    at : unknowns near the left end of the border
    ends : (float, float), in log R
    rows : int, even
    left : root on the border at the left end, from the column before; None for the first

    Returns
    -------
    Column or None
    """
    from flint import arb

    t, half, reach = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2 * 1.0000001, log(NEAR) * 1.0000001
    marks = [-reach + 2 * reach * j / rows for j in range(rows + 1)]
    marks[rows // 2] = 0.0
    edges = [cell(rule, sizes, at, t, s, (0.0, 0.0)) for s in marks]
    beside = inf
    for j, (low, high) in enumerate(pairwise(marks)):
        found = cell(rule, sizes, at, t, (low + high) / 2, (half, (high - low) / 2 * 1.0000001))
        if found is None or not (inside(edges[j], found) and inside(edges[j + 1], found) and found.by_beta > 0):
            return None
        beside = min(beside, outward(found.by_beta)[0])
    narrow, wide = edges[rows // 2], cell(rule, sizes, at, t, 0.0, (half, 0.0))
    right = cell(rule, sizes, at, ends[1], 0.0, (0.0, 0.0))
    if narrow is None or wide is None or right is None or not (inside(narrow, wide) and inside(right, wide)):
        return None
    if left is not None and not all(b.contains(v) for b, v in zip(wide.unknowns, left, strict=True)):
        return None
    rest = expansion(rule, sizes, wide.unknowns, arb(t, half), ORDER)
    terms = expansion(rule, sizes, narrow.unknowns, arb(t), ORDER - 1)
    width = 2 * rest[ORDER].rad() * arb(half) ** ORDER
    for power, term in enumerate(terms):
        width += 2 * term.rad() * arb(half) ** power
    made = Column(beside, outward(width)[1], outward(rest[1])[1], float(terms[0].mid()), right.unknowns)
    return made if made.width <= WIDTH and made.along < 0 else None


def strip(rule: Equations, sizes: tuple[int, int]) -> Strip:
    """The mesh on both sides of the border, column by column.

    Parameters
    ----------
    rule : `equations`, or a wrong version
    sizes : (K_A, K_B)

    Returns
    -------
    Strip
    """
    low, high = (log(r) for r in RATIOS)
    low, high = low * (1 - 1e-12), high * (1 + 1e-12)
    start, count = begun(sizes), ceil((high - low) / CELL)
    marks = [low + (high - low) * i / count for i in range(count)] + [high]
    waiting = [(a, b, ROWS) for a, b in pairwise(marks)][::-1]
    at = reached(rule, sizes, start, low, 0.0)
    cells, band, beside, along, left = 0, 0.0, inf, -inf, None
    points: list[tuple[float, float]] = []
    while waiting:
        a, b, rows = waiting.pop()
        found = column(rule, sizes, at, (a, b), rows, left)
        if found is None:
            if b - a < 1e-3:
                return FAILED
            middle = (a + b) / 2
            waiting += [(middle, b, 2 * rows), (a, middle, 2 * rows)]
            continue
        cells, left, at = cells + rows, found.right, [float(v.mid()) for v in found.right]
        band, beside, along = max(band, found.width), min(beside, found.beside), max(along, found.along)
        points.append((exp((a + b) / 2), exp(found.decay)))
    return Strip(cells, band, beside, along, points)


def thresholds(rule: Equations, sizes: tuple[int, int], decay: float) -> Finding:
    """The border at the certified threshold of a decay, against that decay."""
    from flint import arb

    what = f"the border at the certified threshold, K_A = {sizes[0]}, K_B = {sizes[1]}, decay {decay:g}"
    with precision(BITS):
        found = certified(sizes, decay)
        t = arb(found.lower).union(arb(found.upper)).log()
        half = 2 * float(t.rad()) + 1e-16
        try:
            at = reached(rule, sizes, begun(sizes), float(t.mid()), 0.0)
            inside = cell(rule, sizes, at, float(t.mid()), 0.0, (half, 0.0))
        except (ValueError, OverflowError):
            inside = None
        if inside is None:
            return decided(what, "yes", "undecided", margin=0.0, level="rigorous")
        value = rule(*sizes, inside.unknowns, arb(float(t.mid()), half), arb(0))[1].exp()
        return equal(what, Enclosure(*outward(value)), Enclosure(decay, decay), tolerance=1e-9, level="rigorous")


def off_border(rule: Equations, sizes: tuple[int, int], factor: float) -> Finding:
    """The decay at a ratio off the border, from the beta that the three equations of Proposition 12.9 have there.

    Parameters
    ----------
    rule : `equations`, or a wrong version
    sizes : (K_A, K_B)
    factor : float, the ratio over the certified threshold at decay 0.01

    Returns
    -------
    Finding
    """
    from flint import arb

    from ufm.analysis.thresholds.normalised import CollapsedOptimum

    ratio, decay = factor * certified(sizes, 0.01).value, 0.01
    what = f"the decay at {factor:g} times the certified threshold, K_A = {sizes[0]}, K_B = {sizes[1]}, decay {decay:g}"
    system = CollapsedOptimum(*sizes, decay, 1.0)
    root = system.enclosed(ratio, system.collapsed(ratio))
    with precision(BITS):
        found = None
        if root is not None:
            t, s = arb(ratio).log(), root[1].log()
            half = (2 * float(t.rad()) + 1e-16, 2 * float(s.rad()) + 1e-16)
            try:
                at = reached(rule, sizes, begun(sizes), float(t.mid()), float(s.mid()))
                found = cell(rule, sizes, at, float(t.mid()), float(s.mid()), half)
            except (ValueError, OverflowError):
                found = None
        if found is None:
            return decided(what, "yes", "undecided", margin=0.0, level="rigorous")
        value = rule(*sizes, found.unknowns, arb(float(t.mid()), half[0]), arb(float(s.mid()), half[1]))[1].exp()
        return equal(what, Enclosure(*outward(value)), Enclosure(decay, decay), tolerance=1e-9, level="rigorous")


def pairs_of(scale: str) -> tuple[tuple[int, int], ...]:
    """Numbers of classes (K_A, K_B) that the mesh covers at a scale."""
    return ((3, 7), (4, 6), (5, 5)) if scale == "full" else ((5, 5),)


def fixed_norm_claim(scale: str = "default") -> Claim:
    """What X3 says over its box.

    Parameters
    ----------
    scale : str, "quick", "default" or "full"

    Returns
    -------
    Claim
    """
    return Claim(
        r"Features of a fixed norm: at every ratio of the box the minority has collapsed exactly for $\lambda / r^2 \ge "
        r"\lambda_0(R)$, for all decays around $\lambda_0(R)$ at which $\beta$ lies in $[0.981, 1.02]$; $\lambda_0$ falls "
        r"strictly with $R$, so that this is $R \ge R_0(\lambda)$. Farther from the border nothing is claimed here.",
        (
            Range("R", "all of $[40, 300]$"), Range(r"\beta", "all of $[0.981, 1.02]$"),
            Range("(K_A, K_B)", ", ".join(map(str, pairs_of(scale)))),
        ),
        Route.NEWTON,
        r"On every cell in $(\log R, \log \beta)$ interval Newton encloses the solution of the equations of Proposition 12.9 "
        r"and the derivative of the decay, which is positive; a polynomial with a remainder encloses $\lambda_0$.",
        "separated for smaller decays", "collapsed for larger decays",
    )  # fmt: skip


def fixed_norm(scale: str = "default", rule: Equations | None = None) -> Box:
    """X3.

    Parameters
    ----------
    scale : str, "quick", "default" or "full"
    rule : `equations`, or a wrong version of it

    Returns
    -------
    Box
    """
    pairs, used = pairs_of(scale), rule or equations
    crossed = (
        *(thresholds(used, pairs[-1], decay) for decay in (0.003, 0.006, 0.01)),
        *(off_border(used, sizes, factor) for sizes in ((5, 5), (3, 7)) for factor in (0.98, 1.02)),
    )
    # A rule that misses a certified threshold has failed: its mesh would be divided in vain.
    sound = all(finding.outcome is Outcome.HOLDS for finding in crossed)
    with precision(BITS):
        strips = [strip(used, sizes) if sound else FAILED for sizes in pairs]
    beside, along = min(s.beside for s in strips), max(s.along for s in strips)
    zero = Enclosure(0.0, 0.0)
    findings = (
        less("the decay rises with beta beside the border, on every cell", zero, Enclosure(beside, beside), level="rigorous"),
        less("the border falls with R, on every cell", Enclosure(along, along), zero, level="rigorous"),
        *crossed,
    )
    controls = (thresholds(_forgotten, (5, 5), 0.01), thresholds(_without, (5, 5), 0.01))
    points = tuple(strips[-1].points)
    name = f"decay over the squared norm, K_A = {pairs[-1][0]}, K_B = {pairs[-1][1]}"
    heights = (min((y for _, y in points), default=1e-3) / 2, max((y for _, y in points), default=1.0) * 2)
    return Box(
        **vars(fixed_norm_claim(scale)), band=max(s.band for s in strips), findings=findings, controls=controls,
        cells=sum(s.cells for s in strips),
        curve=Curve("ratio R", name, points, RATIOS, heights, "collapsed above the line", "separated below it"),
    )  # fmt: skip
