"""What the library raises."""


class InputError(ValueError):
    """Input that cannot be used. The message is one sentence: what, where, and what it takes instead."""
