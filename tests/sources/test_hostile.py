"""Content that is made to keep a reader busy: its time grows with its length, and not with its square."""

import re
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.escaping import LONGEST
from knowdefeat_pipeline.sources import clocks, guess, market, names, raw, units
from knowdefeat_pipeline.sources.files import PAGE, read_trades
from knowdefeat_pipeline.sources.fills import _is_base
from knowdefeat_pipeline.sources.format import NO_NAME
from knowdefeat_pipeline.sources.formats import (
    binance_spot,
    kraken,
    mt4_statement,
    mt4_tester,
    mt5_report,
    mt5_tester,
)
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.readers.text import STATED

NOW = datetime(2027, 1, 1, tzinfo=UTC)
PATIENCE = 20  # seconds after which a test is ended, where the square of the length would take minutes
LONG = 100_000


@pytest.fixture(autouse=True)
def ended_in_time() -> Iterator[None]:
    def end(*_: object) -> None:
        raise TimeoutError(f"not done after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read(tmp_path: Path, content: bytes, name: str = "trades.csv") -> None:
    path = tmp_path / name
    path.write_bytes(content)
    read_trades(path, now=NOW)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x" * 2**16, "the table is empty"),
        (b"_" * 1000 + b",a\n1,2\n", "needs"),
        (b"a," * LONG + b'"' + b"x" * 5_000_000, "a quote is not closed"),
        (b'a,b\n1,2\n3,"' + b"x" * 2 * LONG, "a quote is not closed"),
        (b",".join(b"a%d" % n for n in range(LONG)) + b"\n1\n", "the table has 100,000 columns; up to 1,000 are read"),
        (b"a," + b"x" * 2 * LONG + b"\n1,2\n", "a cell of the head cannot be read"),
        (b" " * 10 * LONG + b"x", "a cell of the head cannot be read"),
        (b"sep=," + b" " * 10 * LONG, "a cell of the head cannot be read"),
        (b"[" * LONG, "nested far deeper"),
    ],
    ids=["one line", "heading", "quote", "last quote", "columns", "long heading", "blanks", "separator", "nested"],
)
def test_hostile_files_are_refused_at_once(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [b"<td", b"<!--", b"<!-- >", b"<![CDATA[ >", b"</", b"<?", b"<td a='", b"&<"],
)
def test_a_page_of_what_has_no_end_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceError, match=r"the page has [\d,]+ tags or comments without an end"):
        read(tmp_path, b"<html><table>]>" + content * 50_000, "page.html")


def test_a_page_of_many_columns_is_refused(tmp_path: Path) -> None:
    row = b"<tr>" + b"<td>h</td>" * 20_000 + b"</tr>"
    with pytest.raises(SourceError, match="the table has 20,000 columns"):
        read(tmp_path, b"<html><table>" + 2 * row, "page.html")


HOSTILE = [piece * (LONG // len(piece)) for piece in ("x", "_", " ", "1", "A", "a ", "(", ")", "[]", "/", "USD", "Z+")]
PATTERNS: list[tuple[str, Callable[[str], object]]] = [
    ("unit", names.unit),
    ("zone", names.zone),
    ("bare", names.bare),
    ("known", lambda text: names.known([text])),
    ("total", lambda text: raw.TOTAL.fullmatch(f"total{text}!")),
    ("pair", units.pair),
    ("base", lambda text: _is_base(text, "BTC", "USD")),
    ("name of a file", NO_NAME.fullmatch),
    ("market file", market.FILE_NAME.match),
    ("clock", clocks.is_clock),
    ("words of a heading", lambda text: guess._fits("capital", text, None, False)),  # type: ignore[arg-type]
    ("mt4 account", lambda text: mt4_statement.ACCOUNT.search(f"Account: {text}")),
    ("mt4 currency", lambda text: mt4_statement.CURRENCY.search(f"Currency: {text}")),
    ("mt4 expert", mt4_tester.EXPERT.fullmatch),
    ("mt4 symbol", mt4_tester.SYMBOL.fullmatch),
    ("mt5 account", mt5_report.ACCOUNT.search),
    ("mt5 expert", lambda text: mt5_tester.EXPERT.match(f"Expert: {text}")),
    ("mt5 currency", lambda text: mt5_tester.CURRENCY.match(f"Currency: {text}")),
    ("kraken", lambda text: kraken.PAIR.match(f"{text}!")),
    ("binance coin", lambda text: binance_spot._coin("USDT", text)),
    ("binance amount", lambda text: binance_spot._amounts(pd.Series([f"{text}!"]), pd.Series(["BTCUSDT"]))),
    ("separator", lambda text: STATED.match(text.encode())),
    ("page", lambda text: PAGE.match(text.encode())),
]


@pytest.mark.parametrize(("name", "match"), PATTERNS, ids=[name for name, _ in PATTERNS])
def test_a_pattern_is_done_with_a_hostile_text(name: str, match: Callable[[str], object]) -> None:
    done = 0
    for text in HOSTILE:
        match(text)
        done += 1
    assert done == len(HOSTILE), name


def test_a_heading_that_is_longer_than_a_name_is_none() -> None:
    longest = "x" * (LONGEST - len(" (USD)")) + " (USD)"
    assert names.unit(longest) == "USD"
    assert names.unit(f"x{longest}") is None
    assert names.bare(f"x{longest}") == f"x{longest}"
    assert names.known(["pnl", "pnl" + " " * LONGEST]) == 1


BRACKETED = re.compile(r"(?P<name>.*?\w.*?)[\s_]*[(\[](?P<unit>[^()\[\]]*)[)\]]\s*")
TRAILING = re.compile(r"(?P<name>.*?\w)[\s_,]+(?P<unit>[A-Za-z]{3,5}|[$€£¥])\s*")


@given(st.lists(st.sampled_from([*"aB1 _,()[]$%#", "USD", "usdt", "UTC+2"]), max_size=9).map("".join))
def test_a_heading_is_split_as_from_its_beginning(heading: str) -> None:
    """The plain way to say what a heading is, which takes the square of its length."""
    for pattern, plain in ((names._BRACKETED, BRACKETED), (names._TRAILING, TRAILING)):
        found = plain.fullmatch(heading)
        if found is None or found["name"].strip("_") != found["name"]:  # a name is no mere underscore
            continue
        assert names._split(pattern, heading) == (found["name"], found["unit"])
