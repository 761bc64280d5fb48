"""Heads and losses from text, as on the command line and in the file of a sweep.

``explicit``, ``explicit:L``, ``deq:rho=R``, ``deq:decay=LA,contraction=G``, ``deq:frobenius=E``, ``relu``,
``etf[:norm=X][,average]``, ``layernorm[:norm=R]``, ``cosine:scale=S``; ``mse``,
``ce[:weights=A,adjustment=T,temperatures=G,smoothing=E]``, where a number is an exponent (see `CrossEntropy`) and ``a/b/...``
one value for each distinct class size, largest size first. Each class defines its own form (`Spelling`); to read classes of
your own, pass them in ``heads`` or ``losses``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ufm.errors import InputError, brief
from ufm.problem.heads import Cosine, DecayedDEQ, Explicit, FixedETF, FrobeniusDEQ, Head, LayerNorm, LinearDEQ, ReLU
from ufm.problem.heads.base import check_head
from ufm.problem.losses import BinaryCrossEntropy, CrossEntropy, Focal, Loss, MultiTask, PickAllLabels, SquaredError
from ufm.problem.spelling import Spelling

HEADS: tuple[type[Head], ...] = (Explicit, LinearDEQ, DecayedDEQ, FrobeniusDEQ, ReLU, FixedETF, LayerNorm, Cosine)
LOSSES: tuple[type[Loss], ...] = (CrossEntropy, BinaryCrossEntropy, Focal, PickAllLabels, MultiTask, SquaredError)


def parse_head(text: str, *, heads: Sequence[type[Head]] = HEADS) -> Head:
    """A head from text.

    Parameters
    ----------
    text : str, ``kind[:option=value,...]``
    heads : sequence of subclasses of Head, each with a `Spelling`; add yours to `HEADS`

    Returns
    -------
    Head

    Raises
    ------
    InputError
        The text has the form of no head, or the head refuses a value.

    Examples
    --------
    >>> parse_head("deq:decay=0.05,contraction=0.5")
    DecayedDEQ(decay=0.05, contraction=0.5)
    """
    return _parsed("head", text, heads)


def as_head(value: Head | str | None) -> Head:
    """A head from an argument that may be a head, its text, or None for the explicit head of one layer.

    Raises
    ------
    InputError
        The argument is none of these, or the text is refused by `parse_head`.

    Examples
    --------
    >>> as_head("deq:rho=0.3"), as_head(None)
    (LinearDEQ(rho=0.3), Explicit(layers=1))
    """
    if value is None:
        return Explicit()
    return parse_head(value) if isinstance(value, str) else check_head(value)


def parse_loss(text: str, *, losses: Sequence[type[Loss]] = LOSSES) -> Loss:
    """A loss from text.

    Parameters
    ----------
    text : str, ``kind[:option=value,...]``
    losses : sequence of subclasses of Loss, each with a `Spelling`; add yours to `LOSSES`

    Returns
    -------
    Loss

    Raises
    ------
    InputError
        The text has the form of no loss, or the loss refuses a value.

    Examples
    --------
    >>> str(parse_loss("ce:weights=1,temperatures=1/0.5"))
    'ce:weights=1,temperatures=1/0.5'
    """
    return _parsed("loss", text, losses)


def _parsed(option: str, text: str, classes: Sequence[type[Any]]) -> Any:
    """An object of the first class whose text form matches."""
    kind, _, rest = text.partition(":")
    forms = [(cls, cls.spelling) for cls in classes if cls.spelling is not None]
    of_kind = [(cls, form) for cls, form in forms if form.kind == kind]
    for cls, form in of_kind:
        if form.positional and "=" not in rest:
            if not rest and not form.several:
                return cls()
            if form.several:
                return cls(**{form.positional: tuple(_whole(option, text, part) for part in rest.split(","))})
            value = _number(option, text, rest)
            return cls(**{form.positional: int(value) if value.is_integer() else value})
    flags = tuple(flag for _, form in of_kind for flag in form.flags)
    if not of_kind and rest:
        _options(option, text, rest, flags)  # a malformed option is reported before an unknown kind
    options = _options(option, text, rest, flags) if of_kind else {}
    for cls, form in of_kind:
        if not form.positional and form.takes(set(options)):
            return cls(**_values(option, text, form, options))
    usage = " or ".join(form.usage for _, form in forms)
    raise InputError(f"--{option} is {brief(text)}; choose {usage}")


def _values(option: str, text: str, form: Spelling, options: dict[str, str]) -> dict[str, Any]:
    """Arguments of the class from the options of its form."""
    names = {**form.required, **form.optional}
    found: dict[str, Any] = {flag: True for flag in form.flags if flag in options}
    for name, value in options.items():
        if name in form.flags:
            continue
        parts = value.split("/") if form.listed else [value]
        numbers = [_number(option, text, part) for part in parts]
        found[names[name]] = numbers[0] if len(numbers) == 1 else tuple(numbers)
    return found


def _options(option: str, text: str, rest: str, flags: tuple[str, ...] = ()) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, rest.split(",")):
        name, equals, value = item.partition("=")
        if name in found or bool(equals) == (name in flags):
            shape = "a flag without a value" if name in flags else "name=value"
            raise InputError(f"--{option} has {brief(item)} in {brief(text)}; write each option once, {brief(name)} as {shape}")
        found[name] = value
    return found


def _whole(option: str, text: str, value: str) -> int:
    number = _number(option, text, value)
    if not number.is_integer():
        raise InputError(f"--{option} has {brief(value)} in {brief(text)} where a whole number belongs")
    return int(number)


def _number(option: str, text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"--{option} has {brief(value)} in {brief(text)} where a number belongs") from None
