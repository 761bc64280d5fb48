"""The last layer of a network as users save it: an ``.npz`` of arrays, or a folder of ``.npy`` files. No pickles."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ufm._files import reason_of
from ufm.errors import InputError, brief
from ufm.metrics.rows import BROKEN, Stored

ARRAYS = ("features", "labels", "weight", "bias", "classes")
SHAPES = "save features (N, d), labels (N,) and, if there are any, weight (K, d), bias (K,) and classes (K,)"


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """Features on the disk, and what else a file has of a network's last layer.

    Attributes
    ----------
    features : Stored, (N, d), read when they are needed
    labels : (N,) or (N, K) array
    weight : (K, d) array or None
    bias : (K,) array or None
    classes : (K,) array of names or None
    """

    features: Stored
    labels: NDArray[Any]
    weight: NDArray[Any] | None
    bias: NDArray[Any] | None
    classes: NDArray[Any] | None

    @classmethod
    def of(cls, path: Path) -> StoredNetwork:
        """Open an ``.npz`` with arrays of these names, or a folder with files ``features.npy``, ``labels.npy`` and so on.

        Parameters
        ----------
        path : Path

        Returns
        -------
        StoredNetwork

        Raises
        ------
        InputError
            The file cannot be read or is damaged, features or labels are missing, or arrays have Python objects.
        """
        if os.path.exists(path) and not (os.path.isdir(path) or os.path.isfile(path)):
            raise InputError(f"{brief(str(path))} is a device or a pipe, which has no end; give an .npz file or a folder")
        names = _folder(path) if os.path.isdir(path) else _archive(path)
        for name in ("features", "labels"):
            if name not in names:
                has = ", ".join(brief(n, 40) for n in names[:12]) + (", ..." if len(names) > 12 else "")
                raise InputError(f"{brief(str(path))} has no array {name!r}, but {has or 'none at all'}; {SHAPES}")
        folder = os.path.isdir(path)
        found = {name: Stored(path / f"{name}.npy") if folder else Stored(path, name) for name in ARRAYS if name in names}
        small = {name: found[name].whole() if name in found else None for name in ARRAYS[1:]}
        labels = small.pop("labels")
        assert labels is not None
        return cls(found["features"], labels, **small)


def _folder(path: Path) -> list[str]:
    try:
        return sorted(file.stem for file in path.iterdir() if file.suffix == ".npy")
    except OSError as error:
        raise InputError(f"{brief(str(path))} cannot be read: {reason_of(error)}") from None


def _archive(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except OSError as error:
        raise InputError(f"{brief(str(path))} cannot be read: {reason_of(error)}") from None
    except BROKEN:
        raise InputError(
            f"{brief(str(path))} cannot be read: it is not an .npz of arrays; save plain arrays with numpy.savez, or give a "
            "folder of .npy files"
        ) from None
