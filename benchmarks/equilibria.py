"""The reference job of deep equilibria, counts first: ``z = tanh(z W' + x U' + b)``, 512 samples, 64 dimensions, float64.

``||W||_2 = 2`` (largest spectral radius of a Jacobian .82): relative residual 1e-6 of the worst sample, forward and backward;
the cotangent is the gradient of a ten-class cross-entropy. ``||W||_2 = 4`` is no contraction: share of samples solved in 300
calls. Beside torchdeq where it is installed: same map, start and tolerance in torch, one thread, float64, its relative stopping
rule (the worst sample too); "solved" is then 0 or 100 %: whether both residuals meet the tolerance. torch is no dependency.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.deq import AffineLayer, Anderson, Broyden, Implicit, Method, Newton, Picard
from ufm.training.network import cross_entropy

SAMPLES, WIDTH, TOLERANCE = 512, 64, 1e-6


@dataclass(frozen=True)
class Job:
    """One route on one job: map calls forward and backward, worst relative residuals, share solved, seconds."""

    job: str
    route: str
    forward: int
    backward: int
    residual: float
    adjoint: float
    solved: float
    seconds: float


@dataclass(frozen=True)
class Reference:
    """The arrays of the job."""

    weight: Floats
    injection: Floats
    inputs: Floats
    classifier: Floats
    labels: NDArray[np.intp]

    @classmethod
    def make(cls, norm: float, seed: int = 0) -> Reference:
        """Gaussian W scaled to an operator norm, U with variance 1/d, b = 0."""
        rng = np.random.default_rng(seed)
        weight = rng.standard_normal((WIDTH, WIDTH))
        weight *= norm / np.linalg.norm(weight, 2)
        injection = rng.standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH)
        inputs = rng.standard_normal((SAMPLES, WIDTH))
        classifier = rng.standard_normal((10, WIDTH)) / np.sqrt(WIDTH)
        return cls(weight, injection, inputs, classifier, rng.integers(0, 10, SAMPLES))

    def layer(self) -> AffineLayer:
        """The layer."""
        return AffineLayer(self.weight, self.injection, np.zeros(WIDTH))

    def cotangent(self, z: Floats) -> Floats:
        """Gradient of the mean cross-entropy by the features."""
        return cross_entropy(z @ self.classifier.T, self.labels)[1] @ self.classifier


METHODS: dict[str, Method] = {
    "Picard": Picard(rtol=TOLERANCE),
    "Anderson": Anderson(rtol=TOLERANCE),
    "Broyden": Broyden(rtol=TOLERANCE),
}


def ours(reference: Reference, route: str, runs: int) -> Job:
    """Forward and backward with one method; Newton goes with Broyden's adjoint."""
    method = METHODS.get(route, Newton(rtol=TOLERANCE))
    adjoint = Implicit(method=METHODS.get(route, METHODS["Broyden"]))
    layer, start = reference.layer(), np.zeros((SAMPLES, WIDTH))
    times, found, back = [], None, None
    for _ in range(runs):
        began = perf_counter()
        map_ = layer.at(reference.inputs)
        found = method(map_, start)
        back = adjoint(map_, found.value, reference.cotangent(found.value))
        times.append(perf_counter() - began)
    assert found is not None
    assert back is not None
    return Job(
        "norm 2", route, found.stats.calls, back.stats.calls, float(found.relative.max()), float(back.relative.max()),
        float(found.converged.mean()), median(times),
    )  # fmt: skip


def hard(route: str, method: Method, seed: int = 0) -> Job:
    """The job that is no contraction, forward only."""
    reference = Reference.make(4.0, seed)
    began = perf_counter()
    found = method(reference.layer().at(reference.inputs), np.zeros((SAMPLES, WIDTH)))
    seconds = perf_counter() - began
    worst = float(found.relative[found.converged].max()) if found.converged.any() else np.inf
    return Job(f"norm 4, seed {seed}", route, found.stats.calls, 0, worst, 0.0, float(found.converged.mean()), seconds)


def theirs(reference: Reference, route: str, runs: int, **options: float) -> Job:
    """torchdeq's solver with its relative stopping rule, forward and implicit backward (vector-Jacobian product by hand)."""
    import torch  # type: ignore[import-not-found]
    from torchdeq.solver import broyden_solver, fixed_point_iter  # type: ignore[import-not-found]
    from torchdeq.solver.anderson import anderson_solver  # type: ignore[import-not-found]

    solver: Callable[..., Any] = {"Picard": fixed_point_iter, "Anderson": anderson_solver, "Broyden": broyden_solver}[route]
    torch.set_num_threads(1)
    arrays = (reference.weight, reference.injection, reference.inputs, reference.classifier, reference.labels)
    weight, injection, inputs, classifier, labels = (torch.from_numpy(a) for a in arrays)
    times, calls, worst = [], [0, 0], [np.inf, np.inf]

    def solve(which: int, f: Callable[[Any], Any], start: Any) -> Any:
        def counted(z: Any) -> Any:
            calls[which] += 1
            return f(z)

        calls[which] = 0
        return solver(counted, start, max_iter=200, tol=TOLERANCE, stop_mode="rel", **options)[0]

    for _ in range(runs):
        began = perf_counter()
        with torch.no_grad():
            drive = inputs @ injection.T
            f = _map(torch, weight, drive)
            forward = solve(0, f, torch.zeros_like(inputs))
        z = forward.detach().requires_grad_()
        v = torch.autograd.grad(torch.nn.functional.cross_entropy(z @ classifier.T, labels), z)[0]
        with torch.no_grad():
            slope = 1 - f(forward) ** 2
            adjoint = _adjoint(weight, slope, v)
            backward = solve(1, adjoint, v)
        times.append(perf_counter() - began)
        worst = [_residual(f, forward), _residual(adjoint, backward)]
    name = f"torchdeq {route}" + "".join(f", {n}={x:g}" for n, x in options.items())
    return Job("norm 2", name, calls[0], calls[1], worst[0], worst[1], float(max(worst) <= 1.01 * TOLERANCE), median(times))


def _map(torch: Any, weight: Any, drive: Any) -> Callable[[Any], Any]:
    return lambda z: torch.tanh(z @ weight.T + drive)


def _adjoint(weight: Any, slope: Any, v: Any) -> Callable[[Any], Any]:
    return lambda g: v + (g * slope) @ weight


def _residual(f: Callable[[Any], Any], z: Any) -> float:
    image = f(z)
    return float(((image - z).norm(dim=1) / image.norm(dim=1)).max())


def all_jobs(progress: Callable[[str], None]) -> list[Job]:
    """All rows, one BLAS thread."""
    from threadpoolctl import threadpool_limits

    reference, rows = Reference.make(2.0), []
    with threadpool_limits(1):
        for route in (*METHODS, "Newton"):
            progress(f"equilibria, {route}")
            rows.append(ours(reference, route, 21))
        for seed in (0, 1, 2):
            progress("equilibria that are no contraction")
            rows.append(hard("Broyden", Broyden(rtol=TOLERANCE, max_calls=300), seed))
        rows.append(hard("Newton", Newton(rtol=TOLERANCE, max_calls=300)))
        if _has_torchdeq():
            for route in METHODS:
                progress(f"equilibria, torchdeq {route}")
                rows.append(theirs(reference, route, 11))
            # Its default ridge is absolute and keeps it above the tolerance.
            rows.append(theirs(reference, "Anderson", 11, lam=1e-12))
    return rows


def _has_torchdeq() -> bool:
    from importlib.util import find_spec

    return find_spec("torch") is not None and find_spec("torchdeq") is not None


def training(progress: Callable[[str], None]) -> list[tuple[str, float, float]]:
    """(what, seconds, budget) of one training run of 5,000 mixture samples, d = 64, 100 epochs."""
    from ufm.training import Settings, train

    rows = []
    for model in ("deq", "explicit"):
        settings = Settings(model=model, ratio=1)
        data = settings.dataset()
        began = perf_counter()
        train(
            data,
            settings.network(data.x.shape[1]),
            optimizer=settings.make_optimizer(),
            epochs=settings.epochs,
            report=lambda row, model=model: progress(f"training, {model}, epoch {int(row['epoch'])}"),
        )
        rows.append((f"train {model}, 5000 samples, 100 epochs", perf_counter() - began, 60.0))
    return rows
