"""Exports of other programs in the database: recorded once, however often they are loaded, bots and accounts apart."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.store.imports import undo_import
from knowdefeat_pipeline.store.quarantine import release
from knowdefeat_pipeline.store.quarantined import QuarantineError, list_rows
from knowdefeat_pipeline.store.trades import LoadReport, load_trades
from tests.sources.test_formats import OWN, SAMPLES

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def folder(shared_data: Path) -> Path:
    return shared_data / "formats"


def load(url: str, path: Path, **options: Any) -> LoadReport:
    return load_trades(url, read_trades(path, now=NOW, **options), path.name)


@pytest.mark.long
def test_every_sample_is_recorded_once(database: str, folder: Path) -> None:
    samples = [sample for sample in SAMPLES if not sample.file.endswith(".zip")]  # of the same trades as another
    of = {sample.file: folder if (folder / sample.file).exists() else OWN for sample in samples}
    expected = {sample.file: pd.read_csv(of[sample.file] / sample.expected) for sample in samples}
    first = {sample.file: load(database, of[sample.file] / sample.file, **sample.options) for sample in samples}
    assert {name: (report.inserted, report.quarantined) for name, report in first.items()} == {
        name: (len(trades), {}) for name, trades in expected.items()
    }
    with connect(database) as connection:
        recorded = connection.execute("SELECT count(*), count(pnl), sum(pnl) FROM trades").fetchone()
    pnl = pd.concat(expected.values())["pnl"]
    assert recorded == (len(pnl), pnl.count(), pytest.approx(pnl.sum(), abs=1e-9))
    for sample in samples:
        again = load(database, of[sample.file] / sample.file, **sample.options)
        assert (again.inserted, again.updated, again.quarantined) == (0, 0, {})
        assert again.unchanged == len(expected[sample.file])


def test_bots_of_a_folder_and_their_dry_runs_are_kept_apart(database: str, folder: Path, tmp_path: Path) -> None:
    sample = (folder / "freqtrade_tradesv3.sqlite").read_bytes()
    for place, is_dry in (("alpha", False), ("beta", False), ("gamma", True)):
        path = tmp_path / place / "user_data" / "tradesv3.sqlite"
        path.parent.mkdir(parents=True)
        path.write_bytes(sample)
        if is_dry:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("UPDATE orders SET order_id = 'dry_run_' || order_id")
                connection.commit()
        assert load(database, path).inserted == 6
    with connect(database) as connection:
        imports = connection.execute("SELECT count(*) FROM imports").fetchone()
        found = connection.execute(
            "SELECT b.name, t.source, t.strategy_id, count(*) FROM trades t JOIN bots b USING (bot_id) "
            "GROUP BY b.name, t.source, t.strategy_id ORDER BY 1"
        ).fetchall()
    assert imports == (3,)  # though two of them are the same to the byte
    assert found == [
        ("alpha SampleA", "freqtrade", "SampleA", 4),
        ("alpha SampleB", "freqtrade", "SampleB", 2),
        ("beta SampleA", "freqtrade", "SampleA", 4),
        ("beta SampleB", "freqtrade", "SampleB", 2),
        ("gamma (dry_run) SampleA", "freqtrade:dry_run", "SampleA", 4),
        ("gamma (dry_run) SampleB", "freqtrade:dry_run", "SampleB", 2),
    ]


def test_an_open_trade_of_a_live_database_moves_on(database: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "alpha.sqlite"
    path.write_bytes((folder / "freqtrade_tradesv3.sqlite").read_bytes())
    load(database, path)
    with closing(sqlite3.connect(path)) as connection:
        ((amount, rate),) = connection.execute("SELECT amount, open_rate FROM trades WHERE id = 6").fetchall()
        connection.execute("UPDATE trades SET amount = 2 * amount, open_rate = 0.9 * open_rate WHERE id = 6")
        connection.commit()
        report = load(database, path)  # as much again was bought below
        assert (report.inserted, report.updated, report.unchanged, report.quarantined) == (0, 1, 5, {})
        with connect(database) as ours:
            row = ours.execute(
                "SELECT status, quantity, entry_price FROM trades WHERE source_trade_id = '6'"
            ).fetchone()
        assert row == ("open", pytest.approx(2 * amount), pytest.approx(0.9 * rate))
        connection.execute("UPDATE trades SET amount = ?, open_rate = ? WHERE id = 6", (amount, rate))
        connection.execute(
            "UPDATE trades SET is_open = 0, close_rate = 0.21, close_date = '2026-11-09 09:00:00.000000', "
            "close_profit_abs = 4.795 WHERE id = 6"
        )
        connection.commit()
    report = load(database, path)
    assert (report.inserted, report.updated, report.unchanged, report.quarantined) == (0, 1, 5, {})
    with connect(database) as connection:
        row = connection.execute("SELECT status, pnl FROM trades WHERE source_trade_id = '6'").fetchone()
    assert row == ("closed", pytest.approx(4.795, abs=1e-12))


FILLS = {
    "binance_futures": (
        "Date(UTC),Symbol,Side,Price,Quantity,Amount,Fee,Fee Coin,Realized Profit,Quote Asset",
        "2026-11-01 09:00:00,BTCUSDT,SELL,60000,0.1,6000,0,USDT,55,USDT",
        "2026-11-02 09:00:00,BTCUSDT,BUY,60000,0.1,6000,0,USDT,0,USDT",
        "2026-11-02 11:00:00,BTCUSDT,SELL,61000,0.1,6100,0,USDT,77,USDT",
    ),
    "hyperliquid": (
        "time,coin,dir,px,sz,ntl,fee,closedPnl",
        "2026-11-01 09:00:00,BTC,Close Long,60000,0.1,6000,0,55",
        "2026-11-02 09:00:00,BTC,Open Long,60000,0.1,6000,0,0",
        "2026-11-02 11:00:00,BTC,Close Long,61000,0.1,6100,0,77",
    ),
    "hummingbot_fills": (
        "config_file_path,strategy,symbol,quote_asset,timestamp,trade_type,price,amount,leverage,trade_fee,"
        "trade_fee_in_quote,exchange_trade_id,position",
        "a.yml,s,BTC-USDT,USDT,1793600000000,SELL,60000,0.1,1,{},0,x1,CLOSE",
    ),
}


@pytest.mark.parametrize("source", FILLS)
def test_held_fills_become_no_trade_by_a_correction(database: str, tmp_path: Path, source: str) -> None:
    path = tmp_path / "fills.csv"
    path.write_text("\n".join(FILLS[source]) + "\n")
    report = load(database, path)
    held = list_rows(database)
    assert (report.inserted, {row.reason for row in held}) == (0, {"fills_missing"})
    assert [*{row.source.split(":")[0] for row in held}] == [source]
    assert len(held) == (1 if source == "hummingbot_fills" else 2)
    for row in held:
        for corrections in ({"direction": "LONG"}, {"direction": "SHORT", "fees": "0"}, {}):
            with pytest.raises(QuarantineError, match="load an export that begins earlier"):
                release(database, row.quarantine_id, corrections, NOW)
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM trades").fetchone() == (0,)
    assert list_rows(database) == held


def test_a_held_trade_of_fills_is_released_with_the_rate_of_its_fee(database: str, tmp_path: Path) -> None:
    path = tmp_path / "fills.csv"
    path.write_text(
        "Date(UTC),Symbol,Side,Price,Quantity,Amount,Fee,Fee Coin,Realized Profit,Quote Asset\n"
        "2026-11-02 11:00:00,BTCUSDT,SELL,61000,0.1,6100,0.01,BNB,100,USDT\n"
        "2026-11-02 09:00:00,BTCUSDT,BUY,60000,0.1,6000,0.02,BNB,0,USDT\n"
    )
    assert load(database, path).quarantined == {"fee_without_rate": 1}
    (row,) = list_rows(database)
    assert release(database, row.quarantine_id, {"fee_rate": "600"}, NOW).inserted == 1
    with connect(database) as connection:
        trade = connection.execute("SELECT pnl, fees, entry_time FROM trades").fetchone()
    assert trade == (pytest.approx(82), pytest.approx(18), datetime(2026, 11, 2, 9, tzinfo=UTC))


LONGER = {
    "binance_futures": (
        FILLS["binance_futures"][0],
        "2026-11-02 11:00:00,BTCUSDT,SELL,61000,0.1,6100,0,USDT,77,USDT",
        "2026-11-02 10:00:00,BTCUSDT,BUY,60230,0.1,6023,0,USDT,0,USDT",
        "2026-11-02 09:30:00,BTCUSDT,SELL,60000,0.1,6000,0,USDT,0,USDT",
        "2026-11-02 09:00:00,BTCUSDT,BUY,60000,0.1,6000,0,USDT,0,USDT",
        "2026-11-01 09:00:00,BTCUSDT,SELL,60000,0.1,6000,0,USDT,55,USDT",
        "2026-10-31 09:00:00,BTCUSDT,BUY,59450,0.1,5945,0,USDT,0,USDT",
    ),
    "hyperliquid": (
        FILLS["hyperliquid"][0],
        "2026-10-31 09:00:00,BTC,Open Long,59450,0.1,5945,0,0",
        *FILLS["hyperliquid"][1:3],
        "2026-11-02 10:00:00,BTC,Open Long,60460,0.1,6046,0,0",
        "2026-11-02 11:00:00,BTC,Close Long,61000,0.2,12200,0,154",
    ),
    "hummingbot_fills": (
        FILLS["hummingbot_fills"][0],
        "a.yml,s,BTC-USDT,USDT,1793500000000,BUY,59000,0.1,1,{},0,x0,OPEN",
        FILLS["hummingbot_fills"][1],
    ),
}


@pytest.mark.parametrize("source", LONGER)
def test_held_fills_that_a_longer_export_explains_leave_quarantine(database: str, tmp_path: Path, source: str) -> None:
    (tmp_path / "short.csv").write_text("\n".join(FILLS[source]) + "\n")
    (tmp_path / "longer.csv").write_text("\n".join(LONGER[source]) + "\n")
    short = load(database, tmp_path / "short.csv")
    held = {row.quarantine_id for row in list_rows(database)}
    assert (short.quarantined, short.explained) == ({"fills_missing": len(held)}, 0)
    longer = load(database, tmp_path / "longer.csv")
    assert (longer.explained, list_rows(database)) == (len(held), [])
    assert {row.note for row in list_rows(database, "released")} == {f"explained by import {longer.import_id}"}
    again = load(database, tmp_path / "short.csv")
    assert (again.inserted, again.quarantined, again.settled) == (0, {}, len(held))
    undo_import(database, longer.import_id, "test", NOW)
    assert {row.quarantine_id for row in list_rows(database)} == held


DEALS = (
    "ticket,order,time,time_msc,type,entry,magic,position_id,reason,volume,price,commission,swap,profit,fee,symbol",
    "11,11,1767607200,1767607200000,0,0,7001,11,3,0.1,1.1,-0.35,0,0,0,EURUSD",
    "12,12,1770607200,1770607200000,0,0,7001,11,3,0.1,1.2,-0.35,0,0,0,EURUSD",
    "13,13,1770626200,1770626200000,1,1,7001,11,3,0.2,1.3,-0.7,0,3000,0,EURUSD",
)


@pytest.mark.parametrize("late", [(2, 3), (3,)])
def test_deals_out_of_a_position_that_an_earlier_file_has_wait_for_one_with_all_of_it(
    database: str, tmp_path: Path, late: tuple[int, ...]
) -> None:
    path = tmp_path / "deals.csv"
    for deals, inserted, updated, quarantined in (
        (late, 0, 0, {"fills_missing": 1}),
        ((1,), 1, 0, {}),
        ((1, 2, 3), 0, 1, {}),
    ):
        path.write_text("\n".join([DEALS[0], *(DEALS[deal] for deal in deals)]) + "\n")
        report = load(database, path, timezone="UTC+2", currency="USD")
        assert (report.inserted, report.updated, report.quarantined) == (inserted, updated, quarantined)
    assert report.explained == 1
    assert (pnls(database), list_rows(database)) == ([("closed", pytest.approx(2998.6))], [])


SPOT = (
    "Date(UTC),Pair,Side,Price,Executed,Amount,Fee",
    "2026-01-03 10:30:00,BTCUSDT,BUY,100,1BTC,100USDT,0USDT",
    "2026-02-03 10:30:00,BTCUSDT,BUY,120,1BTC,120USDT,0USDT",
    "2026-02-03 12:30:00,BTCUSDT,SELL,130,1BTC,130USDT,0USDT",
    "2026-03-03 12:30:00,BTCUSDT,SELL,130,1BTC,130USDT,0USDT",
)
"""Bought for 220 and sold for 260: what the fills gained is 40, whichever exports have them."""


def part(tmp_path: Path, *fills: int) -> Path:
    path = tmp_path / f"{'-'.join(map(str, fills))}.csv"
    path.write_text("\n".join([SPOT[0], *(SPOT[fill] for fill in fills)]) + "\n")
    return path


def pnls(database: str) -> list[tuple[str, float | None]]:
    with connect(database) as connection:
        return connection.execute("SELECT status, pnl FROM trades ORDER BY entry_time").fetchall()


def test_an_export_that_begins_in_a_position_and_one_that_begins_earlier_count_no_fill_twice(
    database: str, tmp_path: Path
) -> None:
    late = load(database, part(tmp_path, 2, 3))
    whole = load(database, part(tmp_path, 1, 2, 3, 4))
    assert (whole.inserted, whole.quarantined, whole.explained) == (0, {"overlapping_trade": 1}, 0)
    (held,) = list_rows(database)
    assert f"knowdefeat imports undo {late.import_id}" in held.message
    assert pnls(database) == [("closed", 10)]
    undo_import(database, late.import_id, "test", NOW)
    assert load(database, part(tmp_path, 1, 2, 3, 4)).inserted == 1
    assert (pnls(database), list_rows(database)) == ([("closed", 40)], [])


def test_an_export_of_the_middle_of_a_recorded_position_is_held_until_one_has_it_all(
    database: str, tmp_path: Path
) -> None:
    load(database, part(tmp_path, 1, 2, 3, 4))
    assert load(database, part(tmp_path, 2, 3)).quarantined == {"overlapping_trade": 1}
    assert pnls(database) == [("closed", 40)]
    (held,) = list_rows(database)
    with pytest.raises(QuarantineError, match="the fills of both are one trade"):  # of no use by hand either
        release(database, held.quarantine_id, {}, NOW)
    assert pnls(database) == [("closed", 40)]
    assert load(database, part(tmp_path, 1, 2, 3, 4)).explained == 1
    assert (pnls(database), list_rows(database)) == ([("closed", 40)], [])


@pytest.mark.parametrize(("first", "second", "held"), [((1,), (2, 3), 1), ((1,), (2,), 1), ((2,), (1, 2, 3, 4), 1)])
def test_exports_that_cut_a_position_are_one_trade_once_one_has_it_all(
    database: str, tmp_path: Path, first: tuple[int, ...], second: tuple[int, ...], held: int
) -> None:
    early = load(database, part(tmp_path, *first))
    assert load(database, part(tmp_path, *second)).quarantined == {"overlapping_trade": held}
    if first == (2,):
        undo_import(database, early.import_id, "test", NOW)
    load(database, part(tmp_path, 1, 2, 3, 4))
    assert (pnls(database), list_rows(database)) == ([("closed", 40)], [])


@pytest.mark.parametrize("first", ["part", "whole"])
def test_an_exit_that_a_part_of_an_export_takes_for_an_entry_counts_once(
    database: str, tmp_path: Path, first: str
) -> None:
    head = ",sid,symbol,price,order_id,amount,commission,dt,txn_dollars"
    fills = [(3, 100, 10), (4, 100, -10), (5, 90, 10), (6, 95, -10)]
    lines = [
        f"2026-02-{day:02} 10:00,A,A,{price},o{day},{units},0,2026-02-{day:02} 10:00,0" for day, price, units in fills
    ]
    (tmp_path / "whole.csv").write_text("\n".join([head, *lines]) + "\n")
    (tmp_path / "part.csv").write_text("\n".join([head, *lines[1:3]]) + "\n")
    early = load(database, tmp_path / f"{first}.csv", constants={"bot_id": "a"})
    late = load(database, tmp_path / ("part.csv" if first == "whole" else "whole.csv"), constants={"bot_id": "a"})
    assert {*late.quarantined} == {"overlapping_trade"}
    if first == "part":
        undo_import(database, early.import_id, "test", NOW)
    load(database, tmp_path / "whole.csv", constants={"bot_id": "a"})
    assert (pnls(database), list_rows(database)) == ([("closed", 0), ("closed", 50)], [])


def test_exports_that_follow_each_other_while_a_position_is_held_go_on_after_its_sale(
    database: str, tmp_path: Path
) -> None:
    load(database, part(tmp_path, 1))
    path = part(tmp_path, 3)
    path.write_text(
        path.read_text()
        + "2026-02-04 10:00:00,BTCUSDT,BUY,100,1BTC,100USDT,0USDT\n"
        + "2026-02-05 10:00:00,BTCUSDT,SELL,107,1BTC,107USDT,0USDT\n"
    )
    report = load(database, path)
    assert (report.inserted, report.quarantined) == (1, {"fills_missing": 1})
    assert pnls(database) == [("open", None), ("closed", 7)]


def test_held_fills_that_a_longer_export_does_not_have_or_explain_stay(database: str, tmp_path: Path) -> None:
    path = tmp_path / "fills.csv"
    path.write_text("\n".join(FILLS["binance_futures"]) + "\n")
    load(database, path)
    before = list_rows(database)
    head, *fills = FILLS["binance_futures"]
    other = "2026-10-31 09:00:00,ETHUSDT,BUY,100,1,100,0,USDT,0,USDT"
    path.write_text("\n".join([head, other, *fills[1:]]) + "\n")
    assert load(database, path).explained == 0
    assert list_rows(database) == before


def test_a_bot_of_another_account_is_named_when_its_trades_are_added_to_those_of_the_first(
    database: str, tmp_path: Path
) -> None:
    path = tmp_path / "trades.csv"
    head = "id,bot,pair,side,opened_at,closed_at,open_price,close_price,units"
    row = "1,{},A-USD,buy,2026-11-02,2026-11-03,10,11,1"
    path.write_text("\n".join([head, row.format(7), row.format(8)]))
    assert not any("another" in note for note in load(database, path, account="live").notes)
    path.write_text("\n".join([head, row.format(7).replace("11,1", "12,1")]))
    report = load(database, path, account="paper")
    assert report.inserted == 1
    (note,) = (note for note in report.notes if "another" in note)
    assert note == (
        "bot 7 has trades of the source 'table:live', too: these and the new ones count together, as those of one bot. "
        "If they are another bot's, as of another account, undo this import and load the file with another name of the "
        "bot: --bot NAME, or in the file"
    )
    assert not any("another" in note for note in load(database, path, account="paper").notes)
