"""Networks trained here beside the certified optimum for their class sizes: ``python -m benchmarks.predictions``.

Every network is measured by `ufm.predict`, once with the decays that it was trained with and once with those that stationarity
gives. Prints a Markdown table, the one of docs/predictions.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import ufm
from ufm.training import Settings, run
from ufm.training.archive import read_arrays

MODELS = ("explicit", "deq")
RATIOS = (1, 10, 100)
DECAYS = ((1e-2, 1e-4), (2e-3, 5e-5))
SEEDS = (0, 1)
COLUMNS = (
    "model", "R", "decays", "seed", "residual", "effective decays", "cos predicted", "cos measured", "error", "from theory",
    "from ETF", "from SELI", "gap", "optimum collapsed",
)  # fmt: skip


def rows(epochs: int, largest: int) -> Iterator[list[str]]:
    """One row of text for each network.

    Parameters
    ----------
    epochs : int
    largest : int, samples of the largest classes
    """
    for ratio, decay, model, seed in product(RATIOS, DECAYS, MODELS, SEEDS):
        settings = Settings(model=model, ratio=ratio, decay=decay, random_state=seed, epochs=epochs, largest=largest)
        with tempfile.TemporaryDirectory() as folder:
            run(settings, Path(folder))
            arrays, _ = read_arrays(Path(folder) / "run.npz")
        yield row(settings, {name: arrays[name] for name in ("features", "labels", "weight")})


def row(settings: Settings, arrays: dict) -> list[str]:
    """Text of one row: the network, its effective decays, and minority cosines predicted and measured.

    Parameters
    ----------
    settings : Settings
    arrays : dict of features (N, d), labels (N,) and weight (K, d)

    Returns
    -------
    list of str
        One for each of `COLUMNS`.
    """
    assert settings.decay is not None
    found = ufm.predict(**arrays, decay=ufm.WeightDecay(*settings.decay))
    predicted, measured = found.theory.metrics["cos_minority"], found.measured["cos_minority"]
    assert predicted is not None
    effective, far = found.effective, found.distances
    return [
        settings.model,
        f"{settings.ratio:g}",
        f"{settings.decay[0]:g}, {settings.decay[1]:g}",
        str(settings.random_state),
        f"{effective.residual:.2g}",
        f"{effective.weight:.2g}, {effective.features:.2g}",
        f"{predicted:.3f}",
        f"{measured:.3f}",
        f"{measured - predicted:+.3f}",
        *(f"{far[f'to_{name}_weight']:.3f}" for name in ("theory", "etf", "seli")),
        f"{found.gap:.3f}",
        found.theory.collapsed,
    ]


def print_table(columns: tuple[str, ...], found: Iterator[list[str]]) -> None:
    """Print a Markdown table, row by row as they come.

    Parameters
    ----------
    columns : tuple of str
    found : iterator of list of str, one text for each column
    """
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns), flush=True)
    for line in found:
        print("| " + " | ".join(line) + " |", flush=True)


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
