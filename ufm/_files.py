"""Reading and writing of files that users name: written completely or not at all, read up to a size limit."""

from __future__ import annotations

import errno
import lzma
import os
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ufm.errors import InputError, RunError, brief

BROKEN = (
    ValueError, zipfile.BadZipFile, EOFError, KeyError, AttributeError, TypeError, zlib.error, lzma.LZMAError,
    NotImplementedError, RuntimeError, MemoryError, OverflowError,
)  # fmt: skip
"""What NumPy and zipfile raise on a damaged file of arrays: the first line; NotImplementedError for an unknown compression,
RuntimeError for an encrypted entry, MemoryError and OverflowError for impossible shapes."""

FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO))
"""Error numbers of a full or broken disk, as opposed to a file name that cannot be used."""


def reason_of(error: Exception) -> str:
    """The operating system's reason for refusing a file, without the file's name."""
    return getattr(error, "strerror", None) or str(error)


def unwritten(message: str, error: Exception) -> InputError | RunError:
    """The exception to raise for a file that could not be written: RunError where the disk is full or broken, else InputError.

    Parameters
    ----------
    message : str, a sentence without its remedy
    error : the exception that the operating system raised

    Returns
    -------
    InputError or RunError
    """
    if isinstance(error, OSError) and error.errno in FULL:
        return RunError(f"{message}: {reason_of(error)}; free space there, and run it again")
    return InputError(f"{message}: {reason_of(error)}; give another one")


@contextmanager
def writing(path: str | os.PathLike[str], mode: str = "w") -> Generator[IO[Any], None, None]:
    """A stream whose content becomes a regular file when the block ends; if the block fails, no file is written.

    Parameters
    ----------
    path : the file; links are followed, devices and folders refused
    mode : "w" for UTF-8 text with newlines as given, "wb" for bytes

    Raises
    ------
    InputError
        The file cannot be written.
    RunError
        The disk is full or broken.
    """
    partial = None
    try:
        target = Path(path).resolve()
        if not target.name or (target.exists() and not target.is_file()):
            raise InputError(f"{brief(str(path))} cannot be written: it is not a regular file; give another name")
        # The name is cut (in bytes), because the target's may already be as long as the system allows.
        stem = os.fsdecode(os.fsencode(target.name)[:100])
        partial = target.with_name(f".{stem}.{os.getpid()}.partial")
        text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "", "errors": "surrogateescape"}
        with partial.open(mode, **text) as stream:
            yield stream
        partial.replace(target)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError) or not (isinstance(error, OSError) or partial is None):
            raise
        raise unwritten(f"{brief(str(path))} cannot be written", error) from None
    finally:
        if partial is not None:
            with suppress(OSError, ValueError):
                partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str, what: str = "") -> None:
    """Write a regular file completely or not at all; links are followed, devices and folders refused.

    Parameters
    ----------
    path : str or Path, the file
    text : str, its content, written as UTF-8
    what : str, a name for the kind of file, for messages

    Raises
    ------
    InputError
        The file cannot be written.
    """
    try:
        with writing(path) as stream:
            stream.write(text)
    except InputError as error:
        raise InputError(f"{what} {error}".strip()) from None


def exists(path: Path, what: str) -> bool:
    """Whether a file or folder of this name exists.

    Parameters
    ----------
    path : Path
    what : str, a name for the kind of file, for messages

    Raises
    ------
    InputError
        A name that the system does not accept (too long, with a zero byte), or a folder that may not be entered.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise InputError(f"{what} {brief(str(path))} cannot be used: {reason_of(error)}; give another name") from None
    return True


def read_text(path: str | os.PathLike[str], what: str, most: int, remedy: str) -> str:
    """The text of a file.

    Parameters
    ----------
    path : str or Path, the file
    what : str, a name for the kind of file, for messages
    most : int, largest size in bytes
    remedy : str, advice to the user that ends each message

    Returns
    -------
    str

    Raises
    ------
    InputError
        The file cannot be read, is larger than ``most``, or is not UTF-8.
    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(most + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{what} {brief(str(path))} cannot be read: {reason_of(error)}; {remedy}") from None
    if len(content) > most:
        raise InputError(f"{what} {brief(str(path))} has more than {most // 10**6} MB; {remedy}")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} {brief(str(path))} is no UTF-8 text ({error.reason}); {remedy}") from None


def locked(stream: IO[bytes]) -> bool:
    """Try to lock an open file for this process until the stream is closed; return False if another process holds the lock.

    POSIX: ``flock``. Windows: a lock on one byte far behind the end of the file, so that others may read and write the file.
    """
    if os.name == "nt":
        import msvcrt

        stream.seek(2**30)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
