r"""Heads that are not convex: where collapsed and separated minority classes have the same value, often with a jump.

Theory (docs/theory, Propositions 7.8, 7.9): while ``sqrt(n_B) > N phi'(0)`` no collapsed point is a local minimum, and where
``sqrt(n_B) <= N min phi'`` every global minimiser has collapsed (``min phi'`` is ``mu (1 - contraction)`` for an equilibrium
with decay). Between these two ratios the threshold is that of the best solutions found.

*Continuous.* If the penalty has a finite slope ``phi'(0)`` and nothing separated is better just above the ratio at which
``sqrt(n_B) = N phi'(0)``, that ratio is returned, in closed form.

*Jump.* Otherwise the best collapsed and the best separated solution are followed in R until their values cross. Both are
*best found*: the separated ones by descent on the full K x K program from seeded starts, which may break the symmetry
between equal classes (docs/theory, Proposition 3.6), and the note says where the values cross among symmetric solutions alone.
"""

from __future__ import annotations

from fractions import Fraction
from math import inf, sqrt

import numpy as np

from ufm.analysis.thresholds.decay import decay_threshold
from ufm.analysis.thresholds.enclosed import Threshold
from ufm.analysis.thresholds.family import PLAIN, Family, core_apart
from ufm.errors import InputError
from ufm.problem.heads import Head
from ufm.problem.losses import Loss
from ufm.problem.regularizers import WeightDecay
from ufm.solvers.nonconvex.descent import Descent, Found
from ufm.spectral.program import LogitProgram, Point

SEPARATED = 1e-3
"""Logit contrast (nats) from which minority classes count as separated."""
MAX_CLASSES = 20
RELATIVE = 5e-7
STEPS = 1500
"""Iterations of one descent."""
CONTRASTS = (3.0, 8.0)
"""Logits (nats) of structured starts."""
PARTIAL = 5.0
"""Logits (nats) of starts that separate some of the minority classes."""
SMALL = 0.3
"""Smaller one of two initial minority contrasts, relative to the gap between the groups (the other is equal to it)."""
STARTS = 4
"""Number of random starts; their largest singular value is drawn from HEIGHTS, SKEW scales their asymmetric part."""
HEIGHTS = (2.0, 9.0)
SKEW = 0.3
POLISHED = 3
"""Number of rough descents that are continued to convergence."""
KEPT = 2
"""Number of solutions of either kind from which the next ratio starts."""
SAME = 1e-9
"""Relative difference up to which values belong to one solution."""
SEARCHES = 4
"""Number of bisections with fresh starts; later ones start from known solutions."""
FIRST = 1e-8
"""Relative error allowed for where a ratio is the numerical root of a stationarity system."""
NOISE = 1e-11
"""Differences of values below this are rounding errors."""
GROWTH = 4.0
"""Factor by which ratios grow until collapse is better, where no ratio is known at which it must be."""
MAX_RATIO = 1e5


def jump_threshold(
    majority: int,
    minority: int,
    count: int,
    regularizer: WeightDecay,
    head: Head,
    random_state: int = 0,
    loss: Loss = PLAIN,
) -> Threshold:
    """The ratio from which the best solution found has collapsed minority classes, enclosed to a relative 1e-6.

    Parameters
    ----------
    majority, minority : int, K_A >= 1 and K_B >= 2
    count : int, n_B (1 for decay per class)
    regularizer : WeightDecay
    head : Head with a separable penalty
    random_state : int, of the random starts
    loss : Loss, defined at all shares (`Loss.at_shares`); head or loss is not convex

    Returns
    -------
    Threshold
        Level "numeric".

    Raises
    ------
    InputError
        K above 20, or no exchange at ratios from 1 to 1e5.
    """
    if majority + minority > MAX_CLASSES:
        raise InputError(
            f"classes has K={majority + minority}; jumps are searched for on the full program, up to K={MAX_CLASSES}"
        )
    import scipy.optimize  # noqa: F401  (its threads must exist before they can be limited)
    from threadpoolctl import threadpool_limits

    family = Family(majority, minority, count, regularizer, head, loss)
    with threadpool_limits(limits=1):
        return search_exchange(family, random_state)


class Tracker:
    """Best collapsed and separated solutions at a ratio, with those of other ratios among the starts.

    Parameters
    ----------
    family : Family
    random_state : int, of the random starts
    """

    def __init__(self, family: Family, random_state: int) -> None:
        self.family = family
        self.rng = np.random.default_rng(random_state)
        # Starts from the last ratio, and from the largest ratio so far at which the separated solution was better: a solution
        # that does not exist at some larger ratio may exist at ratios between.
        self.pools: dict[str, list[Point]] = {"collapsed": [], "separated": []}
        self.anchors: dict[str, list[Point]] = {"collapsed": [], "separated": []}

    def excess(self, ratio: float, search: bool) -> float:
        """Separated minus collapsed value (nats): positive where collapse is better, infinite without a separated solution.

        ``search`` adds fresh starts to the known solutions.
        """
        apart = self.best("separated", self.family.program(ratio).split(), search)
        together = self.best("collapsed", self.family.one_minority(ratio), search)
        if apart < together - NOISE:
            self.anchors = {kind: list(points) for kind, points in self.pools.items()}
        return apart - together

    def best(self, kind: str, program: LogitProgram, search: bool) -> float:
        """Best value of a kind of solution.

        Parameters
        ----------
        kind : {"collapsed", "separated"}
        program : LogitProgram, in which solutions of this kind are searched for
        search : bool, whether to add fresh starts to those from other ratios

        Returns
        -------
        float
            Objective (nats); infinite if no separated solution was found.
        """
        descent = Descent(program, program.classes)
        adapt = kind == "separated"

        def sort(found: list[Found]) -> list[Found]:
            return sorted((f for f in found if not adapt or self.apart(program, f.point)), key=lambda f: f.value)

        found = [descent.run(point, STEPS, adapt=adapt) for point in (*self.pools[kind], *self.anchors[kind])]
        if search:
            starts = self.starts(program) + (self.partial(program) if adapt else [])
            rough = sort([descent.run(start, STEPS, rough=True) for start in starts])
            found += [descent.run(f.point, STEPS, adapt=adapt) for f in rough[:POLISHED]]
        found = sort(found)
        distinct = [f for i, f in enumerate(found) if i == 0 or f.value > found[i - 1].value * (1 + SAME)]
        if distinct:
            self.pools[kind] = [f.point for f in distinct[:KEPT]]
        return distinct[0].value if distinct else np.inf

    def starts(self, program: LogitProgram) -> list[Point]:
        """Starts: zero, all groups separated, and random cores of full rank."""
        groups, zero = program.groups, np.zeros(program.groups)
        starts = [Point(zero, core_apart(program, x), zero) for x in (0.0, *CONTRASTS)]
        for _ in range(STARTS):
            left = self.rng.standard_normal((groups, groups - 1))
            core = left @ (left.T + SKEW * self.rng.standard_normal((groups - 1, groups))) * program.scale
            height = float(self.rng.uniform(*HEIGHTS)) * float(program.scale.max())
            starts.append(Point(zero, core * (height / np.linalg.norm(core, 2)), zero))
        return starts

    def partial(self, program: LogitProgram) -> list[Point]:
        """Starts with the majority and j of the minority classes separated, the others collapsed onto one classifier."""
        first, classes = self.family.majority, program.groups
        zero = np.zeros(classes)
        starts = []
        for kept in range(2, self.family.minority):
            block = np.eye(classes)
            rest = slice(first + kept, None)
            block[rest, rest] = 1.0 / (self.family.minority - kept)
            starts.append(Point(zero, PARTIAL * (block - 1.0 / classes) * program.scale, zero))
        return starts

    def apart(self, program: LogitProgram, point: Point) -> bool:
        """Whether two minority classes differ by more than `SEPARATED` in some column of logits, on the full program."""
        first = self.family.majority
        inner = program.spread(point)[first:-1, first:]
        return bool(np.ptp(inner, axis=0).max() > SEPARATED)

    def symmetric_excess(self, ratio: float) -> float:
        """As `excess`, among solutions that are invariant under permutations of equal classes."""
        program = self.family.program(ratio)
        descent = Descent(program, program.classes)
        zero = np.zeros(2)
        apart, together = np.inf, np.inf
        # Where the penalty has an infinite slope at zero, solutions without a gap between the groups are minima of their own.
        gaps = (1.0, 0.0) if self.family.steep else (1.0,)
        for height, gap in ((x, share * x) for x in CONTRASTS for share in gaps):
            core = core_apart(program, gap)
            for x in (height * program.scale[0], 0.0):
                together = min(together, descent.run(Point(np.array([x, 0.0]), core, zero), STEPS, adapt=False).value)
                for y in (SMALL * height, height):
                    found = descent.run(Point(np.array([x, y * program.scale[1]]), core, zero), STEPS)
                    if found.point.contrast[1] / program.scale[1] > SEPARATED:
                        apart = min(apart, found.value)
        return apart - together


def search_exchange(family: Family, random_state: int) -> Threshold:
    """The ratio at which the best collapsed solution becomes better than the best separated one.

    Parameters
    ----------
    family : Family
    random_state : int, of the random starts

    Returns
    -------
    Threshold

    Raises
    ------
    InputError
        One kind of solution is better at all ratios from 1 to 1e5.
    """
    tracker = Tracker(family, random_state)
    first, last = max(family.first(), 0.0), family.last()
    if first == inf:
        raise InputError(f"{family.name}: no collapse was found at ratios up to 1e8; raise the decay")
    at = max(first * (1 + 1e-4), 1.0)
    if tracker.excess(at, True) >= -NOISE:
        return _continuous(family)
    low, high = at, last if last is not None else GROWTH
    while last is None and tracker.excess(high, True) < -NOISE:
        low, high = high, min(GROWTH * high, MAX_RATIO)
        if low == high:
            raise InputError(
                f"{family.name}: separated solutions stay better up to a ratio of {high:.3g}, "
                "so no collapse was found; raise the decay"
            )
    for _ in range(SEARCHES):
        middle = sqrt(low * high)
        low, high = (middle, high) if tracker.excess(middle, True) < -NOISE else (low, middle)
    low, high = narrowed(tracker, low, high)
    symmetric = exchange(tracker, at, high)
    shown = f"the exchange is at R = {symmetric:.4g}" if symmetric is not None else "collapse is best from the start"
    note = f"best found, not proved: the program is not convex; among solutions that treat equal classes alike {shown}"
    if last is not None:
        note += f"; collapse is proved from R = {last:.6g}"
    return Threshold("ratio", 0.5 * (low + high), low, high, "numeric", "jump", note)


def narrowed(tracker: Tracker, low: float, high: float) -> tuple[float, float]:
    """A bracket of the ratio at which the excess changes its sign, narrowed to a relative width of 2 RELATIVE.

    Parameters
    ----------
    tracker : Tracker
    low, high : float, ratios at which the separated and the collapsed solution is better

    Returns
    -------
    float, float
        The ends of the narrowed bracket.
    """
    a, b = tracker.excess(low, False), tracker.excess(high, False)
    while high / low > 1 + 2 * RELATIVE:
        middle = secant(low, high, a, b)
        value = tracker.excess(middle, False)
        low, high, a, b = (middle, high, value, b) if value < -NOISE else (low, middle, a, value)
    return low, high


def secant(low: float, high: float, a: float, b: float) -> float:
    """Next ratio to evaluate: slightly beyond the zero of the chord of the excess, so that the bracket shrinks at both ends.

    Parameters
    ----------
    low, high : float, ends of the bracket
    a, b : float, excess at the ends

    Returns
    -------
    float
        The middle of the bracket where the excess is not finite or has no change of sign.
    """
    if not (np.isfinite(a) and np.isfinite(b) and a < 0 < b):
        return 0.5 * (low + high)
    crossing = low - a * (high - low) / (b - a)
    nudge = max(0.4 * RELATIVE * crossing, 0.01 * (high - low))
    return crossing + nudge if crossing - low < high - crossing else crossing - nudge


def exchange(tracker: Tracker, low: float, high: float) -> float | None:
    """The ratio at which symmetric separated solutions stop being better than collapsed ones, to four digits.

    Parameters
    ----------
    tracker : Tracker
    low, high : float, ratios between which it is searched for

    Returns
    -------
    float or None
        None if they are not better at ``low``.
    """
    if tracker.symmetric_excess(low) >= -NOISE:
        return None
    while high / low > 1 + 1e-4:
        middle = sqrt(low * high)
        low, high = (middle, high) if tracker.symmetric_excess(middle) < -NOISE else (low, middle)
    return sqrt(low * high)


def _continuous(family: Family) -> Threshold:
    """The threshold `Family.first`, in closed form."""
    if family.first() <= 0:
        raise InputError(
            f"{family.name}: collapsed minority classes were best at R = 1 already, so there is no threshold above it; "
            "lower the decay"
        )
    if family.loss.convex:
        found = decay_threshold(family.majority, family.minority, family.count, family.regularizer, Fraction(1), "float")
        value, lower, upper = found.value, found.lower, found.upper
    else:
        value = family.first()
        lower, upper = value * (1 - FIRST), value * (1 + FIRST)
    note = (
        "where the collapsed solution stops being a local minimum; nothing better was found just above it, but the program "
        "is not convex, so that this is best found, not proved"
    )
    return Threshold("ratio", value, lower, upper, "numeric", "continuous", note)
