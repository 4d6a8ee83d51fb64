"""What came of the faults: one row each, in a table for people."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from textwrap import wrap

HEADER = ("injected", "what happened", "lost", "doubled", "differs", "message")
WIDTHS = (28, 48, 4, 7, 7, 76)
LONGEST = 600  # characters of a cell; in the middle of a message stands a log


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


RULE = "  ".join("-" * width for width in WIDTHS)


def row(outcome: Outcome | None) -> str:
    """An outcome as text in columns, its cells wrapped, and a rule below; None: the head of the table."""
    cells = HEADER if outcome is None else [_cell(value) for value in astuple(outcome)]
    return "\n".join([*_lines(cells), RULE])


def _cell(value: object) -> str:
    text = ", ".join(value) or "no" if isinstance(value, tuple) else str(value) or "–"
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def _lines(texts: Sequence[str]) -> list[str]:
    cells = [wrap(cell, width) or [""] for cell, width in zip(texts, WIDTHS, strict=True)]
    height = max(map(len, cells))
    filled = [cell + [""] * (height - len(cell)) for cell in cells]
    return [
        "  ".join(part.ljust(width) for part, width in zip(parts, WIDTHS, strict=True)).rstrip()
        for parts in zip(*filled, strict=True)
    ]
