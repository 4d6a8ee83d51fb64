"""What a person is told when something cannot be done: one base class, so that an entry point catches one thing."""


class KnowDefeatError(Exception):
    """Something that its user can mend: the message says why it cannot be done and what to do, without a traceback.

    A fault of the code derives from something else, and shows its traceback.
    """


class Interrupted(KnowDefeatError):
    """Work that a signal ended: nothing is wrong, and the message says what becomes of it."""
