"""How good an answer is, provably."""

from ufm.certify.bounds import Bounds, bounds
from ufm.certify.certificate import Certificate
from ufm.certify.recheck import Recheck, recheck

__all__ = ["Bounds", "Certificate", "Recheck", "bounds", "recheck"]
