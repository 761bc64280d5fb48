r"""A network of encoder, body and classifier, and its objective with gradient:

.. math:: \frac1N \sum_i CE(C z_i) + \tfrac{\lambda_W}{2} \|C\|_F^2 + \tfrac{\lambda_H}{2} \sum_i \|z_i\|^2
          + \tfrac{\beta}{2} \|\text{body}\|^2 + \tfrac{\varepsilon}{2} \|\text{encoder}\|^2

with last-layer features z_i, classifier C and no classifier bias. The first three terms are the objective of the
unconstrained-feature model (half convention, features per sample), and the others are not negative. A lower bound on the
optimum of that model is therefore one on the training objective of *every* network with these class sizes and decays.

With a feature norm r the classifier sees ``r z_i / |z_i|`` in place of z_i (RMSNorm without an affine map has r = sqrt(d)), and
the model is that of features of a fixed norm (docs/theory, section 12), without decay on features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.deq.maps.base import Gradients
from ufm.errors import InputError
from ufm.training.bodies import Body, Equilibrium, Work

Labels = NDArray[np.intp]
CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class Decay:
    """Weight decay of the parts of a network (half convention).

    Parameters
    ----------
    classifier : float >= 0, lambda_W of the unconstrained-feature model
    features : float >= 0, lambda_H of the unconstrained-feature model, on the sum over samples (not the mean)
    body, encoder : float >= 0, on all parameters of the part
    jacobian : float >= 0, weight of the Jacobian-norm penalty ``1/(2N) sum_i ||J_i||_F^2`` of an equilibrium layer

    Raises
    ------
    InputError
        A decay that is negative or not finite.
    """

    classifier: float = 5e-3
    features: float = 5e-4
    body: float = 0.0
    encoder: float = 0.0
    jacobian: float = 0.0

    def __post_init__(self) -> None:
        for name in ("classifier", "features", "body", "encoder", "jacobian"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 <= float(value) < 1e6) or isinstance(value, bool):
                raise InputError(f"decay on {name} is {value!r}; give a finite number >= 0 such as 5e-4")
            object.__setattr__(self, name, float(value))


class Evaluation(NamedTuple):
    """The objective on a batch, with its gradients.

    Attributes
    ----------
    objective : float, an estimate of the objective on the whole training set
    gradients : dict of arrays, in the shapes of the parameters
    work : Work
    loss : float, mean cross-entropy of the batch in nats
    """

    objective: float
    gradients: Gradients
    work: Work
    loss: float


@dataclass(frozen=True)
class Network:
    """The network ``x -> C body(tanh(E x + e))``, without its parameters.

    Parameters
    ----------
    inputs : int, dimension p of the inputs
    width : int, dimension d of hidden states and features
    n_classes : int, K
    body : Body, `Equilibrium` or `Stack`
    decay : Decay
    feature_norm : float > 0 or None
        Norm to which every last-layer feature is scaled; None leaves them as they are. Decay on features must then be 0.

    Raises
    ------
    InputError
        A feature norm that is not positive and finite, or decay on features of a fixed norm.

    Examples
    --------
    >>> import numpy as np
    >>> from ufm.training import Network, Stack
    >>> deq, explicit = Network(5, 8, 3), Network(5, 8, 3, Stack())
    >>> deq.size == explicit.size
    True
    """

    inputs: int
    width: int
    n_classes: int
    body: Body = field(default_factory=Equilibrium)
    decay: Decay = field(default_factory=Decay)
    feature_norm: float | None = None

    def __post_init__(self) -> None:
        norm = self.feature_norm
        if norm is None:
            return
        if isinstance(norm, bool) or not isinstance(norm, Real) or not 1e-6 <= float(norm) <= 1e6:
            raise InputError(f"feature_norm is {norm!r}; give a number from 1e-6 to 1e6, such as sqrt(width) for RMSNorm")
        if self.decay.features:
            raise InputError(
                f"decay on features is {self.decay.features:g}, but with feature_norm {float(norm):g} all features have that "
                "norm, so that decay has no effect on them; give 0"
            )

    def initial(self, random_state: int) -> Gradients:
        """Random parameters: a dict of arrays.

        Encoder and classifier depend on the seed and the dimensions alone; networks with other bodies start with the same.
        """
        outer, inner = np.random.default_rng([random_state, 3]), np.random.default_rng([random_state, 4])
        body = self.body.initial(self.width, inner)
        return {
            "encoder.weight": outer.standard_normal((self.width, self.inputs)) / np.sqrt(self.inputs),
            "encoder.bias": np.zeros(self.width),
            "classifier.weight": outer.standard_normal((self.n_classes, self.width)) / np.sqrt(self.width),
            **{f"body.{name}": value for name, value in body.items()},
        }

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(value.size for value in self.initial(0).values())

    def hidden(self, parameters: Gradients, x: Floats) -> Floats:
        """Encoder output ``tanh(E x + e)`` for inputs x, (B, p), as (B, d) float64."""
        return np.tanh(x @ parameters["encoder.weight"].T + parameters["encoder.bias"])

    def features(self, parameters: Gradients, x: Floats) -> tuple[Floats, Work]:
        """Last-layer features of any number of inputs x, (B, p), as (B, d) float64, and the work done."""
        body, found, work = _body(parameters), [], Work()
        for start in range(0, len(x), CHUNK):
            z, done, _ = self.body.forward(body, self.hidden(parameters, x[start : start + CHUNK]))
            found.append(self.normalised(z)[0])
            work = work.plus(done)
        return np.concatenate(found), work

    def normalised(self, z: Floats) -> tuple[Floats, Floats | None]:
        """Features scaled to the feature norm, (B, d), and the factors, (B, 1); as they are, and None, without a feature norm.

        A feature of length zero stays zero.
        """
        if self.feature_norm is None:
            return z, None
        lengths = np.linalg.norm(z, axis=1, keepdims=True)
        factors = self.feature_norm / np.where(lengths > 0, lengths, 1.0)
        return factors * z, factors

    def objective(self, parameters: Gradients, z: Floats, y: Labels, total: int) -> tuple[float, float]:
        """The objective at given features, without the Jacobian-norm penalty.

        Parameters
        ----------
        parameters : dict of arrays
        z : (B, d) float64, last-layer features
        y : (B,) int, labels
        total : int, N, samples of the training set; where B < N the objective is an estimate

        Returns
        -------
        tuple of float
            Objective and mean cross-entropy, in nats.
        """
        loss, _ = cross_entropy(z @ parameters["classifier.weight"].T, y)
        value = loss + 0.5 * self.decay.features * total * float(np.mean(np.sum(z**2, axis=1)))
        return value + self._decayed(parameters), loss

    def evaluate(self, parameters: Gradients, x: Floats, y: Labels, total: int) -> Evaluation:
        """Objective and gradients on a batch.

        Parameters
        ----------
        parameters : dict of arrays
        x : (B, p) float64, inputs
        y : (B,) int, labels
        total : int, N, samples of the training set

        Returns
        -------
        Evaluation
        """
        decay, classifier = self.decay, parameters["classifier.weight"]
        hidden, body = self.hidden(parameters, x), _body(parameters)
        raw, work, pullback = self.body.forward(body, hidden)
        z, factors = self.normalised(raw)
        loss, mass = cross_entropy(z @ classifier.T, y)
        feature_weight = decay.features * total / len(x)
        value = loss + 0.5 * feature_weight * float(np.sum(z**2)) + self._decayed(parameters)
        by_z = mass @ classifier + feature_weight * z
        if factors is not None and self.feature_norm is not None:
            # The derivative of r z / |z|: what is along z changes only the length that is divided out.
            unit = z / self.feature_norm
            by_z = factors * (by_z - np.sum(by_z * unit, axis=1, keepdims=True) * unit)
        direct: Gradients = {}
        by_hidden: Floats | float = 0.0
        if decay.jacobian:
            penalty, penalty_z, penalty_hidden, direct = self.body.penalty(body, hidden, raw)
            value += decay.jacobian * penalty
            by_z += decay.jacobian * penalty_z
            by_hidden = decay.jacobian * penalty_hidden
        pulled, gradients, back = pullback(by_z)
        pulled = (pulled + by_hidden) * (1.0 - hidden**2)
        result = {
            "encoder.weight": pulled.T @ x,
            "encoder.bias": pulled.sum(axis=0),
            "classifier.weight": mass.T @ z,
            **{f"body.{n}": g + decay.jacobian * direct[n] if direct else g for n, g in gradients.items()},
        }
        for name, strength in self._strengths(parameters):
            result[name] = result[name] + strength * parameters[name]
        return Evaluation(value, result, work.plus(back), loss)

    def _strengths(self, parameters: Gradients) -> list[tuple[str, float]]:
        group = {"encoder": self.decay.encoder, "body": self.decay.body, "classifier": self.decay.classifier}
        return [(name, strength) for name in parameters if (strength := group[name.split(".")[0]])]

    def _decayed(self, parameters: Gradients) -> float:
        return sum(0.5 * s * float(np.sum(parameters[name] ** 2)) for name, s in self._strengths(parameters))

    def projected(self, parameters: Gradients) -> Gradients:
        """The nearest parameters that satisfy the constraint of the body."""
        before = _body(parameters)
        after = self.body.projected(before)
        return parameters if after is before else parameters | {f"body.{n}": v for n, v in after.items()}


def cross_entropy(logits: Floats, labels: Labels) -> tuple[float, Floats]:
    """Mean cross-entropy in nats of logits (B, K) with labels (B,), and its gradient by the logits, (B, K)."""
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    mass = np.exp(shifted)
    total = mass.sum(axis=1, keepdims=True)
    value = float(np.mean(np.log(total[:, 0]) - shifted[rows, labels]))
    mass /= total
    mass[rows, labels] -= 1.0
    return value, mass / len(labels)


def _body(parameters: Gradients) -> Gradients:
    return {name[5:]: value for name, value in parameters.items() if name.startswith("body.")}
