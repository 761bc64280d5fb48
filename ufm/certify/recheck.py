"""Judge a saved certificate."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ufm.errors import InputError


@dataclass(frozen=True)
class Recheck:
    """Verdict on a saved certificate.

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


def recheck(path: str | os.PathLike[str]) -> Recheck:
    """Verify a certificate file with exact and ball arithmetic; no solver code is involved.

    Raises
    ------
    InputError
        The file cannot be read, is not JSON, or is not a certificate at all.

    Examples
    --------
    >>> import tempfile, ufm
    >>> solution = ufm.solve(ufm.Problem([20] * 4, regularizer=ufm.WeightDecay(5e-3, 5e-3)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     solution.certificate.save(folder + "/c.json")
    ...     ufm.recheck(folder + "/c.json").accepted
    True
    """
    from flint import arb, fmpq

    from ufm.certify.verify import FORMAT, MALFORMED, integer, outward, prove, rational, working_precision

    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"certificate file {str(path)!r} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError, MemoryError):
        raise InputError(f"certificate file {str(path)!r} is not JSON; save it again") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"certificate file {str(path)!r} is not a certificate of format {FORMAT!r}; save it again")
    try:
        proof = prove(document)
        claim = document["claim"]
        lower, upper, width = rational(claim["lower"]), rational(claim["upper"]), integer(claim["width"])
        shown = outward(lower, -1), outward(upper, +1)
        with working_precision():
            lower_ball = arb(fmpq(lower.numerator, lower.denominator))
            upper_ball = arb(fmpq(upper.numerator, upper.denominator))
            proved_lower, proved_upper = lower_ball <= proof.lower, upper_ball >= proof.upper
    except InputError as error:
        return Recheck(False, str(error))
    except MALFORMED as error:
        return Recheck(False, f"certificate has no readable claim ({type(error).__name__})")
    if not proved_lower:
        return Recheck(False, f"the witness does not prove the lower bound {shown[0]!r}")
    if not proved_upper:
        return Recheck(False, f"the witness does not prove the upper bound {shown[1]!r}")
    dim = document["problem"]["dim"]
    if dim is not None and width > integer(dim):
        return Recheck(False, f"the claim is about width {width}, and the problem has dim={dim}")
    if width < proof.width:
        return Recheck(False, f"the factors need {proof.width} dimensions, not the claimed {width}")
    return Recheck(True, "both bounds are proved", *shown, width)
