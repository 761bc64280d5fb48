"""Export of a store as CSV, Parquet or a pandas data frame."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from ufm._files import writing
from ufm.errors import InputError, brief
from ufm.sweep.store import Store

if TYPE_CHECKING:
    import pandas


def columns(store: Store) -> list[str]:
    """Names of the columns of a store.

    Early stores of the task "solve" call the relative gap ``gap``; here it is ``relative_gap`` for them, too.
    """
    found = store.columns
    early = store.description["spec"]["task"] == "solve" and "relative_gap" not in found
    return ["relative_gap" if early and name == "gap" else name for name in found]


def to_csv(store: Store, path: str | Path) -> int:
    """Write all rows of a store as CSV, with a header. Floats have all digits, undefined values are empty.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    InputError
        The file is the store itself, or cannot be written.
    """
    _apart(store, path)
    count = 0
    with writing(path) as stream:
        writer = csv.writer(stream)
        writer.writerow(columns(store))
        for row in store.rows():
            writer.writerow("" if v is None else repr(v) if isinstance(v, float) else v for v in row)
            count += 1
    return count


def to_pandas(store: Store) -> pandas.DataFrame:
    """All rows of a store as a pandas data frame; needs the extra ``table``.

    Raises
    ------
    InputError
        pandas is missing.
    """
    try:
        import pandas
    except ImportError:
        raise InputError('pandas is missing; install it with: pip install -e ".[table]"') from None
    return pandas.DataFrame(store.rows(), columns=columns(store))


def to_parquet(store: Store, path: str | Path) -> int:
    """Write all rows of a store as Parquet; needs the extra ``table``.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    InputError
        The file is the store itself or cannot be written, pandas or pyarrow is missing, or a column has values of several
        kinds.
    """
    _apart(store, path)
    frame = to_pandas(store)
    with writing(path, "wb") as stream:
        try:
            frame.to_parquet(stream, index=False)
        except ImportError:
            raise InputError('pyarrow is missing; install it with: pip install -e ".[table]"') from None
        except (ValueError, TypeError, OverflowError) as error:  # how pyarrow refuses columns of mixed kinds
            raise InputError(
                f"{brief(str(store.path))} has rows that are no table of one kind per column ({brief(str(error))[1:-1]}); "
                "write it as CSV"
            ) from None
    return len(frame)


def _apart(store: Store, path: str | Path) -> None:
    """Raise InputError where the file to be written is the store itself."""
    try:
        same = Path(path).samefile(store.path)
    except (OSError, ValueError):
        same = False  # it does not exist yet, or opening it will fail
    if same:
        raise InputError(f"{brief(str(path))} is the store itself; give another file")
