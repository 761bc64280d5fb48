"""The report as a site: pages that open from disk without a network."""

from proofs_check.site.folder import write

__all__ = ["write"]
