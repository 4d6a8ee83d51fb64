"""Text that came from outside, written so that it says what it is and does nothing, wherever it is shown.

HTML and SVG are escaped by the standard library's `html.escape`.
"""

from __future__ import annotations

import re

LONGEST = 200

# CommonMark takes a backslash before any ASCII punctuation as that character itself.
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# What a spreadsheet takes as the beginning of a formula.
_FORMULA = re.compile(r"^[=+\-@\t\r]")


def printable(text: str, kept: str = "") -> str:
    """Without control characters, by which a terminal could be steered or a log given lines; each is shown as �.

    >>> printable("BTC\\x1b[2J\\n"), printable("a\\nb", kept="\\n")
    ('BTC�[2J�', 'a\\nb')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else "\N{REPLACEMENT CHARACTER}" for c in text)


def for_markdown(text: str) -> str:
    """As a cell of a Markdown table: no link, no picture, no HTML, no further cell; at most LONGEST characters.

    >>> print(for_markdown("![x](http://a.example/b)|"))
    \\!\\[x\\]\\(http\\:\\/\\/a\\.example\\/b\\)\\|
    """
    return _PUNCTUATION.sub(r"\\\1", shortened(printable(text)))


def for_csv(text: str) -> str:
    """As a cell of a CSV file: what a spreadsheet would take as a formula begins with an apostrophe.

    >>> for_csv("=HYPERLINK(1)"), for_csv("BTC"), for_csv("-1.5")
    ("'=HYPERLINK(1)", 'BTC', '-1.5')
    """
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def shortened(text: str) -> str:
    """At most LONGEST characters, an ellipsis for the rest."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
