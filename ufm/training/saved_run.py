"""One training run, from its settings to a file of results."""

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
    """Train a network and write the results to ``run.npz`` in a folder.

    The file has features, labels, classifier, all parameters, the history, and the description that is returned. Where the
    folder has a finished run of the same settings it is only read; an interrupted run is continued.

    Parameters
    ----------
    settings : Settings
    folder : Path, made if there is none
    report : callable, called with each row of the history, a dict of float

    Returns
    -------
    dict of JSON values
        ``settings``, ``versions``, ``results`` (last row of the history), ``controls`` (of an equilibrium network), ``ceiling``
        (accuracy of the Bayes rule on the test samples, or None), ``counts`` (class sizes), ``parameters`` (their number) and,
        where there is one, ``prediction`` (value, certified lower bound, collapse verdict and metrics of the
        unconstrained-feature optimum). Undefined numbers are None.

    Raises
    ------
    InputError
        The folder holds another run or cannot be written, or the digits are asked for and scikit-learn is missing.
    RunError
        The disk is full or broken; the last checkpoint is kept.
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
    """The finished run in a folder.

    Parameters
    ----------
    folder : Path
    described : dict of JSON values, the settings as `Settings.describe` gives them

    Returns
    -------
    tuple or None
        A dict of arrays and the description of the run; None where the folder has no finished run.

    Raises
    ------
    InputError
        The folder holds a finished run of other settings, or a file that cannot be read.
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
    """The columns of the history, (epochs,) arrays by name, among the arrays of a run's file."""
    return {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith("history/")}
