"""Arrays on disk: ``.npz`` without pickles, written whole or not at all, with a description as JSON."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.errors import InputError

Arrays = dict[str, NDArray[Any]]
DESCRIPTION = "description"


def write_arrays(path: Path, arrays: Arrays, description: dict[str, Any]) -> None:
    """Write arrays and a description; a file appears whole or not at all.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            np.savez(stream, **{DESCRIPTION: np.array(json.dumps(description))}, **arrays)  # type: ignore[arg-type]
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror or error}") from None


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and description of a file written by `write_arrays`; an empty description for any other ``.npz``.

    Raises
    ------
    InputError
        The file cannot be read, is no ``.npz``, or has entries that only a pickle could hold.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror or error}") from None
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError, AttributeError, TypeError) as error:
        reason = "it contains Python objects" if "pickle" in str(error) else "it is not an .npz of arrays"
        raise InputError(f"{str(path)!r} cannot be read: {reason}; save plain arrays with numpy.savez") from None
    text = arrays.pop(DESCRIPTION, None)
    try:
        return arrays, {} if text is None else json.loads(str(text))
    except json.JSONDecodeError:
        raise InputError(f"{str(path)!r} has a damaged description; it is not a file of this package") from None
