"""Neural-collapse metrics of arrays, and reference frames. Independent of problems and solvers.

What the room offers stands in ``__init__.pyi``; modules are loaded at the first use of a name.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
