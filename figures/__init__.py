"""One script per figure, built on `ufm` and `proofs_check`: ``python -m figures``."""
