"""Arrays and a JSON description in an ``.npz`` file without pickles. A file is written completely or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._files import BROKEN, reason_of, writing
from ufm.errors import InputError, brief

Arrays = dict[str, NDArray[Any]]
DESCRIPTION = "ufm/description"


def write_arrays(path: Path, arrays: Arrays, description: dict[str, Any]) -> None:
    """Write arrays and a description to a file, completely or not at all.

    Parameters
    ----------
    path : Path
    arrays : dict of arrays of any shape, by name
    description : dict of JSON values

    Raises
    ------
    InputError
        The file cannot be written.
    RunError
        The disk is full or broken.
    """
    text = json.dumps(description)
    with writing(path, "wb") as stream:
        np.savez(stream, **{DESCRIPTION: np.array(text)}, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read a file written by `write_arrays`, or any other ``.npz`` of arrays, whose description is empty.

    Returns
    -------
    tuple
        A dict of arrays by name, and the description, a dict of JSON values.

    Raises
    ------
    InputError
        The file cannot be read, is not an ``.npz``, has entries that need a pickle, or has a damaged description.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"{brief(str(path))} cannot be read: {reason_of(error)}") from None
    except BROKEN as error:
        reason = "it contains Python objects" if "pickle" in str(error) else "it is not an .npz of arrays"
        raise InputError(f"{brief(str(path))} cannot be read: {reason}; save plain arrays with numpy.savez") from None
    text = arrays.pop(DESCRIPTION, None)
    try:
        return arrays, {} if text is None else dict(json.loads(str(text)))
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"{brief(str(path))} has a damaged description; delete it to start anew") from None
