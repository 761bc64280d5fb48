"""Boxes of theorems: their statements over continuous ranges, each with what certifies it. See `proofs_check.box`."""
