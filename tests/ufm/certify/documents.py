"""Certificate documents written by hand: random problems with random witnesses, exact and far from optimal.

Nothing of the package is used. A witness that is far from optimal exercises every term of a bound; at an optimum many vanish.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from typing import Any

Document = dict[str, Any]

GROUPS = (
    [(1, 40), (3, 4)],
    [(2, 30), (3, 10)],
    [(1, 9), (1, 3)],
    [(2, 5)],
    [(1, 1000), (2, 7), (1, 2)],
    [(1, 50), (1, 20), (2, 20)],
    [(3, 6), (1, 1), (1, 2)],
)

HEADS: dict[str, Document] = {
    "explicit": {"kind": "explicit", "layers": 1},
    "explicit:2": {"kind": "explicit", "layers": 2},
    "explicit:3": {"kind": "explicit", "layers": 3},
    "explicit:5": {"kind": "explicit", "layers": 5},
    "linear DEQ": {"kind": "linear_deq", "rho": "3/10"},
    "decayed DEQ": {"kind": "decayed_deq", "decay": "1/2", "contraction": "4/5"},
    "strongly decayed DEQ": {"kind": "decayed_deq", "decay": "40", "contraction": "9/10"},
    "Frobenius DEQ": {"kind": "frobenius_deq", "budget": "7/20"},
    "Frobenius DEQ near 1": {"kind": "frobenius_deq", "budget": "999/1000"},
    "relu": {"kind": "relu"},
    "etf": {"kind": "fixed_etf", "norm": None, "average": False},
    "etf of a norm": {"kind": "fixed_etf", "norm": "5/2", "average": False},
    "etf on average": {"kind": "fixed_etf", "norm": None, "average": True},
}
COLUMNS = {"relu", "fixed_etf"}

REGULARIZERS: dict[str, Document] = {
    "decay": {"kind": "weight_decay", "lambda_W": "1/50", "lambda_H": "3/100", "lambda_b": None, "features": "per sample"},
    "decay per class": {
        "kind": "weight_decay", "lambda_W": "1/5", "lambda_H": "1/7", "lambda_b": None, "features": "per class",
    },
    "bias decay": {"kind": "weight_decay", "lambda_W": "1/50", "lambda_H": "1e-2", "lambda_b": "1/3", "features": "per sample"},
    "free bias": {"kind": "weight_decay", "lambda_W": "1/9", "lambda_H": "1/40", "lambda_b": "0", "features": "per sample"},
    "budget": {"kind": "norm_budget", "E_W": "6/5", "E_H": "2/3"},
    "tight budget": {"kind": "norm_budget", "E_W": "1/50", "E_H": "1/20"},
}  # fmt: skip
LOSSES = ("plain", "weights", "offsets", "temperatures", "smoothing", "all", "mse", "bce")


def loss(kind: str, groups: int, rng: random.Random) -> Document:
    """A loss of one of `LOSSES`."""
    if kind in ("mse", "bce"):
        return {"kind": kind}

    def table(name: str, low: int, high: int, neutral: str) -> list[str]:
        if kind not in (name, "all"):
            return [neutral] * groups
        return [f"{rng.randint(low, high)}/{rng.randint(3, 9)}" for _ in range(groups)]

    smoothing = f"{rng.randint(1, 6)}/10" if kind in ("smoothing", "all") else "0"
    return {
        "kind": "ce", "smoothing": smoothing, "weights": table("weights", 1, 20, "1"),
        "temperatures": table("temperatures", 2, 9, "1"), "offsets": table("offsets", -9, 9, "0"),
    }  # fmt: skip


def allowed(head: str, regularizer: str, of: str) -> bool:
    """Whether a problem has these parts."""
    kind, parts = HEADS[head]["kind"], REGULARIZERS[regularizer]
    budget = parts["kind"] == "norm_budget"
    if kind in COLUMNS and (of != "plain" or parts.get("lambda_b") is not None):
        return False
    if (kind == "decayed_deq" and budget) or (head == "etf of a norm" and budget):
        return False
    return head != "etf on average" or budget


def json_text(document: Document) -> str:
    """The document as it stands in a file."""
    return json.dumps(document)


def shares(problem: Document) -> list[Fraction]:
    """Share of the loss of one class of each group."""
    weights = [Fraction(w) for w in problem["loss"].get("weights", ["1"] * len(problem["groups"]))]
    mass = sum(w * g["classes"] * g["size"] for w, g in zip(weights, problem["groups"], strict=True))
    return [w * g["size"] / mass for w, g in zip(weights, problem["groups"], strict=True)]


def slopes(problem: Document, rng: random.Random, spread: float) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Slopes of one class's column: what it gives to itself, and to one other class of each group.

    ``S_gh / share_h`` with a symmetric S off the diagonal: then ``Y pi = 0``, which a free bias needs and others allow.
    Without a free bias, noise is added; for squared error the rest is free too.
    """
    m, pi = [g["classes"] for g in problem["groups"]], shares(problem)
    groups = range(len(m))
    free = problem["regularizer"].get("lambda_b") == "0"
    repel = problem["head"]["kind"] == "relu"
    symmetric = [[Fraction(0)] * len(m) for _ in m]
    for g in groups:
        for h in range(g + 1):
            symmetric[g][h] = symmetric[h][g] = pi[g] * pi[h] * (Fraction(rng.randint(40, 90), 100))
    other = [[symmetric[g][h] / pi[h] if g != h or m[g] > 1 else Fraction(0) for h in groups] for g in groups]
    if not free:
        for g in groups:
            for h in groups:
                # Columns of nearly equal numbers repel each other.
                near = (other[g][h] != 0) * Fraction(rng.randint(95, 105), 100)
                other[g][h] = near if repel else other[g][h] * Fraction(rng.choice((0, 1, 10, 60, 200)), 50)
    size = max(sum((m[g] - (g == h)) * other[g][h] for g in groups) for h in groups)
    scale = Fraction(spread) * (1 - Fraction(problem["loss"].get("smoothing", 0))) / (size or 1)
    other = [[v * scale for v in row] for row in other]
    own = [-sum(((m[g] - (g == h)) * other[g][h] for g in groups), Fraction(0)) for h in groups]
    if problem["loss"]["kind"] == "bce" and not free:
        own = [v * Fraction(rng.choice((0, 30, 95, 100)), 100) for v in own]
    if problem["loss"]["kind"] == "mse":
        own = [v + Fraction(rng.randint(-30, 10), 100) for v in own]
        if free:
            residual = [
                sum(((m[h] - (g == h)) * pi[h] * other[g][h] for h in groups), Fraction(0)) + pi[g] * own[g] for g in groups
            ]
            own = [v - r for v, r in zip(own, residual, strict=True)]
            other = [[v - residual[g] if g != h or m[g] > 1 else v for h, v in enumerate(row)] for g, row in enumerate(other)]
    return own, other


def dual(problem: Document, rng: random.Random, spread: float) -> Document:
    """Probabilities ``T + Y`` (slopes for squared error and one-vs-rest) over a common denominator."""
    own, other = slopes(problem, rng, spread)
    m = [g["classes"] for g in problem["groups"]]
    if problem["loss"]["kind"] == "ce":
        floor = Fraction(problem["loss"]["smoothing"]) / sum(m)
        own = [v + 1 - floor * (sum(m) - 1) for v in own]
        other = [[v + floor if g != h or m[g] > 1 else v for h, v in enumerate(row)] for g, row in enumerate(other)]
    denominator = lcm(*(v.denominator for v in own), *(v.denominator for row in other for v in row)) * rng.choice((1, 3, 2**70))
    return {
        "denominator": str(denominator),
        "own": [str(int(v * denominator)) for v in own],
        "other": [[str(int(v * denominator)) for v in row] for row in other],
    }


def primal(problem: Document, rng: random.Random, size: float) -> Document:
    """Random factors with logits of about that size."""
    m = [g["classes"] for g in problem["groups"]]
    rank = rng.randint(0, len(m) + 1)

    def numbers(count: int, exponent: int) -> list[str]:
        return [str(round(rng.uniform(-size, size) * 2.0**-exponent)) for _ in range(count)]

    contrast = [v if c > 1 else "0" for v, c in zip(numbers(len(m), -30), m, strict=True)]
    if rng.random() < 0.3:
        contrast = ["0" if rng.random() < 0.5 else v for v in contrast]
    bias = numbers(len(m), -17) if problem["regularizer"].get("lambda_b") is not None else ["0"] * len(m)
    return {
        "contrast": {"exponent": -30, "integers": contrast},
        "left": {"exponent": -21, "integers": [numbers(rank, -21) for _ in m]},
        "right": {"exponent": -13, "integers": [numbers(len(m), -13) for _ in range(rank)]},
        "bias": {"exponent": -17, "integers": bias},
    }


def problem(head: str, regularizer: str, of: str, groups: list[tuple[int, int]], rng: random.Random | None = None) -> Document:
    """The problem's part of a document."""
    return {
        "groups": [{"classes": m, "size": n} for m, n in groups],
        "loss": loss(of, len(groups), rng or random.Random(0)),
        "head": dict(HEADS[head]),
        "regularizer": dict(REGULARIZERS[regularizer]),
        "dim": None,
    }


def document(head: str, regularizer: str, of: str, groups: list[tuple[int, int]], seed: int, **sizes: float) -> Document:
    """A document with a random witness: ``spread`` in (0, 1) moves the slopes away from zero, ``size`` scales the logits."""
    rng = random.Random(f"{head}, {regularizer}, {of}, {groups}, {seed}")
    parts = problem(head, regularizer, of, groups, rng)
    spread, size = sizes.get("spread", rng.choice((0.02, 0.3, 0.9))), sizes.get("size", rng.choice((0.3, 1.0, 2.0)))
    return {
        "format": "ufm-certificate/2",
        "problem": parts,
        "primal": primal(parts, rng, size),
        "dual": dual(parts, rng, spread),
    }


def every(head: str) -> Iterator[Document]:
    """A document for every regulariser and loss that go with the head, group structures in turn."""
    turn = sum(map(ord, head))
    for regularizer in REGULARIZERS:
        for of in LOSSES:
            if allowed(head, regularizer, of):
                turn += 1
                yield document(head, regularizer, of, GROUPS[turn % len(GROUPS)], turn)
