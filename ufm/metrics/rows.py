"""Features as rows that are read in blocks: arrays in memory, memory-mapped files, and files without loading them."""

from __future__ import annotations

import lzma
import mmap
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._files import BROKEN, reason_of
from ufm.errors import InputError, brief

HELD = 64 * 2**20
"""Bytes of a memory-mapped file that are read before its pages are given back to the system."""


class NotFiniteError(InputError):
    """NaN or infinite entries of an array."""


class Rows(Protocol):
    """Anything that has rows of numbers and hands them out in order, in blocks, any number of times.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy dtype
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def blocks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Arrays (at most ``rows``, d), one after the other."""
        ...


class Held:
    """Rows of an array in memory or of a memory-mapped file, whose pages do not stay resident.

    Parameters
    ----------
    array : array of any shape (N, ...)
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def blocks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Slices (at most ``rows``, d) of the array."""
        read = 0
        for start in range(0, len(self.array), rows):
            block = self.array[start : start + rows]
            yield block
            read += block.nbytes
            if read > HELD:
                let_go(self.array)
                read = 0


class Stored:
    """Rows of an ``.npy`` file, or of an entry of an ``.npz``, read from the disk block by block.

    Parameters
    ----------
    path : Path
    entry : str or None, name of the array in an ``.npz``; None for an ``.npy``

    Raises
    ------
    InputError
        The file cannot be read, is not of NumPy's format, or has Python objects in it.
    """

    def __init__(self, path: Path, entry: str | None = None) -> None:
        self.path, self.entry = path, entry
        with ExitStack() as stack:
            self.shape, self.by_columns, self.dtype = self._header(self._open(stack))

    def blocks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Blocks (at most ``rows``, d) read from the file; columns that are stored one after the other are read at once.

        Raises
        ------
        InputError
            The file ends too early, or cannot be read.
        """
        with ExitStack() as stack:
            stream = self._open(stack)
            self._header(stream)
            if self.by_columns:
                whole = self._take(stream, prod(self.shape)).reshape(self.shape, order="F")
                yield from Held(whole).blocks(rows)
                return
            width = prod(self.shape[1:])
            for start in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - start)
                yield self._take(stream, count * width).reshape(count, *self.shape[1:])

    def whole(self) -> NDArray[Any]:
        """The whole array."""
        if not self.shape or not self.shape[0]:
            with ExitStack() as stack:
                stream = self._open(stack)
                self._header(stream)
                return self._take(stream, prod(self.shape)).reshape(self.shape)
        return np.concatenate(list(self.blocks(self.shape[0])))

    def _open(self, stack: ExitStack) -> IO[bytes]:
        try:
            stream = stack.enter_context(self.path.open("rb"))
            if self.entry is None:
                return stream
            archive = stack.enter_context(zipfile.ZipFile(stream))
            return stack.enter_context(archive.open(f"{self.entry}.npy"))
        except OSError as error:
            raise InputError(f"{brief(str(self.path))} cannot be read: {reason_of(error)}") from None
        except BROKEN:
            raise self._broken("it is not an .npz of arrays") from None

    def _header(self, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        try:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, dtype = header(stream)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
            raise self._broken(f"it is damaged ({type(error).__name__})") from None
        except BROKEN:
            raise self._broken("it is no file of numpy.save") from None
        except OSError as error:
            raise InputError(f"{brief(str(self.path))} cannot be read: {reason_of(error)}") from None
        if min(shape, default=0) < 0:
            raise self._broken(f"it has the shape {shape}")
        if dtype.hasobject:
            raise self._broken("it contains Python objects")
        return shape, by_columns, dtype

    def _take(self, stream: IO[bytes], count: int) -> NDArray[Any]:
        size = count * self.dtype.itemsize
        try:
            content = stream.read(size)
        except OSError as error:
            raise InputError(f"{brief(str(self.path))} cannot be read: {reason_of(error)}") from None
        except BROKEN as error:
            raise self._broken(f"it is damaged ({type(error).__name__})") from None
        if len(content) < size:
            raise self._broken("it ends too early")
        return np.frombuffer(content, self.dtype)

    def _broken(self, reason: str) -> InputError:
        return InputError(f"{brief(str(self.path))} cannot be read: {reason}; save plain arrays with numpy.savez or numpy.save")


def real(name: str, value: ArrayLike) -> NDArray[Any]:
    """An array of real numbers, in the dtype that it has.

    Parameters
    ----------
    name : str, for the message
    value : array of any shape

    Returns
    -------
    array, not copied

    Raises
    ------
    InputError
        Python objects, text, dates, complex numbers, a mask, or rows of different lengths.
    """
    try:
        array = np.asanyarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiub" or isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{name} must be an array of real numbers (dtype {array.dtype}, no mask, rows of equal length)")
    return array if isinstance(array, np.memmap) else np.asarray(array)


def double(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """A small array as finite float64.

    Parameters
    ----------
    name : str, for the message
    value : array of any shape

    Returns
    -------
    float64 array

    Raises
    ------
    InputError
        It is no array of real numbers, or not finite.
    """
    with np.errstate(over="ignore", under="ignore"):  # from wider floats: infinity is refused with a sentence
        array = np.asarray(real(name, value)).astype(np.float64)
    if not np.isfinite(array).all():
        raise no_numbers(name, array, 0)
    return array


def no_numbers(name: str, array: NDArray[Any], before: int, more: int = 0) -> NotFiniteError:
    """The exception for an array with NaN or infinite entries.

    Parameters
    ----------
    name : str, of the array
    array : array of any shape, with such entries
    before : int, rows before the first of this array
    more : int, such entries elsewhere

    Returns
    -------
    NotFiniteError
    """
    bad = not_finite(array)
    first = np.unravel_index(int(np.argmax(bad)), bad.shape)
    place = ", ".join(str(int(index) + (before if axis == 0 else 0)) for axis, index in enumerate(first))
    total = int(bad.sum()) + more
    noun = "entry that is" if total == 1 else "entries that are"
    where = "it is" if total == 1 else "the first is"
    return NotFiniteError(
        f"{name}: {total} {noun} not finite (NaN or infinity); {where} at [{place}], counted from 0; repair them or drop "
        "their samples"
    )


def not_finite(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether entries are NaN, infinite, or beyond float64.

    Parameters
    ----------
    array : array of any shape and real dtype

    Returns
    -------
    array of bool, of the same shape
    """
    with np.errstate(over="ignore", under="ignore"):
        return ~np.isfinite(np.asarray(array).astype(np.float64))


def let_go(array: NDArray[Any]) -> None:
    """Give the pages of a memory-mapped array back to the system, which reads them again where they are needed.

    Nothing happens to other arrays, and to private pages (mode "c"), whose changes would be lost.

    Parameters
    ----------
    array : array of any shape, or a slice of one
    """
    base: Any = array
    if not isinstance(array, np.memmap) or array.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None:
        base.madvise(mmap.MADV_DONTNEED)
