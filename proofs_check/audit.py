"""The claims of the paper that this project starts from, mapped onto the theorems of the book."""

from __future__ import annotations

from typing import NamedTuple

SOURCE = "sunshi2024"
INTRODUCTION = (
    "Sun & Shi (NeurIPS 2024) claim four things about deep equilibrium models (DEQs) and neural collapse. Its theorems "
    "were not "
    "at hand (locator unknown), so each claim is put into the precise form, or forms, in which it can be proved or refuted. "
    "Whether it holds turns on one question that the claims leave open: *which norm bounds the equilibrium map*."
)


class Audited(NamedTuple):
    """A claim of the paper and what the book says of it.

    Attributes
    ----------
    id, claim : str, "S1" to "S4" and the claim in our words
    finding : str, what is true of it in one sentence
    details : tuple of (id of a theorem, or "measured", what it says of the claim), with LaTeX between dollars
    """

    id: str
    claim: str
    finding: str
    details: tuple[tuple[str, str], ...]


AUDIT = (
    Audited(
        "S1",
        "Neural collapse exists in a linear DEQ on balanced data.",
        "True where the equilibrium map is bounded in spectral norm; false where it is bounded in Frobenius norm, and "
        "false for "
        "some strengths of weight decay on it.",
        (
            (
                "D1",
                r"With $\lVert A \rVert_2 \le \rho$ the linear DEQ is the explicit model with $c/(1-\rho)$ in place of "
                r"c: every "
                "statement about explicit models carries over, the simplex ETF on balanced data among them.",
            ),
            (
                "D2",
                "The value on balanced data, in closed form, attained by a simplex ETF.",
            ),
            (
                "D5",
                r"With $\lVert A \rVert_F^2 \le E_A$ the simplex ETF is *not* optimal: at $K = 10$, $c = \sqrt{5}$, "
                r"$E_A = 0.3$ "
                "it costs 0.3582 and a pair code 0.3483, a difference of certified numbers.",
            ),
            (
                "D7",
                r"With decay on A a singular value of the logits is charged the minimax concave penalty, which is not convex. "
                "On balanced data the ETF loses to codes of lower rank in a window of that decay (docs/theory, "
                "Proposition 7.10; "
                "the ends of the window are numeric).",
            ),
        ),
    ),
    Audited(
        "S2",
        "The loss that a DEQ attains is not above that of an explicit network.",
        "True as a statement about budgets on the injected features; without content where the budget is on the "
        "equilibria; and "
        "trained networks do not show it.",
        (
            (
                "D2",
                r"With one budget on the injected features h the DEQ's optimal loss is strictly below for every $\rho > "
                r"0$; with "
                "that budget on the equilibria z both models are the same.",
            ),
            (
                "D6",
                "An explicit network with one more layer of its own, bounded in Frobenius norm, does not end in an ETF either: "
                "at $K = 10$ the ETF costs 0.5044 and a pair code 0.2930. A comparison therefore depends on which norm bounds "
                "the extra map of each network.",
            ),
            (
                "measured",
                "Trained networks (docs/deq-against-explicit.md): with equal numbers of parameters and shared data, "
                "encoder and "
                "optimizer, the explicit network ends with the lower training objective above the certified bound in 22 of 22 "
                "settings. An optimum that is lower is not a lower end of training: this is the question that the "
                "public review "
                "of the paper raised.",
            ),
        ),
    ),
    Audited(
        "S3",
        "Under imbalance minority collapse occurs in DEQs and in explicit networks.",
        "True, at an exact ratio that is larger for the DEQ; with decay on its map the collapse is a jump.",
        (
            ("D3", r"The DEQ's minority collapses from $R_0(c/(1-\rho))$ on, the explicit network's from $R_0(c)$ on."),
            (
                "D8",
                "With weight decay on the map collapse comes at a larger ratio than the explicit head's and by a first-order "
                "jump (measured; proved beyond the threshold of the smallest slope).",
            ),
            (
                "D9",
                r"Gradient descent reaches the optimum on either side of $R_0$, except in a band below it, where minority "
                "directions can die before the map has learnt to enlarge them.",
            ),
        ),
    ),
    Audited(
        "S4",
        "Under mild conditions the DEQ's features converge to the vertices of a simplex ETF, and are self-dual with the "
        "classifier, also under imbalance.",
        "Not at any finite budget: it is a limit, and only under budgets; under weight decay per sample the limit is another "
        "geometry.",
        (
            (
                "D4",
                r"At fixed $R > 1$ the ETF and self-duality are reached only as $c/(1-\rho) \to \infty$. At finite budgets the "
                "contrasts of majority and minority differ, which is certified. Under decay per sample the limit is the SELI "
                "geometry, whose minority cosine is not the ETF's.",
            ),
        ),
    ),
)
"""S1 to S4, in order."""
