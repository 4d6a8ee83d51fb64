"""Text that came from outside, written so that it says what it is and does nothing, wherever it is shown.

HTML and SVG are escaped by the standard library's `html.escape`.
"""

from __future__ import annotations

import re

LONGEST = 200
"""Characters of a name, and of a text that is shown in one line."""

CONTROL_CHARACTERS = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
"""A regular expression of what steers a terminal, breaks a line or turns the direction of the text."""

FORMAT_CHARACTERS = (
    r"[\u00ad\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200d\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
    r"\U000e0020-\U000e007f]"
)
"""A regular expression of the other characters of Unicode's category Cf, by which two names could look alike."""

BLANKS = "[ \u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff]*"
"""A regular expression of what cannot be seen: white space, and characters without a width."""

PLAIN_NAME = (
    f"write one of at most {LONGEST} characters, not all blank, without line breaks, control and invisible characters"
)
"""What to do about a name that is none (see `is_plain_name`)."""

_CONTROL_CHARACTERS = re.compile(CONTROL_CHARACTERS)
_FORMAT_CHARACTERS = re.compile(FORMAT_CHARACTERS)
_BLANKS = re.compile(BLANKS)

# CommonMark takes a backslash before any ASCII punctuation as that character itself.
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# Where GitHub's Markdown, which Dagster's UI speaks, finds an address in plain text, whatever is escaped in it.
_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)(?=[-\w]+\.)", re.IGNORECASE)
_JOINER = "\N{WORD JOINER}"  # has no width, and breaks no line
# What a spreadsheet takes as the beginning of a formula; or what stands there so that it does not.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


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

    Within an address stands a character that cannot be seen, as Markdown would make a link of it otherwise.

    >>> print(for_markdown("![x](a.example/b)|"))
    \\!\\[x\\]\\(a\\.example\\/b\\)\\|
    >>> for_markdown("http://a")
    'http\\\\:\\u2060\\\\/\\\\/a'
    """
    return _PUNCTUATION.sub(r"\\\1", _ADDRESS.sub(_JOINER, shortened(printable(text))))


def for_csv(text: str) -> str:
    """As a cell of a CSV file: what a spreadsheet would take as a formula begins with an apostrophe.

    So does what would look the same with one, so that `from_csv` finds back every text.

    >>> for_csv("=HYPERLINK(1)"), for_csv("BTC"), for_csv("-1.5"), for_csv("'=1")
    ("'=HYPERLINK(1)", 'BTC', '-1.5', "''=1")
    """
    is_signed_number = text[:1] in ("+", "-") and _is_number(text)
    return f"'{text}" if _FORMULA.match(text) and not is_signed_number else text


def from_csv(cell: str) -> str:
    """The text of a cell that `for_csv` wrote.

    >>> from_csv("'=HYPERLINK(1)"), from_csv("'BTC"), from_csv("''=1")
    ('=HYPERLINK(1)', "'BTC", "'=1")
    """
    text = cell.removeprefix("'")
    return text if for_csv(text) == cell else cell


def is_plain_name(text: str) -> bool:
    """Whether a ticker, source, strategy or id can be shown anywhere, and seen.

    The database says so by its functions `is_plain_name`, `is_visible_name` and `is_blank`.

    >>> is_plain_name("BTC-USD"), is_plain_name("BTC\\n"), is_plain_name("B" * 201), is_plain_name(" ")
    (True, False, False, False)
    """
    if len(text) > LONGEST or _BLANKS.fullmatch(text):
        return False
    return not _CONTROL_CHARACTERS.search(text) and not _FORMAT_CHARACTERS.search(text)


def shortened(text: str) -> str:
    """At most LONGEST characters, an ellipsis for the rest."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
