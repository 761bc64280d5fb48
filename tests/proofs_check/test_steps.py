"""Symbolic steps: the algebra behind them, against matrices of one size; wrong versions of them, which are not confirmed."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
import sympy as sp

from proofs_check.judging import judge
from proofs_check.layers import equal_logs
from proofs_check.mutants import Mutant, mutants_of
from proofs_check.projectors import Invariant, letters, multiplied, orthogonal, reduced
from proofs_check.registry import Proof, all_theorems

BOOK = all_theorems()
COMPLETE = {
    "Z1", "Z2", "M1", "M3", "B1", "B2", "E1", "G1", "Y", "X1", "X2", "X4", "X5", "X6", "X7", "X8", "X9", "X12",
}  # fmt: skip
SHARED = [
    ("projectors", "algebra_steps"), ("lemmas", "averaging_steps"), ("lemmas", "price_steps"), ("lemmas", "equilibrium_steps"),
    ("lemmas", "centring_steps"), ("lemmas", "gibbs_steps"), ("lemmas", "balanced_steps"), ("lemmas", "collapse_steps"),
    ("lemmas", "strictness_steps"), ("layers", "layer_steps"), ("layers", "scalar_steps"), ("layers", "tie_steps"),
]  # fmt: skip
OWN = [("zhu2021", "BenignLandscape.steps"), ("yang2022", "FixedClassifier.steps"), ("dang2024", "NonNegative.steps")]


def matrix(m: Invariant) -> np.ndarray:
    """The matrix itself, for a number of classes."""
    own, other = m.entries
    return np.full((m.classes, m.classes), float(other)) + np.diag([float(own - other)] * m.classes)


@pytest.mark.parametrize("classes", [2, 5])
def test_matrices_of_one_size_obey_the_algebra(classes):
    one, other = (Invariant(sp.Rational(c), sp.Rational(m), classes) for c, m in (("3/2", "-1"), ("-2", "5/4")))
    a, b = matrix(one), matrix(other)
    found = np.sort(np.linalg.eigvalsh(a))
    assert found == pytest.approx(sorted([1.5] * (classes - 1) + [-1.0]))
    assert float(one.trace) == pytest.approx(np.trace(a))
    assert float(one.inner(other)) == pytest.approx(np.sum(a * b))
    assert matrix(one.minus(other)) == pytest.approx(a - b)
    assert matrix(one.times(3)) == pytest.approx(3 * a)
    product = Invariant.from_entries(*multiplied(one.entries, other.entries, classes), classes)
    assert matrix(product) == pytest.approx(a @ b)
    assert Invariant.from_entries(*one.entries, classes) == one
    assert one.minus(one).is_zero()
    assert not one.minus(other).is_zero()


def test_words_agree_with_matrices():
    """Words of random matrices and of projectors with a common kernel and range, before and after they are reduced."""
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    held = {"P": basis[:, :2] @ basis[:, :2].T, "Q": basis[:, 2:] @ basis[:, 2:].T, "Z": rng.standard_normal((5, 5))}
    p, q, z = letters("P Q Z")
    rules = orthogonal(p, q)

    def value(expression) -> np.ndarray:
        total = np.zeros((5, 5))
        for term in sp.Add.make_args(sp.expand(expression)):
            plain, word = term.args_cnc()
            made = np.eye(5) * float(sp.Mul(*plain))
            for power in word:
                base, exponent = power.as_base_exp()
                made = made @ np.linalg.matrix_power(held[str(base)], int(exponent))
            total += made
        return total

    for expression in ((p + q) ** 2 * z * (p - 2 * q), p * z * q * p * z + 3 * q * z * q**3, (p * z * p + q) ** 2):
        assert value(reduced(expression, rules)) == pytest.approx(value(expression))
    assert reduced(p * q * z, rules) == 0
    assert reduced(p * z * q, rules) != 0


def test_powers_are_compared_for_every_exponent():
    x, m = sp.symbols("x M", positive=True)
    assert equal_logs((x ** (m + 1)) ** (1 / m), x * x ** (1 / m))
    assert not equal_logs((x ** (m + 1)) ** (1 / m), x)


def loaded(module: ModuleType, mutant: Mutant) -> ModuleType:
    """A copy of the module with one expression changed."""
    made = ModuleType(module.__name__)
    before = sys.modules[module.__name__]
    sys.modules[module.__name__] = made
    try:
        exec(compile(mutant.tree(), str(module.__file__), "exec"), made.__dict__)
    finally:
        sys.modules[module.__name__] = before
    return made


def confirmed(module: ModuleType, path: str) -> bool:
    """Whether all steps are confirmed; one that cannot be evaluated is not (a mutant gives sympy arguments of any kind)."""
    name, _, method = path.partition(".")
    found = getattr(module, name)
    steps = getattr(found(), method) if method else found
    try:
        return all(bool(truth) for _, truth in steps())
    except (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError):
        return False


@pytest.mark.parametrize(
    ("name", "path", "share"), [*((*one, 3) for one in (*SHARED, *OWN)), ("layers", "small_decay_steps", 2)]
)
def test_wrong_steps_are_not_confirmed(name, path, share):
    """Of wrong versions spread over the steps at most one in three changes nothing: what it changes drops out.

    Limits see leading terms only: there it is one in two.
    """
    module = import_module(f"proofs_check.{name}")
    assert confirmed(module, path)
    found = mutants_of(inspect.getsource(module), path)
    chosen = found[:: max(1, len(found) // 6)]
    survivors = [mutant.name for mutant in chosen if confirmed(loaded(module, mutant), path)]
    assert len(survivors) <= len(chosen) // share, survivors


def test_complete_proofs():
    assert {name for name in COMPLETE if BOOK[name].proof() is not Proof.COMPLETE} == set()


def test_a_single_wrong_step_violates_the_theorem():
    """The verdict on X9 with its first step replaced by one that computer algebra refutes."""
    steps = BOOK["X9"].steps

    def wrong(self):
        for number, (name, truth) in enumerate(steps(self)):
            yield name, truth if number else sp.Symbol("K") == sp.Symbol("K") + 1

    toy = type("Toy", (BOOK["X9"],), {"steps": wrong, "__doc__": BOOK["X9"].__doc__, "grid": lambda self: []})
    assert judge(toy, "float").outcome.value == "violated"
