"""Controls of a trained equilibrium network: residual error, number of fixed points, and effect of solving."""

from __future__ import annotations

import numpy as np

from ufm.deq.diagnostics import movement, multiplicity, spectral_radius
from ufm.deq.fixed_point import Anderson, PeacemanRachford
from ufm.deq.maps.base import Gradients
from ufm.training.bodies import Equilibrium
from ufm.training.data import Dataset
from ufm.training.evaluation import accuracy
from ufm.training.network import Network

PROBED = 200
"""Test samples (about) whose spectral radius and number of fixed points are estimated."""


def controls(network: Network, parameters: Gradients, data: Dataset) -> dict[str, float]:
    """Controls on the test samples of an equilibrium network, at equilibria solved to rtol 1e-8.

    Parameters
    ----------
    network : Network, with an `Equilibrium` as body
    parameters : dict of arrays, of the network
    data : Dataset

    Returns
    -------
    dict of float
        ``error``: certified bound on the largest ``||z - z*||_2`` of the features (level float; infinite if no bound is
        known, see `ufm.deq.Layer.error`); ``spectral_radius``: largest spectral radius of a Jacobian (level numeric);
        ``distinct``: largest number of fixed points found for a sample from 5 random starts; ``moved``: median of
        ``||z* - f(0)|| / ||z*||``; ``accuracy``: test accuracy at the equilibria; and with the same classifier
        ``accuracy_one_step`` at the features f(0) and ``accuracy_encoder`` at the output of the encoder. Spectral radius
        and fixed points are those of about 200 samples.
    """
    body = network.body
    assert isinstance(body, Equilibrium)
    layer = body.layer({name[5:]: value for name, value in parameters.items() if name.startswith("body.")})
    hidden, classifier = network.hidden(parameters, data.x_test), parameters["classifier.weight"]
    map_, start = layer.at(hidden), np.zeros((len(hidden), layer.width))
    method = PeacemanRachford(rtol=1e-8) if body.map == "monotone" else Anderson(rtol=1e-8, max_calls=1000)
    z = method(map_, start).value
    few = np.arange(0, len(z), max(1, len(z) // PROBED))
    part = map_.restrict(few)
    probe = multiplicity(part, method, (len(few), layer.width), starts=5)
    return {
        "error": float(layer.error(z, hidden).max()),
        "spectral_radius": float(spectral_radius(part, z[few]).max()),
        "distinct": float(probe.distinct.max()),
        "moved": float(np.median(movement(map_, start, z).from_one_step)),
        "accuracy": accuracy(z, data.y_test, classifier),
        "accuracy_one_step": accuracy(map_.value(start), data.y_test, classifier),
        "accuracy_encoder": accuracy(hidden, data.y_test, classifier),
    }
