"""Numbers that are shown or claimed lie outward of what is proved, and next to it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given
from hypothesis import strategies as st

import ufm
from ufm.certify.verify import Proof, integer, outward, rational, working_precision

fractions = st.builds(
    lambda n, d, e: Fraction(n, d) * Fraction(2) ** e,
    st.integers(-(10**40), 10**40),
    st.integers(1, 10**30),
    st.integers(-400, 300),
)


def exact(value: arb) -> Fraction:
    mantissa, exponent = value.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def proof(lower: Fraction, upper: Fraction, radius: Fraction = Fraction(0)) -> Proof:
    """A proof whose bounds are balls of that radius about two rationals."""
    with working_precision():
        balls = [arb(fmpq(v.numerator, v.denominator)) for v in (lower, upper)]
        wide = arb(0, arb(fmpq(radius.numerator, radius.denominator)))
        return Proof(balls[0] + wide, balls[1] + wide, 1)


@given(fractions, st.sampled_from([Fraction(0), Fraction(1, 10**9), Fraction(1, 10**25), Fraction(3)]))
def test_floats_of_a_proof_are_next_to_its_ends(value, radius):
    found = proof(value, value, radius)
    with working_precision():
        low, high = exact(found.lower.lower()), exact(found.upper.upper())
    assert low <= value - radius <= value + radius <= high
    assert Fraction(found.lower_float) <= low < Fraction(float(np.nextafter(found.lower_float, np.inf)))
    assert Fraction(float(np.nextafter(found.upper_float, -np.inf))) < high <= Fraction(found.upper_float)


@given(fractions, st.sampled_from([Fraction(0), Fraction(1, 10**9), Fraction(1, 10**25), Fraction(3)]))
def test_decimals_of_a_proof_are_next_to_its_ends(value, radius):
    """30 digits: no 30-digit decimal lies between the text and the end."""
    found = proof(value, value, radius)
    with working_precision():
        low, high = exact(found.lower.lower()), exact(found.upper.upper())
    for text, end, sign in ((found.lower_text, low, -1), (found.upper_text, high, 1)):
        number = Fraction(text)
        if end == 0:
            assert text == "0"
            continue
        digits, exponent = text.split("e")
        unit = Fraction(10) ** int(exponent)
        assert 0 <= sign * (number - end) < unit
        # Thirty digits, or one more or less where the number is next to a power of ten.
        assert 29 <= len(digits.lstrip("-")) <= 31


@pytest.mark.parametrize(
    "value", [1, 10, 100, Fraction(1, 10), Fraction(999, 1000), Fraction(1, 3), 2**70, Fraction(1, 2**70), 12345]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_decimals_have_thirty_digits(value, sign):
    found = proof(Fraction(sign * value), Fraction(sign * value))
    if value == 1:
        assert found.lower_text.lstrip("-") == found.upper_text.lstrip("-") == "1" + "0" * 29 + "e-29"
    for text in (found.lower_text, found.upper_text):
        digits = text.split("e")[0].lstrip("-")
        assert len(digits) == 30 or digits.rstrip("0") in ("1", "9" * 30) or (len(digits) == 31 and value < 1)
        assert abs(Fraction(text) / (sign * Fraction(value)) - 1) < Fraction(1, 10**28)


@given(fractions)
def test_rationals_are_shown_outward(value):
    below, above = outward(value, -1), outward(value, 1)
    assert Fraction(below) <= value <= Fraction(above)
    assert above in (below, float(np.nextafter(below, np.inf)))
    assert (below == above) == (Fraction(below) == value)


def test_proofs_that_are_not_finite():
    with working_precision():
        endless = Proof(arb("nan"), arb("inf"), 1)
    assert (endless.lower_float, endless.upper_float) == (-math.inf, math.inf)
    for name in ("lower_text", "upper_text"):
        with pytest.raises(ufm.InputError, match="not finite"):
            getattr(endless, name)
    with working_precision():
        tiny = Proof(arb(2) ** -(10**9), arb(2) ** -(10**9), 1)
    assert (tiny.lower_float, tiny.upper_float) == (0.0, 5e-324)
    with pytest.raises(ufm.InputError, match="beyond any number"):
        _ = tiny.lower_text


@pytest.mark.parametrize("mantissa", [1, -1, 12345, 2**159 + 1])
@pytest.mark.parametrize("exponent", [-1000, -999, 990, 2800])
def test_what_is_claimed_can_be_read_again(mantissa, exponent):
    """A claim's exponent has at most three digits; bounds beyond that are refused, whatever their size."""
    with working_precision():
        value = arb(mantissa) * arb(2) ** exponent
        found = Proof(value, value, 1)
        low, high = exact(value), exact(value)
    assert rational(found.lower_text) <= low == high <= rational(found.upper_text)


@pytest.mark.parametrize("exponent", [3000, -3000])
def test_the_largest_and_least_bounds_that_a_claim_can_state(exponent):
    with working_precision():
        last, beyond = (Proof(arb(2) ** e, arb(2) ** e, 1) for e in (exponent, exponent + (1 if exponent > 0 else -1)))
    assert rational(last.lower_text) <= Fraction(2) ** exponent <= rational(last.upper_text)
    for name in ("lower_text", "upper_text"):
        with pytest.raises(ufm.InputError, match="beyond any number"):
            getattr(beyond, name)


def test_precision_is_given_back():
    from flint import ctx

    before = ctx.prec
    with working_precision():
        inside = ctx.prec
    assert (ctx.prec, inside) == (before, 160)
    with pytest.raises(ZeroDivisionError), working_precision():
        raise ZeroDivisionError
    assert ctx.prec == before


@pytest.mark.parametrize(
    "text", ["0", "-0", "12", "-3/4", "1.5", "-2.25e-3", "1e9", "7E+2", "9" * 400 + "/" + "7" * 400, "1e-999"]
)
def test_rational_numbers(text):
    assert rational(text) == Fraction(text)


@pytest.mark.parametrize(
    "value", ["", " 1", "1 ", "1/", "/2", "1/-2", "1/0.5", ".5", "5.", "1e", "1e1000", "0x1", "١", "1_0", "+1", "inf", "nan",
     1, 1.0, None, True, ["1"], "9" * 401, "1/" + "7" * 401, "0." + "1" * 401, "1\n"],
)  # fmt: skip
def test_what_is_no_rational_number(value):
    with pytest.raises(ufm.InputError, match="where a rational number belongs") as caught:
        rational(value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [0, -5, 2**64 - 1, "0", "-12", "7" * 1200, "-" + "7" * 1200])
def test_whole_numbers(value):
    assert integer(value) == int(value)


@pytest.mark.parametrize(
    "value", ["", "1.0", "1e3", "--1", "+1", "٣", " 1", "1\n", "7" * 1201, "-" + "7" * 1201, 2**64, 1.0, True, None, [1]]
)
def test_what_is_no_whole_number(value):
    with pytest.raises(ufm.InputError, match="where a whole number belongs") as caught:
        integer(value)
    assert len(str(caught.value)) < 200
