"""Heads and losses as text: what the command line (and a sweep's file) says for them.

``explicit``, ``explicit:L``, ``deq:rho=R``, ``deq:decay=LA,contraction=G``, ``deq:frobenius=E``, ``relu``,
``etf[:norm=X][,average]``; ``mse``, ``ce[:weights=A,adjustment=T,temperatures=G,smoothing=E]``, where a number is an
exponent (see `CrossEntropy`) and ``a/b/...`` one value for each distinct class size, largest size first.
"""

from __future__ import annotations

from ufm.errors import InputError, brief
from ufm.problem.heads import DecayedDEQ, Explicit, FixedETF, FrobeniusDEQ, Head, LinearDEQ, ReLU
from ufm.problem.losses import CrossEntropy, Loss, SquaredError

HEADS = "explicit, explicit:L, deq:rho=R, deq:decay=LA,contraction=G, deq:frobenius=E, relu or etf[:norm=X,average]"
LOSSES = "mse or ce[:weights=A,adjustment=T,temperatures=G,smoothing=E]"


def parse_head(text: str) -> Head:
    """A head from text.

    >>> parse_head("deq:decay=0.05,contraction=0.5")
    DecayedDEQ(decay=0.05, contraction=0.5)
    """
    kind, _, rest = text.partition(":")
    if kind == "explicit" and "=" not in rest:
        if not rest:
            return Explicit()
        depth = _number("head", text, rest)
        return Explicit(int(depth) if depth.is_integer() else depth)  # type: ignore[arg-type]
    options = _options("head", text, rest, flags=("average",))
    names = set(options)
    numbers = {name: _number("head", text, value) for name, value in options.items() if name != "average"}
    if kind == "deq":
        if names == {"rho"}:
            return LinearDEQ(numbers["rho"])
        if names == {"frobenius"}:
            return FrobeniusDEQ(numbers["frobenius"])
        if names in ({"decay"}, {"decay", "contraction"}):
            return DecayedDEQ(**numbers)
    if kind == "relu" and not names:
        return ReLU()
    if kind == "etf" and names <= {"norm", "average"}:
        return FixedETF(norm=numbers.get("norm"), average="average" in names)
    raise InputError(f"--head is {brief(text)}; choose {HEADS}")


def parse_loss(text: str) -> Loss:
    """A loss from text.

    >>> str(parse_loss("ce:weights=1,temperatures=1/0.5"))
    'ce:weights=1,temperatures=1/0.5'
    """
    kind, _, rest = text.partition(":")
    if kind == "mse" and not rest:
        return SquaredError()
    options = _options("loss", text, rest)
    if kind != "ce" or not set(options) <= {"weights", "adjustment", "temperatures", "smoothing"}:
        raise InputError(f"--loss is {brief(text)}; choose {LOSSES}")
    values = {}
    for name, value in options.items():
        parts = [_number("loss", text, part) for part in value.split("/")]
        values[name] = parts[0] if len(parts) == 1 else tuple(parts)
    return CrossEntropy(**values)


def _options(option: str, text: str, rest: str, flags: tuple[str, ...] = ()) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, rest.split(",")):
        name, equals, value = item.partition("=")
        if name in found or bool(equals) == (name in flags):
            shape = "a flag without a value" if name in flags else "name=value"
            raise InputError(f"--{option} has {brief(item)} in {brief(text)}; write each option once, {brief(name)} as {shape}")
        found[name] = value
    return found


def _number(option: str, text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"--{option} has {brief(value)} in {brief(text)} where a number belongs") from None
