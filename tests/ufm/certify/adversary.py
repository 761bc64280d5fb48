"""Bounds of random extreme problems against the naive verifier.

A few hundred problems are an ordinary test; the long run is

    python -m tests.ufm.certify.adversary --count 10000 --seed 1

which prints the seed, the counts by head, loss and status, and every violation with the problem's number (exit code 1).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field

import mpmath
import numpy as np

import ufm
from tests.ufm.certify import naive, naive_cosine, naive_normalised
from tests.ufm.certify.extreme import extreme_problem
from ufm.certify.verify import prove, working_precision
from ufm.problem.heads import Parameters

NORMALISED = {"layer_norm": naive_normalised, "cosine": naive_cosine}
"""Verifiers of heads whose features have a fixed norm."""
RELATIVE, ROOM = mpmath.mpf(10) ** -40, mpmath.mpf(10) ** (20 - naive.DIGITS)
"""The naive verifier's own error, generously."""


@dataclass
class Tally:
    """What a run has seen."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def attack(seed: int, number: int, *, normalised: bool = True) -> tuple[list[str], list[str]]:
    """Labels for the tally, and sentences on what is wrong, for one problem; see `extreme_problem` for ``normalised``."""
    problem = extreme_problem(np.random.default_rng([seed, number]), normalised=normalised)
    solution = ufm.solve(problem, method=_method(problem))
    labels = [type(problem.head).__name__, str(problem.loss).partition(":")[0], solution.status.name.lower()]
    return labels, [f"{sentence}: {problem}" for sentence in violations(solution)]


def _method(problem: ufm.Problem) -> str | ufm.solvers.Solver:
    """The automatic choice, with less search where search is what takes the time."""
    convex = problem.program().penalty.convex
    if convex or ufm.solvers.Separable().unfit(problem) is None:
        return "auto"
    return ufm.solvers.Multistart(starts=1, effort=2, max_iterations=150)


def violations(solution: ufm.Solution) -> list[str]:
    """Every way in which a solution's bounds, value and parameters contradict exact arithmetic."""
    certificate = solution.certificate
    document = certificate.document()
    found = []
    with mpmath.workdps(naive.DIGITS):
        kind = document["problem"]["head"]["kind"]  # type: ignore[index]
        dual, objective = NORMALISED.get(kind, naive).bounds(document)
        room = RELATIVE * abs(objective) + ROOM
        # Scaled slopes are slopes too: where zero proves more, the bound may rest on any multiple of the witness.
        dual = max(dual, _at_zero(_columns(document["problem"])))  # type: ignore[arg-type]
        moments = not solution.program.penalty.convex and solution.program.groups == 1
        proved = objective if moments or solution.method == "multistart" else dual
        if not certificate.lower <= proved + room:
            found.append(f"float lower bound is {_by(certificate.lower, proved)} above what its witness proves")
        if not certificate.upper >= objective - room:
            found.append(f"float upper bound is {_by(objective, certificate.upper)} below the objective at its factors")
        proof = prove(document)
        with working_precision():
            ends = _exact(proof.lower.lower()), _exact(proof.upper.upper())
        if not ends[0] <= dual + room:
            found.append(f"rigorous lower bound is {_by(ends[0], dual)} above what its witness proves")
        if not ends[1] >= objective - room:
            found.append(f"rigorous upper bound is {_by(objective, ends[1])} below the objective at its factors")
        attained = parameter_objective(solution.problem, solution.parameters)
        if not certificate.lower - room <= attained <= certificate.upper + room:
            found.append(f"parameters attain {_by(attained, certificate.upper)} more than the upper bound")
    rigorous = certificate.rigorous()
    if certificate.lower > rigorous.upper or rigorous.lower > certificate.upper:
        found.append("float and rigorous bounds are disjoint")
    own = solution.problem.objective(solution.parameters)
    if not own <= certificate.upper + max(certificate.gap, 1e-13 * certificate.upper):
        found.append(f"the model's own objective is {_by(own, certificate.upper)} above the upper bound")
    return found


def _columns(data: dict[str, object]) -> naive.Model:
    """The problem's losses, column by column, whatever the head."""
    free = data["head"]["kind"] in NORMALISED  # type: ignore[index]
    return naive.Model({**data, **naive_cosine.PARTS} if free else data)


def _at_zero(model: naive.Model) -> mpmath.mpf:
    zero = [[0] * model.K for _ in range(model.K)]
    return sum(naive.number(model.pi[k]) * model.conjugate(zero, k) for k in range(model.K))


def _exact(ball_end: object) -> mpmath.mpf:
    mantissa, exponent = ball_end.man_exp()  # type: ignore[attr-defined]
    return mpmath.mpf(int(mantissa)) * mpmath.mpf(2) ** int(exponent)


def _by(high: object, low: object) -> str:
    scale = max(abs(mpmath.mpf(low)), mpmath.mpf(10) ** -300)
    return mpmath.nstr((mpmath.mpf(high) - mpmath.mpf(low)) / scale, 3) + " (relative)"


def parameter_objective(problem: ufm.Problem, parameters: Parameters) -> mpmath.mpf:
    """The model's objective at explicit parameters, class by class; the parameters are taken as the exact numbers they are."""
    model = _columns(problem_data(problem))
    sizes, order = list(problem.counts), _order(problem)
    classes = model.K
    W, H = _matrix(parameters.weight), _matrix(parameters.features)
    outputs = H
    if parameters.mixing is not None:
        d = parameters.mixing.shape[0]
        outputs = mpmath.inverse(mpmath.eye(d) - _matrix(parameters.mixing)) * H
    for layer in parameters.layers:
        outputs = _matrix(layer) * outputs
    Z = W * outputs
    bias = [mpmath.mpf(float(v)) for v in parameters.bias] if parameters.bias is not None else [mpmath.mpf(0)] * classes
    total = mpmath.mpf(0)
    for place, k in enumerate(order):
        column = [Z[j, k] + bias[j] for j in order]
        total += naive.number(model.pi[place]) * model.column_loss(column, place)
    decay = problem.regularizer
    if isinstance(decay, ufm.ClassifierDecay):
        return total + mpmath.mpf(decay.weight) / 2 * _square(W) + mpmath.mpf(decay.bias or 0.0) / 2 * sum(v * v for v in bias)
    if not isinstance(decay, ufm.WeightDecay):
        return total
    if problem.head.fixed_weight(decay, classes, parameters.weight.shape[1]) is None:
        total += mpmath.mpf(decay.weight) / 2 * _square(W)
    for k in range(classes):
        samples = 1 if decay.per_class else sizes[k]
        total += mpmath.mpf(decay.features) / 2 * samples * sum(H[i, k] ** 2 for i in range(H.rows))
    if isinstance(problem.head, ufm.DecayedDEQ):
        total += mpmath.mpf(problem.head.decay) / 2 * _square(_matrix(parameters.mixing))
    for layer in parameters.layers:
        total += mpmath.mpf(decay.weight) / 2 * _square(_matrix(layer))
    if decay.bias:
        total += mpmath.mpf(decay.bias) / 2 * sum(v * v for v in bias)
    return total


def problem_data(problem: ufm.Problem) -> dict[str, object]:
    """The problem as a certificate writes it, classes grouped by size, largest first."""
    counts = problem.counts
    return {
        "groups": [{"classes": m, "size": n} for m, n in counts.groups],
        "loss": problem.loss.certificate(counts),
        "head": problem.head.certificate(),
        "regularizer": problem.regularizer.certificate(),
        "dim": problem.dim,
    }


def _order(problem: ufm.Problem) -> list[int]:
    """Classes in the order of `problem_data`."""
    sizes = list(problem.counts)
    return sorted(range(len(sizes)), key=lambda k: -sizes[k])


def _matrix(array: object) -> mpmath.matrix:
    return mpmath.matrix(np.asarray(array, dtype=float).tolist())


def _square(matrix: mpmath.matrix) -> mpmath.mpf:
    return sum(v * v for v in matrix)


def run(seed: int, first: int, count: int, progress: bool = False) -> Tally:
    """Attack problems ``first`` to ``first + count - 1`` of a seed."""
    tally = Tally(seed)
    for number in range(first, first + count):
        try:
            labels, wrong = attack(seed, number)
        except (ufm.InputError, ufm.ConvergenceError) as error:
            labels, wrong = ["refused"], [f"{type(error).__name__}: {error}"]
        except Exception as error:  # every other exception is what this program looks for
            labels, wrong = ["crashed"], [f"{type(error).__name__}: {error}"]
        tally.counts.update(labels)
        tally.violations += [f"problem {number} of seed {seed}: {sentence}" for sentence in wrong]
        for sentence in wrong:
            print(f"problem {number}: {sentence}", flush=True)
        if progress and (number - first + 1) % 100 == 0:
            print(f"{number - first + 1} problems, {len(tally.violations)} violations", file=sys.stderr, flush=True)
    return tally


def main() -> None:
    """Print the seed, counts and violations."""
    import warnings

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("error")
    tally = run(given.seed, given.first, given.count, progress=True)
    counted = ", ".join(f"{name} {number}" for name, number in sorted(tally.counts.items()))
    print(f"seed {given.seed}, {given.count} problems, {len(tally.violations)} violations ({counted})")
    sys.exit(1 if tally.violations else 0)


if __name__ == "__main__":
    main()
