"""Class sizes and tables of targets from files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError, brief
from ufm.targets.counts import ClassCounts
from ufm.targets.table import LARGEST, TargetTable

MAX_BYTES = 2**28
"""Largest size of a text file in bytes."""


def read_counts(path: str | os.PathLike[str]) -> ClassCounts:
    """Class sizes from a text file: one size a line, or ``label,count``; empty lines and lines that begin with # are left out.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    ClassCounts, in the order of the lines

    Raises
    ------
    InputError
        A file that cannot be read, or a line of another form (the message names it).
    """
    sizes = []
    for number, line in _lines(path, "counts file"):
        parts = line.split(",")
        try:
            value = float(parts[-1]) if len(parts) <= 2 else np.nan
        except ValueError:
            if not sizes and len(parts) == 2:
                continue  # a header such as label,count
            value = np.nan
        if not (np.isfinite(value) and value == np.floor(value) and value >= 1):
            raise InputError(f"counts file has {brief(line.strip())} in line {number}; write one whole size, or label,count")
        sizes.append(int(value))
    if len(sizes) < 2:
        raise InputError(f"counts file {brief(str(path))} has {len(sizes)} sizes; a classifier needs at least 2 classes")
    return ClassCounts.of(sizes)


def read_table(path: str | os.PathLike[str]) -> TargetTable:
    """A table of targets from a file.

    Parameters
    ----------
    path : str or path
        ``.npz`` with the arrays ``columns`` (K x M) and ``sizes`` (M,), or ``.csv`` with one context a line: its size, then its
        K entries (a header line is left out).

    Returns
    -------
    TargetTable

    Raises
    ------
    InputError
        A file of another kind, that cannot be read, or whose contents are no table.
    """
    ending = Path(path).suffix.lower()
    if ending == ".npz":
        return TargetTable(*_arrays(path))
    if ending != ".csv":
        raise InputError(f"table file {brief(str(path))} is neither .npz nor .csv; save columns and sizes as one of these")
    rows: list[list[float]] = []
    for number, line in _lines(path, "table file"):
        parts = line.split(",")
        try:
            row = [float(part) for part in parts]
        except ValueError:
            if not rows and number == 1:
                continue  # a header
            raise InputError(
                f"table file has {brief(line.strip())} in line {number}; write a size and K entries with commas between"
            ) from None
        if rows and len(row) != len(rows[0]):
            raise InputError(f"table file has {len(row)} numbers in line {number} and {len(rows[0])} before; give one table")
        rows.append(row)
        if len(rows) * len(row) > LARGEST:
            raise InputError(f"table file {brief(str(path))} has more than {LARGEST:g} entries, which is too large to solve")
    if not rows or len(rows[0]) < 3:
        raise InputError(f"table file {brief(str(path))} has no contexts of a size and at least two entries")
    array = np.array(rows)
    return TargetTable(array[:, 1:].T, array[:, 0])


def _arrays(path: str | os.PathLike[str]) -> tuple[Floats, Floats]:
    """``columns`` and ``sizes`` of an .npz file; nothing in it is executed."""
    name = f"table file {brief(str(path))}"
    try:
        # Opened here, so that it is closed where NumPy refuses it.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: np.asarray(file[key]) for key in ("columns", "sizes") if key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, MemoryError) as error:
        raise InputError(f"{name} cannot be read: {getattr(error, 'strerror', None) or brief(str(error))}") from None
    missing = [key for key in ("columns", "sizes") if key not in arrays]
    if missing:
        raise InputError(f"{name} has no array {missing[0]!r}; save columns (K x M) and sizes (M,)")
    return arrays["columns"], arrays["sizes"]


def _lines(path: str | os.PathLike[str], what: str) -> list[tuple[int, str]]:
    """Numbered lines of a text file without empty ones and comments."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{what} {brief(str(path))} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{what} {brief(str(path))} has more than {MAX_BYTES // 2**20} MB; give a shorter file, or .npz")
    return [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and not line.lstrip().startswith("#")]
