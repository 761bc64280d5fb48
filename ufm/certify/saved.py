"""`recheck`: verify a saved certificate without any solver code."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from ufm.errors import InputError


@dataclass(frozen=True, repr=False)
class Recheck:
    """Verdict on a saved certificate.

    Attributes
    ----------
    accepted : bool
    reason : str, one sentence
    lower, upper : float or None, the claimed bounds
    width : int or None, feature dimensions that attain the upper bound
    level : str, always ``"rigorous"``
    """

    accepted: bool
    reason: str
    lower: float | None = None
    upper: float | None = None
    width: int | None = None
    level: str = "rigorous"

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain values for JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        if not self.accepted:
            return f"Recheck(rejected: {self.reason})"
        return f"Recheck(accepted, {self.lower!r} <= optimum <= {self.upper!r}, width={self.width}, level={self.level!r})"


def recheck(path: str | os.PathLike[str]) -> Recheck:
    """Verify a certificate file with exact and ball arithmetic; no solver code is involved.

    Parameters
    ----------
    path : str or path, of a file written by `Certificate.save` or `Solution.save`

    Returns
    -------
    Recheck
        Accepted if the witness proves both claimed bounds and the claimed width; otherwise rejected with the reason.

    Raises
    ------
    InputError
        The file cannot be read, is larger than any certificate, is not JSON, or is not a certificate at all.

    Examples
    --------
    >>> import tempfile, ufm
    >>> solution = ufm.solve(ufm.Problem([20] * 4, regularizer=ufm.WeightDecay(5e-3, 5e-3)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     solution.certificate.save(folder + "/c.json")
    ...     ufm.recheck(folder + "/c.json").accepted
    True
    """
    import ufm.certify.verify as verify
    from ufm.certify.verify import ball, fields, integer, rational

    try:
        document = verify.read(path)
    except verify.AmbiguousError as error:
        return Recheck(False, str(error))
    if not isinstance(document, dict) or document.get("format") != verify.FORMAT:
        name = str(path)[:200]
        raise InputError(f"certificate file {name!r} is not a certificate of format {verify.FORMAT!r}; save it again")
    try:
        written = fields(document.get("claim"), "claim", "lower", "upper", "width")
        lower, upper, width = rational(written[0]), rational(written[1]), integer(written[2])
        shown = verify.outward(lower, -1), verify.outward(upper, +1)
        proof = verify.prove(document)
        with verify.working_precision():
            proved_lower, proved_upper = ball(lower) <= proof.lower, ball(upper) >= proof.upper
    except InputError as error:
        return Recheck(False, str(error))
    except verify.MALFORMED as error:
        return Recheck(False, f"certificate has no readable claim ({type(error).__name__})")
    if not proved_lower:
        return Recheck(False, f"the witness does not prove the lower bound {shown[0]!r}")
    if not proved_upper:
        return Recheck(False, f"the witness does not prove the upper bound {shown[1]!r}")
    if lower > upper:
        return Recheck(False, f"the claimed lower bound {shown[0]!r} exceeds the upper bound {shown[1]!r}")
    dim = document["problem"]["dim"]
    if dim is not None and width > integer(dim):
        return Recheck(False, f"the claim is about width {width}, and the problem has dim={dim}")
    if width < proof.width:
        return Recheck(False, f"the factors need {proof.width} dimensions, not the claimed {width}")
    return Recheck(True, "both bounds are proved", *shown, width)
