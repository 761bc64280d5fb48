"""Sweeps: a grid of questions, computed in blocks wherever there is an executor, kept in one file that resumes."""

from ufm.sweep.execution import run
from ufm.sweep.export import to_csv, to_pandas, to_parquet
from ufm.sweep.grid import Axis, Grid
from ufm.sweep.spec import Spec, ready_names
from ufm.sweep.store import Store

__all__ = ["Axis", "Grid", "Spec", "Store", "ready_names", "run", "to_csv", "to_pandas", "to_parquet"]
