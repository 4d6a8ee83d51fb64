"""Tables of pages in HTML: a row that names the section, a row of headings, and rows of as many cells.

A table that begins with its headings needs no row that names it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import Origin, RawTable, named, require_columns
from knowdefeat_pipeline.sources.readers import values
from knowdefeat_pipeline.sources.readers.encodings import as_utf8

HIDDEN = "Comment"
"""The column of what stands in cells that are not shown."""
HEADINGS = 3
"""How many cells make a row one of headings."""
MOST_OPEN = 200
"""How many tags and comments may have no end; a page that is cut short has one."""
ENDED = ((b"<", b">"), (b"<!--", b"-->"), (b"<![", b"]"))
"""How tags, comments and declarations begin, and how they end."""


CUT = "the page is cut short, as in a truncated file: rows may be missing, and a broken one is held; fetch it again"


@dataclass
class _Section:
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


def read_page(data: bytes, wanted: str | None, sought: values.Sought) -> RawTable | None:
    """The section of a page that is looked for; None where there is none. Rows are counted from 1 below its headings.

    A row that a page cut short breaks off in does not fit the headings, but where its cells are all there.
    Raises SourceError for bytes that are no text, and where several sections fit.
    """
    text, encoding, notes = as_utf8(data)
    _require_ends(text)
    page = _Page()
    page.feed(text.decode())
    page.close()
    notes = (*notes, CUT) if page.is_cut else notes
    titles, sections = _sections(page.rows, page.begins, page.unended if page.is_cut else ([], ""))
    tables = {name: table for name, table in sections.items() if table.rows}
    columns: dict[str, Sequence[str]] = {name: _columns(table) for name, table in tables.items()}
    if wanted is None and not any(map(sought.rank, columns.values())):
        return None
    part = values.chosen("section", columns, wanted, sought)
    found = tables[part]
    cells = [
        [*row, *([hidden] if any(found.hidden) else [])] for row, hidden in zip(found.rows, found.hidden, strict=True)
    ]
    table = values.table(columns[part], [[cell or None for cell in column] for column in zip(*cells, strict=True)])
    origin = Origin("HTML", encoding, part=part)
    misshapen = [(len(cells) + 1, found.cut)] if found.cut else []
    titles = [page.title, *titles]
    return RawTable(table, np.arange(1, len(cells) + 1), misshapen, origin, notes, tuple(titles))


def _require_ends(text: bytes) -> None:
    """Raises SourceError where more than `MOST_OPEN` tags or comments have no end: the parser looks for each of them up
    to the end of the page, which takes the square of its length."""
    left_open = sum(text.count(begin, text.rfind(end) + 1) for begin, end in ENDED)
    if left_open > MOST_OPEN:
        raise SourceError(f"the page has {left_open:,} tags or comments without an end; fetch it again")


def _columns(section: _Section) -> list[str]:
    """Headings, of which each that comes again has its number, as in `Time` and `Time 2`."""
    seen = Counter[str]()
    again = []
    for name in named(section.header):
        seen[name] += 1
        again.append(f"{name} {seen[name]}" if seen[name] > 1 else name)
    require_columns(again)
    return [*again, HIDDEN] if any(section.hidden) else again


def _sections(
    rows: Sequence[tuple[list[str], str]], begins: Sequence[int], cut: tuple[list[str], str]
) -> tuple[list[str], dict[str, _Section]]:
    """What stands outside of tables, and the tables by the title above each, or their number. `begins`: the first row
    of each table of the page. `cut`: the last row, so far as its cells have an end, where it has none."""
    titles: list[str] = []
    sections: dict[str, _Section] = {}
    current: _Section | None = None
    tables = {place: number for number, place in reversed([*enumerate(begins, 1)])}
    for place, (cells, hidden) in enumerate(rows):
        filled = [cell for cell in cells if cell]
        if place in tables and len(filled) == len(cells) >= HEADINGS:
            current = sections.setdefault(f"table {tables[place]}", _Section(cells))
        elif len(filled) == 1 and len(filled) < HEADINGS <= len(cells):
            current = sections.setdefault(filled[0], _Section())
            titles.append(filled[0])
        elif current is None:
            titles += [" ".join(filled)] * bool(filled)
        elif current.header and len(cells) == len(current.header):
            current.rows.append(cells)
            current.hidden.append(hidden)
        elif not current.header and len(filled) >= HEADINGS:
            current.header = cells
        elif filled and not current.rows:
            titles.append(" ".join(filled))
    cells, hidden = cut
    if current and current.header and any(cells):
        if len(cells) == len(current.header):
            current.rows.append(cells)
            current.hidden.append(hidden)
        else:
            current.cut = cells
    return titles, sections


class _Page(HTMLParser):
    """Every row of every table: its cells, those of several columns followed by empty ones, and what is hidden.
    `begins`: at which row each table begins. A page is whole
    where each table has an end, and so has the page itself."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.rows: list[tuple[list[str], str]] = []
        self.begins: list[int] = []
        self._open: list[tuple[list[str], list[str]]] = []
        self._text: list[str] | None = None
        self._cell = (1, False)
        self._ends = {"table": 0, "html": 0}

    @property
    def is_cut(self) -> bool:
        """Whether a table, or the page, has a beginning and no end."""
        return any(missing > 0 for missing in self._ends.values())

    @property
    def unended(self) -> tuple[list[str], str]:
        """The cells that ended, of a row that did not; and what is hidden in it."""
        cells, unseen = self._open[-1] if self._open else ([], [])
        return cells, " ".join(filter(None, unseen))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row, a cell or the title."""
        about = dict(attrs)
        if tag in self._ends:
            self._ends[tag] += 1
        if tag == "title" and not self._open:  # a drawing in a cell may have one, too
            self._text = []
        elif tag == "table":
            self.begins.append(len(self.rows))
        elif tag == "tr":
            self._end_row()
            self._open.append(([], []))
        elif tag in ("td", "th") and self._open:
            self._end_cell()
            span = (about.get("colspan") or "1").strip()
            self._cell = (min(int(span), 100) if span.isdigit() else 1, "hidden" in (about.get("class") or "").split())
            self._text = []

    def handle_endtag(self, tag: str) -> None:
        """End a row, a cell or the title."""
        if tag in self._ends:
            self._ends[tag] -= 1
        if tag == "title" and self._text is not None and not self._open:
            self.title, self._text = " ".join("".join(self._text).split()), None
        elif tag in ("td", "th"):
            self._end_cell()
        elif tag in ("tr", "table"):
            self._end_row()

    def handle_data(self, data: str) -> None:
        """Text of the cell that is open."""
        if self._text is not None:
            self._text.append(data)

    def _end_cell(self) -> None:
        if self._text is None or not self._open:
            return
        text, (span, hidden) = " ".join("".join(self._text).split()), self._cell
        cells, unseen = self._open[-1]
        if hidden:
            unseen.append(text)
        else:
            cells.extend([text, *[""] * (span - 1)])
        self._text = None

    def _end_row(self) -> None:
        self._end_cell()
        if self._open:
            cells, unseen = self._open.pop()
            self.rows.append((cells, " ".join(filter(None, unseen))))
