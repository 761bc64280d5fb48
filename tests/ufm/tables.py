"""Random tables of every kind, a naive objective on W and H, and naive bounds in 50 digits: nothing of the package's own."""

from __future__ import annotations

import itertools

import mpmath as mp
import numpy as np
from scipy.optimize import minimize

import ufm
from ufm import TargetTable

KINDS = ("ce", "bce", "pal", "multitask", "mse")


def subsets(rows, size):
    """(rows, C(rows, size)) indicators of all subsets of that size."""
    found = [[float(k in chosen) for k in range(rows)] for chosen in itertools.combinations(range(rows), size)]
    return np.array(found).T


def random_table(rng, kind, most=8):
    """A table of this kind with at most ``most`` rows and contexts, and the loss's text."""
    rows, contexts = int(rng.integers(4, most + 1)), int(rng.integers(1, most + 1))
    sizes = 1 + (10 ** rng.uniform(0, rng.choice([0.5, 2.0]), contexts)).astype(int)
    if kind == "mse":
        columns = rng.standard_normal((rows, contexts))
    elif kind in ("bce", "pal"):
        columns = (rng.random((rows, contexts)) < 0.4).astype(float)
        columns[rng.integers(rows, size=contexts), np.arange(contexts)] = 1.0
        if kind == "bce" and rng.random() < 0.5:
            columns = rng.random((rows, contexts))
    else:
        columns = rng.random((rows, contexts)) * (rng.random((rows, contexts)) < 0.7) + 1e-3
        blocks = [slice(0, rows)] if kind == "ce" else [slice(0, 2), slice(2, rows)]
        for block in blocks:
            columns[block] /= columns[block].sum(axis=0)
    return TargetTable(columns, sizes), f"multitask:2,{rows - 2}" if kind == "multitask" else kind


def tasks(loss, rows):
    """The blocks of rows of a softmax loss."""
    if not loss.startswith("multitask"):
        return [slice(0, rows)]
    first = int(loss.split(":")[1].split(",")[0])
    return [slice(0, first), slice(first, rows)]


def naive_loss(table, loss, logits, log=np.log, exp=np.exp):
    """Mean loss over samples, straight from the definitions, entry by entry."""
    total = 0 * logits[0][0]
    for m, size in enumerate(table.sizes):
        z = [row[m] for row in logits]
        y = [float(v) for v in table.columns[:, m]]
        if loss == "mse":
            value = sum((a - b) ** 2 for a, b in zip(z, y, strict=True)) / 2
        elif loss == "bce":
            value = sum(log(1 + exp(a)) - b * a for a, b in zip(z, y, strict=True))
        elif loss == "pal":
            value = sum(log(sum(exp(c) for c in z)) - a for a, b in zip(z, y, strict=True) if b)
        else:
            value = 0
            for block in tasks(loss, len(z)):
                whole = sum(y[block])
                value += (
                    log(sum(exp(c) for c in z[block])) - sum(b * a for a, b in zip(z[block], y[block], strict=True)) / whole
                )
        total = total + size * value
    return total / table.total


def descended(problem, loss, seed=0):
    """The objective on W, H and b, minimised by L-BFGS with numerical slopes of nothing but the loss's own logits."""
    table, decay = problem.targets, problem.regularizer
    rows, contexts, width = table.rows, table.contexts, min(table.rows, table.contexts)
    sizes = np.array(table.sizes, dtype=float)
    weight = np.ones(contexts) if decay.per_class else sizes
    whole = {
        "pal": table.columns.sum(axis=0),
    }.get(loss, np.ones(contexts))

    def slopes(z):
        if loss == "mse":
            return z - table.columns
        if loss == "bce":
            return 1 / (1 + np.exp(-z)) - table.columns
        found = np.empty_like(z)
        for block in tasks(loss, rows):
            p = np.exp(z[block] - z[block].max(axis=0))
            found[block] = p / p.sum(axis=0) - table.columns[block] / table.columns[block].sum(axis=0)
        return found * whole

    def objective(x):
        w, h = x[: rows * width].reshape(rows, width), x[rows * width : (rows + contexts) * width].reshape(width, contexts)
        b = x[(rows + contexts) * width :]
        z = w @ h + (b[:, None] if len(b) else 0.0)
        value = naive_loss(table, loss, z)
        value += 0.5 * decay.weight * np.sum(w**2) + 0.5 * decay.features * np.sum(weight * h**2)
        g = slopes(z) * sizes / table.total
        parts = [(g @ h.T + decay.weight * w).ravel(), (w.T @ g + decay.features * weight * h).ravel()]
        if len(b):
            value += 0.5 * decay.bias * b @ b
            parts.append(g.sum(axis=1) + decay.bias * b)
        return value, np.concatenate(parts)

    biases = 0 if decay.bias is None else rows
    rng = np.random.default_rng(seed)
    start = rng.standard_normal((rows + contexts) * width + biases)
    options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-10, "maxcor": 40}
    return minimize(objective, start, jac=True, method="L-BFGS-B", options=options).fun


def naive_lower(document):
    """The lower bound that a document's slopes prove, in 50 digits and with a singular value decomposition in them."""
    with mp.workdps(50):
        stated, dual = document["problem"], document["dual"]
        weights = _matrix(stated["table"]["columns"])
        sizes, rows = stated["table"]["sizes"], len(weights)
        loss = stated["loss"]["kind"]
        blocks = _blocks(stated["loss"], rows)
        slopes = [[mp.mpf(int(v)) / int(dual["denominator"]) for v in row] for row in dual["slopes"]]
        decay = stated["regularizer"]
        value, norms = mp.mpf(0), mp.matrix(rows, len(sizes))
        residual = [mp.mpf(0)] * rows
        for m, size in enumerate(sizes):
            w, s = [row[m] for row in weights], [row[m] for row in slopes]
            count = sum(w) if loss == "pal" else 1
            share = count * mp.mpf(size) / sum(sizes)
            if loss == "mse":
                d = -sum(v * v for v in s) / 2 - sum(a * b for a, b in zip(s, w, strict=True))
            elif loss == "bce":
                q = [a + b for a, b in zip(s, w, strict=True)]
                assert -(mp.mpf(10) ** -45) < min(q)
                assert max(q) < 1 + mp.mpf(10) ** -45
                d = -sum(v * mp.log(v) + (1 - v) * mp.log(1 - v) for v in q if 0 < v < 1)
            else:
                d = mp.mpf(0)
                for block in blocks:
                    q = [a + b / sum(w[block]) for a, b in zip(s[block], w[block], strict=True)]
                    assert -(mp.mpf(10) ** -45) < min(q)
                    assert sum(s[block]) == 0 or abs(sum(s[block])) < mp.mpf(10) ** -45
                    d -= sum(v * mp.log(v) for v in q if v > 0)
            value += share * d
            scale = mp.sqrt(size) if decay.get("features") == "per sample" else 1
            for k in range(rows):
                norms[k, m] = s[k] * share / scale
                residual[k] += s[k] * share
        norm = _largest(norms)
        mu = _strength(stated)
        if decay["kind"] == "norm_budget":
            return value - mu * norm
        # Slopes that are too long are scaled; what is quadratic in them shrinks twice.
        bent = sum(mp.mpf(n) / sum(sizes) * sum(s[m] ** 2 for s in slopes) / 2 for m, n in enumerate(sizes))
        bent = bent if loss == "mse" else mp.mpf(0)
        linear, bias = value + bent, decay["lambda_b"]
        if bias is not None and _number(bias):
            bent += sum(v * v for v in residual) / (2 * _number(bias))
        elif bias is not None:
            assert max(abs(v) for v in residual) < mp.mpf(10) ** -40
        t = min(mp.mpf(1), mu / norm) if norm else mp.mpf(1)
        return t * linear - t * t * bent


def naive_upper(document):
    """The objective at a document's factors, in 50 digits; under budgets at the factors scaled inside."""
    with mp.workdps(50):
        stated, primal = document["problem"], document["primal"]
        weights, sizes = _matrix(stated["table"]["columns"]), stated["table"]["sizes"]
        rows, kind = len(weights), stated["loss"]["kind"]
        left, right = _matrix(primal["left"]), _matrix(primal["right"])
        bias = [mp.mpf(int(v)) * mp.mpf(2) ** primal["bias"]["exponent"] for v in primal["bias"]["integers"]]
        decay = stated["regularizer"]
        scale = [mp.mpf(n) if decay.get("features") == "per sample" else mp.mpf(1) for n in sizes]
        lengths = [
            mp.sqrt(sum(row[i] ** 2 for row in left) * sum(s * v**2 for s, v in zip(scale, right[i], strict=True)))
            for i in range(len(right))
        ]
        inside, price = mp.mpf(1), mp.mpf(0)
        if decay["kind"] == "norm_budget":
            inside = min(inside, _strength(stated) / sum(lengths)) if sum(lengths) else inside
        else:
            price = _strength(stated) * sum(lengths)
            if decay["lambda_b"] is not None:
                price += _number(decay["lambda_b"]) / 2 * sum(b * b for b in bias)
        value = mp.mpf(0)
        blocks = _blocks(stated["loss"], rows)
        for m, n in enumerate(sizes):
            z = [inside * sum(left[k][i] * right[i][m] for i in range(len(right))) + bias[k] for k in range(rows)]
            w = [row[m] for row in weights]
            if kind == "mse":
                one = sum((a - b) ** 2 for a, b in zip(z, w, strict=True)) / 2
            elif kind == "bce":
                one = sum(mp.log(1 + mp.exp(a)) - b * a for a, b in zip(z, w, strict=True))
            else:
                one = mp.mpf(0)
                for block in blocks:
                    one += mp.log(sum(mp.exp(a) for a in z[block]))
                    one -= sum(b * a for a, b in zip(z[block], w[block], strict=True)) / sum(w[block])
                one *= sum(w) if kind == "pal" else 1
            value += mp.mpf(n) / sum(sizes) * one
        return value + price


def _matrix(data):
    unit = mp.mpf(2) ** data["exponent"]
    return [[mp.mpf(int(v)) * unit for v in row] for row in data["integers"]]


def _blocks(loss, rows):
    lengths = loss.get("rows", [rows])
    return [slice(sum(lengths[:i]), sum(lengths[: i + 1])) for i in range(len(lengths))]


def _largest(matrix):
    """Largest singular value, from the eigenvalues of the smaller Gram matrix."""
    gram = matrix * matrix.T if matrix.rows <= matrix.cols else matrix.T * matrix
    return mp.sqrt(max(mp.mpf(0), max(mp.eigsy(gram, eigvals_only=True))))


def _strength(stated):
    """The price of a singular value, or the radius of the budgets."""
    decay, head = stated["regularizer"], stated["head"]
    kept = 1 - _number(head["rho"]) if head["kind"] == "linear_deq" else mp.mpf(1)
    if decay["kind"] == "norm_budget":
        area = len(stated["table"]["columns"]["integers"]) * len(stated["table"]["sizes"])
        return mp.sqrt(_number(decay["E_W"]) * _number(decay["E_H"]) * area) / kept
    return mp.sqrt(_number(decay["lambda_W"]) * _number(decay["lambda_H"])) * kept


def _number(text):
    above, _, below = text.partition("/")
    return mp.mpf(above) / mp.mpf(below or 1)


def random_problem(rng, kind):
    """A problem on a random table, with decays over several orders of magnitude; None where a free bias has no optimum."""
    table, loss = random_table(rng, kind)
    bias = rng.choice([None, 0.0, 0.1])
    decay = 10 ** rng.uniform(-5, -0.5, 2)
    regularizer = ufm.WeightDecay(*decay, bias, per_class=bool(rng.random() < 0.3))
    try:
        return ufm.Problem(table, regularizer=regularizer, loss=loss), loss
    except ufm.InputError:
        return None, loss
