"""Names that can be shown anywhere: the code and the database mean the same by them, and no table takes others."""

import sys
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

import pandas as pd
import psycopg
import pytest
from psycopg import sql

from knowdefeat_pipeline.core.escaping import is_plain_name
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.learning_ledger import LedgerError, record_backtest

AT = datetime(2025, 2, 1, tzinfo=UTC)
TRADE = {"bot_id": 1, "ticker": "X", "direction": "LONG", "entry_time": AT, "entry_price": 1.0, "notional": 1.0}
PRICES = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0}
RESET = {"kind": "reset", "reason": "r", "in_force_from": AT}
NAMED = [
    ("trades", "source", TRADE),
    ("trades", "source_trade_id", TRADE),
    ("trades", "ticker", TRADE),
    ("trades", "strategy_id", TRADE),
    ("trades", "quote_currency", TRADE),
    ("bots", "strategy_id", {"bot_id": 1}),
    ("bots", "quote_currency", {"bot_id": 1}),
    ("price_bars", "ticker", {"timeframe": "1h", "open_time": AT, **PRICES}),
    ("order_book_levels", "ticker", {"observed_at": AT, "side": "BID", "price": 1.0, "size": 1.0}),
    ("belief_ledger", "source", {**RESET, "kind": "withdrawal"}),
    ("belief_ledger", "strategy_id", RESET),
]


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with connect(database) as connection:
        yield connection


def insert(connection: psycopg.Connection, table: str, row: dict[str, object]) -> None:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    connection.execute(statement, row)


def test_the_database_and_the_code_refuse_the_same_characters(connection: psycopg.Connection) -> None:
    statement = (
        "SELECT n FROM generate_series(1, %s) AS n"
        " WHERE n NOT BETWEEN 55296 AND 57343 AND NOT (is_plain_name('a' || chr(n) || 'b') AND is_visible_name('a' || chr(n) || 'b'))"
    )
    refused = {number for (number,) in connection.execute(statement, (sys.maxunicode,)).fetchall()}
    surrogates = range(0xD800, 0xE000)
    ours = {n for n in range(1, sys.maxunicode + 1) if n not in surrogates and not is_plain_name(f"a{chr(n)}b")}
    assert refused == ours
    # Every control character of Unicode, what turns the direction of text, and what ends a line.
    controls = {n for n in range(1, sys.maxunicode + 1) if unicodedata.category(chr(n)) == "Cc"}
    assert controls < ours
    formats = {n for n in range(1, sys.maxunicode + 1) if unicodedata.category(chr(n)) == "Cf"}
    assert formats < ours
    later = {*range(0x13439, 0x13440)}  # of Unicode 15, which not every Python knows
    assert ours - controls - formats - later == {0x2028, 0x2029}


def test_the_database_and_the_code_take_the_same_characters_for_blanks(connection: psycopg.Connection) -> None:
    statement = "SELECT n FROM generate_series(1, %s) AS n WHERE n NOT BETWEEN 55296 AND 57343 AND is_blank(chr(n))"
    blank = {number for (number,) in connection.execute(statement, (sys.maxunicode,)).fetchall()}
    surrogates = range(0xD800, 0xE000)
    plain = "SELECT n FROM generate_series(1, %s) AS n WHERE n NOT BETWEEN 55296 AND 57343 AND is_plain_name(chr(n))"
    plain += " AND is_visible_name(chr(n))"
    shown = {number for (number,) in connection.execute(plain, (sys.maxunicode,)).fetchall()}
    assert blank & shown == {n for n in shown if not is_plain_name(chr(n))}
    white = {n for n in range(1, sys.maxunicode + 1) if n not in surrogates and chr(n).isspace()}
    assert white & shown == blank & shown
    assert blank - shown == {0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF}


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "\u2060",
        " \u3000 ",
        "\u200b.",
        "x" * 200,
        "é" * 200,
        "𝄞" * 200,
        "x" * 201,
        "𝄞" * 201,
        "a b",
        "tab\t",
        "zero\u200bwidth",
    ],
)
def test_the_database_and_the_code_agree_on_names(connection: psycopg.Connection, name: str) -> None:
    said = connection.execute(
        "SELECT is_plain_name(%(name)s) AND is_visible_name(%(name)s) AND NOT is_blank(%(name)s)", {"name": name}
    ).fetchone()
    assert said == (is_plain_name(name),)


@pytest.mark.parametrize(("table", "column", "row"), NAMED, ids=lambda part: part if isinstance(part, str) else "")
def test_no_table_takes_other_names(connection: psycopg.Connection, table: str, column: str, row: dict) -> None:
    for name in ("B" * 201, "BTC\x1b[2J", "BTC\nETH", "BTC\x9b2J", "BTC\u202e"):
        with pytest.raises(psycopg.errors.CheckViolation) as refusal:
            insert(connection, table, {**row, column: name})
        assert refusal.value.diag.constraint_name in (f"{table}_plain_names", f"{table}_plain_text")
    for name in ("BTC\u200b", "\u00adBTC", "B\U000e0041TC"):
        with pytest.raises(
            psycopg.errors.CheckViolation, match=f"the {column} of a row of {table} has a char"
        ) as found:
            insert(connection, table, {**row, column: name})
        assert found.value.diag.column_name == column
    for name in (" ", "   ", "\u00a0", "\u3000 \u00a0"):
        with pytest.raises(psycopg.errors.CheckViolation, match=f"the {column} of a row of {table} is blank") as found:
            insert(connection, table, {**row, column: name})
        assert found.value.diag.column_name == column
        assert "Write a name that can be seen" in str(found.value.diag.message_hint)
    insert(connection, table, {**row, column: "B" * 200})


def test_trades_take_the_characters_of_plain_names(connection: psycopg.Connection) -> None:
    """Their constraint spells the rule out."""
    names = [f"a{chr(number)}b" for number in range(1, 0x3000)]
    for name in (name for name in names if not is_plain_name(name)):
        with pytest.raises(psycopg.errors.CheckViolation, match=r"a text is too long or holds control|cannot be seen"):
            insert(connection, "trades", {**TRADE, "ticker": name})
    plain = [name for name in names if is_plain_name(name)]
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional)"
        " SELECT 1, name, 'LONG', %s, 1, 1 FROM unnest(%s::text[]) AS name",
        (AT, plain),
    )


def test_an_exit_reason_is_plain_text_of_any_length(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="a text is too long or holds control characters"):
        insert(connection, "trades", {**TRADE, "exit_reason": "tp\x1b]0;title\x07"})
    insert(connection, "trades", {**TRADE, "exit_reason": "because " * 100})


def test_the_ledger_says_what_a_name_is(connection: psycopg.Connection) -> None:
    with pytest.raises(LedgerError, match=r"'a�b' is no plain name; write one of at most 200 characters"):
        record_backtest(connection, pd.DataFrame({"result": [1.0]}), "a\nb", 0.5)
