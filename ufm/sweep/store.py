"""The store of a sweep: one SQLite file with the spec, the versions of the software, and a row for each computed point.

Each block of points is written in one transaction, so that a killed run leaves complete blocks only. A lock of the operating
system, which ends with its process, keeps two runs from writing to the same store.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ufm._files import exists, locked, unwritten
from ufm.errors import InputError, RunError, brief
from ufm.sweep.grid import identity
from ufm.sweep.spec import Spec
from ufm.sweep.tasks import Row

FORMAT = 1
STATUSES = ("done", "failed", "interrupted")
COLUMNS = ("position", "id", "status", "reason")
"""First columns of every store; those of its sweep follow."""


class Store:
    """An open store; a context manager that closes it.

    Parameters
    ----------
    path : str or Path, of the file; it is made if there is none and a spec is given
    spec : Spec or None
        The spec that the store must have, to write to it; None opens an existing store for reading.

    Attributes
    ----------
    description : dict of JSON values: ``format``, ``versions``, ``spec``

    Raises
    ------
    InputError
        The file has another spec or comes from another version, is not a store, is in use, or cannot be written.
    """

    def __init__(self, path: str | Path, spec: Spec | None = None) -> None:
        self.path = Path(path)
        there = exists(self.path, "store")
        if spec is None and not there:
            raise InputError(f"store {brief(str(path))} does not exist; make it with: ufm sweep run SPEC --out FILE")
        if there and not self.path.is_file():
            raise InputError(f"store {brief(str(path))} is not a regular file; give another name")
        self._lock: Any = None
        self._connection: sqlite3.Connection | None = None
        try:
            with self._told():
                if spec is not None:
                    self._claim()
                mode = "ro" if spec is None else "rw"
                self._connection = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode={mode}", uri=True, timeout=30)
                if spec is not None:
                    self._begin(spec)
            self.description = self._described()
        except BaseException:
            self.close()
            if not there and self.path.is_file() and not self.path.stat().st_size:
                self.path.unlink()  # the empty file that locking has made
            raise

    @property
    def connection(self) -> sqlite3.Connection:
        """The open database."""
        assert self._connection is not None
        return self._connection

    def _claim(self) -> None:
        """Lock the database file, or raise InputError where another run has locked it; independent of SQLite's locks."""
        self._lock = self.path.open("ab")
        if not locked(self._lock):
            raise InputError(f"store {self._name} is in use by another run; wait for it, or give another file")

    def _begin(self, spec: Spec) -> None:
        """Make the tables, or check that the store has the same spec and version."""
        asked = {"format": FORMAT, "versions": _versions(), "spec": spec.describe()}
        tables = {name for (name,) in self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            columns = [f'"{name}"' for name in (*spec.grid.names, *spec.kind.results)]
            if len(set(columns)) != len(columns):
                columns = [f'"{n}"' for n in (*(f"grid_{g}" for g in spec.grid.names), *spec.kind.results)]
            with self.connection:
                self.connection.execute("CREATE TABLE about (description TEXT)")
                self.connection.execute("INSERT INTO about VALUES (?)", (json.dumps(asked),))
                self.connection.execute(
                    "CREATE TABLE points (position INTEGER PRIMARY KEY, id TEXT UNIQUE, status TEXT, reason TEXT, "
                    + ", ".join(columns)
                    + ")"
                )
            return
        found = self._described()
        if found["format"] != FORMAT or found["versions"]["ufm"] != asked["versions"]["ufm"]:
            there = brief(found["versions"]["ufm"])[1:-1]
            raise InputError(
                f"store {self._name} was written by ufm {there} (format {brief(found['format'])}), this is "
                f"{asked['versions']['ufm']} (format {FORMAT}); give another file"
            )
        if json.loads(json.dumps(asked["spec"])) != found["spec"]:
            changed = sorted(k for k in asked["spec"] if json.loads(json.dumps(asked["spec"][k])) != found["spec"].get(k))
            raise InputError(
                f"store {self._name} holds another sweep (it differs in {', '.join(changed)}); give the spec that it was "
                "made with, or another file"
            )

    def _described(self) -> dict[str, Any]:
        """The description; raises InputError where it or the columns of the points are not those of a store."""
        with self._told():
            try:
                rows = self.connection.execute("SELECT description FROM about LIMIT 2").fetchall()
                found = json.loads(rows[0][0])
                sound = _is_description(found) and tuple(self.columns[: len(COLUMNS)]) == COLUMNS
            except (sqlite3.DatabaseError, IndexError, ValueError, TypeError, RecursionError) as error:
                if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
                    raise
                sound, found = False, {}
            if not sound:
                raise InputError(f"{self._name} is not a store of sweeps; give another file")
            return found

    @property
    def _name(self) -> str:
        return brief(str(self.path))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn errors of the database and of the file into InputError or RunError."""
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise RunError(f"store {self._name} cannot grow: {error}; free space, and run it again") from None
            raise InputError(f"store {self._name} cannot be used: {error}; free space or give another file") from None
        except OSError as error:
            raise unwritten(f"store {self._name} cannot be used", error) from None

    def write(self, spec: Spec, start: int, rows: list[Row]) -> None:
        """Write the rows of consecutive points in one transaction.

        Parameters
        ----------
        spec : Spec, of the sweep
        start : int, position of the first point in the grid
        rows : list of Row

        Raises
        ------
        RunError
            The disk is full, or the file was removed or locked; what was written before is kept.
        """
        entries = []
        for offset, row in enumerate(rows):
            point = spec.grid.point(start + offset)
            axes = (v if isinstance(v, int | float | str) else json.dumps(v) for v in spec.grid.varying(start + offset))
            entries.append((start + offset, identity(spec.task, point), row.status, row.reason, *axes, *row.results))
        marks = ", ".join("?" * len(entries[0]))
        try:
            with self.connection:
                self.connection.executemany(f"INSERT OR REPLACE INTO points VALUES ({marks})", entries)
        except sqlite3.Error as error:
            raise RunError(f"store {self._name} cannot be written: {error}; free space, and run it again") from None

    def finished(self, start: int, stop: int) -> bool:
        """Whether all points at the positions ``start .. stop - 1`` are computed (done or failed)."""
        query = "SELECT COUNT(*) FROM points WHERE position >= ? AND position < ? AND status != 'interrupted'"
        with self._told():
            return self.connection.execute(query, (start, stop)).fetchone()[0] == stop - start

    def counts(self) -> dict[str, int]:
        """Number of points in the store by status: "done", "failed", "interrupted".

        Raises
        ------
        InputError
            The store is damaged.
        """
        found: dict[str, int] = dict.fromkeys(STATUSES, 0)
        with self._told():
            counted = self.connection.execute("SELECT status, COUNT(*) FROM points GROUP BY status").fetchall()
        unknown = [status for status, _ in counted if status not in STATUSES]
        if unknown:
            raise InputError(f"store {self._name} is damaged: a point has the status {brief(unknown[0])}; give another file")
        return found | dict(counted)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        with self._told():
            return [row[1] for row in self.connection.execute("PRAGMA table_info(points)")]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """All rows, in the order of the grid; each has the values of `columns`."""
        with self._told():
            yield from self.connection.execute("SELECT * FROM points ORDER BY position")

    def arrays(self, *names: str) -> list[Any]:
        """Columns as arrays, in the order of the grid.

        Parameters
        ----------
        *names : str, names of columns

        Returns
        -------
        list of arrays, (points,)
            float64 with NaN where undefined for columns of numbers; for all others the values as they are.

        Raises
        ------
        InputError
            There is no column of this name.
        """
        import numpy as np

        known = self.columns
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InputError(f"store {self._name} has no column {brief(unknown[0])}; it has {', '.join(known)}")
        chosen = ", ".join(f'"{name}"' for name in names)
        with self._told():
            table = self.connection.execute(f"SELECT {chosen} FROM points ORDER BY position").fetchall()
        found = []
        for column in zip(*table, strict=True):
            numeric = all(v is None or isinstance(v, int | float) for v in column)
            found.append(np.array([np.nan if v is None else v for v in column], dtype=float) if numeric else np.array(column))
        return found

    def close(self) -> None:
        """Close the database, then release the lock."""
        # In this order: closing a file releases every lock of SQLite on it.
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_description(found: Any) -> bool:
    """Whether JSON from a file has the entries of the description of a store."""
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        return False
    spec, versions = found.get("spec"), found.get("versions")
    if not isinstance(spec, dict) or not isinstance(versions, dict) or not isinstance(versions.get("ufm"), str):
        return False
    if not all(isinstance(spec.get(name), kind) for name, kind in (("task", str), ("title", str), ("fixed", dict))):
        return False
    axes = spec.get("axes")
    return isinstance(axes, list) and all(
        isinstance(axis, dict) and isinstance(axis.get("names"), list) and isinstance(axis.get("values"), list) for axis in axes
    )


def _versions() -> dict[str, str]:
    from ufm.training.settings import versions

    return versions()
