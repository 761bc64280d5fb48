"""The one exception that users meet for bad input."""


class InputError(ValueError):
    """Bad input: the message is one sentence that names the argument, its value and the remedy."""


class ConvergenceError(RuntimeError):
    """A computation that did not reach its tolerance where going on would mislead; one sentence says why and what to change."""
