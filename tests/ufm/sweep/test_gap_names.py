"""Gaps have one name each, in the store, in the tables, and in stores from before they had."""

import csv
import sqlite3
from contextlib import closing

from ufm.sweep import Spec, Store, run, to_csv, to_pandas

STEP = {"classes": [5, 5], "minority_count": 100}


def test_gaps_have_the_same_names_and_meanings_as_in_solve(tmp_path):
    points = {"counts": ["100*5,10*5", "30,12,5,1"], "head": ["explicit", "explicit:2"]}
    spec = Spec.of("solve", {"decay": [1e-3, 1e-3]}, points)
    run(spec, tmp_path / "a.db")
    with Store(tmp_path / "a.db") as store:
        lower, upper, gap, relative = store.arrays("lower", "upper", "gap", "relative_gap")
    assert (gap == upper - lower).all()
    assert (relative == gap / upper).all()
    assert relative.max() > 1e-3 > 1e-9 > relative.min()


def test_the_relative_gap_of_early_stores_is_exported_under_its_own_name(tmp_path):
    """Stores of the first format have one column ``gap``, which is relative."""
    spec = Spec.of("solve", STEP | {"c": 2.0}, {"ratio": [1, 10]})
    run(spec, tmp_path / "a.db")
    with Store(tmp_path / "a.db") as store:
        relative = store.arrays("relative_gap")[0]
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("ALTER TABLE points DROP COLUMN gap")
        database.execute("ALTER TABLE points RENAME COLUMN relative_gap TO gap")
    with Store(tmp_path / "a.db") as store:
        assert to_csv(store, tmp_path / "a.csv") == 2
        assert list(to_pandas(store)["relative_gap"]) == list(relative)
    with (tmp_path / "a.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["relative_gap"]) for row in rows] == list(relative)
    assert "gap" not in rows[0]
