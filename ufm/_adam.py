"""The update rule of Adam (Kingma & Ba 2015; locator unknown), for training and for dynamics of layer-peeled models."""

from __future__ import annotations

import numpy as np

from ufm._arrays import Floats


def adam(
    gradient: Floats, memory: tuple[Floats, Floats] | None, count: int, floor: float
) -> tuple[Floats, tuple[Floats, Floats]]:
    """Direction of the next step, to be multiplied by minus the learning rate, and the running means for the one after it.

    Parameters
    ----------
    gradient : array of any shape, float64
    memory : (first, second) or None, running means of gradients and of their squares; None before the first step
    count : int >= 1, the number of this step
    floor : float > 0, added to the root of the mean square

    Returns
    -------
    array of the gradient's shape
    (array, array), the new running means
    """
    first, second = 0.1 * gradient, 0.001 * gradient * gradient
    if memory is not None:
        first, second = 0.9 * memory[0] + first, 0.999 * memory[1] + second
    mean, square = first / (1.0 - 0.9**count), second / (1.0 - 0.999**count)
    return mean / (np.sqrt(square) + floor), (first, second)
