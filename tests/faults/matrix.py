"""What came of the faults: one row each, in a table for people."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from textwrap import wrap

HEADER = ("injected", "what happened", "lost", "doubled", "differs", "message")
WIDTHS = (28, 48, 4, 7, 7, 76)


class CannotInject(Exception):
    """This fault needs something that is not here; the message says what."""


@dataclass(frozen=True)
class Outcome:
    """One fault: how many acknowledged trades were lost or counted twice in the end, which tables differ from a clean
    recomputation, and what the user was told ("" where nothing had to be)."""

    injected: str
    happened: str
    lost: int
    doubled: int
    differing: tuple[str, ...]
    message: str


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as text in columns, their cells wrapped."""
    rule = "  ".join("-" * width for width in WIDTHS)
    rows = [HEADER, *((o.injected, o.happened, *map(_cell, astuple(o)[2:])) for o in outcomes)]
    return "\n".join(line for row in rows for line in (*_lines(row), rule))


def _cell(value: object) -> str:
    return ", ".join(value) or "no" if isinstance(value, tuple) else str(value) or "–"


def _lines(row: Sequence[str]) -> list[str]:
    cells = [wrap(cell, width) or [""] for cell, width in zip(row, WIDTHS, strict=True)]
    height = max(map(len, cells))
    filled = [cell + [""] * (height - len(cell)) for cell in cells]
    return [
        "  ".join(part.ljust(width) for part, width in zip(parts, WIDTHS, strict=True)).rstrip()
        for parts in zip(*filled, strict=True)
    ]
