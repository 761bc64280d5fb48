"""Small networks in NumPy: an encoder, a deep equilibrium or an explicit stack of the same size, a linear classifier."""

from ufm.training.bodies import Body, Equilibrium, Stack, Work
from ufm.training.data import Dataset, digits, mixture
from ufm.training.network import Decay, Network
from ufm.training.optimizers import SGD, Adam, Optimizer
from ufm.training.run import run
from ufm.training.settings import Settings
from ufm.training.train import Trained, train

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
