"""Data of figures in files: arrays and plain values without pickles, and a key of the code that computed them."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import shutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import figures
import proofs_check
import ufm
from figures.registry import Plot
from ufm._files import BROKEN, writing
from ufm.errors import InputError

PLAIN = (str, bool, int, float, type(None))
DRAWN = ("plot", "cli")
"""Folders of `ufm` that draw or print, and compute nothing."""
SHARED = ("sweeps.py", "series.py")
"""Modules of this package with which several figures compute."""
UNFINISHED = ".unfinished-"
"""What the names of folders have between figure and key; no name of a figure has it."""
PROJECT = ("figures.", "ufm.")
"""Where the named tuples of stored data may be defined."""


class Stored(NamedTuple):
    """Data of a figure, the key of the code that computed them, and the time that this took.

    ``seconds`` are those of the clock, ``processor`` those of the processor, worker processes included.
    """

    data: Any
    key: str
    seconds: float
    processor: float


def pack(data: Any) -> tuple[Any, list[NDArray[Any]]]:
    """Split data into a structure that JSON can write, and the arrays that it refers to by their numbers.

    Parameters
    ----------
    data : nested named tuples, tuples, lists, dicts, arrays, text, numbers and None

    Returns
    -------
    structure, list of arrays

    Raises
    ------
    TypeError
        Something else.

    Examples
    --------
    >>> pack({"a": [1, 2.5]})[0]
    {'dict': [['a', {'list': [1, 2.5]}]]}
    """
    arrays: list[NDArray[Any]] = []

    def down(part: Any) -> Any:
        if isinstance(part, np.generic):
            part = part.item()
        if isinstance(part, PLAIN):
            return part
        if isinstance(part, np.ndarray) and part.dtype.kind in "biufU":
            arrays.append(part)
            return {"array": len(arrays) - 1}
        if isinstance(part, tuple) and hasattr(part, "_fields"):
            kind = type(part)
            return {"named": f"{kind.__module__}:{kind.__qualname__}", "fields": [down(value) for value in part]}
        if isinstance(part, list | tuple):
            return {type(part).__name__: [down(value) for value in part]}
        if isinstance(part, dict):
            return {"dict": [[down(name), down(value)] for name, value in part.items()]}
        raise TypeError(
            f"data of figures may not hold {type(part).__name__}; give arrays, numbers, text and named tuples of them"
        )

    return down(data), arrays


def unpack(structure: Any, arrays: list[NDArray[Any]]) -> Any:
    """The data that `pack` has split.

    Parameters
    ----------
    structure : as `pack` returns it
    arrays : list of arrays

    Returns
    -------
    The data.

    Raises
    ------
    ValueError
        A structure that `pack` does not make.
    """

    def up(part: Any) -> Any:
        match part:
            case {"array": int(number)}:
                return arrays[number]
            case {"named": str(name), "fields": list(values)}:
                return _named(name)(*map(up, values))
            case {"list": list(values)}:
                return [up(value) for value in values]
            case {"tuple": list(values)}:
                return tuple(up(value) for value in values)
            case {"dict": list(pairs)}:
                return {up(name): up(value) for name, value in pairs}
            case str() | bool() | int() | float() | None:
                return part
        raise ValueError("stored data have an unknown part")

    return up(structure)


def _named(name: str) -> Any:
    """A named tuple of this project."""
    module, _, qualified = name.partition(":")
    if not module.startswith(PROJECT) or "." in qualified:
        raise ValueError(f"{name} is no named tuple of this project")
    kind = getattr(import_module(module), qualified)
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")):
        raise ValueError(f"{name} is no named tuple")
    return kind


@cache
def _code_of_packages() -> bytes:
    """Digest of all code that figures compute with, apart from their own files."""
    digest = hashlib.sha256(np.__version__.encode())
    for package in (ufm, proofs_check):
        root = Path(package.__path__[0])
        for path in sorted((*root.rglob("*.py"), *root.rglob("*.toml"))):
            inside = path.relative_to(root)
            if inside.parts[0] not in DRAWN:
                digest.update(inside.as_posix().encode() + b"\0" + path.read_bytes())
    for name in SHARED:
        path = Path(figures.__path__[0]) / name
        if path.exists():
            digest.update(path.read_bytes())
    return digest.digest()


def key_of(plot: type[Plot], *, quick: bool) -> str:
    """A key that changes whenever code that computes the figure's data may have changed; drawing and comments do not count.

    Parameters
    ----------
    plot : subclass of Plot
    quick : bool

    Returns
    -------
    str, 32 hexadecimal digits
    """
    tree = ast.parse(Path(inspect.getfile(plot)).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.Module | ast.FunctionDef):
            drop = ast.get_docstring(node, clean=False) is not None
            kept = [part for part in node.body[drop:] if not (isinstance(part, ast.FunctionDef) and part.name == "draw")]
            node.body = kept  # type: ignore[assignment]
    digest = hashlib.sha256(_code_of_packages() + ast.dump(tree).encode() + bytes([quick]))
    return digest.hexdigest()[:32]


def place(folder: Path, plot: type[Plot], *, quick: bool) -> Path:
    """The file of a figure's data: beside the figure, under a name of its own for quick ones.

    Parameters
    ----------
    folder : Path
    plot : subclass of Plot
    quick : bool

    Returns
    -------
    Path
    """
    return folder / f"{plot.name}{'.quick' if quick else ''}.npz"


def workspace(data: Path, key: str) -> Path:
    """The folder, beside the file of a figure's data, for what an interrupted run of this code has finished.

    Parameters
    ----------
    data : Path, from `place`
    key : str, from `key_of`

    Returns
    -------
    Path
    """
    return data.with_name(f"{data.stem}{UNFINISHED}{key}")


def clear(data: Path, kept: Path | None = None) -> None:
    """Remove the folders that `workspace` names for a figure, those of other code included.

    Parameters
    ----------
    data : Path, from `place`
    kept : Path or None, one that stays
    """
    for folder in data.parent.glob(f"{data.stem}{UNFINISHED}*"):
        if folder != kept and folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def keep(path: Path, stored: Stored) -> None:
    """Write data to a file, completely or not at all.

    Parameters
    ----------
    path : Path, whose folder is made if there is none
    stored : Stored

    Raises
    ------
    InputError
        A file that cannot be written.
    """
    structure, arrays = pack(stored.data)
    about = {"key": stored.key, "seconds": stored.seconds, "processor": stored.processor}
    text = json.dumps({**about, "data": structure})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror or error}; give another --out") from None
    with writing(path, "wb") as stream:
        named: dict[str, Any] = {f"array{number}": array for number, array in enumerate(arrays)}
        np.savez(stream, structure=np.array(text), **named)


def recall(path: Path) -> Stored | None:
    """Data from a file; None if there is no such file or it is damaged.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Stored or None
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            text = json.loads(str(found["structure"]))
            arrays = [found[f"array{number}"] for number in range(len(found.files) - 1)]
        data = unpack(text["data"], arrays)
        return Stored(data, str(text["key"]), float(text["seconds"]), float(text["processor"]))
    except (OSError, IndexError, ImportError, *BROKEN):
        return None
