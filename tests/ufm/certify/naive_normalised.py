"""The naive verifier of `tests.ufm.certify.naive` for features of a fixed norm: W and H written out, class by class.

Nothing of the package is used. The lower bound is that of weight decay at the document's weights, less what the weights allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import mpmath

from tests.ufm.certify import documents, naive

REGULARIZERS = {"decay": None, "bias decay": "1/3", "free bias": "0"}
EXPLICIT = {
    "head": {"kind": "explicit", "layers": 1},
    "regularizer": {"kind": "weight_decay", "lambda_W": "1", "lambda_H": "1", "lambda_b": None, "features": "per class"},
}


class NormalisedModel(naive.Model):
    """A problem with features of one norm, one entry for every class."""

    def __init__(self, data: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
        bias = data["regularizer"]["lambda_b"]
        super().__init__({**data, **EXPLICIT, "regularizer": EXPLICIT["regularizer"] | {"lambda_b": bias}})
        self.effective = Fraction(data["regularizer"]["lambda_W"]) / Fraction(data["head"]["norm"]) ** 2
        inverse = naive.dyadic(weights)
        self.s_squared = [1 / inverse[g] for g in self.group]
        self.s = [mpmath.sqrt(naive.number(v)) for v in self.s_squared]

    def charge(self) -> naive.Charge:
        """Nothing by lengths: the price is that of W itself."""
        return naive.Charge(lambda t: mpmath.mpf(0))

    def objective(self, primal: Mapping[str, Any]) -> Any:
        x, left, right = (naive.dyadic(primal[name]) for name in ("contrast", "left", "right"))
        group, number = self.group, naive.number
        weight = [[number(left[g][i]) for i in range(len(right))] for g in group]
        features = [[number(right[i][g]) for g in group] for i in range(len(right))]
        for g in sorted(set(group)):
            size, members = abs(number(x[g])), [k for k in range(self.K) if group[k] == g]
            scale, e = self.s[members[0]], number(self.effective)
            for k in members:
                # One dimension for each class, in which both are multiples of the centring matrix of the group.
                centred = [(mpmath.mpf(j == k) - mpmath.mpf(1) / len(members)) if j in members else 0 for j in range(self.K)]
                for j in range(self.K):
                    weight[j].append(mpmath.sqrt(scale * size / e) * centred[j])
                features.append([mpmath.sign(number(x[g])) * mpmath.sqrt(e * size / scale) * v for v in centred])
        square = sum(v * v for row in weight for v in row)
        longest = max(sum(row[k] ** 2 for row in features) for k in range(self.K))
        return super().objective(primal) + number(self.effective) / 2 * square * longest

    def dual(self, witness: Mapping[str, Any], upper: Any) -> Any:
        return super().dual(witness, upper) - naive.number(sum(self.s_squared) / (2 * self.effective))


def bounds(document: Mapping[str, Any]) -> tuple[Any, Any]:
    """``lower <= optimum <= upper`` that the document proves, right to 60 digits."""
    with mpmath.workdps(naive.DIGITS):
        model = NormalisedModel(document["problem"], document["weights"])
        upper = model.objective(document["primal"])
        return model.dual(document["dual"], upper), upper


def written(of: str, regularizer: str, groups: list[tuple[int, int]], seed: int, spread: float = 0.5) -> documents.Document:
    """A document by hand with a random witness, far from optimal."""
    rng = documents.random.Random(f"{of} {regularizer} {groups} {seed}")
    found = documents.document("explicit", regularizer, of, groups, seed, spread=spread)
    found["problem"]["dim"] = None
    found["problem"]["head"] = {"kind": "layer_norm", "norm": rng.choice(["1", "3/2", "20"])}
    found["problem"]["regularizer"] = {
        "kind": "classifier_decay",
        "lambda_W": rng.choice(["1/50", "3", "1e-6"]),
        "lambda_b": REGULARIZERS[regularizer],
    }
    found["weights"] = {"exponent": -8, "integers": [str(rng.randint(1, 2**14)) for _ in groups]}
    return found
