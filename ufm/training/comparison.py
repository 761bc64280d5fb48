"""The comparison of DEQs with explicit networks over a grid of class sizes and seeds; every run can be resumed.

Both models of a pair share data, encoder, initial classifier, number of parameters, optimizer, epochs and order of samples.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ufm._files import exists, unwritten, writing
from ufm._parallel import check_workers, processes
from ufm.errors import ConvergenceError, InputError, RunError, brief
from ufm.training.data import DATA, check_scikit_learn
from ufm.training.saved_run import RUN, run
from ufm.training.settings import MODELS, Settings

PROTOCOL = "protocol.json"
STEPS = ((3, 7), (5, 5), (7, 3))
RATIOS = (10.0, 50.0, 100.0)
MAX_SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The protocol: balanced, nine step-imbalanced and one long-tailed setting for each data set, and seeds.

    Parameters
    ----------
    data : tuple of "mixture", "digits"
    seeds : int, from 2 to 1000, number of seeds 0, 1, ...
    map : "tanh", "relu", "linear" or "monotone", kind of equilibrium layer
    epochs : int >= 1
    quick : bool
        One balanced and one imbalanced setting, small classes and 8 epochs; only a test that everything runs, as the summary
        states.

    Raises
    ------
    InputError
        Unknown data, or too few or too many seeds.

    Examples
    --------
    >>> len(Comparison(data=("digits",), seeds=2).settings())
    44
    """

    data: tuple[str, ...] = ("mixture", "digits")
    seeds: int = 5
    map: str = "tanh"
    epochs: int = 100
    quick: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.data if name not in DATA]
        if isinstance(self.data, str) or unknown or not self.data or len(set(self.data)) < len(self.data):
            raise InputError(f"data is {brief(self.data)}; give one or more of {', '.join(DATA)}, each once")
        if not isinstance(self.seeds, int) or not 2 <= self.seeds <= MAX_SEEDS:
            raise InputError(f"seeds is {brief(self.seeds)}; a spread needs at least 2 seeds, and {MAX_SEEDS} are the most")

    def settings(self) -> list[Settings]:
        """All runs, ordered by seed first, so that an interrupted comparison has complete seeds."""
        found = []
        for seed in range(self.seeds):
            for data in self.data:
                base = Settings(data=data, map=self.map, epochs=self.epochs, random_state=seed)
                for cell in self._cells(base):
                    found += [replace(cell, model=model) for model in MODELS]
        return found

    def _cells(self, base: Settings) -> Iterator[Settings]:
        if self.quick:
            small = {"largest": 60, "epochs": 8, "width": 16}
            yield replace(base, ratio=1.0, **small)
            yield replace(base, ratio=10.0, **small)
            return
        yield replace(base, ratio=1.0)
        for classes in STEPS:
            for ratio in RATIOS:
                yield replace(base, classes=classes, ratio=ratio)
        yield replace(base, ratio=100.0, tail=True)

    def describe(self) -> dict[str, Any]:
        """The protocol as a dict of JSON values."""
        return {
            "data": list(self.data), "seeds": self.seeds, "map": self.map, "epochs": self.epochs, "quick": self.quick,
        }  # fmt: skip


def compare(
    comparison: Comparison, folder: Path, *, workers: int = 1, report: Callable[[int, int, str], None] = lambda *_: None
) -> list[tuple[Settings, str]]:
    """Train all runs of a comparison that the folder does not have yet.

    Parameters
    ----------
    comparison : Comparison
    folder : Path, with a folder for each run; the number of seeds may be raised later
    workers : int >= 1, processes that train at the same time, one BLAS thread each
    report : callable (runs finished, runs in all, name of the last one), called after every run

    Returns
    -------
    list of (Settings, str)
        The runs that failed, with their reasons.

    Raises
    ------
    InputError
        The folder holds another comparison or cannot be written, the digits are asked for and scikit-learn is missing, or
        workers below 1.
    RunError
        A worker process died, or the disk is full; finished runs are kept.
    """
    check_workers(workers)
    todo = comparison.settings()
    if any(s.data == "digits" and not exists(folder / str(s) / RUN, "folder") for s in todo):
        check_scikit_learn()
    _claim(folder, comparison)
    left = [s for s in todo if not (folder / str(s) / RUN).exists()]
    done, failed = len(todo) - len(left), []
    report(done, len(todo), "")
    with processes(min(workers, max(len(left), 1))) as pool:
        running = {pool.submit(_one, settings, folder): settings for settings in left}
        try:
            for future in as_completed(running):
                settings, reason = running[future], future.result()
                if reason:
                    failed.append((settings, reason))
                done += 1
                report(done, len(todo), str(settings))
        except BrokenProcessPool:
            raise RunError("a worker process died; run the same command again: finished runs are kept") from None
    return failed


def _one(settings: Settings, folder: Path) -> str:
    """One run in a worker process: the reason for which it failed, or "" where it did not."""
    try:
        run(settings, folder / str(settings))
    except (ConvergenceError, InputError) as error:
        return str(error)
    return ""


def _claim(folder: Path, comparison: Comparison) -> None:
    """Write the protocol into the folder, or check that the folder has the same one; only the number of seeds may differ."""
    path, described = folder / PROTOCOL, comparison.describe()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise unwritten(f"folder {brief(str(folder))} cannot be made", error) from None
    if path.exists():
        try:
            found = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            raise InputError(f"{brief(str(path))} cannot be read; delete it to start anew") from None
        changed = sorted(n for n in described if n != "seeds" and found.get(n) != described[n])
        if changed:
            raise InputError(
                f"{brief(str(folder))} holds another comparison (it differs in {', '.join(changed)}); give another folder"
            )
    with writing(path) as stream:
        stream.write(json.dumps(described) + "\n")
