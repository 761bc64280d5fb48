"""Critical ratios with enclosures."""

from ufm.thresholds.threshold import Threshold, threshold

__all__ = ["Threshold", "threshold"]
