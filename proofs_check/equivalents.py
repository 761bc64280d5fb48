"""Mutants that no check can reject, because they state the same claim on every instance, with the reason."""

EQUIVALENT: dict[tuple[str, str], str] = {}
"""Reasons by identifier of the theorem and name of the mutant."""
