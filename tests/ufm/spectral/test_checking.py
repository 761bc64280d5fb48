"""Diagnostics for extenders: the package's own parts pass, and parts with one flaw are caught."""

from dataclasses import dataclass

import numpy as np
import pytest

from ufm.problem.losses import CrossEntropy, SquaredError
from ufm.spectral.checking import check_gradient, check_penalty
from ufm.spectral.penalties import (
    MinimaxConcave,
    Nuclear,
    NuclearBall,
    NuclearMinusFrobenius,
    NuclearMinusFrobeniusBall,
    Schatten,
    SchattenBall,
)
from ufm.targets import ClassCounts

COUNTS = ClassCounts.parse("20*2,5*3,2*1")
PENALTIES = [
    Nuclear(0.3),
    NuclearBall(4.0),
    Schatten(0.3, 0.5),
    SchattenBall(2.0, 0.5),
    MinimaxConcave(0.3, 0.2, 0.6),
    NuclearMinusFrobenius(0.3, 0.36),
    NuclearMinusFrobeniusBall(2.0, 0.25),
]
LOSSES = [
    CrossEntropy(),
    CrossEntropy(weights=1.0, adjustment=0.7, temperatures=0.3, smoothing=0.1),
    SquaredError(),
]


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: type(p).__name__)
def test_penalties_of_the_package_have_no_flaw(penalty):
    assert check_penalty(penalty) == []


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_losses_of_the_package_have_no_flaw(loss):
    assert check_gradient(loss.bind(COUNTS)) == []


class WrongSlope(Nuclear):
    def slope(self, singular, copies):
        return 1.1 * super().slope(singular, copies)


class WrongProx(Nuclear):
    def prox(self, singular, copies, step):
        return np.maximum(singular - 0.8 * step * self.strength, 0.0), self.strength


class WrongCopies(Nuclear):
    def value(self, singular, copies):
        return self.strength * float(singular.sum())


class WrongConvexity(Schatten):
    convex = True


class WrongChord(Schatten):
    def relaxed(self, upper):
        return Nuclear(2.0 * super().relaxed(upper).strength)


class WrongConjugate(Nuclear):
    nuclear = False

    def conjugate(self, slopes, copies):
        return -1.0


class NoConjugate(Nuclear):
    nuclear = False


@pytest.mark.parametrize(
    ("penalty", "word"),
    [
        (WrongSlope(0.3), "slope"),
        (WrongProx(0.3), "proximal"),
        (WrongCopies(0.3), "twice"),
        (WrongConvexity(0.3, 0.5), "convex"),
        (WrongChord(0.3, 0.5), "relaxed"),
        (WrongConjugate(0.3), "conjugate is below"),
        (NoConjugate(0.3), "no conjugate"),
    ],
    ids=lambda p: type(p).__name__,
)
def test_a_flaw_of_a_penalty_is_named(penalty, word):
    assert any(word in sentence for sentence in check_penalty(penalty))


@dataclass(frozen=True, eq=False)
class Flawed:
    """A loss that answers one question wrongly."""

    loss: object
    question: str

    def __getattr__(self, name):
        found = getattr(self.loss, name)
        if name != self.question:
            return found
        if name == "shift_invariant":
            return not found
        if name == "columns":
            return lambda *a: found(*a)._replace(gradient=1.01 * found(*a).gradient)
        return lambda *a: (0.1 if name == "lipschitz" else 0.9) * found(*a)


@pytest.mark.parametrize(
    ("question", "word"),
    [("columns", "gradient"), ("dual", "Fenchel"), ("lipschitz", "lipschitz"), ("shift_invariant", "shift")],
)
def test_a_flaw_of_a_loss_is_named(question, word):
    loss = SquaredError() if question == "shift_invariant" else CrossEntropy()
    found = check_gradient(Flawed(loss.bind(COUNTS), question))
    assert any(word in sentence for sentence in found)


def test_a_wrong_second_derivative_is_named():
    class Wrong(Flawed):
        def __getattr__(self, name):
            found = getattr(self.loss, name)
            return (lambda *a: found(*a)._replace(diagonal=1.2 * found(*a).diagonal)) if name == "columns" else found

    assert any("second derivative" in sentence for sentence in check_gradient(Wrong(CrossEntropy().bind(COUNTS), "")))
