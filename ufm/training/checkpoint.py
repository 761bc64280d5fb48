"""A checkpoint after every epoch: everything that the next epoch depends on, refused where it belongs to another run."""

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
    """Everything that the next epoch depends on."""

    parameters: Gradients
    memory: Gradients
    rows: list[Row]


def fingerprint(
    data: Dataset, network: Network, optimizer: Optimizer, epochs: int, batch: int, random_state: int
) -> dict[str, Any]:
    """What a checkpoint must agree with: the network, the optimizer, its options, and a digest of the samples."""
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
    """Write the state to the folder, whole or not at all."""
    names = list(state.rows[0])
    arrays = {
        **{f"parameters/{n}": a for n, a in state.parameters.items()},
        **{f"memory/{n}": a for n, a in state.memory.items()},
        "history": np.array([[row[n] for n in names] for row in state.rows]),
        "names": np.array(names),
    }
    write_arrays(folder / CHECKPOINT, arrays, description)


def resumed(folder: Path | None, description: dict[str, Any], network: Network) -> State | None:
    """The state in a folder, None where there is none.

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
