"""What each head charges for feature dimensions of given lengths, and a convex bound from below, in balls.

Nothing here is imported from the solvers' penalties: the formulas are implemented independently. Proofs: docs/theory,
Propositions 1.6 (linear layers), 5.2, 5.4, 5.6 (equilibria), 1.8, 1.9 (columns), 2.5 (`convex`) and 2.7 (`turn`).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

from flint import arb

from ufm.certify.verify.arithmetic import ZERO, ball, positive, rational, shown, total, within
from ufm.certify.verify.document import fields, kind
from ufm.errors import InputError

PRODUCT_OF_DECAYS = Fraction(1e-300) ** 2, Fraction(1e300) ** 2
PRODUCT_OF_BUDGETS = Fraction(1e-150) ** 2, Fraction(1e150) ** 2
RATIO = Fraction(1e-150), Fraction(1e150)
"""Of the decays, or budgets, on weights and features."""
DECAYS_ON_A = Fraction(1e-100), Fraction(1e100)
NORMS = Fraction(1e-150), Fraction(1e150)

Lengths = list[tuple[arb, int]]
"""Lengths of feature dimensions (singular values of the scaled logits, or column norms), each with its multiplicity."""


class Charge(Protocol):
    """A head's charge under a regulariser.

    Attributes
    ----------
    ball : bool, whether it is a budget (a constraint) instead of a price
    columns : bool, whether it acts on scaled column norms of the logits instead of singular values
    nonnegative : bool
        Whether features must be non-negative, so that lower bounds need columns of slopes with non-positive inner products.
    square : bool, whether it is ``strength/2`` times the sum of squares (or a bound on its root, or, with ``caps``, on each)
    caps : bool, whether each length is bounded by itself
    """

    ball: bool
    columns: bool
    nonnegative: bool
    square: bool
    caps: bool

    def price(self, lengths: Lengths) -> arb:
        """What the lengths add to the objective (nats)."""
        ...

    def gauge(self, lengths: Lengths) -> arb:
        """Factor by which lengths exceed a budget: at most 1 inside, and lengths divided by it are inside."""
        ...

    def convex(self, upper: arb) -> arb:
        """Strength of a convex charge that is nowhere above this one, as far as this one is at most ``upper``.

        The convex charge is the strength times the nuclear norm, or (`ball`) bounds the nuclear norm by the strength
        (docs/theory, Proposition 2.5).
        """
        ...


def _total(lengths: Lengths) -> arb:
    return total(c * t for t, c in lengths)


def _squares(lengths: Lengths) -> arb:
    return total(c * t * t for t, c in lengths)


class Linear:
    """``strength`` per unit of length, or a budget of ``strength`` on the sum of lengths."""

    def __init__(self, strength: arb, is_ball: bool, *, columns: bool = False, nonnegative: bool = False) -> None:
        self.strength, self.ball, self.columns, self.nonnegative = strength, is_ball, columns, nonnegative
        self.square = self.caps = False

    def price(self, lengths: Lengths) -> arb:
        """``strength`` times the sum of lengths."""
        return self.strength * _total(lengths)

    def gauge(self, lengths: Lengths) -> arb:
        """The sum of lengths over the budget."""
        return _total(lengths) / self.strength

    def convex(self, upper: arb) -> arb:
        """The strength itself."""
        return self.strength


class Squares(Linear):
    """``strength / 2`` per square of a column's norm, a budget on the root of their sum, or on each (``caps``)."""

    def __init__(self, strength: arb, is_ball: bool, caps: bool = False) -> None:
        super().__init__(strength, is_ball, columns=True)
        self.square, self.caps = True, caps

    def price(self, lengths: Lengths) -> arb:
        return self.strength / 2 * _squares(lengths)

    def gauge(self, lengths: Lengths) -> arb:
        if self.caps:
            largest = ZERO
            for t, _ in lengths:
                largest = largest.max(t)
            return largest / self.strength
        return _squares(lengths).sqrt() / self.strength


class Power:
    """``strength`` times the sum of ``length^power``, or a budget of ``strength`` on that sum (linear layers)."""

    columns = nonnegative = square = caps = False

    def __init__(self, strength: arb, power: Fraction, is_ball: bool) -> None:
        self.strength, self.exponent, self.ball = strength, ball(power), is_ball

    def each(self, length: arb) -> arb:
        """Price of one length."""
        # Lengths are exact zeros or proved positive; a ball around zero would give NaN, which proves nothing.
        return self.strength * length**self.exponent

    def price(self, lengths: Lengths) -> arb:
        """Sum over lengths of `each`."""
        return total(c * self.each(t) for t, c in lengths)

    def gauge(self, lengths: Lengths) -> arb:
        """Factor by which lengths exceed the budget on the sum of powers."""
        return (self.price(lengths) / self.strength**2) ** (1 / self.exponent)

    def convex(self, upper: arb) -> arb:
        """Slope of the chord from 0 to the length that alone costs ``upper``; the largest nuclear norm within a budget."""
        if self.ball:
            return self.strength ** (1 / self.exponent)
        largest = (upper / self.strength) ** (1 / self.exponent)
        return upper / largest

    def slope(self, length: arb) -> arb:
        """Derivative of `each` at a positive length."""
        return self.strength * self.exponent * length ** (self.exponent - 1)

    def turn(self, curvature: arb) -> tuple[arb, arb]:
        """Length at which the second derivative of `each` is ``-curvature``, and zero for the error of what follows.

        With ``curvature s^2 / 2`` added the price is concave before this length and convex after it (docs/theory, Proposition
        2.7).
        """
        return (self.strength * self.exponent * (1 - self.exponent) / curvature) ** (1 / (2 - self.exponent)), ZERO


class Minimax:
    """``mu t (1 - a) + decay a^2 / 2`` with ``a = min(mu t / decay, contraction)`` (equilibria with decay on A)."""

    ball = columns = nonnegative = square = caps = False

    def __init__(self, mu: arb, decay: Fraction, contraction: Fraction) -> None:
        self.mu, self.decay, self.contraction = mu, ball(decay), ball(contraction)
        self.knee = self.contraction * self.decay / mu

    def strength(self, length: arb) -> arb:
        """The best a for one length; a ball around both candidates where they cannot be told apart."""
        return (self.mu * length / self.decay).min(self.contraction)

    def each(self, length: arb) -> arb:
        """Price of one length."""
        a = self.strength(length)
        return self.mu * length * (1 - a) + self.decay * a * a / 2

    def price(self, lengths: Lengths) -> arb:
        """Sum over lengths of `each`."""
        return total(c * self.each(t) for t, c in lengths)

    def gauge(self, lengths: Lengths) -> arb:
        """Zero: there is no budget."""
        return ZERO

    def convex(self, upper: arb) -> arb:
        """Slope of the chord from 0 to the length that alone costs ``upper``."""
        corner = self.decay * self.contraction * (1 - self.contraction / 2)
        steep = self.mu * (1 - self.contraction)
        if upper < corner:
            # With t = decay / mu (1 - root) the chord upper / t, free of cancellation.
            return self.mu * (1 + (1 - 2 * upper / self.decay).sqrt()) / 2
        # Where the corner is too close to tell, the larger range and the smaller price serve both cases.
        excess = (upper - corner).upper().max(ZERO)
        price = upper if upper >= corner else corner.lower()
        return price / (self.knee + excess / steep)

    def slope(self, length: arb) -> arb:
        """Derivative of `each`."""
        return self.mu * (1 - self.strength(length))

    def turn(self, curvature: arb) -> tuple[arb, arb]:
        """Length up to which the price plus ``curvature s^2 / 2`` is concave, and a bound on the error of that.

        The length is 0, or the knee (where the price stops being quadratic) if the price is more concave than ``curvature``.
        Where rounding leaves open which it is, the sum has a second derivative of at most some d > 0 up to the knee, and lies
        at most ``d knee^2`` below the smaller one of its ends there: that is the error (docs/theory, Proposition 2.7).
        """
        bend = self.mu**2 / self.decay
        if bend < curvature:
            return ZERO, ZERO
        return self.knee, (curvature - bend).upper().max(ZERO) * self.knee**2


class NuclearMinusFrobenius:
    """``strength (sum t - e |t|)``, or a budget on ``sum t - e |t|`` (Frobenius budget ``e^2`` on A)."""

    columns = nonnegative = square = caps = False

    def __init__(self, strength: arb, budget: Fraction, is_ball: bool) -> None:
        self.strength, self.e, self.ball = strength, ball(budget).sqrt(), is_ball

    def _sum(self, lengths: Lengths) -> arb:
        return _total(lengths) - self.e * _squares(lengths).sqrt()

    def price(self, lengths: Lengths) -> arb:
        """``strength (sum t - e |t|)``."""
        return self.strength * self._sum(lengths)

    def gauge(self, lengths: Lengths) -> arb:
        """``sum t - e |t|`` over the budget."""
        return self._sum(lengths) / self.strength

    def convex(self, upper: arb) -> arb:
        """Strength from ``sum t - e |t| >= (1 - e) sum t``."""
        if self.ball:
            return self.strength / (1 - self.e)
        return self.strength * (1 - self.e)


def charge(head: Any, regularizer: Any, classes: Any) -> Charge:
    """The charge of a saved head under a saved regulariser.

    Parameters
    ----------
    head, regularizer : dict, from a certificate document
    classes : int, K; for a table of K rows and M contexts an arb, ``sqrt(K M)``, which only linear heads take

    Returns
    -------
    Charge

    Raises
    ------
    InputError
        An unknown head or regulariser, or parameters that no problem has.
    """
    regularized = kind(regularizer)
    if regularized == "weight_decay":
        _, *values, _, _ = fields(regularizer, "regularizer", "kind", "lambda_W", "lambda_H", "lambda_b", "features")
        low, high = PRODUCT_OF_DECAYS
    elif regularized == "norm_budget":
        _, *values = fields(regularizer, "regularizer", "kind", "E_W", "E_H")
        low, high = PRODUCT_OF_BUDGETS
    else:
        raise InputError(f"certificate has an unknown regularizer {shown(regularized)}; save it again")
    weight, features = (positive(v) for v in values)
    if not (low < weight * features < high and RATIO[0] < weight / features < RATIO[1]):
        raise InputError("certificate has decays or budgets whose product or ratio no problem has; save it again")
    name = kind(head)
    if not isinstance(name, str) or name not in HEADS:
        raise InputError(f"certificate has an unknown head {shown(name)}; save it again")
    return HEADS[name](head, _Strengths(weight, features, regularized == "weight_decay", classes))


class _Strengths(NamedTuple):
    """Decays or budgets on weights and features, and the number of classes."""

    weight: Fraction
    features: Fraction
    decay: bool
    classes: int

    def single(self) -> arb:
        """For one linear layer above free features: its price of a unit of length, or the sum of lengths within its budgets.

        ``sqrt(lambda_W lambda_H)``, or ``K sqrt(E_W E_H)``.
        """
        root = ball(self.weight * self.features).sqrt()
        return root if self.decay else self.classes * root


def _explicit(head: dict[str, Any], given: _Strengths) -> Charge:
    _, layers = fields(head, "head", "kind", "layers")
    if not isinstance(layers, int) or isinstance(layers, bool) or not 1 <= layers <= 50:
        raise InputError(f"certificate has a head of {shown(layers)} layers, which must be a whole number from 1 to 50")
    if layers == 1:
        return Linear(given.single(), not given.decay)
    depth = layers + 1
    if given.decay:
        mean = ball(given.weight**layers * given.features) ** (ball(1) / depth)
        return Power(mean * depth / 2, Fraction(2, depth), False)
    level = ball((given.classes * given.weight) ** layers * given.classes * given.features) ** (ball(1) / depth)
    return Power(level, Fraction(2, depth), True)


def _linear_deq(head: dict[str, Any], given: _Strengths) -> Charge:
    _, value = fields(head, "head", "kind", "rho")
    rho = rational(value)
    if not 0 <= rho < 1:
        raise InputError(f"certificate has rho={shown(value)}, which must lie in [0, 1)")
    strength = given.single()
    return Linear(strength * ball(1 - rho) if given.decay else strength / ball(1 - rho), not given.decay)


def _decayed_deq(head: dict[str, Any], given: _Strengths) -> Charge:
    _, decay, contraction = fields(head, "head", "kind", "decay", "contraction")
    if not given.decay:
        raise InputError("certificate has budgets for a head with decay on A, which needs decay on W and H")
    bound = within(contraction, Fraction(0), Fraction(1), "contraction")
    return Minimax(given.single(), within(decay, *DECAYS_ON_A, "decay on A"), bound)


def _frobenius_deq(head: dict[str, Any], given: _Strengths) -> Charge:
    _, value = fields(head, "head", "kind", "budget")
    budget = rational(value)
    if not 0 <= budget < 1:
        raise InputError(f"certificate has the Frobenius budget {shown(value)}, which must lie in [0, 1)")
    return NuclearMinusFrobenius(given.single(), budget, not given.decay)


def _relu(head: dict[str, Any], given: _Strengths) -> Charge:
    fields(head, "head", "kind")
    return Linear(given.single(), not given.decay, columns=True, nonnegative=True)


def _fixed_etf(head: dict[str, Any], given: _Strengths) -> Charge:
    _, value, average = fields(head, "head", "kind", "norm", "average")
    norm = None if value is None else within(value, *NORMS, "norm")
    if not isinstance(average, bool) or (average and given.decay):
        raise InputError("certificate has an average that is not true or false, or that decay does not go with")
    if not given.decay and norm not in (None, given.weight):
        raise InputError("certificate has a norm of its fixed classifier that contradicts its budget E_W")
    strength = given.weight if not given.decay else Fraction(1) if norm is None else norm
    stretch = strength * given.classes / (given.classes - 1)
    if given.decay:
        return Squares(ball(given.features / stretch), False)
    if average:
        return Squares(ball(stretch * given.features * given.classes).sqrt(), True)
    return Squares(ball(stretch * given.features).sqrt(), True, caps=True)


HEADS: dict[str, Callable[[dict[str, Any], _Strengths], Charge]] = {
    "explicit": _explicit,
    "linear_deq": _linear_deq,
    "decayed_deq": _decayed_deq,
    "frobenius_deq": _frobenius_deq,
    "relu": _relu,
    "fixed_etf": _fixed_etf,
}
