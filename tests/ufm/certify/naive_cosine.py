"""The naive verifier for cosines: W and H written out class by class, weights of rows and columns. Nothing of the package."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import mpmath

from tests.ufm.certify import documents, naive

MOST = 10**6
PARTS = {
    "head": {"kind": "explicit", "layers": 1},
    "regularizer": {"kind": "weight_decay", "lambda_W": "1", "lambda_H": "1", "lambda_b": None, "features": "per class"},
}


class CosineModel(naive.Model):
    """A problem with classifiers and features of fixed norms, one entry for every class."""

    def __init__(self, data: Mapping[str, Any], weights: Mapping[str, Any], rows: Mapping[str, Any]) -> None:
        super().__init__({**data, **PARTS})
        self.scale = Fraction(data["head"]["scale"])
        inverse, rows = naive.dyadic(weights), naive.dyadic(rows)
        self.omega = [1 / inverse[g] for g in self.group]
        self.upsilon = [rows[g] for g in self.group]

    def objective(self, primal: Mapping[str, Any]) -> Any:
        x, left, right = (naive.dyadic(primal[name]) for name in ("contrast", "left", "right"))
        group, number = self.group, naive.number
        weight = [[number(left[g][i]) for i in range(len(right))] for g in group]
        features = [[number(right[i][g]) for g in group] for i in range(len(right))]
        for g in sorted(set(group)):
            members, size = [k for k in range(self.K) if group[k] == g], abs(x[g])
            if not size:
                continue
            m = len(members)
            room = (self.scale**2 - sum(v * v for v in left[g])) * m / (m - 1)
            square = min(max(room, size / MOST), size * MOST)
            height = mpmath.sqrt(number(square))
            for k in members:
                centred = [(mpmath.mpf(j == k) - mpmath.mpf(1) / m) if j in members else 0 for j in range(self.K)]
                for j in range(self.K):
                    weight[j].append(height * centred[j])
                features.append([number(x[g]) / height * v for v in centred])
        highest = max(mpmath.sqrt(sum(v * v for v in row)) for row in weight)
        longest = max(mpmath.sqrt(sum(row[k] ** 2 for row in features)) for k in range(self.K))
        inside = 1 / max(mpmath.mpf(1), highest * longest / number(self.scale))
        loss = mpmath.mpf(0)
        for k in range(self.K):
            z = [inside * sum(w * row[k] for w, row in zip(weight[j], features, strict=True)) for j in range(self.K)]
            loss += number(self.pi[k]) * self.column_loss(z, k)
        return loss

    def dual(self, witness: Mapping[str, Any], upper: Any) -> Any:
        K, number, slopes = self.K, naive.number, self.slopes(witness)
        value = sum(number(self.pi[k]) * self.conjugate(slopes, k) for k in range(K))
        scaled = [
            [
                number(self.Delta[j] * slopes[j][k] * self.pi[k]) / mpmath.sqrt(number(self.upsilon[j] * self.omega[k]))
                for k in range(K)
            ]
            for j in range(K)
        ]
        radius = number(self.scale) * mpmath.sqrt(number(sum(self.upsilon) * sum(self.omega)))
        return value - radius * naive.largest_singular_value(mpmath.matrix(scaled))


def bounds(document: Mapping[str, Any]) -> tuple[Any, Any]:
    """``lower <= optimum <= upper`` that the document proves, right to 60 digits."""
    with mpmath.workdps(naive.DIGITS):
        model = CosineModel(document["problem"], document["weights"], document["rows"])
        upper = model.objective(document["primal"])
        return model.dual(document["dual"], upper), upper


def written(of: str, groups: list[tuple[int, int]], seed: int, spread: float = 0.5) -> documents.Document:
    """A document by hand with a random witness, far from optimal."""
    rng = documents.random.Random(f"{of} {groups} {seed}")
    found = documents.document("explicit", "decay", of, groups, seed, spread=spread)
    found["problem"]["dim"] = None
    found["problem"]["head"] = {"kind": "cosine", "scale": rng.choice(["1/2", "3", "40"])}
    found["problem"]["regularizer"] = {"kind": "no_decay"}
    for name in ("weights", "rows"):
        found[name] = {"exponent": -8, "integers": [str(rng.randint(1, 2**14)) for _ in groups]}
    return found
