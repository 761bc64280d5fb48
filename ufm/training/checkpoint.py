"""Checkpoints after every epoch: they hold all that the next epoch depends on. Those of another run are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ufm.deq.maps.base import Gradients
from ufm.errors import InputError, brief
from ufm.training.archive import read_arrays, write_arrays
from ufm.training.data import Dataset
from ufm.training.evaluation import Row
from ufm.training.network import Network
from ufm.training.optimizers import Optimizer

CHECKPOINT = "checkpoint.npz"


class State(NamedTuple):
    """All that the next epoch depends on.

    Attributes
    ----------
    parameters : dict of arrays, of the network
    memory : dict of arrays, of the optimizer
    rows : list of dict of float, the history, one row per epoch
    """

    parameters: Gradients
    memory: Gradients
    rows: list[Row]


def fingerprint(
    data: Dataset, network: Network, optimizer: Optimizer, epochs: int, batch: int, random_state: int
) -> dict[str, Any]:
    """A description of a run; a checkpoint is continued only by a run with the same one.

    Parameters
    ----------
    data : Dataset
    network : Network
    optimizer : Optimizer
    epochs, batch, random_state : int, as in `ufm.training.train`

    Returns
    -------
    dict of JSON values
        The arguments as text or numbers; of the samples a SHA-256 digest.
    """
    digest = hashlib.sha256()
    for array in (data.x, data.y, data.x_test, data.y_test):
        digest.update(np.ascontiguousarray(array).tobytes())
    return {
        "network": repr(network),
        "optimizer": repr(optimizer),
        "epochs": epochs,
        "batch": batch,
        "seed": random_state,
        "samples": digest.hexdigest(),
    }


def save(folder: Path, state: State, description: dict[str, Any]) -> None:
    """Write a checkpoint into a folder, completely or not at all.

    Parameters
    ----------
    folder : Path
    state : State
    description : dict of JSON values, see `fingerprint`
    """
    names = list(state.rows[0])
    arrays = {
        **{f"parameters/{n}": a for n, a in state.parameters.items()},
        **{f"memory/{n}": a for n, a in state.memory.items()},
        "history": np.array([[row[n] for n in names] for row in state.rows]),
        "names": np.array(names),
    }
    write_arrays(folder / CHECKPOINT, arrays, description)


def resumed(folder: Path | None, description: dict[str, Any], network: Network) -> State | None:
    """The state in the checkpoint of a folder.

    Parameters
    ----------
    folder : Path or None
    description : dict of JSON values, which the checkpoint must have
    network : Network, whose parameters the checkpoint must have

    Returns
    -------
    State or None
        None where there is no folder or no checkpoint in it.

    Raises
    ------
    InputError
        The checkpoint belongs to another run or is damaged.
    """
    if folder is None or not (folder / CHECKPOINT).exists():
        return None
    arrays, found = read_arrays(folder / CHECKPOINT)
    if found != description:
        changed = sorted(name for name in {*found, *description} if found.get(name) != description.get(name))
        raise InputError(
            f"{brief(str(folder))} holds another run (it differs in {', '.join(changed)}); give the same options to resume it, "
            "or another folder"
        )
    try:
        names = [str(n) for n in arrays["names"]]
        rows = [dict(zip(names, map(float, row), strict=True)) for row in arrays["history"]]
        parameters, memory = (
            {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(p)} for p in ("parameters/", "memory/")
        )
        if {n: v.shape for n, v in parameters.items()} != {n: v.shape for n, v in network.initial(0).items()} or not rows:
            raise ValueError
        return State(parameters, memory, rows)
    except (KeyError, ValueError, TypeError):
        raise InputError(
            f"{brief(str(folder / CHECKPOINT))} is not a checkpoint of this version; delete it to start anew"
        ) from None
