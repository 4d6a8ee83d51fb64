"""Exports of other programs: each sample gives the trades that are expected of it, in whatever shape the file comes."""

import gzip
import hashlib
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.sources import files, formats
from knowdefeat_pipeline.sources.files import read_raw, read_trades
from knowdefeat_pipeline.sources.formats import binance_spot
from knowdefeat_pipeline.sources.layout import NoTradesError, SourceError
from knowdefeat_pipeline.sources.readers import databases
from knowdefeat_pipeline.sources.reading import Reading

GUIDE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
NOW = datetime(2027, 1, 1, tzinfo=UTC)
TEXTS = ("ticker", "direction", "status", "quote_currency", "strategy_id")


@dataclass(frozen=True)
class Sample:
    """`options`: what the file truly does not say. `source`: where it is recorded. `bots`: the names of its bots."""

    file: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def expected(self) -> str:
        """The file of the trades expected."""
        return f"{self.file.rsplit('.', 1)[0]}.expected.csv"


SAMPLES = [
    Sample("freqtrade_tradesv3.sqlite", "freqtrade"),
    Sample("freqtrade_backtest_result.json", "freqtrade_backtest"),
    Sample("freqtrade_backtest_result.zip", "freqtrade_backtest"),
    Sample("mt5_report_history.html", "mt5", {"timezone": "UTC+2"}),
    Sample("mt5_python_history_deals.csv", "mt5_deals", {"timezone": "UTC+2"}),
    Sample("tradingview_list_of_trades.csv", "tradingview", {"timezone": "UTC"}),
    Sample("bybit_closed_pnl.csv", "bybit_closed_pnl"),
    Sample("hummingbot_v2.sqlite", "hummingbot"),
    Sample("backtesting_py_trades.csv", "backtesting_py"),
    Sample("vectorbt_trades_records_readable.csv", "vectorbt"),
    Sample("nautilus_positions_report.csv", "nautilus"),
    Sample("3commas_deals.csv", "3commas"),
    Sample("jesse_trades.csv", "jesse"),
    Sample("homemade_bot_log.csv", "trade_log"),
    Sample("binance_futures_trade_history.csv", "binance_futures"),
    Sample("hyperliquid_trade_history.csv", "hyperliquid", {"dates": "day-first"}),
    Sample("hummingbot_trades_conf_perp_1.csv", "hummingbot_fills"),
    Sample("kraken_trades.csv", "kraken"),
    Sample("coinbase_fills.csv", "coinbase_fills"),
    Sample("binance_spot_trade_history.csv", "binance_spot"),
    Sample("freqtrade_api.json", "freqtrade_api"),
    Sample("freqtrade_webhook.ndjson", "freqtrade_webhook"),
    Sample("mt4_statement.htm", "mt4", {"timezone": "UTC+2"}),
    Sample("mt5_tester.html", "mt5_tester", {"timezone": "UTC+2"}),
    Sample("mt4_tester.htm", "mt4_tester", {"timezone": "UTC+2", "currency": "USD"}),
    Sample("pyfolio_transactions.csv", "pyfolio"),
    Sample("tradingview_2026.csv", "tradingview", {"timezone": "UTC"}),
    Sample("tradingview_german.csv", "tradingview", {"timezone": "UTC"}),
    Sample("tradingview_spanish.csv", "tradingview", {"timezone": "UTC"}),
    Sample("tradingview_russian.csv", "tradingview", {"timezone": "UTC"}),
    Sample("tradingview_chinese.csv", "tradingview", {"timezone": "UTC"}),
    Sample("ninjatrader_trades.csv", "ninjatrader", {"timezone": "America/Chicago"}),
    Sample("quantconnect_trades.csv", "quantconnect"),
    Sample("quantconnect_result.json", "quantconnect"),
    Sample("quantconnect_orders.csv", "quantconnect_orders"),
]
OWN = Path(__file__).with_name("samples")
NAMES = [sample.file for sample in SAMPLES]
TABLES = [sample for sample in SAMPLES if sample.file.endswith(".csv")]


@pytest.fixture(scope="session")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples of both places."""
    together = tmp_path_factory.mktemp("samples")
    for file in (*(shared_data / "formats").iterdir(), *OWN.iterdir()):
        (together / file.name).symlink_to(file)
    return together


def read(path: Path, **options: Any) -> Reading:
    return read_trades(path, now=NOW, **options)


def assert_trades(reading: Reading, expected: Path, rows: slice = slice(None)) -> None:
    """That a reading holds these trades: times to the microsecond, amounts to 1e-9, bots by their grouping."""
    wanted = pd.read_csv(expected, dtype=dict.fromkeys(["source_trade_id", "bot_id", "strategy_id"], "str"))[rows]
    found = reading.valid
    if not found["source_trade_id"].str.contains("T").all():  # ids of ours: ticker and time of entry
        assert sorted(found["source_trade_id"]) == sorted(wanted["source_trade_id"])
    keys = ["entry_time", "source_trade_id"]
    wanted = wanted.assign(entry_time=pd.to_datetime(wanted["entry_time"], utc=True, format="ISO8601"))
    found, wanted = (frame.sort_values(keys, ignore_index=True) for frame in (found, wanted))
    assert len(found) == len(wanted)
    for name in TEXTS:
        assert found[name].fillna("").tolist() == wanted[name].fillna("").tolist(), name
    for name in ("entry_time", "exit_time"):
        moments = pd.to_datetime(wanted[name], utc=True, format="ISO8601")
        assert (
            found[name].fillna(pd.Timestamp(0, tz="UTC")).tolist() == moments.fillna(pd.Timestamp(0, tz="UTC")).tolist()
        )
    amounts = found.assign(fees=found["fees"] - found["funding"])
    for name in ("entry_price", "exit_price", "notional", "fees", "pnl"):
        np.testing.assert_allclose(amounts[name], wanted[name].astype(float), rtol=1e-12, atol=1e-9, err_msg=name)
    pairs = {*zip(found["bot_id"], wanted["bot_id"], strict=True)}
    assert len(pairs) == found["bot_id"].nunique() == wanted["bot_id"].nunique()


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_samples_give_their_trades(folder: Path, tmp_path: Path, sample: Sample):
    for path in (
        folder / sample.file,
        _renamed(folder / sample.file, tmp_path),
        _zipped(folder / sample.file, tmp_path),
    ):
        reading = read(path, **sample.options)
        assert reading.source.split(":")[0] == sample.source
        assert reading.refused.empty
        assert_trades(reading, folder / sample.expected)


def _renamed(path: Path, folder: Path) -> Path:
    """Under a name that says nothing of what it is."""
    other = folder / "export.bin"
    other.write_bytes(path.read_bytes())
    return other


def _zipped(path: Path, folder: Path) -> Path:
    other = folder / f"{path.name}.gz"
    other.write_bytes(gzip.compress(path.read_bytes()))
    return other


@pytest.mark.long
@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_what_a_file_is_called_says_nothing(folder: Path, tmp_path: Path, sample: Sample):
    for suffix in ("csv", "json", "html", "sqlite", "zip", "xlsx", "parquet", "gz", "txt"):
        path = tmp_path / f"trades.{suffix}"
        path.write_bytes((folder / sample.file).read_bytes())
        assert read(path, **sample.options).source.split(":")[0] == sample.source


def test_every_format_has_a_sample_and_a_line_in_the_guide():
    known = {one.name for one in formats.known()}
    assert {sample.source for sample in SAMPLES} == known
    assert {*re.findall(r"^\| `(\w+)` \|", GUIDE, flags=re.MULTILINE)} == known


def test_the_example_of_the_guide_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sample, code = (
        re.findall(rf"^```{kind}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)[0] for kind in ("csv", "python")
    )
    module: dict[str, Any] = {}
    exec(code, module)
    known = (*formats.known(), module["FORMAT"])
    monkeypatch.setattr(formats, "known", lambda: known)
    (tmp_path / "deals.csv").write_text(sample)
    reading = read(tmp_path / "deals.csv")
    assert reading.source == "gridline"
    assert reading.refused.empty
    assert reading.valid[["direction", "status", "quote_currency"]].to_numpy().tolist() == [
        ["LONG", "closed", "USDT"],
        ["SHORT", "closed", "USDT"],
        ["LONG", "open", "USDT"],
    ]
    assert reading.valid["fees"].tolist() == pytest.approx([6, 6, 0])
    assert reading.valid["pnl"][:2].tolist() == pytest.approx([54, -66])


@pytest.mark.parametrize("sample", TABLES, ids=[sample.file for sample in TABLES])
def test_one_format_alone_fits_a_table(folder: Path, sample: Sample):
    columns = read_raw(folder / sample.file).table.column_names
    assert [one.name for one in formats.known() if one.fits(columns)] == [sample.source]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig").splitlines()


RESHAPED: dict[str, Callable[[Path], bytes]] = {
    "windows": lambda path: b"\xef\xbb\xbf" + "\r\n".join([*_lines(path), ""]).encode(),
    "columns reversed": lambda path: _reversed(path),
}


def _reversed(path: Path) -> bytes:
    table = pd.read_csv(path, dtype=str, keep_default_na=False, sep=None, engine="python", encoding="utf-8-sig")
    return table[table.columns[::-1]].to_csv(index=False).encode()


@pytest.mark.parametrize("shape", RESHAPED)
@pytest.mark.parametrize("sample", TABLES, ids=[sample.file for sample in TABLES])
def test_tables_in_another_shape_give_the_same(folder: Path, tmp_path: Path, sample: Sample, shape: str):
    path = tmp_path / sample.file
    path.write_bytes(RESHAPED[shape](folder / sample.file))
    reading = read(path, **sample.options)
    assert reading.refused.empty
    assert_trades(reading, folder / sample.expected)


CUT = {
    # By the sample: which rows are held where the last one is cut short, and how many of the trades expected are whole.
    "mt5_python_history_deals.csv": ([6], 1),
    "tradingview_list_of_trades.csv": ([5, 6], 2),
    **dict.fromkeys((f"tradingview_{name}.csv" for name in ("2026", "spanish", "russian", "chinese")), ([7, 8], 3)),
    "tradingview_german.csv": ([9, 10], 4),
    "binance_futures_trade_history.csv": ([4, 5, 6], 2),  # what was opened by a fill that is cut is not known
    "hyperliquid_trade_history.csv": ([3, 4], 1),
    "coinbase_fills.csv": ([6], 1),
    "binance_spot_trade_history.csv": ([4, 5], 2),
    "pyfolio_transactions.csv": ([5], 1),
}


@pytest.mark.parametrize("sample", TABLES, ids=[sample.file for sample in TABLES])
def test_a_row_cut_short_is_held_and_the_rest_is_read(folder: Path, tmp_path: Path, sample: Sample):
    lines = _lines(folder / sample.file)
    (tmp_path / sample.file).write_text("\n".join([*lines[:-1], lines[-1][: len(lines[-1]) // 2]]))
    reading = read(tmp_path / sample.file, **sample.options)
    held, whole = CUT.get(sample.file, ([len(lines) - 1], len(_lines(folder / sample.expected)) - 2))
    if sample.file == "3commas_deals.csv":  # its last row is of a deal that never was one
        whole += 1
    assert reading.refused["row_number"].tolist() == held
    assert any("cut short" in note for note in reading.notes)
    (message,) = (said for said in reading.refused["message"] if " is cut short" in said)
    width = len(read_raw(folder / sample.file).table.column_names)  # without what the format adds
    assert f"row {len(lines) - 1} of {sample.file} is cut short: it has " in message
    assert f" of the {width} fields that the header names, and ends in column " in message
    assert "--set" not in message  # no row of an export becomes a trade by itself
    wanted = pd.read_csv(folder / sample.expected)
    found = {*reading.valid["pnl"].dropna().round(9)}
    assert len(found & {*wanted["pnl"].dropna().round(9)}) == len(found)
    assert len(reading.valid) >= whole


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "mt5_report_history.html",
            "its times are those of the broker's server, which it does not name: say --timezone",
        ),
        ("mt5_python_history_deals.csv", "its times are those of the broker's server"),
        ("mt4_statement.htm", "its times are those of the broker's server"),
        ("tradingview_list_of_trades.csv", "its times are in the zone of the chart, which it does not name: say"),
    ],
)
def test_what_a_file_does_not_say_is_asked_for(folder: Path, file: str, message: str):
    with pytest.raises(SourceError, match=message):
        read(folder / file)


def test_a_log_that_leaves_the_sides_open_is_asked_about(tmp_path: Path):
    path = tmp_path / "scalper.csv"
    head = "symbol,entry_date,entry_price,shares,exit_date,exit_price,pnl"
    path.write_text(f"{head}\nA,2026-11-02,10,5,2026-11-03,11,\n")
    with pytest.raises(SourceError, match="say --direction LONG if all were long"):
        read(path)
    assert read(path, constants={"direction": "SHORT"}).valid["pnl"].tolist() == [-5]
    path.write_text(f"{head}\nA,2026-11-02,10,5,2026-11-03,11,5\nB,2026-11-03,10,5,2026-11-04,11,-5\n")
    reading = read(path)
    assert reading.valid[["source_trade_id", "bot_id", "direction"]].to_numpy().tolist() == [
        ["1", "scalper", "LONG"],
        ["2", "scalper", "SHORT"],
    ]
    path.write_text(f"{head}\nB,2026-11-03,10,5,2026-11-04,11,-5\nA,2026-11-02,10,5,2026-11-03,11,5\n")
    assert read(path).valid["source_trade_id"].tolist() == ["2", "1"]  # the newest first


def test_a_position_turned_around_in_one_deal_is_held(folder: Path, tmp_path: Path):
    text = (folder / "mt5_python_history_deals.csv").read_text()
    path = tmp_path / "deals.csv"
    path.write_text(text.replace("12,12,1793626200,1793626200000,1,1,", "12,12,1793626200,1793626200000,1,2,"))
    reading = read(path, timezone="UTC+2")
    assert reading.refused[["row_number", "reason"]].to_numpy().tolist() == [[3, "unknown_direction"]]
    assert reading.valid["source_trade_id"].tolist() == ["13"]


def test_a_size_that_the_stated_pnl_contradicts_is_not_taken_for_fees(folder: Path, tmp_path: Path):
    text = (folder / "bybit_closed_pnl.csv").read_text()
    path = tmp_path / "closed.csv"
    path.write_text(text.replace("93.345", "193.345"))
    with pytest.raises(SourceError, match="no reading gives the pnl in 'Closed P&L'"):
        read(path)


BINANCE = "Date(UTC),Symbol,Side,Price,Quantity,Amount,Fee,Fee Coin,Realized Profit,Quote Asset"


def binance(path: Path, *fills: str) -> Path:
    path.write_text("\n".join([BINANCE, *fills]) + "\n")
    return path


def test_fees_in_another_coin_are_held_without_a_rate(tmp_path: Path):
    reading = read(
        binance(
            tmp_path / "a.csv",
            "2026-11-02 11:00:00,BTCUSDT,SELL,61000,0.1,6100,0.01,BNB,100,USDT",
            "2026-11-02 09:00:00,BTCUSDT,BUY,60000,0.1,6000,0.01,BNB,0,USDT",
        )
    )
    assert reading.valid.empty
    assert reading.refused[["row_number", "reason"]].to_numpy().tolist() == [[2, "fee_without_rate"]]
    assert "fee_currency 'BNB' is not in the currency of the trade" in reading.refused["message"][0]


@pytest.mark.parametrize(
    ("ticker", "coin", "fees"),
    [
        ("BNBUPUSDT", "BNB", None),
        ("BTCDOMUSDT", "BTC", None),
        ("BNBUSDT", "BNB", 0.03),
        ("BNBUSDT_261225", "BNB", 0.03),
    ],
)
def test_a_fee_has_the_price_of_what_is_traded_in_that_coin_alone(
    tmp_path: Path, ticker: str, coin: str, fees: float | None
):
    reading = read(
        binance(
            tmp_path / "a.csv",
            f"2026-11-02 09:00:00,{ticker},BUY,10,1,10,0.001,{coin},0,USDT",
            f"2026-11-02 11:00:00,{ticker},SELL,20,1,20,0.001,{coin},10,USDT",
        )
    )
    assert reading.valid["fees"].tolist() == ([] if fees is None else [pytest.approx(fees)])
    assert reading.refused["reason"].tolist() == (["fee_without_rate"] if fees is None else [])


def test_a_fill_that_turns_a_position_around_ends_one_trade_and_begins_another(tmp_path: Path):
    reading = read(
        binance(
            tmp_path / "a.csv",
            "2026-11-02 09:00:00,BTCUSDT,BUY,60000,0.1,6000,1,USDT,0,USDT",
            "2026-11-02 11:00:00,BTCUSDT,SELL,61000,0.3,18300,3,USDT,100,USDT",
            "2026-11-02 12:00:00,BTCUSDT,BUY,60500,0.2,12100,2,USDT,100,USDT",
        )
    )
    assert reading.refused.empty
    assert reading.valid[["direction", "quantity", "fees", "pnl"]].to_numpy().tolist() == [
        ["LONG", 0.1, 2.0, pytest.approx(98)],
        ["SHORT", 0.2, 4.0, pytest.approx(96)],
    ]


def test_what_the_file_does_not_open_and_what_it_contradicts_is_held(tmp_path: Path):
    reading = read(
        binance(
            tmp_path / "a.csv",
            "2026-11-01 09:00:00,BTCUSDT,SELL,60000,0.1,6000,0,USDT,55,USDT",  # of a long before the file begins
            "2026-11-02 09:00:00,BTCUSDT,BUY,60000,0.1,6000,0,USDT,0,USDT",
            "2026-11-02 11:00:00,BTCUSDT,SELL,61000,0.1,6100,0,USDT,100,USDT",
            "2026-11-03 09:00:00,BTCUSDT,BUY,60000,0.1,6000,0,USDT,0,USDT",
            "2026-11-03 11:00:00,BTCUSDT,SELL,61000,0.1,6100,0,USDT,77,USDT",  # a fill is missing
            "2026-11-03 11:00:00,ETHUSDT,SELL,3000,1,3000,0,USDT,0,USDT",
        )
    )
    assert reading.valid[["ticker", "status"]].to_numpy().tolist() == [["BTCUSDT", "closed"], ["ETHUSDT", "open"]]
    assert reading.valid["pnl"].tolist()[0] == pytest.approx(100)
    assert reading.refused["row_number"].tolist() == [1, 4]
    assert reading.refused["reason"].tolist() == ["fills_missing"] * 2
    assert "closes what the file does not open: load an export that begins earlier" in reading.refused["message"][0]
    assert "realised another pnl than its fills give: load an export that" in reading.refused["message"][1]
    assert not reading.refused["message"].str.contains("LONG or SHORT").any()


def test_both_sides_of_a_hedge_that_were_opened_at_one_price_are_no_trade(tmp_path: Path):
    hedge = (
        "2026-11-03 09:00:00,ETHUSDT,BUY,3000,1,3000,1,USDT,0,USDT",
        "2026-11-03 10:00:00,ETHUSDT,SELL,3000,1,3000,1,USDT,0,USDT",
        "2026-11-03 11:00:00,ETHUSDT,SELL,3100,1,3100,1,USDT,100,USDT",
        "2026-11-03 12:00:00,ETHUSDT,BUY,2900,1,2900,1,USDT,100,USDT",
    )
    before = (  # a long, turned around with what it gained, and a short
        "2026-11-02 09:00:00,ETHUSDT,BUY,3000,1,3000,0,USDT,0,USDT",
        "2026-11-02 10:00:00,ETHUSDT,SELL,3010,2,6020,0,USDT,10,USDT",
        "2026-11-02 11:00:00,ETHUSDT,BUY,3005,1,3005,0,USDT,5,USDT",
    )
    other = (  # break-even, which nothing gainsays
        "2026-11-03 09:00:00,BTCUSDT,BUY,60000,0.1,6000,1,USDT,0,USDT",
        "2026-11-03 10:00:00,BTCUSDT,SELL,60000,0.1,6000,1,USDT,0,USDT",
    )
    reading = read(binance(tmp_path / "a.csv", *before, *hedge, *other))
    assert reading.valid[["ticker", "pnl"]].to_numpy().tolist() == [
        ["ETHUSDT", pytest.approx(10)],
        ["ETHUSDT", pytest.approx(5)],
        ["BTCUSDT", pytest.approx(-2)],
    ]
    assert reading.refused[["row_number", "reason"]].to_numpy().tolist() == [[4, "fills_missing"], [6, "fills_missing"]]


def test_a_fill_that_cannot_be_read_is_held(tmp_path: Path):
    reading = read(
        binance(
            tmp_path / "a.csv",
            "2026-11-02 09:00:00,BTCUSDT,BUY,60000,0.1,6000,0,USDT,0,USDT",
            "2026-11-02 11:00:00,BTCUSDT,SELL,61000,0.1,6100,0,USDT,100,USDT",
            "2026-11-03 09:00:00,ETHUSDT,BUY,many,0.1,6000,0,USDT,0,USDT",
        )
    )
    assert reading.valid["ticker"].tolist() == ["BTCUSDT"]
    assert reading.refused[["row_number", "reason"]].to_numpy().tolist() == [[3, "fills_missing"]]
    assert reading.refused["message"][0] == (
        "the fill, or its trade, has no market, time, quantity or price above 0 that can be read: correct it in the file, "
        "load that and discard this row; no direction makes a trade of it."
    )


def test_what_a_spot_market_sells_and_the_file_did_not_buy_is_held(tmp_path: Path):
    path = tmp_path / "export.csv"
    head = '"Date(UTC)","Pair","Side","Price","Executed","Amount","Fee"'
    path.write_text(
        f"{head}\n"
        '"2026-11-01 09:00:00","BTCUSDT","SELL","60000","0.1BTC","6000USDT","6USDT"\n'
        '"2026-11-02 09:00:00","BTCUSDT","BUY","60000","0.1BTC","6000USDT","0.01BNB"\n'
        '"2026-11-02 10:00:00","BTCUSDT","SELL","61000","0.1BTC","6100USDT","6.1USDT"\n'
        '"2026-11-03 09:00:00","BTCUSDT","BUY","60000","0.1ETH","6000USDT","6USDT"\n'
    )
    reading = read(path)
    assert reading.valid.empty
    held = reading.refused.set_index("row_number")["message"]
    assert [*held.index] == [1, 2, 4]
    assert "closes what the file does not open" in held[1]
    assert "BNB" in held[2]


@pytest.mark.parametrize(
    ("pair", "ticker"),
    [
        ("XXBTZUSD", "XBT/USD"),
        ("XETHXXBT", "ETH/XBT"),
        ("XZECZEUR", "ZEC/EUR"),
        ("ZEURZUSD", "EUR/USD"),
        ("USDTZUSD", "USDT/USD"),
        ("SOLUSDT", "SOL/USDT"),
        ("XBT/USD", "XBT/USD"),
        ("PYUSD/EUR", "PYUSD/EUR"),
        ("PYUSDEUR", "PYUSD/EUR"),
        ("PYUSDUSD", "PYUSD/USD"),
        ("RLUSD/EUR", "RLUSD/EUR"),
        ("RLUSDUSDT", "RLUSD/USDT"),
        ("XRPRLUSD", "XRP/RLUSD"),
        ("METH/USD", "METH/USD"),
        ("METHUSD", "METH/USD"),
        ("TUSD/EUR", "TUSD/EUR"),
        ("TUSDUSD", "TUSD/USD"),
        ("XTZUSD", "XTZ/USD"),
        ("XTZEUR", "XTZ/EUR"),
        ("CHZUSD", "CHZ/USD"),
        ("XBT/PYUSD", "XBT/PYUSD"),
        ("SOLUSDQ", None),
        ("USD", None),
        ("XBT/USD/EUR", None),
    ],
)
def test_a_pair_of_kraken_is_its_base_and_its_quote_or_held(tmp_path: Path, pair: str, ticker: str | None):
    path = tmp_path / "export.csv"
    head = "txid,ordertxid,pair,time,type,ordertype,price,cost,fee,vol,margin"
    path.write_text(f"{head}\nT-1,O-1,{pair},2026-11-02 09:00:00,buy,limit,2,20,0.1,10,0\n")
    reading = read(path)
    assert len(reading.refused) == (ticker is None)
    known = [] if ticker is None else [[ticker, ticker.split("/")[1]]]
    assert reading.valid[["ticker", "quote_currency"]].to_numpy().tolist() == known


def spot(path: Path, *fills: str) -> Path:
    head = "Date(UTC),Pair,Side,Price,Executed,Amount,Fee"
    path.write_text("\n".join([head, *(f"2026-11-{fill}" for fill in fills)]) + "\n")
    return path


@pytest.mark.parametrize("padding", ["", "00000"])
@pytest.mark.parametrize("takes_along", [False, True])
def test_what_fees_leave_of_a_coin_and_cannot_be_sold_ends_the_trade(tmp_path: Path, padding: str, takes_along: bool):
    trips = [
        (
            f"0{day} 09:00:00,BTCUSDT,BUY,60000,0.01234{padding}BTC,740.4USDT,0.00001234BTC",
            f"0{day} 10:00:00,BTCUSDT,SELL,61000,0.01232{padding}BTC,751.52USDT,0.75152USDT",
        )
        for day in range(1, 6)
    ]
    if takes_along:  # 0.00000766 are left of the first, twice that is more than 0.00001: the second can sell one more
        trips[1] = (trips[1][0], trips[1][1].replace("0.01232", "0.01233").replace("751.52USDT", "752.13USDT"))
    reading = read(spot(tmp_path / "a.csv", *(fill for trip in trips for fill in trip)))
    assert reading.refused.empty
    trades = reading.valid
    assert trades["status"].tolist() == ["closed"] * 5
    assert trades["quantity"].tolist() == pytest.approx([0.01232766] * 5, rel=1e-12)
    # What came in less what went out: 751.52 - 740.4 - 0.75152, and 752.13 - 740.4 - 0.75152.
    second = 10.97848 if takes_along else 10.36848
    assert trades["pnl"].tolist() == pytest.approx([10.36848, second, 10.36848, 10.36848, 10.36848], abs=1e-9)
    assert any(f"{4 if takes_along else 5} sales leave less than can be sold" in note for note in reading.notes)


@pytest.mark.long
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(25, 5000), st.integers(1, 3), st.booleans()), min_size=1, max_size=12))
def test_trades_with_dust_gain_what_came_in_less_what_went_out(
    tmp_path: Path, trips: list[tuple[int, int, bool]]
) -> None:
    """Of each trip: lots of 0.01 bought at 10, parts in which they are sold at 11, whether older dust goes along."""
    fills, cash, dust = [], [], Decimal(0)
    for day, (lots, parts, along) in enumerate(trips, 1):
        bought = lots * Decimal("0.01")
        fee = bought / 1000
        most = bought - fee + (dust if along else 0)
        sold = most.quantize(Decimal("0.01"), ROUND_DOWN)
        dust += bought - fee - sold
        fills.append(f"{day:02} 09:00:00,SOLUSDT,BUY,10,{bought}SOL,{bought * 10}USDT,{fee}SOL")
        sizes = [Decimal("0.01")] * (parts - 1)
        for hour, size in enumerate([*sizes, sold - sum(sizes)], 10):
            fills.append(f"{day:02} {hour}:00:00,SOLUSDT,SELL,11,{size}SOL,{size * 11}USDT,0USDT")
        cash.append(float(sold * 11 - bought * 10))
    reading = read(spot(tmp_path / "a.csv", *fills))
    assert reading.refused.empty
    assert reading.valid["status"].tolist() == ["closed"] * len(trips)
    assert reading.valid["pnl"].tolist() == pytest.approx(cash, abs=1e-8)


def test_what_could_still_be_sold_is_held_and_a_note_says_that_nothing_closed(tmp_path: Path):
    reading = read(
        spot(
            tmp_path / "a.csv",
            "01 09:00:00,BTCUSDT,BUY,60000,2BTC,120000USDT,0.002BTC",
            "01 10:00:00,BTCUSDT,SELL,61000,1BTC,61000USDT,61USDT",  # 0.998 are left: no dust, though below 1
            "02 09:00:00,ETHUSDT,BUY,3000,0.05ETH,150USDT,0.00005ETH",
            "02 10:00:00,ETHUSDT,SELL,3100,0.04ETH,124USDT,0.1USDT",  # 0.00995 are left, below 0.01
        )
    )
    assert reading.valid[["status", "quantity"]].to_numpy().tolist() == [
        ["open", pytest.approx(0.998)],
        ["open", pytest.approx(0.00995)],
    ]
    assert any("all of them open: no fill brings what is held back to 0" in note for note in reading.notes)
    assert not any("less than can be sold" in note for note in reading.notes)


def test_dust_that_is_sold_by_itself_is_held(tmp_path: Path):
    reading = read(
        spot(
            tmp_path / "a.csv",
            "01 09:00:00,BTCUSDT,BUY,60000,0.01234BTC,740.4USDT,0.00001234BTC",
            "01 10:00:00,BTCUSDT,SELL,61000,0.01232BTC,751.52USDT,0.75152USDT",
            "02 09:00:00,BTCUSDT,BUY,60000,0.01234BTC,740.4USDT,0.00001234BTC",
            "02 10:00:00,BTCUSDT,SELL,61000,0.01232BTC,751.52USDT,0.75152USDT",
            "03 10:00:00,BTCUSDT,SELL,61000,0.00001BTC,0.61USDT,0.00061USDT",
        )
    )
    assert reading.valid["pnl"].tolist() == pytest.approx([10.36848] * 2, abs=1e-9)
    assert reading.refused["row_number"].tolist() == [5]


@pytest.mark.parametrize("coin", ["C98", "USD1", "A2Z", "0G", "1000SATS"])
def test_a_spot_market_of_a_coin_with_digits_in_its_name_is_read(tmp_path: Path, coin: str):
    path = tmp_path / "spot.csv"
    path.write_text(
        "Date(UTC),Pair,Side,Price,Executed,Amount,Fee\n"
        f"2026-11-02 11:00:00,{coin}USDT,SELL,0.25,100{coin},25.0USDT,0.025USDT\n"
        f"2026-11-02 09:00:00,{coin}USDT,BUY,0.2,100{coin},20.0USDT,0.02USDT\n"
    )
    (trade,) = read_trades(path, now=NOW).valid[["ticker", "quantity", "quote_currency", "pnl"]].to_dict("records")
    assert trade == {"ticker": f"{coin}USDT", "quantity": 100, "quote_currency": "USDT", "pnl": pytest.approx(4.955)}


def test_a_coin_that_begins_with_a_digit_is_told_from_its_amount():
    cells = pd.Series(["1,000.0011INCH", "300.00USDT", "0.0011INCH", "0.5BNB", None, "7"])
    amounts, coins = binance_spot._amounts(cells, pd.Series(["1INCHUSDT"] * 6))
    np.testing.assert_array_equal(amounts, [1000.001, 300, 0.001, 0.5, np.nan, 7])
    assert coins.fillna("").tolist() == ["1INCH", "USDT", "1INCH", "BNB", "", ""]


NINJA = "Trade number;Instrument;Account;Market pos.;Qty;Entry price;Exit price;Entry time;Exit time;Profit;Commission;"


def test_ninjatrader_in_european_notation_whose_profit_is_before_the_commission(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text(
        f"{NINJA}\n"
        "1;ES 12-26;Backtest;Long;1;6010,25;6016,50;16/11/2026 9:35:00;16/11/2026 10:05:00;312,50 €;5,08 €;\n"
        "2;ES 12-26;Backtest;Short;1;6021,00;6025,00;17/11/2026 11:10:00;17/11/2026 11:25:00;-200,00 €;5,08 €;\n"
        "3;EURJPY;Backtest;Long;1000;165,00;165,10;17/11/2026 11:10:00;17/11/2026 11:25:00;0,61 €;0,00 €;\n"
        "4;EURJPY;Backtest;Long;1000;165,00;165,20;18/11/2026 11:10:00;18/11/2026 11:25:00;1,25 €;0,00 €;\n"
    )
    reading = read(path, timezone="UTC")
    assert reading.refused.empty
    found = reading.valid.set_index("row_number")
    assert found["quote_currency"].unique().tolist() == ["EUR"]
    assert found["pnl"].tolist() == pytest.approx([307.42, -205.08, 0.61, 1.25])
    assert found["notional"].fillna(0).tolist() == pytest.approx([50 * 6010.25, 50 * 6021, 0, 0])  # yen are no euros
    assert found["entry_time"].iloc[0] == pd.Timestamp("2026-11-16 09:35", tz="UTC")


PORTUGUESE = (
    "Núm. Neg.;Ativo;Conta;Estratégia;Pos mercado.;Qtd;Preço entrada;Preço saída;Hora entrada;Hora saída;Entrada;Saída;"
    "Profit;Acu lucro líquido;Corretagem;MAE;MFE;ETD;Barras;"
)


@pytest.mark.parametrize(
    ("head", "row", "said"),
    [
        (
            PORTUGUESE,
            "1;MNQ 12-26;Sim101;;Comprada;1;21160,50;21165,50;06/11/2026 09:30:00;06/11/2026 09:31:00;E;S;10,00;10,00;0;"
            "0;0;0;10;",
            "this looks like NinjaTrader's list of trades: its columns Profit, MAE, MFE, ETD are here, but not Trade "
            "number, Instrument, Market pos., Qty, Entry price, Exit price, Entry time, Exit time. Export it again with "
            "all of its columns and with headings in English, or give them these names.",
        ),
        (
            "Trade number;Instrument;Market pos.;Lots;Entry price;Exit price;Entry time;Exit time;Profit",
            "1;NQ 12-26;Long;1;20000;20010;2026-11-16 09:35;2026-11-16 09:42;200",
            "this looks like NinjaTrader's list of trades: its columns Trade number, Instrument, Market pos., Entry "
            "price, Exit price, Entry time, Exit time, Profit are here, but not Qty.",
        ),
        (
            "Entry Time,Symbols,Exit Time,Side,Entry Price,Exit Price,Quantity,P&L,Fees,IsWin",
            "2026-11-02T14:31:00Z,SPY,2026-11-02T20:59:00Z,Comprada,680.5,682.3,100,180,2,1",
            "this looks like QuantConnect's closed trades: its columns Entry Time, Symbols, Exit Time, Entry Price, "
            "Exit Price, Quantity, P&L, Fees, IsWin are here, but not Direction.",
        ),
    ],
)
def test_a_table_like_a_known_export_says_which_and_what_it_lacks(tmp_path: Path, head: str, row: str, said: str):
    path = tmp_path / "list.csv"
    path.write_text(f"{head}\n{row}\n{row}\n", encoding="utf-8")
    with pytest.raises(SourceError) as refused:
        read(path, timezone="UTC")
    assert str(refused.value).startswith(f"{path}: {said}")
    assert not isinstance(refused.value, NoTradesError)
    assert " --map " in str(refused.value)


def test_results_of_older_versions_of_quantconnect_begin_their_names_with_a_capital(folder: Path, tmp_path: Path):
    text = (folder / "quantconnect_result.json").read_text()
    capital = re.sub(r'"([a-z])(\w*)":', lambda found: f'"{found[1].upper()}{found[2]}":', text)
    (tmp_path / "result.json").write_text(capital.replace('"Value":', '"value":'))
    reading = read(tmp_path / "result.json")
    assert_trades(reading, folder / "quantconnect_result.expected.csv")


def test_what_the_tester_of_metatrader_leaves_open_and_what_it_does_not_open(folder: Path, tmp_path: Path):
    text = (folder / "mt4_tester.htm").read_text()
    text = re.sub(r"<tr align=right><td>(1|10)</td>.*\n", "", text)  # the opening of order 1, the end of order 4
    (tmp_path / "alpha.htm").write_text(text.replace("Heure", "Time").replace("Ordre", "Order"))
    reading = read(tmp_path / "alpha.htm", timezone="UTC+2")
    assert reading.valid[["source_trade_id", "bot_id", "status", "ticker"]].to_numpy().tolist() == [
        ["2", "alpha", "closed", "USDJPY"],
        ["4", "alpha", "open", "USDJPY"],
    ]
    assert reading.refused["reason"].tolist() == ["fills_missing"]


@pytest.mark.parametrize("name", ["german", "spanish", "russian", "chinese"])
def test_a_list_in_another_language_that_its_figures_do_not_prove_is_refused(folder: Path, tmp_path: Path, name: str):
    table = pd.read_csv(folder / f"tradingview_{name}.csv", dtype=str, sep=None, engine="python", encoding="utf-8-sig")
    whole = len(table.columns) - (3 if name == "chinese" else 2)
    spoiled = table.assign(**{table.columns[whole]: "7"})
    spoiled.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(SourceError, match="no column holds the pnl; export it again with TradingView in English"):
        read(tmp_path / "a.csv", timezone="UTC")
    table.assign(**{table.columns[4]: "100"}).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(SourceError, match="no column holds prices"):
        read(tmp_path / "b.csv", timezone="UTC")


@pytest.mark.long
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.booleans(), st.integers(50, 150), st.integers(5, 20), st.booleans()), min_size=3, max_size=9),
    st.permutations(range(15)),
    st.sampled_from(["german", "spanish", "russian"]),
    st.booleans(),
)
def test_a_list_reads_alike_in_every_language_and_order(
    folder: Path, tmp_path: Path, trades: list, order: list[int], name: str, newest_first: bool
) -> None:
    """Of each trade: its side, its price of entry, how far the price moves, whether up."""
    other = pd.read_csv(folder / f"tradingview_{name}.csv", sep=None, engine="python", encoding="utf-8-sig").columns
    english = pd.read_csv(folder / "tradingview_list_of_trades.csv", encoding="utf-8-sig").columns
    kinds = {"german": ("Long-Einstieg", "Long-Ausstieg", "Short-Einstieg", "Short-Ausstieg"),
             "spanish": ("Entrada en largo", "Salida en largo", "Entrada en corto", "Salida en corto"),
             "russian": ("Вход в длинную позицию", "Выход из длинной позиции", "Вход в короткую позицию",
                         "Выход из короткой позиции")}[name]  # fmt: skip
    rows, total = [], 0.0
    for number, (long, entry, far, up) in enumerate(trades, 1):
        leave = entry + (far if up else -far) / 10
        pnl = round((1 if long else -1) * 3 * (leave - entry) - 0.02, 2)
        total = round(total + pnl, 2)
        rest = [3, 3 * entry, pnl, 1, abs(pnl) + 2.5, 2, -1, -1, total, 0.1]
        for is_exit, moment, signal, price in (
            (1, f"2026-11-{number:02} 12:00", "TP", leave),
            (0, f"2026-11-{number:02} 09:00", "x", entry),
        ):
            rows.append([number, 2 * (not long) + is_exit, moment, signal, price, *rest])
    table = pd.DataFrame(rows[::-1] if newest_first else rows)
    words = ("Entry long", "Exit long", "Entry short", "Exit short")
    for path, headings, said in ((tmp_path / "a.csv", english, words), (tmp_path / "b.csv", other, kinds)):
        shown = table.set_axis([*headings], axis=1)
        shown[headings[1]] = shown[headings[1]].map(dict(enumerate(said)))
        shown.iloc[:, order if path.name == "b.csv" else [*range(15)]].to_csv(path, index=False)
    ours, theirs = (
        read(tmp_path / file, timezone="UTC", constants={"bot_id": "x"}).valid for file in ("b.csv", "a.csv")
    )
    apart = ["quote_currency", "exit_reason"]  # types and signals look alike where all trades are alike
    pd.testing.assert_frame_equal(ours.drop(columns=apart), theirs.drop(columns=apart))


def test_a_table_that_names_what_was_traded_is_no_list_of_another_language() -> None:
    headings = [
        "Nr",
        "Ticker",
        "When",
        "Why",
        "Size",
        "Price USD",
        "Fee USD",
        "Fee %",
        "Top USD",
        "Top %",
        "Low USD",
        "Low %",
    ]
    assert formats.recognised(headings) is None
    assert formats.recognised([*headings[:1], "Art", *headings[2:]]) is not None


def test_a_list_of_another_language_may_be_a_sheet_of_a_workbook(folder: Path, tmp_path: Path):
    table = pd.read_csv(folder / "tradingview_chinese.csv", encoding="utf-8-sig")
    with pd.ExcelWriter(tmp_path / "a.xlsx") as book:
        pd.DataFrame({"": ["净利润"], "全部 CNY": [23.25], "全部 %": [0.23]}).to_excel(
            book, sheet_name="表现", index=False
        )
        table.to_excel(book, sheet_name="交易清单", index=False)
    reading = read(tmp_path / "a.xlsx", timezone="UTC")
    assert_trades(reading, folder / "tradingview_chinese.expected.csv")
    assert not any("open still" in note for note in reading.notes)  # each signal is that of several


WRONG = {
    "table.csv": (b"a,b,c\n1,2,3\n4,5,6\n", "no column for source_trade_id"),
    "picture.csv": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", r"this is a picture \(PNG\)"),
    "page.csv": (b"<html><table><tr><td>a</td><td>b</td><td>c</td></tr></table>", "this is a page or XML"),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_of_something_else_are_refused(tmp_path: Path, name: str):
    content, message = WRONG[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read(tmp_path / name)


def test_a_database_of_something_else_is_refused(tmp_path: Path):
    path = tmp_path / "places.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE places (url TEXT, visits INT)")
        connection.execute("INSERT INTO places VALUES ('a', 1)")
        connection.commit()
    with pytest.raises(SourceError, match="no column for source_trade_id"):
        read(path)


def test_a_large_database_of_something_else_is_not_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "places.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE places (id INTEGER PRIMARY KEY, url TEXT)")
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
            " INSERT INTO places SELECT i, 'https://example.org/' || i FROM n"
        )
        connection.commit()
    read_rows: list[int] = []
    table = databases.values.table
    monkeypatch.setattr(
        databases.values, "table",
        lambda names, columns: (read_rows.extend({len(column) for column in columns}), table(names, columns))[1],
    )  # fmt: skip
    with pytest.raises(SourceError, match="no column for bot_id"):
        read(path)
    assert read_rows == [1000]


def test_what_unpacks_to_far_too_much_is_refused(tmp_path: Path):
    bomb = zlib.compressobj(wbits=31)
    packed = b"".join(bomb.compress(bytes(2**20)) for _ in range(100)) + bomb.flush()
    (tmp_path / "trades.csv.gz").write_bytes(packed)
    with pytest.raises(SourceError, match=r"packed bytes unpack to 68,157,440 or more, as those of no export do"):
        read(tmp_path / "trades.csv.gz")
    with zipfile.ZipFile(tmp_path / "result.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("result.json", bytes(100 * 2**20))
    with pytest.raises(SourceError, match=r"packed bytes unpack to 104,857,600 or more"):
        read(tmp_path / "result.zip")


def test_a_zip_without_trades_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "result.zip", "w") as archive:
        archive.writestr("readme.txt", "Nothing here.")
    with pytest.raises(SourceError, match=r"a zip archive with no file of trades that can be read \(readme.txt\)"):
        read(tmp_path / "result.zip")


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path):
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(2 * 2**30)
    with pytest.raises(SourceError, match="the file has 2,147,483,648 bytes; up to 1,073,741,824 are read: split it"):
        read(path)


def test_a_database_of_freqtrade_of_thousands_of_trades(shared_data: Path):
    path = shared_data / "freqtrade" / "tradesv3.sqlite"
    reading = read(path)
    closed = reading.valid[reading.valid["status"] == "closed"]
    assert (len(closed), len(reading.valid) - len(closed), len(reading.refused)) == (5701, 38, 0)
    assert closed["pnl"].sum() == pytest.approx(3533.14481605, abs=1e-8)
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        stated = dict(connection.execute("SELECT id, close_profit_abs FROM trades WHERE NOT is_open").fetchall())
    ids = closed["source_trade_id"].astype(int)
    np.testing.assert_allclose(closed["pnl"], ids.map(stated), rtol=0, atol=1e-12)
    assert reading.valid["bot_id"].nunique() == reading.valid["strategy_id"].nunique() == 19


def test_backtests_of_freqtrade_equal_its_own_figures(shared_data: Path):
    own = pd.read_csv(shared_data / "freqtrade" / "freqtrade_reference.csv")
    bots = set()
    for row in own.itertuples():
        reading = read(shared_data / "freqtrade" / "backtests" / str(row.file))
        pnl = reading.valid["pnl"]
        assert (len(pnl), (pnl > 0).sum(), (pnl < 0).sum()) == (row.n, row.wins, row.losses)
        assert pnl.sum() == pytest.approx(row.profit_total_abs, abs=1e-9)
        assert [*reading.capital.values()] == [row.sb]
        bots |= {*reading.valid["bot_id"]}
    assert len(bots) == 8  # one strategy was run twice


@pytest.mark.parametrize(
    ("name", "bot"),
    [
        ("bots/alpha/tradesv3.sqlite", "alpha A"),
        ("bots/alpha/user_data/tradesv3.sqlite", "alpha A"),
        ("bots/alpha.sqlite", "alpha A"),
        ("bots/beta/tradesv3.dryrun.sqlite", "beta (dry_run) A"),
    ],
)
def test_a_database_of_freqtrade_is_a_bot_named_after_its_place(folder: Path, tmp_path: Path, name: str, bot: str):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes((folder / "freqtrade_tradesv3.sqlite").read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM orders")
        connection.execute("DELETE FROM trades WHERE id > 1")
        connection.execute("UPDATE trades SET strategy = 'A'")
        connection.commit()
    reading = read(path)
    assert reading.valid["bot_id"].tolist() == [bot]
    assert reading.source == ("freqtrade:dry_run" if "dry" in bot else "freqtrade")


def test_a_dry_run_is_known_by_its_orders(folder: Path, tmp_path: Path):
    path = tmp_path / "alpha.sqlite"
    path.write_bytes((folder / "freqtrade_tradesv3.sqlite").read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE orders SET order_id = 'dry_run_' || order_id WHERE ft_trade_id <> 1")
        connection.commit()
        with pytest.raises(SourceError, match="mixes trades of a dry run with live ones"):
            read(path)
        assert read(path, account="both").source == "freqtrade:both"
        connection.execute("UPDATE orders SET order_id = 'dry_run_' || order_id WHERE ft_trade_id = 1")
        connection.commit()
    reading = read(path)
    assert reading.source == "freqtrade:dry_run"
    assert {*reading.valid["bot_id"]} == {"alpha (dry_run) SampleA", "alpha (dry_run) SampleB"}


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_database_is_read_while_a_writer_holds_it(folder: Path, tmp_path: Path, journal: str):
    path = tmp_path / "alpha.sqlite"
    path.write_bytes((folder / "freqtrade_tradesv3.sqlite").read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer:
        writer.execute(f"PRAGMA journal_mode = {journal}")
        writer.execute("UPDATE trades SET strategy = 'New' WHERE id = 1")
        if journal == "wal":
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE trades SET strategy = 'Not yet' WHERE id = 1")
        reading = read(path)
        if journal == "wal":
            writer.execute("COMMIT")
        writer.execute("DELETE FROM trades WHERE id = 1")  # no lock is left over, and there is no waiting for one
    assert reading.valid.set_index("source_trade_id")["strategy_id"]["1"] == "New"


def test_the_database_is_not_written_nor_anything_beside_it(folder: Path, tmp_path: Path):
    path = tmp_path / "alpha.sqlite"
    path.write_bytes((folder / "freqtrade_tradesv3.sqlite").read_bytes())
    before = path.read_bytes()
    read(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["alpha.sqlite"]


def test_a_database_that_changes_while_it_is_read_has_no_hash(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "alpha.sqlite"
    path.write_bytes((folder / "freqtrade_tradesv3.sqlite").read_bytes())
    assert read(path).content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    read_sqlite = files.read_sqlite

    def changes(*arguments: Any) -> Any:
        raw = read_sqlite(*arguments)
        with path.open("ab") as file:
            file.write(bytes(4096))
        return raw

    monkeypatch.setattr(files, "read_sqlite", changes)
    assert read(path).content_hash is None


@pytest.mark.parametrize("name", ["upload", "trades.csv", "tradesv3.sqlite", "tradesv3.dryrun.sqlite"])
def test_the_folder_of_the_server_names_no_bot_of_an_upload(folder: Path, name: str):
    content = folder / "freqtrade_tradesv3.sqlite"
    with pytest.raises(SourceError, match=rf"the name '{name}' says nothing of the bot that traded; name it: bot=NAME"):
        read_trades(Path(name), content=content, now=NOW)
    named = read_trades(Path("alpha.sqlite"), content=content, now=NOW)
    assert all(bot.startswith("alpha ") for bot in named.valid["bot_id"])
    said = read_trades(Path(name), content=content, now=NOW, constants={"bot_id": "beta"})
    assert {*said.valid["bot_id"]} == {"beta"}


@pytest.mark.long
def test_a_page_that_is_cut_short_says_so_and_holds_the_row_that_is_not_whole(folder: Path, tmp_path: Path):
    whole = (folder / "mt5_report_history.html").read_bytes()
    path = tmp_path / "report.html"
    full = read(folder / "mt5_report_history.html", timezone="UTC+2")
    assert not any("cut short" in note for note in full.notes)
    known = full.valid.set_index("source_trade_id")["pnl"].to_dict()
    held = []
    first, last = (whole.index(text.encode("utf-16-le")) for text in ("Positions", "</html>"))
    for end in range(first, last + 12, 7):  # in the middle of characters, too
        path.write_bytes(whole[:end])
        try:
            reading = read(path, timezone="UTC+2")
        except SourceError:
            continue  # no trade was there yet
        assert sum("the page is cut short" in note for note in reading.notes) == 1
        assert reading.valid.set_index("source_trade_id")["pnl"].to_dict().items() <= known.items()
        held.append(len(reading.refused))
    assert {*held} == {0, 1}


@pytest.mark.parametrize("file", ["mt4_statement.htm", "mt4_tester.htm", "mt5_tester.html"])
def test_a_page_without_an_end_is_said_to_be_cut_short(tmp_path: Path, file: str):
    (sample,) = (sample for sample in SAMPLES if sample.file == file)
    whole = (OWN / file).read_bytes()
    path = tmp_path / file
    path.write_bytes(whole[: len(whole) - 60])
    assert any("the page is cut short" in note for note in read(path, **sample.options).notes)
    assert not any("cut short" in note for note in read(OWN / file, **sample.options).notes)
