"""Solvers for programs that are not convex: a search, with a lower bound on the global optimum.

What the room offers stands in ``__init__.pyi``; modules are loaded at the first use of a name.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
