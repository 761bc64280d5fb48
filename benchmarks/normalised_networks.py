"""Networks with features of norm 1 beside the certified optimum of that model: ``python -m benchmarks.normalised_networks``.

The prediction has no parameter but the imbalance ratio and the decay of the classifier. Prints a Markdown table, the second one
of docs/predictions.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.predictions import print_table
from ufm.training import Settings, run

MODELS = ("explicit", "deq")
RATIOS = (1, 10, 50, 100)
DECAYS = (1e-2, 3e-2)
SEEDS = (0, 1)
COLUMNS = ("model", "R", "decay", "seed", "cos predicted", "cos measured", "error", "from theory", "gap", "optimum collapsed")


def rows(epochs: int, largest: int) -> Iterator[list[str]]:
    """One row of text for each network.

    Parameters
    ----------
    epochs : int
    largest : int, samples of the largest classes
    """
    for ratio, decay, model, seed in product(RATIOS, DECAYS, MODELS, SEEDS):
        settings = Settings(
            model=model, ratio=ratio, decay=(decay, 0.0), feature_norm=1.0, random_state=seed, epochs=epochs, largest=largest
        )
        with tempfile.TemporaryDirectory() as folder:
            yield row(settings, run(settings, Path(folder)))


def row(settings: Settings, found: dict[str, Any]) -> list[str]:
    """Text of one row: minority cosines predicted and measured, distance of the classifier, and gap to the bound.

    Parameters
    ----------
    settings : Settings
    found : dict, as `ufm.training.run` returns it

    Returns
    -------
    list of str
        One for each of `COLUMNS`.
    """
    assert settings.decay is not None
    theory, results = found["prediction"], found["results"]
    predicted, measured = theory["metrics"]["cos_minority"], results["cos_minority"]
    return [
        settings.model, f"{settings.ratio:g}", f"{settings.decay[0]:g}", str(settings.random_state), f"{predicted:.3f}",
        f"{measured:.3f}", f"{measured - predicted:+.3f}", f"{results['to_theory_weight']:.3f}", f"{results['gap']:.3f}",
        theory["collapsed"],
    ]  # fmt: skip


def main(epochs: int = 150, largest: int = 200) -> None:
    """Print the table.

    Parameters
    ----------
    epochs : int
    largest : int
    """
    print_table(COLUMNS, rows(epochs, largest))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
