"""The book of theorems: claims of the literature, each checked against certified computations.

``python -m proofs_check`` runs them all; `proofs_check.registry` says what a theorem is.
"""
