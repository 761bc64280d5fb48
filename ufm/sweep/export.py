"""A store as CSV, Parquet or a pandas frame."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ufm.errors import InputError
from ufm.sweep.store import Store

if TYPE_CHECKING:
    import pandas


def columns(store: Store) -> list[str]:
    """Names of a store's columns. Early stores of solved points call the relative gap ``gap``: here it has its own name."""
    found = store.columns
    early = store.description["spec"]["task"] == "solve" and "relative_gap" not in found
    return ["relative_gap" if early and name == "gap" else name for name in found]


def to_csv(store: Store, path: str | Path) -> int:
    """Write all rows with a header; floats to the last digit, undefined values empty. Returns the number of rows."""
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    count = 0
    try:
        with partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns(store))
            for row in store.rows():
                writer.writerow("" if v is None else repr(v) if isinstance(v, float) else v for v in row)
                count += 1
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror or error}; give another file") from None
    return count


def to_pandas(store: Store) -> pandas.DataFrame:
    """All rows as a data frame (extra ``table``)."""
    try:
        import pandas
    except ImportError:
        raise InputError("pandas is missing; install it with: pip install 'ufm[table]'") from None
    return pandas.DataFrame(store.rows(), columns=columns(store))


def to_parquet(store: Store, path: str | Path) -> int:
    """Write all rows as Parquet (extra ``table``). Returns the number of rows."""
    frame = to_pandas(store)
    try:
        frame.to_parquet(path, index=False)
    except ImportError:
        raise InputError("pyarrow is missing; install it with: pip install 'ufm[table]'") from None
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror or error}; give another file") from None
    return len(frame)
