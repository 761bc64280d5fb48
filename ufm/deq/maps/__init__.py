"""Maps whose fixed points are features: what a map and a layer are, and the layers of this package."""

from ufm.deq.maps.affine import AffineLayer
from ufm.deq.maps.base import BatchMap, Layer, OwnMap
from ufm.deq.maps.linear import LinearLayer
from ufm.deq.maps.monotone import MonotoneLayer

__all__ = ["AffineLayer", "BatchMap", "Layer", "LinearLayer", "MonotoneLayer", "OwnMap"]
