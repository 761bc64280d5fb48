"""The rows of ``python -m benchmarks`` in two checkouts, in turn: ``python -m benchmarks.beside OTHER [WORD ...]``.

Prints the time here, the time in the checkout OTHER, and their ratio; words choose the rows whose names contain them all.
Both checkouts answer in processes of their own, on one thread, row by row, in turn, the one that begins alternating. A row's
time is the least processor time of a call over all rounds, which other work on the machine disturbs least. The rows are
written with what every release has, class sizes as lists; bounds of float certificates alone are rows of their own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

HERE = Path(__file__).resolve()
ROUNDS = 7
VISIT = 0.4
"""Seconds that a visit to a row lasts at least."""
LONG = 3.0
"""Seconds of the slower call above which a row has three rounds."""


def rows() -> dict[str, Callable[[], Any]]:
    """What is timed, by name; each entry is called without arguments."""
    import numpy as np

    import ufm
    from ufm.certify import bounds
    from ufm.solvers import Convex, Factored, Multistart, Symmetric

    def of(sizes: list[int], regularizer: Any, **options: Any) -> ufm.Problem:
        return ufm.Problem(sizes, regularizer=regularizer, **options)

    ten, budget = [1000] * 5 + [100] * 5, ufm.NormBudget(1, 5)
    step, bounded = of(ten, ufm.WeightDecay(5e-4, 5e-4)), of(ten, budget)
    many = [1000] * 500_000 + [100] * 500_000
    small = ufm.WeightDecay(2.0**-10, 2.0**-10)
    layers = of([5] * 10, small, head=ufm.Explicit(2))
    deq = of([900] * 5 + [100] * 5, ufm.WeightDecay(2.5e-3, 2.5e-3), head=ufm.DecayedDEQ(0.05, 0.5))
    squared = of([30, 20, 10, 5], small, loss=ufm.SquaredError(), head=ufm.Explicit(3))
    long = {
        k: ufm.Problem(ufm.long_tailed(k, largest=500, ratio=100), regularizer=ufm.WeightDecay(1e-4, 1e-4))
        for k in (50, 100, 500)
    }
    found: dict[str, Callable[[], Any]] = {}
    for name, problem in (("decay", step), ("budget", bounded)):
        found[f"10 step {name}, symmetric"] = lambda p=problem: Symmetric()(p)
        found[f"10 step {name}, factored"] = lambda p=problem: Factored()(p)
        for profile in ("clarabel", "scs", "scs-1e-9"):
            found[f"10 step {name}, {profile}"] = lambda p=problem, q=profile: Convex(profile=q)(p)
    for name, regularizer in (("decay", ufm.WeightDecay(5e-11, 5e-11)), ("budget", ufm.NormBudget(1, 10))):
        problem = of(many, regularizer)
        found[f"10^6 step {name}, symmetric"] = lambda p=problem: Symmetric()(p)
    for classes, problem in long.items():
        found[f"{classes} long tail, factored 1e-9"] = lambda p=problem: Factored(tolerance=1e-9)(p)
        if classes < 500:
            found[f"{classes} long tail, factored"] = lambda p=problem: Factored()(p)
    for name, problem, solver in (
        ("10 step decay, symmetric", step, Symmetric()),
        ("10 step decay, factored", step, Factored()),
        ("50 long tail", long[50], Factored()),
        ("100 long tail", long[100], Factored()),
    ):
        solution = solver(problem)
        found[f"{name}, float certificate"] = lambda s=solution: bounds(s.program, s.factors)
        found[f"{name}, rigorous certificate"] = lambda s=solution: s.certificate.rigorous()
    found["two layers, 20 starts"] = lambda: ufm.solve(layers, method=Multistart())
    found["decayed DEQ, 20 starts"] = lambda: ufm.solve(deq, method=Multistart())
    found["squared error, three layers"] = lambda: ufm.solve(squared)
    for decay in (0.05, 0.01):
        found[f"jump threshold, decay {decay} on A"] = lambda a=decay: ufm.threshold(
            classes=(5, 5), regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), minority_count=100, head=ufm.DecayedDEQ(a, 0.5)
        )
    found["41 step problems at once"] = lambda: _at_once(np.round(1000 * np.geomspace(1.0, 1e4, 41)))
    found["10^5 step problems at once"] = lambda: _at_once(np.round(1000 * np.geomspace(1.0, 1e4, 100_000)))
    found.update(_equilibria())
    found["import ufm and solve, whole process"] = _process
    return found


def _at_once(sizes: Any) -> Any:
    import importlib

    try:
        place = importlib.import_module("ufm.solvers.convex.step_imbalance")
    except ModuleNotFoundError:
        place = importlib.import_module("ufm.solvers.step")  # where it was before modules moved
    return place.solve_steps(majority=5, minority=5, n_majority=sizes, n_minority=1000.0, radius=10 * 5**0.5)


def _equilibria() -> dict[str, Callable[[], Any]]:
    import numpy as np

    from ufm.deq import AffineLayer, Anderson, Broyden, Implicit, Newton, Picard
    from ufm.training import Settings, train

    rng = np.random.default_rng(0)
    width, samples = 64, 512
    weight = rng.standard_normal((width, width))
    injection = rng.standard_normal((width, width)) / np.sqrt(width)
    inputs, cotangent = rng.standard_normal((samples, width)), rng.standard_normal((samples, width))
    start, unit = np.zeros((samples, width)), weight / np.linalg.norm(weight, 2)
    found: dict[str, Callable[[], Any]] = {}

    def both(method: Any, adjoint: Any) -> None:
        at = AffineLayer(2 * unit, injection, np.zeros(width)).at(inputs)
        adjoint(at, method(at, start).value, cotangent)

    for name, method in (("Picard", Picard), ("Anderson", Anderson), ("Broyden", Broyden), ("Newton", Newton)):
        solver = method(rtol=1e-6)
        adjoint = Implicit(method=Broyden(rtol=1e-6) if name == "Newton" else solver)
        found[f"equilibria, {name}"] = lambda m=solver, a=adjoint: both(m, a)
    hard = AffineLayer(4 * unit, injection, np.zeros(width))
    found["equilibria, no contraction, Broyden"] = lambda: Broyden(rtol=1e-6, max_calls=300)(hard.at(inputs), start)
    for model in ("deq", "explicit"):
        settings = Settings(model=model, ratio=1, epochs=3)

        def trained(settings: Any = settings) -> Any:
            data = settings.dataset()
            make = getattr(settings, "make_optimizer", None)
            optimizer = make() if make else settings.optimiser  # what release 0.1.0 calls it
            return train(data, settings.network(data.x.shape[1]), optimizer=optimizer, epochs=settings.epochs)

        found[f"train {model}, 3 epochs"] = trained
    return found


def _process() -> None:
    words = ["-m", "ufm", "solve", "--counts", "100*5,10*5", "--decay", "5e-4,5e-4", "--json"]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)


def _spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + children.ru_utime + children.ru_stime


def serve() -> None:
    """Answer names of rows on standard input with the least processor time of a call."""
    known = rows()
    print(" | ".join(known), flush=True)
    for line in sys.stdin:
        call = known[line.rstrip("\n")]
        least, began = float("inf"), _spent()
        while least == float("inf") or _spent() - began < VISIT:
            before = _spent()
            call()
            least = min(least, _spent() - before)
        print(least, flush=True)


class Checkout:
    """A process that answers from one checkout."""

    def __init__(self, root: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        code = f"import importlib.util as u; s = u.spec_from_file_location('beside', {str(HERE)!r}); m = u.module_from_spec(s); s.loader.exec_module(m); m.serve()"  # noqa: E501
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.rows = self.line().split(" | ")

    def line(self) -> str:
        """The next answer."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, row: str) -> float:
        """Seconds of one visit to a row."""
        assert self.process.stdin is not None
        self.process.stdin.write(row + "\n")
        self.process.stdin.flush()
        return float(self.line())


def main() -> int:
    """Print a line per row: milliseconds here and there, and their ratio."""
    here, there = Checkout(HERE.parent.parent), Checkout(Path(sys.argv[1]).resolve())
    chosen = [name for name in here.rows if name in there.rows and all(word in name for word in sys.argv[2:])]
    for name in chosen:
        least = [float("inf")] * 2
        for turn in range(ROUNDS):
            for place, checkout in ((0, here), (1, there))[:: 1 if turn % 2 else -1]:
                least[place] = min(least[place], checkout.ask(name))
            if turn >= 2 and max(least) > LONG:
                break
        ours, theirs = least
        print(f"{name:48} {1e3 * ours:10.3f} ms {1e3 * theirs:10.3f} ms {ours / theirs:6.2f}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
