"""Critical ratios with enclosures."""

from ufm.thresholds.etf import etf_window, pair_depth
from ufm.thresholds.ratio import threshold
from ufm.thresholds.threshold import Threshold

__all__ = ["Threshold", "etf_window", "pair_depth", "threshold"]
