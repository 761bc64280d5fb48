"""Small layers and batches."""

import numpy as np
import pytest

from ufm.deq import AffineLayer, LinearLayer, MonotoneLayer

WIDTH, INPUTS, SAMPLES = 6, 4, 9


def layers():
    rng = np.random.default_rng(3)
    return {
        "tanh": AffineLayer.initial(WIDTH, INPUTS, rng, sigma="tanh", norm=0.8),
        "relu": AffineLayer.initial(WIDTH, INPUTS, rng, sigma="relu", norm=0.8),
        "linear": LinearLayer.initial(WIDTH, INPUTS, rng, sigma="linear", norm=0.8),
        "monotone": MonotoneLayer.initial(WIDTH, INPUTS, rng, norm=0.8, margin=0.4),
    }


@pytest.fixture(params=list(layers()))
def layer(request):
    return layers()[request.param]


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def inputs(rng):
    return rng.standard_normal((SAMPLES, INPUTS))


def reference(spectral_norm, *, seed=0, samples=512, width=64):
    """The reference job of the benchmark: z = tanh(z W' + x U' + b)."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((width, width))
    weight *= spectral_norm / np.linalg.norm(weight, 2)
    injection = rng.standard_normal((width, width)) / np.sqrt(width)
    return AffineLayer(weight, injection, np.zeros(width)).at(rng.standard_normal((samples, width)))
