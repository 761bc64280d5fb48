"""Critical ratios with enclosures."""

from ufm.thresholds.ratio import threshold
from ufm.thresholds.threshold import Threshold

__all__ = ["Threshold", "threshold"]
