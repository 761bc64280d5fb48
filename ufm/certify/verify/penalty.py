"""What each head charges for feature dimensions of given lengths, and a convex bound from below, in balls.

Nothing here is taken from the solvers' penalties; the formulas are stated anew.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple, Protocol

from flint import arb

from ufm.certify.verify.arithmetic import ball, positive, rational
from ufm.errors import InputError

Lengths = list[tuple[arb, int]]
"""Lengths of feature dimensions with multiplicities."""


class Convex(NamedTuple):
    """A convex stand-in: ``strength`` times the nuclear norm, or (``ball``) the nuclear norm at most ``strength``."""

    strength: arb
    ball: bool


class Charge(Protocol):
    """A head's charge under a regulariser.

    columns : whether it acts on scaled column norms of the logits instead of lengths
    nonnegative : whether features must be non-negative, so that lower bounds need columns that repel each other
    square : whether it is ``strength/2`` times the sum of squares (or a bound on its root, or on each)
    """

    ball: bool
    columns: bool
    nonnegative: bool
    square: bool

    def price(self, lengths: Lengths) -> arb:
        """What the lengths add to the objective."""
        ...

    def gauge(self, lengths: Lengths) -> arb:
        """How many times a budget must grow to allow them."""
        ...

    def convex(self, upper: arb) -> Convex:
        """A convex stand-in, nowhere above the charge where that is at most ``upper``."""
        ...


def _total(lengths: Lengths) -> arb:
    return sum((c * t for t, c in lengths), arb(0))


class Linear:
    """``strength`` per unit of length, or a budget of ``strength`` on the sum of lengths."""

    def __init__(self, strength: arb, is_ball: bool, *, columns: bool = False, nonnegative: bool = False) -> None:
        self.strength, self.ball, self.columns, self.nonnegative = strength, is_ball, columns, nonnegative
        self.square = self.caps = False

    def price(self, lengths: Lengths) -> arb:
        return self.strength * _total(lengths)

    def gauge(self, lengths: Lengths) -> arb:
        return _total(lengths) / self.strength

    def convex(self, upper: arb) -> Convex:
        return Convex(self.strength, self.ball)


class Squares(Linear):
    """``strength / 2`` per square of a column's norm, a budget on the root of their sum, or on each (``caps``)."""

    def __init__(self, strength: arb, is_ball: bool, caps: bool = False) -> None:
        super().__init__(strength, is_ball, columns=True)
        self.square, self.caps = True, caps

    def price(self, lengths: Lengths) -> arb:
        return self.strength / 2 * sum((c * t * t for t, c in lengths), arb(0))

    def gauge(self, lengths: Lengths) -> arb:
        if self.caps:
            largest = arb(0)
            for t, _ in lengths:
                largest = largest.max(t)
            return largest / self.strength
        return sum((c * t * t for t, c in lengths), arb(0)).sqrt() / self.strength


class Power:
    """``strength`` times the sum of ``length^power``, or a budget of ``strength`` on that sum (linear layers)."""

    columns = nonnegative = square = False

    def __init__(self, strength: arb, power: Fraction, is_ball: bool) -> None:
        self.strength, self.exponent, self.ball = strength, ball(power), is_ball

    def each(self, length: arb) -> arb:
        return self.strength * length**self.exponent if length > 0 else arb(0)

    def price(self, lengths: Lengths) -> arb:
        return sum((c * self.each(t) for t, c in lengths), arb(0))

    def gauge(self, lengths: Lengths) -> arb:
        total = self.price(lengths) / self.strength**2
        return total ** (1 / self.exponent) if total > 0 else arb(0)

    def convex(self, upper: arb) -> Convex:
        if self.ball:
            return Convex(self.strength ** (1 / self.exponent), True)
        largest = (upper / self.strength) ** (1 / self.exponent)
        return Convex(upper / largest, False)

    def slope(self, length: arb) -> arb:
        return self.strength * self.exponent * length ** (self.exponent - 1)

    def turn(self, curvature: arb) -> arb:
        """Where the second derivative is ``-curvature``: concave enough before, convex with it after."""
        return (self.strength * self.exponent * (1 - self.exponent) / curvature) ** (1 / (2 - self.exponent))


class Minimax:
    """``mu t (1 - a) + decay a^2 / 2`` with ``a = min(mu t / decay, contraction)`` (equilibria with decay on A)."""

    ball = columns = nonnegative = square = False

    def __init__(self, mu: arb, decay: Fraction, contraction: Fraction) -> None:
        self.mu, self.decay, self.contraction = mu, ball(decay), ball(contraction)
        self.knee = self.contraction * self.decay / mu

    def strength(self, length: arb) -> arb:
        """The best a."""
        low = self.mu * length / self.decay
        if low <= self.contraction or low >= self.contraction:
            return low if low <= self.contraction else self.contraction
        return low.union(self.contraction)

    def each(self, length: arb) -> arb:
        a = self.strength(length)
        return self.mu * length * (1 - a) + self.decay * a * a / 2

    def price(self, lengths: Lengths) -> arb:
        return sum((c * self.each(t) for t, c in lengths), arb(0))

    def gauge(self, lengths: Lengths) -> arb:
        return arb(0)

    def convex(self, upper: arb) -> Convex:
        corner = self.decay * self.contraction * (1 - self.contraction / 2)
        if upper >= corner:
            largest = self.knee + (upper - corner) / (self.mu * (1 - self.contraction))
        elif upper < corner:
            largest = self.decay / self.mu * (1 - (1 - 2 * upper / self.decay).sqrt())
        else:
            # Too close to tell: the larger range and the smaller price serve both cases.
            largest = self.knee + (upper - corner).upper().max(arb(0)) / (self.mu * (1 - self.contraction))
            upper = corner.lower()
        return Convex(upper / largest if largest > 0 else self.mu * (1 - self.contraction), False)

    def slope(self, length: arb) -> arb:
        return self.mu * (1 - self.strength(length))

    def turn(self, curvature: arb) -> arb:
        """Where the price stops being quadratic, if it is more concave there than ``curvature`` makes up for."""
        bend = self.mu**2 / self.decay
        if bend > curvature or bend < curvature:
            return self.knee if bend > curvature else arb(0)
        raise InputError("certificate has a decay on A that balances the loss's curvature; too close to decide")


class Relief:
    """``strength (sum t - e |t|)``, or a budget on ``sum t - e |t|`` (Frobenius budget ``e^2`` on A)."""

    columns = nonnegative = square = False

    def __init__(self, strength: arb, budget: Fraction, is_ball: bool) -> None:
        self.strength, self.e, self.ball = strength, ball(budget).sqrt(), is_ball

    def _sum(self, lengths: Lengths) -> arb:
        return _total(lengths) - self.e * sum((c * t * t for t, c in lengths), arb(0)).sqrt()

    def price(self, lengths: Lengths) -> arb:
        return self.strength * self._sum(lengths)

    def gauge(self, lengths: Lengths) -> arb:
        return self._sum(lengths) / self.strength

    def convex(self, upper: arb) -> Convex:
        if self.ball:
            return Convex(self.strength / (1 - self.e), True)
        return Convex(self.strength * (1 - self.e), False)


def charge(head: dict[str, Any], regularizer: dict[str, Any], classes: int) -> Charge:
    """The charge of a saved head under a saved regulariser."""
    kind, decay = head["kind"], regularizer["kind"] == "weight_decay"
    if decay:
        weight, features = positive(regularizer["lambda_W"]), positive(regularizer["lambda_H"])
        strength = ball(weight * features).sqrt()
    elif regularizer["kind"] == "norm_budget":
        weight, features = positive(regularizer["E_W"]), positive(regularizer["E_H"])
        strength = classes * ball(weight * features).sqrt()
    else:
        raise InputError(f"certificate has an unknown regularizer {regularizer['kind']!r}")
    if kind == "explicit":
        layers = head["layers"]
        if not isinstance(layers, int) or isinstance(layers, bool) or not 1 <= layers <= 50:
            raise InputError(f"certificate has a head of {layers!r} layers; save it again")
        if layers == 1:
            return Linear(strength, not decay)
        depth = layers + 1
        if decay:
            return Power(ball(weight**layers * features) ** (ball(1) / depth) * depth / 2, Fraction(2, depth), False)
        return Power(ball((classes * weight) ** layers * classes * features) ** (ball(1) / depth), Fraction(2, depth), True)
    if kind == "linear_deq":
        rho = rational(head["rho"])
        if not 0 <= rho < 1:
            raise InputError(f"certificate has rho={rho}, which must lie in [0, 1)")
        return Linear(strength * ball(1 - rho) if decay else strength / ball(1 - rho), not decay)
    if kind == "decayed_deq" and decay:
        contraction = positive(head["contraction"])
        if not contraction < 1:
            raise InputError(f"certificate has contraction={contraction}, which must lie in (0, 1)")
        return Minimax(strength, positive(head["decay"]), contraction)
    if kind == "frobenius_deq":
        budget = rational(head["budget"])
        if not 0 <= budget < 1:
            raise InputError(f"certificate has the Frobenius budget {budget}, which must lie in [0, 1)")
        return Relief(strength, budget, not decay)
    if kind == "relu":
        return Linear(strength, not decay, columns=True, nonnegative=True)
    if kind == "fixed_etf":
        norm = weight if not decay else Fraction(1) if head["norm"] is None else positive(head["norm"])
        stretch = norm * classes / (classes - 1)
        if decay:
            return Squares(ball(features / stretch), False)
        if head["average"]:
            return Squares(ball(stretch * features * classes).sqrt(), True)
        return Squares(ball(stretch * features).sqrt(), True, caps=True)
    raise InputError(f"certificate has an unknown head {kind!r} (or one that its regularizer does not allow)")
