"""Whole blocks of step-imbalanced problems against the solver of single ones, closed forms and exact bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm
from ufm.solvers.convex.step_imbalance import solve_steps

SIZES = st.integers(1, 10**6)


def problem(a, b, na, nb, regularizer):
    return ufm.Problem(ufm.step_imbalanced(majority=a, minority=b, n_majority=na, n_minority=nb), regularizer=regularizer)


@given(st.integers(1, 8), st.integers(1, 8), SIZES, SIZES, st.floats(-7, 1), st.booleans())
def test_decay_agrees_with_the_rigorous_certificate(a, b, na, nb, power, per_class):
    """Bounds of both routes enclose one optimum; where neither gap is wide the values agree to 1e-9."""
    mu = 10**power if per_class else 10**power / max(na, nb) ** 0.5
    found = solve_steps(majority=a, minority=b, n_majority=na, n_minority=nb, mu=mu, per_class=per_class)
    proof = ufm.solve(problem(a, b, na, nb, ufm.WeightDecay(mu, mu, per_class=per_class)), level="rigorous").certificate
    assert found.lower[0] <= proof.upper
    assert proof.lower <= found.upper[0]
    assert found.lower[0] <= found.upper[0]
    assert found.gap[0] <= 1e-9
    assert found.value[0] == pytest.approx(proof.upper, rel=1e-8 + 10 * proof.relative_gap)


@given(st.integers(1, 8), st.integers(1, 8), SIZES, SIZES, st.floats(0.05, 6))
def test_budgets_agree_with_the_rigorous_certificate(a, b, na, nb, c):
    found = solve_steps(majority=a, minority=b, n_majority=na, n_minority=nb, radius=(a + b) * c)
    proof = ufm.solve(problem(a, b, na, nb, ufm.NormBudget(1.0, c * c)), level="rigorous").certificate
    assert found.lower[0] <= proof.upper * (1 + 1e-12)
    assert proof.lower <= found.upper[0] * (1 + 1e-12)
    assert found.gap[0] <= 1e-9
    assert found.value[0] == pytest.approx(proof.upper, rel=1e-8 + 10 * proof.relative_gap)


@pytest.mark.parametrize(
    ("a", "b", "na", "nb", "mu"),
    [(5, 5, 100, 10, 5e-4), (3, 7, 200, 20, 2e-3), (1, 9, 50, 10, 1e-3), (9, 1, 50, 10, 1e-3), (5, 5, 700, 100, 2.5e-3),
     (5, 5, 650, 100, 2.5e-3), (2, 3, 10**9, 1, 1e-9), (5, 5, 100, 10, 0.018), (4, 4, 9, 9, 1e-2)],
)  # fmt: skip
def test_geometry_is_that_of_the_single_route(a, b, na, nb, mu):
    found = solve_steps(majority=a, minority=b, n_majority=na, n_minority=nb, mu=mu)
    single = ufm.geometry(ufm.solve(problem(a, b, na, nb, ufm.WeightDecay(mu, mu))))
    names = ["norm_ratio"] if na > nb else []
    names += [n for n in ("cos_majority", "cos_minority", "cos_cross") if na > nb or n == "cos_minority"]
    for name in names:
        mine = getattr(found, name)[0]
        if single[name] is None:
            assert not np.isfinite(mine)
        else:
            assert mine == pytest.approx(single[name], abs=1e-7), name


def test_closed_forms():
    """Balanced classes (Z2), collapse at sqrt(n_B) = N mu (H3), everything zero, and the budget's threshold R0 (F5)."""
    found = solve_steps(majority=4, minority=6, n_majority=20, n_minority=20, mu=5e-3)
    assert found.value[0] == pytest.approx(0.94430798137, abs=5e-12)
    assert found.contrast_minority[0] == pytest.approx(3.5757488166, abs=1e-9)
    ratio = np.array([6.99, 7.01])
    found = solve_steps(majority=5, minority=5, n_majority=100 * ratio, n_minority=100, mu=2.5e-3)
    assert found.contrast_minority[0] > 0
    assert found.contrast_minority[1] == 0
    assert found.cos_minority[1] == 1
    found = solve_steps(majority=5, minority=5, n_majority=100, n_minority=10, mu=1.0)
    assert found.value[0] == pytest.approx(np.log(10), rel=1e-14)
    assert np.isnan(found.cos_minority[0])
    critical = 12.1924470803
    found = solve_steps(
        majority=5, minority=5, n_majority=critical * np.array([1 - 1e-6, 1 + 1e-6]), n_minority=1, radius=10 * 5**0.5
    )
    assert found.contrast_minority[0] > 0
    assert found.contrast_minority[1] < 1e-12


def test_an_answer_does_not_depend_on_what_it_is_solved_with():
    rng = np.random.default_rng(0)
    n = 300
    arguments = {"majority": rng.integers(1, 9, n), "minority": rng.integers(2, 9, n), "n_majority": 10 ** rng.uniform(1, 5, n),
                 "n_minority": rng.integers(1, 10, n)}  # fmt: skip
    for charge in ({"mu": 10 ** rng.uniform(-5, -2, n)}, {"radius": rng.uniform(2, 60, n)}):
        together = solve_steps(**arguments, **charge)
        for k in (0, 17, 299):
            alone = solve_steps(**{name: v[k] for name, v in (arguments | charge).items()})
            for name in ("value", "lower", "upper", "cos_minority", "contrast_majority"):
                assert getattr(alone, name)[0] == pytest.approx(getattr(together, name)[k], rel=1e-14, abs=1e-15, nan_ok=True)


def test_symmetry_between_the_groups_and_scaling():
    one = solve_steps(majority=3, minority=5, n_majority=80, n_minority=7, mu=2e-3)
    two = solve_steps(majority=5, minority=3, n_majority=7, n_minority=80, mu=2e-3)
    assert one.value[0] == pytest.approx(two.value[0], rel=1e-13)
    assert one.cos_minority[0] == pytest.approx(two.cos_majority[0], rel=1e-11)
    # Samples doubled, decay divided by sqrt 2: the same problem.
    double = solve_steps(majority=3, minority=5, n_majority=160, n_minority=14, mu=2e-3 / 2**0.5)
    assert one.value[0] == pytest.approx(double.value[0], rel=1e-13)


def test_a_wrong_angle_is_seen_by_the_certificate(monkeypatch):
    """The bounds rest on nothing that the root finder says."""
    from ufm.solvers.convex import step_imbalance

    right = step_imbalance.angle
    monkeypatch.setattr(step_imbalance, "angle", lambda sides, log_mu: right(sides, log_mu) + 0.1)
    found = solve_steps(majority=5, minority=5, n_majority=100, n_minority=10, mu=5e-4)
    exact = ufm.solve(problem(5, 5, 100, 10, ufm.WeightDecay(5e-4, 5e-4))).value
    assert found.gap[0] > 1e-6
    assert found.lower[0] < exact < found.upper[0]


@pytest.mark.parametrize(
    "bad",
    [
        {"mu": 1e-3, "radius": 1.0},
        {},
        {"mu": 0.0},
        {"mu": np.nan},
        {"radius": np.inf},
        {"mu": 1e-3, "majority": 0},
        {"mu": [1e-3, 1e-3, 1e-3], "n_minority": [1, 2]},
    ],
)
def test_bad_input(bad):
    with pytest.raises(ufm.InputError):
        solve_steps(**{"majority": 2, "minority": 2, "n_majority": 9, "n_minority": 3} | bad)
