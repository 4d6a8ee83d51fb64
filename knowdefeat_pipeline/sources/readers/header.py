"""Where a table begins: exports put titles, accounts and dates above it."""

from collections.abc import Sequence

from knowdefeat_pipeline.sources import names

TITLE_ROWS = 40
"""How far down a header is looked for."""
TELLING = 3
"""How many names of fields make a row a header."""


def header_place(rows: Sequence[Sequence[object]]) -> int:
    """The place of the header: the first row with names of fields, else the first that holds more than one cell, else
    the first that holds any."""
    head = rows[:TITLE_ROWS]
    filled = [sum(cell is not None and str(cell).strip() != "" for cell in row) for row in head]
    for likely in (
        (at for at, row in enumerate(head) if names.known(row) >= TELLING),
        (at for at, cells in enumerate(filled) if cells > 1),
        (at for at, cells in enumerate(filled) if cells),
    ):
        place = next(likely, None)
        if place is not None:
            return place
    return 0
