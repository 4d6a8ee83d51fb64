"""What is shown of a foreign name in Markdown: the name, and nothing that could be followed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.escaping import LONGEST, for_markdown, printable, shortened

# How mdast-util-gfm-autolink-literal, and so Dagster's UI, finds addresses in the text that is left without escapes.
AUTOLINKS = (
    re.compile(r"(https?://|www(?=\.))([-.\w]+)([^ \t\r\n]*)", re.IGNORECASE),
    re.compile(r"([-.\w+]+)@([-\w]+(?:\.[-\w]+)+)"),
)
PARTS = st.sampled_from(
    ["http", "https", ":", "/", "//", "://", "www", "WWW", ".", "@", "a", "evil.example", "-", " ", "\\", "|"]
)


def rendered(markdown: str) -> str:
    """The text of Markdown that is nothing but escaped."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown)


@pytest.mark.parametrize(
    "text",
    ["http://evil.example/x", "HTTPS://evil.example", "www.evil.example", "WWW.evil.example", "(www.evil.example)",
     "a_www.evil.example", "bot@evil.example", "mailto:bot@evil.example", "xmpp:bot@evil.example/x", "ftp://evil.example"],
)  # fmt: skip
def test_an_address_stays_text(text: str) -> None:
    shown = rendered(for_markdown(text))
    assert shown.replace("\u2060", "") == text
    assert [found[0] for pattern in AUTOLINKS for found in pattern.finditer(shown)] == []


def test_other_names_are_what_they_are() -> None:
    for text in ("BTC-USD", "EUR/USD", "trend@BTC", "wwwater", "a:b", "N.V."):
        assert rendered(for_markdown(text)) == text


@given(st.lists(PARTS, max_size=12).map("".join) | st.text())
def test_nothing_is_made_a_link_and_nothing_is_lost(text: str) -> None:
    shown = rendered(for_markdown(text))
    assert [found[0] for pattern in AUTOLINKS for found in pattern.finditer(shown)] == []
    assert shown.replace("\u2060", "") == shortened(printable(text))
    assert len(shortened(printable(text))) <= LONGEST
