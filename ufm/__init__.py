"""ufm: unconstrained-feature models of neural collapse, solved with certified bounds on the optimum.

What the package offers stands in ``__init__.pyi``; modules are loaded at the first use of a name.
"""

import ufm._interrupts  # noqa: F401  # isort: skip  (first: from here on Ctrl-C ends a command without a traceback)
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
