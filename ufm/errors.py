"""The one exception that users meet for bad input."""


class InputError(ValueError):
    """Bad input: the message is one sentence that names the argument, its value and the remedy."""
