"""What the library raises and warns of."""


class InputError(ValueError):
    """Input that cannot be used. The message is one sentence: what, where, and what it takes instead."""


class InterneuronWarning(UserWarning):
    """A result that can be used, with something to know about it."""
