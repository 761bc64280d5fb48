"""Matrices of K classes for every K at once: the algebra of the projectors on contrasts and on the mean.

``C = I - 1 1'/K`` and ``J/K = 1 1'/K`` are orthogonal projectors of ranks K - 1 and 1 whose sum is I. A matrix that does not
change when the classes are permuted is ``contrast C + mean J/K``; such matrices commute, and both numbers add and multiply each
by itself. With other projectors, of which only products are known, expressions are words, and `reduced` multiplies them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from itertools import pairwise
from typing import Any, NamedTuple

Steps = Iterator[tuple[str, Any]]


def once(steps: Callable[[], Steps]) -> Callable[[], Steps]:
    """Steps that several theorems share, decided when they are first asked for.

    Parameters
    ----------
    steps : callable

    Returns
    -------
    callable, with the same steps
    """
    kept: list[tuple[str, Any]] = []

    @wraps(steps)
    def again() -> Steps:
        if not kept:
            kept.extend(tuple(steps()))
        return iter(kept)

    return again


class Invariant(NamedTuple):
    """The matrix ``contrast C + mean J/K`` of K classes, K a number or a symbol.

    Attributes
    ----------
    contrast, mean : numbers or sympy expressions, eigenvalues of multiplicity K - 1 and 1
    classes : number or sympy expression, K
    """

    contrast: Any
    mean: Any
    classes: Any

    @classmethod
    def from_entries(cls, diagonal: Any, other: Any, classes: Any) -> Invariant:
        """The matrix with equal entries on the diagonal and equal ones off it."""
        return cls(diagonal - other, diagonal + (classes - 1) * other, classes)

    @property
    def entries(self) -> tuple[Any, Any]:
        """The entry on the diagonal, and that off it."""
        other = (self.mean - self.contrast) / self.classes
        return self.contrast + other, other

    @property
    def trace(self) -> Any:
        """Sum of the eigenvalues; the nuclear norm where none is negative."""
        return (self.classes - 1) * self.contrast + self.mean

    def inner(self, other: Invariant) -> Any:
        """Inner product of both matrices."""
        return Invariant(self.contrast * other.contrast, self.mean * other.mean, self.classes).trace

    def is_zero(self) -> bool:
        """Whether computer algebra confirms that both eigenvalues vanish."""
        import sympy as sp

        return all(sp.simplify(value) == 0 for value in (self.contrast, self.mean))

    def minus(self, other: Invariant) -> Invariant:
        """The difference of both matrices."""
        return Invariant(self.contrast - other.contrast, self.mean - other.mean, self.classes)

    def times(self, factor: Any) -> Invariant:
        """A multiple of the matrix."""
        return Invariant(self.contrast * factor, self.mean * factor, self.classes)


def multiplied(one: tuple[Any, Any], other: tuple[Any, Any], classes: Any) -> tuple[Any, Any]:
    """Entries of the product of two matrices by theirs, each on the diagonal and off it: row by column."""
    (a, b), (c, d) = one, other
    return a * c + (classes - 1) * b * d, a * d + b * c + (classes - 2) * b * d


@once
def algebra_steps() -> Iterator[tuple[str, Any]]:
    """Products of matrices, entry by entry for any K, are products of their two eigenvalues.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    k, a, b, c, d = sp.symbols("K a b c d", positive=True)
    one, other = Invariant(a, b, k), Invariant(c, d, k)
    entries = multiplied(one.entries, other.entries, k)
    product = Invariant.from_entries(*entries, k)
    yield (
        r"with $C = I - \frac1K \mathbf{1} \mathbf{1}^\top$: $(a\, C + \frac bK \mathbf{1} \mathbf{1}^\top)"
        r"(c\, C + \frac dK \mathbf{1} \mathbf{1}^\top) = ac\, C + \frac{bd}{K} \mathbf{1} \mathbf{1}^\top$",
        product.minus(Invariant(a * c, b * d, k)).is_zero(),
    )
    yield (
        "so C is a projector, of rank $K - 1$: its trace",
        sp.simplify(k * Invariant(1, 0, k).entries[0] - (k - 1)) == 0,
    )


def letters(names: str) -> tuple[Any, ...]:
    """Matrices of which only products are known.

    Parameters
    ----------
    names : str, separated by spaces

    Returns
    -------
    tuple of sympy symbols that do not commute
    """
    import sympy as sp

    return sp.symbols(names, commutative=False, seq=True)


def reduced(expression: Any, rules: dict[tuple[Any, Any], Any]) -> Any:
    """A sum of words of matrices, with products of neighbours replaced until there is nothing left to replace.

    Parameters
    ----------
    expression : sympy expression in letters
    rules : dict, for pairs of letters what their product is

    Returns
    -------
    sympy expression, expanded

    Examples
    --------
    >>> p, q, z = letters("P Q Z")
    >>> reduced((p + q) * z * (p + q) * p, orthogonal(p, q))
    P*Z*P + Q*Z*P
    """
    import sympy as sp

    total, waiting = sp.Integer(0), list(sp.Add.make_args(sp.expand(expression)))
    while waiting:
        term = waiting.pop()
        plain, word = term.args_cnc()
        word = [letter for power in word for letter in [power.as_base_exp()[0]] * int(power.as_base_exp()[1])]
        place = next((i for i, pair in enumerate(pairwise(word)) if pair in rules), None)
        if place is None:
            total += term
            continue
        changed = sp.Mul(*plain, *word[:place], rules[word[place], word[place + 1]], *word[place + 2 :])
        waiting.extend(sp.Add.make_args(sp.expand(changed)))
    return sp.expand(total)


def orthogonal(*named: Any) -> dict[tuple[Any, Any], Any]:
    """Rules of orthogonal projectors: each is its own square, and any two have the product zero.

    Parameters
    ----------
    named : letters

    Returns
    -------
    dict for `reduced`
    """
    return {(one, other): one if one == other else 0 for one in named for other in named}
