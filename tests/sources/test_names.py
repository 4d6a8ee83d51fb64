"""What columns and words are called elsewhere, and what is proposed where a name is not known."""

import doctest
import importlib
import pkgutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import knowdefeat_pipeline.sources as sources
from knowdefeat_pipeline.sources import names, words
from knowdefeat_pipeline.sources.fields import FIELDS
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import SourceError, recognise

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", [info.name for info in pkgutil.walk_packages(sources.__path__, "knowdefeat_pipeline.sources.")]
)
def test_examples_run(name: str):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("Entry Date", "entry_time"),
        ("open_rate", "entry_price"),
        ("Close Rate", "exit_price"),
        ("EntryPrice", "entry_price"),
        ("ExitTime", "exit_time"),
        ("Avg Entry Price", "entry_price"),
        ("Entry Timestamp", "entry_time"),
        ("avg_px_close", "exit_price"),
        ("ts_opened", "entry_time"),
        ("OPEN TIME (UTC)", "entry_time"),
        ("Closed-At", "exit_time"),
        ("Net P&L USDT", "reported_pnl"),
        ("Closed P&L", "reported_pnl"),
        ("realized_pnl", "reported_pnl"),
        ("PnL ($)", "reported_pnl"),
        ("closedPnl", "reported_pnl"),
        ("Profit/Loss", "reported_pnl"),
        ("close_profit_abs", "reported_pnl"),
        ("Quote Asset", "quote_currency"),
        ("Instrument", "ticker"),
        ("Market", "ticker"),
        ("Commissions", "fees"),
        ("Fee [USDT]", "fees"),
        ("fee_usd", "fees"),
        ("Position size (qty)", "quantity"),
        ("Filled Qty", "quantity"),
        ("Qty (BTC)", "quantity"),
        ("Position size (value)", "notional"),
        ("Amount", "size"),
        ("Volume", "size"),
        ("Trade #", "source_trade_id"),
        ("Ticket", "source_trade_id"),
        ("Magic", "bot_id"),
        ("Position Side", "direction"),
        ("strategy_name", "strategy_id"),
    ],
)
def test_headings_of_exports(heading: str, field: str):
    assert names.by_name([heading, "something else"]) == {field: heading}


@pytest.mark.parametrize(
    "heading", ["Net P&L %", "Profit (%)", "PnL pct", "Qty (USD)", "Profit (PIPS)", "Date", "Price", "Type"]
)
def test_headings_that_say_something_else_or_too_little(heading: str):
    assert names.by_name([heading]) == {}


def test_the_plainest_name_comes_first():
    assert names.by_name(["PnL USD", "pnl"]) == {"reported_pnl": "pnl"}
    assert names.by_name(["ticket", "trade_id"]) == {"source_trade_id": "trade_id"}
    seen = ["id", "bot", "symbol", "side", "status", "open time", "open price", "quantity", "amount"]
    assert recognise(seen, {})[1] == (
        {"source_trade_id": "id", "bot_id": "bot", "ticker": "symbol", "direction": "side", "status": "status"}
        | {"entry_time": "open time", "entry_price": "open price", "quantity": "quantity", "size": "amount"}
    )


@pytest.mark.parametrize(
    ("heading", "open_"), [("Size", True), ("amount", True), ("Volume (BTC)", True), ("Size (USDT)", False)]
)
def test_whether_a_heading_says_what_a_size_counts(heading: str, open_: bool):
    seen = ["id", "bot", "symbol", "side", "status", "open time", "open price", heading]
    _, columns = recognise(seen, {})
    assert columns["size" if open_ else "notional"] == heading


def test_no_name_belongs_to_two_fields():
    every = [
        (names.key(name), field) for field in {*FIELDS, *names.EXPORTED} for name in {*map(names.key, names.of(field))}
    ]
    keys = [key for key, _ in every]
    assert [pair for pair in every if keys.count(pair[0]) > 1] == []


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        *((word, "LONG") for word in ("Buy", "b", "Open Long", "LONG ", "buy_to_open")),
        *((word, "SHORT") for word in ("Sell", "S", "open_short", "Sell Short")),
        *((word, None) for word in ("Close Long", "up", "1")),
    ],
)
def test_words_of_direction(word: str, meaning: str | None):
    found = words.translated(pd.Series([word, None], dtype="str"), words.DIRECTIONS)
    assert [None if pd.isna(value) else value for value in found] == [meaning, None]


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        *((word, "closed") for word in ("Completed", "FILLED", "Closed", "Stop loss finished", "tp", "SL")),
        *((word, "open") for word in ("Open", "Bought")),
        *((word, "pending_exit") for word in ("pending_exit", "Pending Exit")),
        *((word, None) for word in ("Cancelled", "done")),
    ],
)
def test_words_of_status(word: str, meaning: str | None):
    found = words.translated(pd.Series([word]), words.STATUSES)
    assert (None if pd.isna(found[0]) else found[0]) == meaning


def write(path: Path, **columns: list[str]) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_what_is_missing_is_named_in_one_go_with_options_to_paste(tmp_path: Path):
    path = write(
        tmp_path / "t.csv",
        **{
            "Deal reference": ["a", "b"],
            "Kind": ["Buy", "Sell"],
            "Date opened here": ["2026-11-02", "2026-11-03"],
            "Date closed here": ["2026-11-02", "2026-11-03"],
            "My open price": ["1.5", "2.5"],
            "My close price": ["1.5", "2.5"],
            "Note on price": ["a", "b"],
            "Shares": ["1", "2"],
        },
    )
    with pytest.raises(SourceError) as refused:
        read_trades(path, now=NOW)
    assert str(refused.value) == (
        f"{path}: no column for source_trade_id (the id of the trade in its source), bot_id (the bot that traded, "
        "by its number or any other name), ticker (what was traded), direction (LONG or SHORT), status (open, pending_exit or closed), "
        "entry_time (when the position was entered), entry_price (the price at entry, in quote currency); "
        "nor, which a closed trade needs, for exit_time and exit_price; the columns are Deal reference, Kind, "
        "Date opened here, Date closed here, My open price, My close price, Note on price, Shares; "
        "name the right ones with --map 'Deal reference=source_trade_id' --map COLUMN=bot_id --map COLUMN=ticker "
        "--map Kind=direction --map COLUMN=status --map 'Date opened here=entry_time' --map 'My open price=entry_price' "
        "--map 'Date closed here=exit_time' --map 'My close price=exit_price'; "
        "what is the same in all rows needs no column: --bot NAME --ticker NAME --direction LONG --status closed"
    )
    mapping = {
        "Deal reference": "source_trade_id",
        "Kind": "direction",
        "Date opened here": "entry_time",
        "My open price": "entry_price",
        "Date closed here": "exit_time",
        "My close price": "exit_price",
    }
    reading = read_trades(path, now=NOW, mapping=mapping, constants={"bot_id": "7", "ticker": "TSLA"})
    assert reading.valid[["bot_id", "ticker", "direction", "status"]].to_numpy().tolist() == [
        ["7", "TSLA", "LONG", "closed"],
        ["7", "TSLA", "SHORT", "closed"],
    ]


def test_bought_and_sold_are_entry_and_exit_only_where_no_position_is_short(tmp_path: Path):
    bare = {"id": ["1"], "symbol": ["X"], "qty": ["1"], "buy price": ["5"], "sell price": ["6"]}
    with pytest.raises(
        SourceError, match="--map 'buy price=entry_price' --map COLUMN=exit_time --map 'sell price=exit"
    ):
        read_trades(write(tmp_path / "a.csv", **bare), now=NOW)
    with pytest.raises(SourceError, match="--map COLUMN=entry_price --map COLUMN=exit_time --map COLUMN=exit_price"):
        read_trades(write(tmp_path / "b.csv", **bare, kind=["short"]), now=NOW)


def test_two_columns_that_might_be_it_are_left_to_the_user(tmp_path: Path):
    columns = {"id": ["1"], "open price A": ["5"], "open price B": ["6"]}
    with pytest.raises(SourceError, match="--map COLUMN=entry_price"):
        read_trades(write(tmp_path / "t.csv", **columns), now=NOW)


def test_what_is_said_of_a_whole_file_fills_what_rows_leave_open(tmp_path: Path):
    columns = {"id": ["1", "2"], "symbol": ["X", ""], "side": ["", "short"], "open time": ["2026-01-01"] * 2}
    columns |= {"open price": ["5"] * 2, "close time": [""] * 2, "close price": ["", "0"], "qty": ["1"] * 2}
    path = write(tmp_path / "t.csv", **columns)
    said = {"bot_id": "7", "ticker": "Y", "direction": "buy"}
    valid = read_trades(path, now=NOW, constants=said).valid
    assert valid[["bot_id", "ticker", "direction", "status"]].to_numpy().tolist() == [
        ["7", "X", "LONG", "open"],
        ["7", "Y", "SHORT", "open"],
    ]
    for field, text, message in (
        ("direction", "up", "--direction: 'up' is no direction; give LONG or SHORT"),
        ("status", "gone", "--status: 'gone' is no status; give closed or open or pending_exit"),
    ):
        with pytest.raises(SourceError, match=message):
            read_trades(path, now=NOW, constants={**said, field: text})


def test_an_exit_that_is_not_whole_is_held_where_no_column_says_the_status(tmp_path: Path):
    columns = {"id": ["1", "2"], "symbol": ["X"] * 2, "side": ["buy"] * 2, "open time": ["2026-01-01"] * 2}
    columns |= {"open price": ["5"] * 2, "close time": ["2026-01-02", ""], "close price": ["", "6"], "qty": ["1"] * 2}
    reading = read_trades(write(tmp_path / "t.csv", **columns), now=NOW, constants={"bot_id": "1"})
    assert reading.refused[["row_number", "reason", "column_name"]].to_numpy().tolist() == [
        [1, "closed_without_exit", "close price"],
        [2, "closed_without_exit", "close time"],
    ]
