"""Mutants that no check can reject, because they say nothing false, with the reason."""

FARTHER = "the claim is about all ratios beyond the threshold, and stays true farther out"
BOTH_ENDS = "which end of the enclosed ratio is taken makes a difference far below one per cent"
WEAKER = "a weaker bound, which holds too"
EVEN = "the number of classes is even there, and the quotient rounded down is the same"
ODD = "the number of classes is odd there, and the quotient rounded down is the same"

EQUIVALENT: dict[tuple[str, str], str] = {
    ("F3", "MinorityCollapse.check: relative -> 2 * relative"): FARTHER,
    ("F3", "MinorityCollapse.check: 1.0 -> 2.0"): FARTHER,
    ("F3", "MinorityCollapse.check: e_h -> 2 * e_h"): FARTHER,
    ("B2", "cost: 1 -> 2"): "a guard for values that are not told from one, which do not occur",
    ("G1", "code_price: 0 -> 1"): "a default that is always given",
    ("G1", "pairs: classes -> classes + 1"): f"{EVEN}, or {ODD}",
    ("D4", "ETFOnlyInTheLimit.approach: limit + 0.1 * reach -> limit - 0.1 * reach"): WEAKER,
    ("D4", "ETFOnlyInTheLimit.approach: 0.25 * reach -> 0.25 / reach"): WEAKER,
    ("D4", "ETFOnlyInTheLimit.approach: 0.25 -> 0.5"): WEAKER,
    ("D6", "FrobeniusBudgetOnALayer.code: k -> k + 1"): EVEN,
    ("D8", "FirstOrderCollapse.below: 0.001 -> 0.002"): "a jump leaves the classes apart farther below the ratio, too",
    ("D8", "FirstOrderCollapse.above: 100 -> 101"): FARTHER,
    ("D8", "FirstOrderCollapse.above: 1 -> 2"): FARTHER,
    ("D8", "FirstOrderCollapse.above: 0.003 -> 0.006"): FARTHER,
    ("X6", "Directions.living: 1 -> 2"): "every target twice has the same covariance",
    ("X3", "NormalisedCollapse.check: instance.relative < 1 -> instance.relative >= 1"): BOTH_ENDS,
    ("X3", "NormalisedCollapse.check: instance.relative -> 2 * instance.relative"): BOTH_ENDS,
    ("X3", "NormalisedCollapse.check: 1 -> 2"): BOTH_ENDS,
    ("LN", "NormalisedBalanced.height: 60.0 -> 120.0"): "an end of the interval in which the root is sought",
    ("X13", "critical: arb(n) ** arb(power) -> arb(n)"): "the power is one, but for negative controls",
    ("X14", "law: total -> 2 * total"): "zeros in the shape of a vector are the same for twice the vector",
    ("X16", "CosineCollapse.claimed: p.ratio -> 2 * p.ratio"): "no ratio within the interval is tried",
    ("X8", "enclosed: s * factor -> s / factor"): "the factor is one up to rounding, because heights are stationary",
}
"""Reasons by identifier of the theorem and name of the mutant. They hold for survivors of that name only."""
