"""Sweeps over a grid of parameters, computed in blocks by an executor, with results in one file that can be resumed."""

from ufm.sweep.execution import run
from ufm.sweep.export import to_csv, to_pandas, to_parquet
from ufm.sweep.grid import Axis, Grid
from ufm.sweep.spec import Spec, ready_names
from ufm.sweep.store import Store

__all__ = ["Axis", "Grid", "Spec", "Store", "ready_names", "run", "to_csv", "to_pandas", "to_parquet"]
