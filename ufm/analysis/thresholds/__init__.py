"""Critical values of the imbalance ratio and of the decay on A, with enclosures."""

from ufm.analysis.thresholds.enclosed import Threshold
from ufm.analysis.thresholds.etf import etf_window, pair_depth
from ufm.analysis.thresholds.ratio import threshold

__all__ = ["Threshold", "etf_window", "pair_depth", "threshold"]
