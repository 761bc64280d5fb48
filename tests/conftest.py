"""Shared problems and independent oracles."""

from __future__ import annotations

import os
import shutil

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import ufm

settings.register_profile("ufm", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ufm")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip

SHARED: dict[str, ufm.Problem] = {
    "balanced decay": ufm.Problem([20] * 4, regularizer=ufm.WeightDecay(5e-3, 5e-3)),
    "step decay": ufm.Problem([40] * 2 + [10] * 3, regularizer=ufm.WeightDecay(4e-3, 1e-2)),
    "collapsed decay": ufm.Problem([60] * 2 + [4] * 3, regularizer=ufm.WeightDecay(1.8e-2, 1.8e-2)),
    "bias": ufm.Problem([40] * 2 + [10] * 3, regularizer=ufm.WeightDecay(4e-3, 1e-2, 1e-2)),
    "deq decay": ufm.Problem([40] * 2 + [10] * 3, regularizer=ufm.WeightDecay(4e-3, 1e-2), head=ufm.LinearDEQ(0.4)),
    "per class": ufm.Problem([20] * 2 + [5] * 3, regularizer=ufm.WeightDecay(1e-2, 2e-2, per_class=True)),
    "balanced budget": ufm.Problem([7] * 5, regularizer=ufm.NormBudget(1, 2)),
    "step budget": ufm.Problem([20] * 2 + [5] * 3, regularizer=ufm.NormBudget(1, 2)),
    "deq budget": ufm.Problem([20] * 2 + [5] * 3, regularizer=ufm.NormBudget(1, 2), head=ufm.LinearDEQ(0.3)),
    "all sizes": ufm.Problem([30, 12, 5, 1], regularizer=ufm.WeightDecay(5e-3, 8e-3)),
    "two classes": ufm.Problem([9, 3], regularizer=ufm.WeightDecay(1e-2, 1e-2)),
}


@pytest.fixture(params=SHARED)
def problem(request: pytest.FixtureRequest) -> ufm.Problem:
    """Each of the shared problems."""
    return SHARED[request.param]


def cross_entropy(logits: np.ndarray, counts: np.ndarray) -> float:
    """Mean cross-entropy over samples, written independently of the package."""
    from scipy.special import logsumexp

    return float(counts @ (logsumexp(logits, axis=0) - np.diag(logits)) / counts.sum())


def split(solution: ufm.Solution) -> ufm.Solution:
    """The same point in the program whose groups are single classes."""
    from ufm.solvers.solution import conclude
    from ufm.spectral import Point

    program, factors = solution.program, solution.factors
    group = np.repeat([g for g, _ in program.runs], [c for _, c in program.runs])
    whole, bias = program.split(), factors.bias[group]
    core = (np.asarray(program.logits(factors)) - bias[:, None]) * whole.scale
    point = Point(np.zeros(len(group)), core, bias)
    return conclude(solution.problem, solution.method, whole, whole.factors(point), None, solution.stats, 1e-9)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; without it tests are skipped with the reason, or fail where UFM_REQUIRE_BROWSER is set."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if path is None or sync_playwright is None:
        reason = "no Chromium on this system" if path is None else "playwright is not installed"
        if os.environ.get("UFM_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(f"browser tests: {reason}")
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield found
        found.close()
