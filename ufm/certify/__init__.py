"""Certificates: two-sided bounds on the optimum of a problem, and their verification."""

from ufm.certify.certificate import Certificate
from ufm.certify.primal_dual import Bounds, bounds
from ufm.certify.saved import Recheck, recheck

__all__ = ["Bounds", "Certificate", "Recheck", "bounds", "recheck"]
