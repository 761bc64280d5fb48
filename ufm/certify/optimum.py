r"""What a certificate proves about the optimum itself, not only about its value.

Let ``delta = upper - lower`` in ball arithmetic. The theory is in docs/theory:

* *Probabilities* (Propositions 8.1, 8.2). ``sum_k pi_k KL(p*_k || p_k) <= delta`` for the softmax columns p at the witness's
  logits; by Pinsker's inequality a single probability, averaged over m equally large classes, moves by at most
  ``sqrt(delta / (2 m pi))``.
* *Contrasts* follow from ratios of probabilities (Proposition 8.3) and by complementary slackness (Proposition 8.4): if the
  witness exerts only ``g < mu`` on the contrasts of a group of m classes, ``(m - 1) s x* (mu - g) <= delta`` for the group's
  contrast ``x*`` (budgets: with ``||G||_2`` in place of mu). Contrasts of the optimum are never negative (Proposition 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flint import arb

from ufm.certify.verify import (
    ExactProblem,
    Linear,
    Lower,
    Upper,
    lower_bound,
    stated_problem,
    upper_bound,
    working_precision,
)
from ufm.certify.verify.arithmetic import ZERO, ball, total
from ufm.errors import InputError

INFINITE = arb("inf")


@dataclass(frozen=True)
class Optimum:
    """Proved statements about the optimum of a certificate's problem, class groups as in the document.

    Attributes
    ----------
    problem : ExactProblem
    lower : Lower, the proved lower bound with its slopes
    upper : Upper, the proved upper bound with the probabilities at its factors
    """

    problem: ExactProblem
    lower: Lower
    upper: Upper

    @classmethod
    def of(cls, document: dict[str, Any]) -> Optimum:
        """From a certificate document; both bounds are evaluated anew.

        Parameters
        ----------
        document : dict, as from `Certificate.document`

        Raises
        ------
        InputError
            The program is not convex in singular values, or the witness proves nothing.
        """
        with working_precision():
            problem = stated_problem(document)
            if not isinstance(problem.charge, Linear) or problem.charge.columns:
                raise InputError("statements about the optimum need a head that is convex in singular values")
            upper = upper_bound(problem, document["primal"])
            return cls(problem, lower_bound(problem, document["dual"], upper.value), upper)

    @property
    def gap(self) -> arb:
        """Upper minus lower bound, an upper end of the ball."""
        return (self.upper.value - self.lower.value).upper().max(ZERO)

    def radius(self, groups: list[int]) -> arb:
        """Distance between a probability of the optimum and of the witness, at most (docs/theory, Proposition 8.2).

        Parameters
        ----------
        groups : list of int, indices of groups of equally large classes, over whose columns the probability is averaged

        Returns
        -------
        arb
            The distance; for squared error that between the logits, averaged likewise.
        """
        problem = self.problem
        classes = sum(problem.m[g] for g in groups)
        found = (self.gap / (2 * classes * problem.share_ball[groups[0]])).sqrt()
        return 2 * found if problem.squared else found

    def own(self, groups: list[int]) -> arb:
        """Ball for the probability that the optimum gives to the class itself, averaged over equally large classes.

        For squared error: for the logit.
        """
        with working_precision():
            weight = sum(self.problem.m[g] for g in groups)
            mean = total(self.problem.m[g] * self.upper.own[g] for g in groups) / weight
            return _ball(mean, self.radius(groups))

    def other(self, rows: list[int], columns: list[int]) -> arb:
        """Ball for the probability that a column gives to one *other* class, averaged over both.

        For squared error: for the logit.

        Parameters
        ----------
        rows, columns : list of int, indices of the groups of the other class and of the column's class
        """
        with working_precision():
            m = self.problem.m
            pairs = {(g, h): m[g] * m[h] - (m[g] if g == h else 0) for h in columns for g in rows}
            mean = total(count * self.upper.other[g][h] for (g, h), count in pairs.items()) / sum(pairs.values())
            return _ball(mean, self.radius(columns))

    def contrast(self, groups: list[int]) -> tuple[arb, arb]:
        """Bounds on the logit contrast (nats) of two or more equally large classes (docs/theory, Propositions 8.3, 8.4).

        Parameters
        ----------
        groups : list of int, indices of the groups of these classes

        Returns
        -------
        arb, arb
            Lower bound (at least 0) and upper bound (it may be infinite).
        """
        with working_precision():
            own, other = self.own(groups), self.other(groups, groups)
            if self.problem.squared:
                # Here own and other are logits; the loss is strongly convex in them, with twice the radius.
                lower, upper = (own - other).lower().max(ZERO), (own - other).upper().max(ZERO)
            elif self.problem.logistic:
                least, most = _least_logit(own) - _largest_logit(other), _largest_logit(own) - _least_logit(other)
                lower = least.lower().max(ZERO) if least.is_finite() else ZERO
                upper = most.upper().max(ZERO) if most.is_finite() else INFINITE
            else:
                temperature = self.problem.temperature_ball[groups[0]]
                lower = ((own.lower() / other.upper()).log() / temperature).lower() if own > other else ZERO
                upper = ((own.upper() / other.lower()).log() / temperature).upper().max(ZERO) if other > 0 else INFINITE
            return lower, upper.min(self._slackness(groups))

    def _slackness(self, groups: list[int]) -> arb:
        """Upper bound on the contrast by complementary slackness (docs/theory, Proposition 8.4); infinite without slack."""
        problem, low = self.problem, self.lower
        m, first = problem.m, groups[0]
        classes = sum(m[g] for g in groups)
        own = arb(sum(m[g] * low.own[g] for g in groups)) / classes
        within = sum((m[g] * m[h] - (m[g] if g == h else 0)) * low.other[g][h] for g in groups for h in groups)
        scale = ball(problem.scale_squared[first]).sqrt()
        if problem.row_squared is not None:
            scale *= ball(problem.row_squared[first]).sqrt()
        reached = arb(within) / (classes * (classes - 1)) - own
        reached *= problem.temperature_ball[first] * problem.share_ball[first] / (low.denominator * scale)
        slack = low.allowed - low.shrink * reached
        if not slack > 0:
            return INFINITE
        return (self.gap / (slack * (classes - 1) * scale)).upper()

    def margin(self, a: int, b: int) -> tuple[arb, arb]:
        """Bounds on the logit of class a minus that of class b in the column of class a (groups of one class), in nats.

        With bias, and under temperatures and offsets of the logits after them (docs/theory, Proposition 8.3).

        Parameters
        ----------
        a, b : int, indices of groups of one class each

        Returns
        -------
        arb, arb
            Lower and upper bound; infinite where a probability cannot be told from zero or one.
        """
        with working_precision():
            own, other = self.own([a]), self.other([b], [a])
            if self.problem.squared:
                return (own - other).lower(), (own - other).upper()
            if self.problem.logistic:
                least, most = _least_logit(own) - _largest_logit(other), _largest_logit(own) - _least_logit(other)
                return least.lower() if least.is_finite() else -INFINITE, most.upper() if most.is_finite() else INFINITE
            lower = (own.lower() / other.upper()).log().lower() if own > 0 else -INFINITE
            upper = (own.upper() / other.lower()).log().upper() if other > 0 else INFINITE
            return lower, upper


def _ball(middle: arb, radius: arb) -> arb:
    """All numbers within ``radius`` of a ball."""
    return (middle - radius).union(middle + radius)


def _least_logit(probability: arb) -> arb:
    """Lower bound on ``log(p / (1 - p))``, the logit of one-vs-rest."""
    low = probability.lower()
    if not low > 0:
        return -INFINITE
    return (low / (1 - low)).log().lower() if low < 1 else INFINITE


def _largest_logit(probability: arb) -> arb:
    """Upper bound on ``log(p / (1 - p))``."""
    high = probability.upper()
    if not high < 1:
        return INFINITE
    return (high / (1 - high)).log().upper() if high > 0 else -INFINITE
