"""Training of small networks in NumPy: an encoder, a deep equilibrium layer or an explicit stack, a linear classifier."""

from ufm.training.bodies import Body, Equilibrium, Stack, Work
from ufm.training.data import Dataset, digits, mixture
from ufm.training.loop import Trained, train
from ufm.training.network import Decay, Network
from ufm.training.optimizers import SGD, Adam, Optimizer
from ufm.training.saved_run import run
from ufm.training.settings import Settings

__all__ = [
    "SGD",
    "Adam",
    "Body",
    "Dataset",
    "Decay",
    "Equilibrium",
    "Network",
    "Optimizer",
    "Settings",
    "Stack",
    "Trained",
    "Work",
    "digits",
    "mixture",
    "run",
    "train",
]
