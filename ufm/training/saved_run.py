"""One run, from settings to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ufm._files import exists, unwritten
from ufm.errors import InputError, brief
from ufm.training.archive import Arrays, read_arrays, write_arrays
from ufm.training.bodies import Equilibrium
from ufm.training.checkpoint import CHECKPOINT
from ufm.training.data import check_scikit_learn
from ufm.training.equilibrium_controls import controls
from ufm.training.evaluation import Row
from ufm.training.loop import train
from ufm.training.settings import Settings, versions

RUN = "run.npz"


def run(settings: Settings, folder: Path, report: Callable[[Row], None] = lambda row: None) -> dict[str, Any]:
    """Train, and write ``run.npz`` into a folder: features, labels, classifier, history, and what they came from.

    A folder with a finished run of the same settings is only read; one with an interrupted run is continued.

    Returns
    -------
    dict
        The description in the file: ``settings``, ``versions``, ``results`` (last row of the history), ``controls`` (of an
        equilibrium network), ``ceiling`` (Bayes accuracy of the test samples), ``prediction`` (value, certified
        lower bound, collapse verdict and metrics of the unconstrained-feature optimum), ``parameters`` (their number).

    Raises
    ------
    InputError
        The folder holds another run or cannot be written, or the digits are asked for and scikit-learn is missing.
    RunError
        The disk is full or broken; the checkpoint of the last epoch that was saved stays.
    """
    described = settings.describe()
    found = finished(folder, described)
    if found is not None:
        return found[1]
    if settings.data == "digits":
        check_scikit_learn()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise unwritten(f"folder {brief(str(folder))} cannot be made", error) from None
    data = settings.dataset()
    network = settings.network(data.x.shape[1])
    trained = train(
        data,
        network,
        optimizer=settings.make_optimizer(),
        epochs=settings.epochs,
        batch=settings.batch,
        random_state=settings.random_state,
        folder=folder,
        description=described,
        report=report,
    )
    description: dict[str, Any] = {
        "settings": described,
        "versions": versions(),
        # NaN is no JSON: undefined results become null.
        "results": _finite(trained.last),
        "controls": _finite(controls(network, trained.parameters, data)) if isinstance(network.body, Equilibrium) else {},
        "ceiling": data.ceiling,
        "counts": str(settings.counts),
        "parameters": network.size,
    }
    if trained.prediction is not None:
        theory = trained.prediction
        description["prediction"] = {
            "problem": str(theory.problem),
            "value": theory.value,
            "lower": theory.lower,
            "certified": theory.certified,
            "collapsed": theory.collapsed,
            "metrics": theory.metrics,
        }
    arrays: Arrays = {
        "features": trained.features,
        "labels": data.y,
        "test_features": trained.test_features,
        "test_labels": data.y_test,
        "weight": trained.parameters["classifier.weight"],
        **{f"parameters/{name}": value for name, value in trained.parameters.items()},
        **{f"history/{name}": value for name, value in trained.history.items()},
    }
    write_arrays(folder / RUN, arrays, description)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return description


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def finished(folder: Path, described: dict[str, Any]) -> tuple[Arrays, dict[str, Any]] | None:
    """Arrays and description of a finished run of these settings, None if there is none.

    Raises
    ------
    InputError
        The folder holds a finished run of other settings.
    """
    if not exists(folder / RUN, "folder"):
        return None
    arrays, description = read_arrays(folder / RUN)
    settings = description.get("settings")
    if not isinstance(settings, dict) or "results" not in description:
        raise InputError(f"{brief(str(folder / RUN))} is not a finished run of this version; delete it to start anew")
    if settings != described:
        changed = sorted(name for name in {*settings, *described} if settings.get(name) != described.get(name))
        raise InputError(
            f"{brief(str(folder))} holds another finished run (it differs in {', '.join(changed)}); give another folder"
        )
    return arrays, description


def history(arrays: Arrays) -> dict[str, Any]:
    """The history in a file's arrays, by column."""
    return {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith("history/")}
