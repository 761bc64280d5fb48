r"""Sun & Shi (NeurIPS 2024): does gradient descent on a linear DEQ find the optimum of D1-D3?  [sunshi2024]

Free W, A (``||A||_2 <= rho``) and features h, trained by projected gradient descent with momentum from random starts; the end
is compared with the certified optimum of the equivalent explicit model.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._balls import outward
from ufm.analysis.enclosures import enclose_logits
from ufm.solvers import Gradient

RHO = 0.3
STOP = 1e-9
"""Certified relative gap at which the descent stops."""
DECAY = ufm.WeightDecay(1e-2, 1e-2)
BUDGET = ufm.NormBudget(1.0, 2.0)


class Free(NamedTuple):
    """Class sizes, regulariser, and whether the optimum's minority has collapsed (None: there is no minority)."""

    counts: str
    regularizer: ufm.WeightDecay | ufm.NormBudget
    collapsed: str | None
    seed: int = 0


@cache
def trained(p: Free, steps: int = 20_000) -> ufm.Solution:
    """Where gradient descent ends, with its certificate."""
    return ufm.solve(problem(p), method=Gradient(rule="heavy-ball", tolerance=STOP, max_iterations=steps, random_state=p.seed))


def problem(p: Free) -> ufm.Problem:
    """The linear DEQ of an instance."""
    return ufm.Problem(ufm.ClassCounts.parse(p.counts), regularizer=p.regularizer, head=ufm.LinearDEQ(RHO))


def _outside_band(p: Free) -> bool:
    """Whether ``sqrt(n_B)`` is no number between ``N mu (1 - rho)`` and ``N mu (1 + rho)``, where there is a decay."""
    counts, regularizer = ufm.ClassCounts.parse(p.counts), p.regularizer
    if len(counts.groups) == 1 or isinstance(regularizer, ufm.NormBudget):
        return True
    reach = counts.total * regularizer.mu
    return not reach * (1 - RHO) < min(n for _, n in counts.groups) ** 0.5 < reach * (1 + RHO)


class Dynamics(Theorem):
    r"""Gradient descent on W, A, h of a linear DEQ finds the certified optimum on either side of $R_0$, except in a band
    below it, $N \mu (1 - \rho) < \sqrt{n_B} < N \mu (1 + \rho)$ under decay.

    *Measured.* Value, geometry of W and minority collapse of the end are those of the certified optimum: on balanced
    classes, where the minority has collapsed at the optimum ($R \ge R_0$), and far enough below $R_0$; with decay, where
    $\sqrt{n_B} > N \mu (1 + \rho)$.

    *Proved, about the band.* Let directions be dead, $W = H = 0$ along them, and let A act on them as a block D,
    $\lVert D \rVert_2 \le \rho$. The objective does not depend on D, and gradient descent leaves the directions dead and D
    fixed (docs/theory, Proposition 9.1). Such points have no negative curvature along the dead directions iff
    $g\, \lVert (I - D)^{-1} \rVert_2 \le \mu \sqrt{n}$, with $\mu = \sqrt{\lambda_W \lambda_H}$ and g the slope of the loss
    along a logit of a class of n samples (Proposition 9.2). For the best collapsed logits in the band this holds iff
    $\sigma_{\min}(I - D) \ge \sqrt{n_B} / (N \mu)$, that is, if D is too small. Where the inequality is strict, the points
    are local minima (not strict ones) above the optimum if A is $\rho I$ on the other directions and the collapsed logits
    are a local minimum among matrices of their rank, and are no local minima if the collapsed logits are not (Propositions
    9.3, 9.4). The condition holds near the end of the band next to $R_0$ if the logits keep their rank there, and here, at
    $\rho = 0.3$, at all ratios computed in the band; it does not hold everywhere: it fails at $\rho = 0.8$, $K_A = 2$,
    $K_B = 3$, $n_B = 10$, decay 1e-2, $R = 10$.

    *Measured, in the band.* From A near 0 the descent ends above the optimum about where the explicit network collapses,
    $\sqrt{n_B} < N \mu$ (here at $R = 18$, from every start tried); nearer to the lower end of the band in R most starts
    still find the optimum.
    """

    id = "D9"
    title = "gradient descent finds the DEQ's optimum on either side of R0, except in a band below it"
    kind = Kind.LIMIT
    source = cite("sunshi2024", "training dynamics; precise form, and the band of plateaus, derived here")
    hypotheses = (Hypothesis(r"balanced classes, or a decay that keeps the ratio out of the band", _outside_band),)
    required = "numeric"
    formulas = ("check", "end")
    open_steps = "the Hessian of a block of dead directions, and where the descent ends, which is measured from single starts"

    def grid(self):
        return [
            Free("10*5", BUDGET, None),
            Free("10*5", DECAY, None),
            Free("40*2,5*3", BUDGET, "no"),
            Free("400*2,5*3", BUDGET, "yes"),
            Free("90*2,10*3", DECAY, "no"),
            Free("274*2,10*3", DECAY, "yes"),
        ]

    @staticmethod
    def end(solution: ufm.Solution) -> Enclosure:
        """The objective where the descent stopped (of its own W, A and h), up to its stopping tolerance.

        Rounding of the objective, a sum of positive terms in float64, is far below that tolerance.
        """
        assert solution.path is not None
        value = float(solution.path.loss[-1])
        return Enclosure(value * (1 - STOP), value * (1 + STOP))

    def check(self, instance: Free, level: str) -> Iterator[Finding]:
        solution, optimum = trained(instance), ufm.solve(problem(instance), level=level)
        what = f"{instance.counts}, {instance.regularizer}"
        yield equal(f"value, {what}", Enclosure.of(optimum.certificate), self.end(solution), tolerance=1e-8, level="float")
        cosine = ufm.geometry(solution)["cos_minority"]
        assert cosine is not None
        ball = enclose_logits(optimum).weight_cosines[-1]
        # One plus the cosine, since cosines can vanish. Where the minority has collapsed the cosine is 1, which the enclosure
        # of a contrast near zero cannot tell.
        predicted = Enclosure(2.0, 2.0) if instance.collapsed == "yes" else Enclosure(*outward(1 + ball))
        near = Enclosure(1 + cosine - 1e-6, 1 + cosine + 1e-6)
        yield equal(f"one plus the minority cosine, {what}", predicted, near, tolerance=1e-4, level="numeric")
        if instance.collapsed is not None:
            found = ufm.collapse(solution, tolerance=1e-4)
            margin = found.lower if found.verdict == "no" else found.tolerance - found.upper
            yield decided(
                f"collapsed: {instance.collapsed}, {what}", instance.collapsed, found.verdict, margin=margin, level=level
            )

    def steps(self):
        import sympy as sp

        w, h, a = sp.symbols("w h a", real=True)  # one dead direction, on which A acts as a
        g, lw, lh, n = sp.symbols("g lambda_W lambda_H n", positive=True)
        local = -g * w * h / (1 - a) + lw * w**2 / 2 + n * lh * h**2 / 2
        dead = {w: 0, h: 0}
        yield "along a dead direction the objective does not depend on a", sp.simplify(local.subs(dead)) == 0
        yield "nor does its slope by a", sp.simplify(sp.diff(local, a).subs(dead)) == 0
        hessian = sp.hessian(local, (w, h)).subs(dead)
        condition = sp.simplify(hessian.det() - (lw * lh * n - g**2 / (1 - a) ** 2))
        yield r"the curvature is not negative iff $g/(1 - a) \le \sqrt{\lambda_W \lambda_H n}$", condition == 0
        mixed = [sp.simplify(sp.diff(local, a, x).subs(dead)) for x in (a, w, h)]
        yield "curvature along a vanishes: no strict minimum, no strict saddle", mixed == [0, 0, 0]

    def control(self, level: str):
        # The claim without its band: R = 18 is below R0 = 21.09, and the descent ends above the optimum.
        stuck = Free("180*2,10*3", DECAY, "no")
        optimum = ufm.solve(problem(stuck), level=level)
        end = self.end(trained(stuck, 3000))
        yield equal(
            "the descent ends at the optimum in the band too",
            Enclosure.of(optimum.certificate),
            end,
            tolerance=1e-8,
            level="float",
        )
        below = self.grid()[2]
        found = ufm.collapse(trained(below), tolerance=1e-4)
        yield decided("collapsed below the threshold", "yes", found.verdict, margin=found.lower, level=level)

    def twin(self, level: str):
        first, second = (self.end(trained(Free("40*2,5*3", BUDGET, "no", seed))) for seed in (0, 1))
        yield equal("another random start", first, second, tolerance=1e-8, level="float")
        relabelled = self.end(trained(Free("5*2,40*2,5*1", BUDGET, "no")))
        yield equal("classes relabelled", first, relabelled, tolerance=1e-8, level="float")

    def outside(self, level: str):
        banded = Free("180*2,10*3", DECAY, "no")
        optimum = Enclosure.of(ufm.solve(problem(banded), level=level).certificate)
        for seed in (0, 1, 2):
            end = self.end(trained(banded._replace(seed=seed), 3000))
            yield less(f"in the band, seed {seed}: the descent ends above the optimum", optimum, end, level="float")
        threshold = ufm.threshold(classes=(2, 3), regularizer=DECAY, minority_count=10, head=ufm.LinearDEQ(RHO), level=level)
        yield less("that ratio is below R0", Enclosure(18.0, 18.0), Enclosure(threshold.lower, threshold.upper), level=level)
