"""What a person is told when something cannot be done: one base class, so that an entry point catches one thing."""

from typing import ClassVar


class KnowDefeatError(Exception):
    """Something that its user can mend: the message says why it cannot be done and what to do, without a traceback.

    A fault of the code derives from something else, and shows its traceback.
    """

    page: ClassVar[str | None] = None
    """Where in `docs` more is said of it: a file, and after # a heading of it."""


class Interrupted(KnowDefeatError):
    """Work that a signal ended: nothing is wrong, and the message says what becomes of it."""
