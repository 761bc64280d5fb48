"""Metrics of features: two passes of this package beside the definitions written out in float64 NumPy, same numbers, same run.

Every route runs in a process of its own, so that its peak memory above the input is its alone. ``collapsed`` features are
float32 with an NC1 of about 5e-11, which sums in float32 cannot see.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ufm
from ufm._arrays import Floats

RUNS = 3
SHAPES: dict[str, tuple[int, int, int, float]] = {
    "50000 x 512, K = 100": (50_000, 512, 100, 4.0),
    "50000 x 512, K = 100, collapsed": (50_000, 512, 100, 1.5e-5),
    "2000000 x 64, K = 100, mapped": (2_000_000, 64, 100, 1.0),
}
"""Samples, columns, classes, and the size of the noise beside that of the class means."""
STREAMED = 5_000_000, 512, 100, 4.0
"""Samples, columns, classes and noise of the file of 10 GB that `stream` writes."""


@dataclass(frozen=True)
class Timed:
    """One route on one set of features: median time, peak memory above the input, and what it found."""

    what: str
    route: str
    seconds: float
    megabytes: float
    nc1: float
    nc4: float


def labels_of(samples: int, classes: int) -> NDArray[np.int64]:
    """(samples,) labels in an order that no block knows.

    Parameters
    ----------
    samples, classes : int
    """
    return (np.arange(samples) * 7919) % classes


def frame(classes: int, width: int) -> Floats:
    """(classes, width) rows of length near 1, in directions drawn from a seed.

    Parameters
    ----------
    classes, width : int
    """
    return np.random.default_rng(1).standard_normal((classes, width)) / np.sqrt(width)


def fill(features: NDArray[Any], classes: int, noise: float) -> None:
    """Write float32 features about the rows of `frame`, block by block.

    Parameters
    ----------
    features : (N, d) float32 array
    classes : int
    noise : float, standard deviation of the norm of the noise
    """
    samples, width = features.shape
    rng, means, labels = np.random.default_rng(0), frame(classes, width), labels_of(samples, classes)
    for start in range(0, samples, 10_000):
        part = slice(start, min(start + 10_000, samples))
        noisy = rng.standard_normal((part.stop - start, width)) * (noise / np.sqrt(width))
        features[part] = means[labels[part]] + noisy


def plain(features: NDArray[Any], labels: NDArray[np.int64], weight: Floats) -> dict[str, float]:
    """NC1, the other metrics' matrices and NC4 by their definitions, all arrays at once in float64; NumPy alone.

    Parameters
    ----------
    features : (N, d) array
    labels : (N,) int
    weight : (K, d) float64

    Returns
    -------
    dict of float
    """
    h = features.astype(np.float64)
    classes = len(weight)
    means = np.array([h[labels == k].mean(axis=0) for k in range(classes)])
    centred = means - means.mean(axis=0)
    within = h - means[labels]
    between = centred.T @ centred / classes
    nc1 = float(np.trace((within.T @ within / len(h)) @ np.linalg.pinv(between, hermitian=True, rcond=1e-10))) / classes
    simplex = (np.eye(classes) - 1 / classes) / np.sqrt(classes - 1)
    grams = {"nc2": weight @ weight.T, "nc2_means": centred @ centred.T, "nc3": weight @ centred.T}
    found = {name: float(np.linalg.norm(gram / np.linalg.norm(gram) - simplex)) for name, gram in grams.items()}
    nearest = np.argmin((means**2).sum(axis=1) - 2 * h @ means.T, axis=1)
    return {"nc1": nc1, **found, "nc4": float(np.mean(np.argmax(h @ weight.T, axis=1) != nearest))}


def megabytes(what: str) -> float:
    """Memory of this process as Linux counts it, pages of mapped files included; NaN elsewhere.

    Parameters
    ----------
    what : "VmRSS", now, or "VmHWM", at its peak
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(what):
                return float(line.split()[1]) / 1024
    return float("nan")


def alone(name: str, route: str, path: str, runs: int) -> None:
    """Body of one row: prints seconds, peak memory above the input in MB, NC1 and NC4.

    Parameters
    ----------
    name : str, one of `SHAPES`
    route : "measure", "one pass" or "NumPy"
    path : str, of an ``.npy`` file that is mapped; "" for features in memory
    runs : int
    """
    samples, width, classes, noise = STREAMED if name == "streamed" else SHAPES[name]
    labels, weight = labels_of(samples, classes), frame(classes, width)
    if path:
        features: NDArray[Any] = np.load(path, mmap_mode="r")
    else:
        features = np.empty((samples, width), dtype=np.float32)
        fill(features, classes, noise)
    before, times, found = megabytes("VmRSS"), [], {}
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    for _ in range(runs):
        start = perf_counter()
        if route == "measure":
            found = dict(ufm.measure(features, labels, weight=weight))
        elif route == "one pass":
            batches = ufm.Measurement(weight=weight)
            for first in range(0, samples, 4096):
                batches.update(features[first : first + 4096], labels[first : first + 4096])
            found = {**batches.result(), "nc4": float("nan")}
        else:
            found = plain(features, labels, weight)
        times.append(perf_counter() - start)
    print(median(times), megabytes("VmHWM") - before, found["nc1"], found["nc4"])


def all_features(quick: bool, progress: Callable[[str], None]) -> list[Timed]:
    """All rows; ``quick`` leaves out the file of 512 MB."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (samples, width, classes, noise) in SHAPES.items():
            mapped = name.endswith("mapped")
            if mapped and quick:
                continue
            path = str(Path(folder) / "features.npy") if mapped else ""
            if mapped:
                progress(f"writing {name}")
                fill(np.lib.format.open_memmap(path, "w+", np.float32, (samples, width)), classes, noise)
            for route in ("measure", "one pass", "NumPy"):
                progress(f"features, {name}, {route}")
                code = f"from benchmarks.features import alone; alone({name!r}, {route!r}, {path!r}, {1 if mapped else RUNS})"
                out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
                seconds, above, nc1, nc4 = map(float, out)
                rows.append(Timed(name, route, seconds, above, nc1, nc4))
    return rows


def stream() -> None:
    """Write features of 10 GB to a temporary folder, measure them in both ways, and print times and peak resident memory.

    Run by ``python -m benchmarks.features``; the memory is that of the whole process, Python and NumPy included.
    """
    samples, width, classes, noise = STREAMED
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "features.npy")
        fill(np.lib.format.open_memmap(path, "w+", np.float32, (samples, width)), classes, noise)
        for route in ("measure", "one pass"):
            code = f"from benchmarks.features import *; alone('streamed', {route!r}, {path!r}, 1); print(megabytes('VmHWM'))"
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            seconds, _, nc1, _, resident = map(float, done.stdout.split())
            print(f"{samples} x {width}, {route}: {seconds:.0f} s, resident {resident:.0f} MB, NC1 {nc1:.8g}")


if __name__ == "__main__":
    stream()
