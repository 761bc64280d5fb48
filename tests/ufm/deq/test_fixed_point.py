"""Fixed-point methods: oracles, exactness on linear maps, counts, scale, and bad input."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm
from ufm.deq import (
    Anderson,
    Broyden,
    FixedPointStatus,
    ForwardBackward,
    LinearLayer,
    MonotoneLayer,
    Newton,
    OwnMap,
    PeacemanRachford,
    Picard,
)

from .conftest import SAMPLES, WIDTH, reference

METHODS = {
    "picard": Picard(rtol=1e-11, max_calls=2000),
    "damped": Picard(rtol=1e-11, max_calls=2000, damping=0.6),
    "anderson": Anderson(rtol=1e-11),
    "delayed": Anderson(rtol=1e-11, delay=6),
    "broyden": Broyden(rtol=1e-11),
    "newton": Newton(rtol=1e-11),
}


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


def start(samples=SAMPLES, width=WIDTH):
    return np.zeros((samples, width))


def test_every_method_finds_the_equilibrium_of_every_layer(layer, inputs, method):
    if isinstance(layer, MonotoneLayer) and isinstance(method, Picard):
        method = Picard(rtol=1e-11, max_calls=5000, damping=0.2)
    map_ = layer.at(inputs)
    found = method(map_, start())
    assert found.status is FixedPointStatus.CONVERGED
    assert found.converged.all()
    assert np.linalg.norm(map_.value(found.value) - found.value, axis=1) == pytest.approx(found.residual, abs=1e-15)
    assert found.residual.max() <= 1e-11 * np.linalg.norm(map_.value(found.value), axis=1).max() * 1.01
    # The equilibrium of a contraction, and of a monotone layer, is unique: all methods agree within the certified errors.
    other = Newton(rtol=1e-13)(map_, start())
    radius = layer.error(found.value, inputs) + layer.error(other.value, inputs)
    assert (np.linalg.norm(found.value - other.value, axis=1) <= radius).all()
    assert radius.max() < 1e-8


def test_the_linear_layer_agrees_with_its_factorisation(inputs, rng):
    layer = LinearLayer.initial(WIDTH, inputs.shape[1], rng, sigma="linear", norm=0.9)
    exact = layer.solve(inputs)
    map_ = layer.at(inputs)
    assert np.abs(map_.value(exact) - exact).max() < 1e-14
    for method in METHODS.values():
        assert np.abs(method(map_, start()).value - exact).max() < 1e-9
    v = rng.standard_normal(exact.shape)
    g = layer.solve_adjoint(v)
    assert np.abs(v + g @ layer.weight - g).max() < 1e-14


@pytest.mark.parametrize(("seed", "width"), [(0, 5), (1, 12), (2, 20)])
def test_anderson_with_full_memory_is_gmres(seed, width):
    """Residuals of Anderson before mixing are those of GMRES on (I - M) z = u (Walker & Ni 2011, theorem 2.2)."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((width, width)) * 0.7 / np.sqrt(width)
    right = rng.standard_normal((1, width))
    map_ = LinearLayer(matrix, np.eye(width), right[0]).at(np.zeros((1, width)))
    seen = []

    def watched(z, _):
        f = map_.value(z)
        seen.append((z.copy(), f - z))
        return f

    Anderson(memory=width, ridge=0.0, rtol=1e-9)(OwnMap(watched, None, np.zeros((1, 1))), np.zeros((1, width)))
    operator = np.eye(width) - matrix
    # GMRES from its definition: the least residual over the Krylov space of each dimension.
    powers, residuals = [right[0]], [float(np.linalg.norm(right))]
    for _ in range(len(seen) - 2):
        basis = np.linalg.qr(np.array(powers).T)[0]
        image = operator @ basis
        rest = right[0] - image @ np.linalg.lstsq(image, right[0], rcond=None)[0]
        residuals.append(float(np.linalg.norm(rest)))
        powers.append(operator @ basis[:, -1])
    # The state after k + 1 evaluations is f of GMRES's k-th iterate: its residual is M times GMRES's.
    for k in range(1, len(seen) - 1):
        if residuals[k] < 1e-7 * residuals[0]:
            break
        anderson = np.linalg.solve(matrix, seen[k + 1][1][0])
        assert np.linalg.norm(anderson) == pytest.approx(residuals[k], rel=1e-5)
    assert k >= min(4, width - 1)


@pytest.mark.parametrize("width", [2, 5, 10])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_broyden_ends_within_twice_the_dimension_on_a_linear_map(width, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((width, width))  # no contraction
    map_ = LinearLayer(matrix, np.eye(width), rng.standard_normal(width)).at(np.zeros((1, width)))
    found = Broyden(rtol=1e-8, growth=1e8)(map_, np.zeros((1, width)))
    assert found.status is FixedPointStatus.CONVERGED
    assert found.stats.calls <= 2 * width + 1  # 2 d steps, and the evaluation that sees the end
    expected = np.linalg.solve(np.eye(width) - matrix, map_.drive[0])
    assert found.value[0] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_newton_needs_one_step_on_a_linear_map_and_few_on_others(inputs, rng):
    layer = LinearLayer.initial(WIDTH, inputs.shape[1], rng, sigma="linear", norm=0.9)
    found = Newton()(layer.at(inputs), start())
    assert (found.stats.calls, found.stats.jacobians) == (2, 1)
    found = Newton(rtol=1e-12)(reference(2.0, samples=40), np.zeros((40, 64)))
    assert found.status is FixedPointStatus.CONVERGED
    assert found.stats.calls <= 12
    # Quadratic: the last steps square the residual.
    assert found.trace[-1] < 10 * found.trace[-2] ** 1.5


def test_picard_fails_on_a_rotation_and_anderson_works():
    angle = 2.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    map_ = LinearLayer(turn, np.eye(2), np.array([1.0, 2.0])).at(np.zeros((3, 2)))
    assert Picard()(map_, np.zeros((3, 2))).status is FixedPointStatus.STAGNATED
    for method in (Anderson(), Broyden(), Newton()):
        found = method(map_, np.zeros((3, 2)))
        assert found.status is FixedPointStatus.CONVERGED
        assert found.stats.calls <= 5


@pytest.mark.parametrize("scale", [1e-6, 1e6, 2.0**-400])
def test_counts_do_not_depend_on_the_scale(layer, inputs, method, scale):
    map_ = layer.at(inputs)
    plain = method(map_, start())
    scaled = OwnMap(
        lambda z, rows: scale * map_.restrict(rows[:, 0]).value(z / scale),
        lambda z, rows, v: map_.restrict(rows[:, 0]).vjp(z / scale, v),
        np.arange(SAMPLES)[:, None],
    )
    found = method(scaled, start())
    if isinstance(method, Picard) or np.log2(scale).is_integer():
        assert found.stats.calls == plain.stats.calls
    else:  # rounding differs when the scale is no power of two, so that the last digits and one call may too
        assert abs(found.stats.calls - plain.stats.calls) <= 1
    assert found.value / scale == pytest.approx(plain.value, rel=1e-6, abs=1e-8)


def test_accelerated_methods_need_fewer_calls_on_the_reference_job():
    """Counts of the reference job: tanh, 512 samples, 64 dimensions, norm 2, spectral radius .82."""
    map_ = reference(2.0)
    calls = {}
    for method in (Picard(), Anderson(), Broyden()):
        found = method(map_, np.zeros((512, 64)))
        assert found.status is FixedPointStatus.CONVERGED
        assert found.relative.max() <= 1e-6
        assert found.stats.rows < found.stats.calls * 512  # finished samples are not evaluated again
        calls[type(method).__name__] = found.stats.calls
    assert calls["Picard"] <= 68
    assert calls["Anderson"] <= 40
    assert calls["Broyden"] <= 32
    adjoint = ufm.deq.Implicit(method=Broyden())(map_, found.value, found.value)
    assert adjoint.stats.calls <= 32


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_broyden_where_the_map_is_no_contraction(seed):
    found = Broyden(max_calls=300)(reference(4.0, seed=seed), np.zeros((512, 64)))
    assert found.converged.mean() >= 0.95
    assert found.status in (FixedPointStatus.STAGNATED, FixedPointStatus.MAX_CALLS)
    assert (found.relative[found.converged] <= 1e-6).all()
    assert (found.relative[~found.converged] > 1e-6).all()


def scipy_agrees(map_, solve, ours):
    """An independent solver of one sample's equation ends at the same point."""
    for row in range(3):
        one = map_.restrict(np.array([row]))
        theirs = solve(lambda z, one=one: one.value(z[None])[0] - z, np.zeros(WIDTH))
        assert theirs == pytest.approx(ours[row], abs=1e-7)


def test_scipys_anderson_and_broyden_agree(layer, inputs):
    from scipy.optimize import anderson, broyden1

    map_ = layer.at(inputs)
    found = Anderson(rtol=1e-11)(map_, start())
    with warnings.catch_warnings():
        # scipy's Anderson divides by the length of a step, which is zero at the solution.
        warnings.simplefilter("ignore", RuntimeWarning)
        scipy_agrees(map_, lambda g, z: anderson(g, z, M=3, f_tol=1e-9, maxiter=500), found.value)
        scipy_agrees(map_, lambda g, z: broyden1(g, z, f_tol=1e-9, maxiter=500), found.value)


@pytest.mark.parametrize("method", [PeacemanRachford(rtol=1e-10), ForwardBackward(rtol=1e-8, max_calls=40_000)])
@pytest.mark.parametrize("norm", [0.5, 3.0])
def test_splittings_find_the_one_equilibrium_from_every_start(method, norm, inputs, rng):
    layer = MonotoneLayer.initial(WIDTH, inputs.shape[1], rng, norm=norm, margin=0.2)
    map_ = layer.at(inputs)
    ends = [method(map_, scale * rng.standard_normal((SAMPLES, WIDTH))) for scale in (0.0, 1.0, 100.0)]
    for end in ends:
        assert end.status is FixedPointStatus.CONVERGED
        assert np.linalg.norm(map_.value(end.value) - end.value, axis=1) == pytest.approx(end.residual, abs=1e-14)
        bound = layer.error(end.value, inputs) + layer.error(ends[0].value, inputs)
        assert (np.linalg.norm(end.value - ends[0].value, axis=1) <= bound).all()
        assert bound.max() < 1e-5


def test_peaceman_rachford_needs_fewer_calls_than_forward_backward(inputs, rng):
    map_ = MonotoneLayer.initial(WIDTH, inputs.shape[1], rng, norm=3.0, margin=0.2).at(inputs)
    fast, slow = PeacemanRachford(), ForwardBackward(max_calls=20_000)
    assert fast(map_, start()).stats.calls < slow(map_, start()).stats.calls / 4


def test_splittings_refuse_other_maps(layer, inputs):
    if isinstance(layer, MonotoneLayer):
        return
    with pytest.raises(ufm.InputError, match="MonotoneLayer"):
        PeacemanRachford()(layer.at(inputs), start())


@given(st.integers(0, 1000), st.sampled_from(["picard", "anderson", "broyden", "newton"]))
def test_a_samples_answer_does_not_depend_on_its_batch(seed, name):
    rng = np.random.default_rng(seed)
    layer = ufm.deq.AffineLayer.initial(4, 3, rng, norm=0.7)
    inputs = rng.standard_normal((5, 3))
    method = METHODS[name]
    together = method(layer.at(inputs), np.zeros((5, 4))).value
    order = rng.permutation(5)
    shuffled = method(layer.at(inputs[order]), np.zeros((5, 4))).value
    assert shuffled == pytest.approx(together[order], abs=1e-9)
    alone = method(layer.at(inputs[2:3]), np.zeros((1, 4))).value
    assert alone[0] == pytest.approx(together[2], abs=1e-9)


def test_input_is_not_written_to_and_float32_is_computed_in_float64(layer, inputs, method):
    if isinstance(layer, MonotoneLayer) and isinstance(method, Picard):
        method = Picard(rtol=1e-11, max_calls=5000, damping=0.2)
    map_ = layer.at(inputs)
    z0 = np.full((SAMPLES, WIDTH), 0.25, dtype=np.float32)
    z0.flags.writeable = False
    inputs.flags.writeable = False
    found = method(map_, z0)
    assert found.value.dtype == np.float64
    assert found.status is FixedPointStatus.CONVERGED
    assert (z0 == np.float32(0.25)).all()


def test_absolute_tolerance_where_the_fixed_point_is_zero():
    map_ = OwnMap(lambda z, _: 0.5 * z, None, np.zeros((2, 1)))
    assert Picard(max_calls=50)(map_, np.ones((2, 3))).status is FixedPointStatus.MAX_CALLS
    found = Picard(atol=1e-8)(map_, np.ones((2, 3)))
    assert found.status is FixedPointStatus.CONVERGED
    assert found.residual.max() <= 1e-8
    assert Picard()(map_, np.zeros((2, 3))).stats.calls == 1


@pytest.mark.parametrize("name", [n for n in METHODS if n != "newton"])
def test_non_finite_values_stop_only_their_samples(name):
    def value(z, x):
        f = 0.5 * np.cos(z) + x
        f[np.abs(x[:, 0]) > 1] = np.nan
        return f

    x = np.array([[0.1], [5.0], [0.3]])
    found = METHODS[name](OwnMap(value, None, x), np.zeros((3, 2)))
    assert found.status is FixedPointStatus.NON_FINITE
    assert found.converged.tolist() == [True, False, True]
    assert np.isfinite(found.value).all()


def test_divergence_is_reported_with_the_best_iterate():
    found = Picard()(OwnMap(lambda z, _: 3.0 * z + 1.0, None, np.zeros((1, 1))), np.ones((1, 2)))
    assert found.status is FixedPointStatus.DIVERGED
    assert found.residual[0] == pytest.approx(found.relative[0] * np.linalg.norm(3 * found.value + 1))


@pytest.mark.parametrize("norm", ["l2", "max"])
def test_the_named_norm_decides(norm, layer, inputs):
    map_ = layer.at(inputs)
    found = Anderson(norm=norm, rtol=1e-8)(map_, start())
    rest = np.abs(map_.value(found.value) - found.value)
    size = rest.max(axis=1) if norm == "max" else np.sqrt((rest**2).sum(axis=1))
    assert found.residual == pytest.approx(size, abs=1e-15)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Picard(rtol=-1),
        lambda: Picard(rtol=float("nan")),
        lambda: Picard(rtol=0.0),
        lambda: Picard(damping=0),
        lambda: Picard(max_calls=0),
        lambda: Picard(max_calls=1.5),
        lambda: Picard(norm="l1"),
        lambda: Picard(divergence=1),
        lambda: Anderson(memory=0),
        lambda: Anderson(ridge=-1),
        lambda: Anderson(growth=1),
        lambda: Anderson(delay=-1),
        lambda: Broyden(growth=0.5),
        lambda: Broyden(patience=True),
        lambda: PeacemanRachford(step=0),
        lambda: MonotoneLayer(np.eye(2), np.eye(2), np.zeros(2), margin=0.0),
        lambda: ufm.deq.AffineLayer(np.eye(2), np.eye(3), np.zeros(2)),
        lambda: ufm.deq.AffineLayer(np.full((2, 2), np.nan), np.eye(2), np.zeros(2)),
        lambda: ufm.deq.AffineLayer(np.eye(2), np.eye(2), np.zeros(2), "gelu"),
        lambda: LinearLayer(np.eye(2), np.eye(2), np.zeros(2)).solve(np.ones((1, 2))),
        lambda: Picard()(OwnMap(lambda z, x: z[:, :1], None, np.zeros((1, 1))), np.zeros((1, 2))),
        lambda: Picard()(OwnMap(lambda z, x: z, None, np.zeros((1, 1))), np.array([[np.inf]])),
        lambda: Picard()(OwnMap(lambda z, x: z, None, np.zeros((1, 1))), np.zeros(3)),
    ],
)
def test_bad_input(bad):
    with pytest.raises(ufm.InputError):
        bad()


def test_unknown_options_are_type_errors():
    with pytest.raises(TypeError):
        Anderson(beta=0.5)  # type: ignore[call-arg]


@pytest.mark.parametrize("method", [Picard(), Anderson(), Broyden(), Newton()])
@pytest.mark.parametrize("scale", [1e-170, 1e155])
def test_tiny_and_huge_states_are_solved_like_others(method, scale):
    layer = LinearLayer(np.array([[0.5]]), np.eye(1), np.zeros(1))
    found = method(layer.at(np.array([[scale]])), np.zeros((1, 1)))
    assert found.status is FixedPointStatus.CONVERGED
    assert found.value[0, 0] == pytest.approx(2 * scale, rel=1e-5)


def test_the_best_iterate_where_the_value_is_zero():
    """f = 0 makes every relative residual infinite; the reported residual is still that of the returned state."""
    zero = OwnMap(lambda z, _: 0.0 * z, None, np.zeros((1, 1)))
    found = Picard(damping=0.5, max_calls=10)(zero, np.ones((1, 1)))
    assert found.value[0, 0] == pytest.approx(0.5**9)
    assert found.residual[0] == pytest.approx(0.5**9)


def test_broyden_keeps_its_step_where_it_had_to_halve(monkeypatch):
    """The cheap product B g is that of B written out, after halvings and restarts too."""
    from ufm.deq.fixed_point import broyden

    propose = broyden.Inverse.propose
    seen: list[float] = []

    def checked(self, map_, z, f, residual):
        found = propose(self, map_, z, f, residual)
        k = self.filled
        for row in range(len(z)):
            full = -np.eye(z.shape[1]) + self.left[:k, row].T @ self.right[:k, row]
            size = np.abs(self.g[row]).max() * np.abs(full).max()
            assert self.bg[row] == pytest.approx(full @ self.g[row], abs=1e-8 * size)
        seen.append(self.share.min())
        return found

    monkeypatch.setattr(broyden.Inverse, "propose", checked)
    Broyden(growth=1.0, max_calls=60)(reference(4.0, samples=6, width=12), np.zeros((6, 12)))
    assert min(seen) < 1.0


def test_a_method_that_recovers_survives_an_overflow():
    root = OwnMap(lambda z, _: z - np.expm1(z), lambda z, _, v: v * (1 - np.exp(z)), np.zeros((1, 1)))
    found = Newton(atol=1e-10)(root, np.full((1, 1), -8.0))
    assert found.status is FixedPointStatus.CONVERGED
    assert found.value[0, 0] == pytest.approx(0.0, abs=1e-9)
    exploding = OwnMap(lambda z, _: np.exp(z) * 1e200, None, np.zeros((1, 1)))
    assert Picard()(exploding, np.ones((1, 1))).status is FixedPointStatus.NON_FINITE
