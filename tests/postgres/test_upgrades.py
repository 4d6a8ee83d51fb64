"""Databases of earlier schemas with results in them: after the upgrade these say what they said."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from adbc_driver_manager import DataError

from knowdefeat_pipeline.core.market.timeframes import BarError
from knowdefeat_pipeline.core.schema import OPEN_POSITIONS, SLOW_NAMES, TABLES
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.core.skill.verdicts import WORDS
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.canonical import explain
from knowdefeat_pipeline.sources.fields import Reason
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.market import compute_regimes, compute_scores, count_bars
from knowdefeat_pipeline.store import quarantine, quarantined
from knowdefeat_pipeline.store.funds import fund_settings, history, set_active
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.simulation import remove_simulated
from knowdefeat_pipeline.store.staleness import MARKET, RANKING, Family, Staleness, settle, stale_days
from knowdefeat_pipeline.store.tables import stored
from knowdefeat_pipeline.store.trades import load_trades
from tests.faults.earlier import make
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 40
OF_TIME = ("volatility", "time_in_drawdown", "trade_frequency")
COMPUTED = [name for name in TABLES if name not in ("fund_settings", "bot_events", "market_regimes")]
FORGOTTEN = (*map(stored, COMPUTED), "open_positions", "slow_results", "bot_days_rows", "refreshed_days", "settled_changes", "input_changes", "bot_months", "bot_months_state",
             "belief_checkpoints", "belief_checkpoints_state")  # fmt: skip
REPLACED = "its capital was {}, which cannot be computed with, and is 10000 now, as where nobody said any"
# What later migrations added to these tables.
LATER = {
    "capital",
    "capital_is_estimated",
    "sharpe_low",
    "sharpe_high",
    "flag",
    "order_p_value",
    *SLOW_NAMES,
    *(f"{name}_points" for name in SLOW_NAMES),
    *(figure.name for figure in OPEN_POSITIONS),
}
MOVED = ("bot_metrics", "win_streaks", "win_streak_summary", "bot_rankings", "variable_weights")


def columns(table: str) -> list[str]:
    """Those that were there from the beginning on."""
    return [figure.name for figure in TABLES[table] if figure.name not in LATER]


def rows(connection: psycopg.Connection, table: str) -> list[tuple]:
    names = ", ".join(columns(table))
    return connection.execute(f"SELECT {names} FROM {table} ORDER BY 1, 2, 3, 4").fetchall()


def fill(connection: psycopg.Connection, table: str, found: list[tuple]) -> None:
    names = columns(table)
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})", found)


def stale_before_positions(connection: psycopg.Connection) -> Staleness:
    """What is stale, asked of a schema that knows of no open positions yet."""
    connection.execute("CREATE TEMP TABLE positions (entry_time timestamptz, recorded_xid xid8)")
    connection.execute("CREATE TEMP TABLE position_marks (marked_at timestamptz, recorded_xid xid8)")
    return stale_days(connection, RANKING, END)


@pytest.mark.long
def test_results_written_with_their_as_of_are_the_same_by_the_marks(database: str, empty_database: str) -> None:
    """From 0012 to 0013, which leaves as_of and what follows from it to the marks."""
    trades = simulate("base", bots=8, days=DAYS, seed=5, end=END).trades
    load_trades(database, read_frame(trades, "simulator", END), "fleet")
    first, last = (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date()
    days.refresh(database, first, last, END)
    with connect(database) as connection:
        before = {table: rows(connection, table) for table in MOVED}
        assert all(before.values())

    make(empty_database, "0012")
    with connect(empty_database) as connection:
        for table in MOVED:
            fill(connection, table, before[table])
    migrations.upgrade(empty_database)

    with connect(empty_database) as connection:
        after = {table: rows(connection, table) for table in MOVED}
        marks = connection.execute("SELECT DISTINCT asset FROM refreshed_days ORDER BY 1").fetchall()
    assert [asset for (asset,) in marks] == ["bot_metrics", "bot_rankings", "variable_weights", "win_streaks"]
    loose = [number for number, name in enumerate(columns("bot_metrics")) if name in OF_TIME]
    for was, found in zip(before["bot_metrics"], after["bot_metrics"], strict=True):
        for number in loose:
            assert found[number] == (None if was[number] is None else pytest.approx(was[number], rel=1e-10, abs=1e-10))
    exact = [number for number in range(len(columns("bot_metrics"))) if number not in loose]
    assert [[row[n] for n in exact] for row in after.pop("bot_metrics")] == [
        [row[n] for n in exact] for row in before.pop("bot_metrics")
    ]
    assert after == before


def test_trades_at_impossible_times_go_to_quarantine_and_come_back_corrected(empty_database: str) -> None:
    """From 0013 to 0014: such a trade stopped every run."""
    make(empty_database, "0013")
    with connect(empty_database) as connection:
        connection.execute(
            "INSERT INTO trades (source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time, entry_price,"
            " exit_price, notional) VALUES"
            " ('early', 1, 'A', 'LONG', 'closed', '0044-03-14 BC', '0044-03-15 BC', 100, 101, 1000),"
            " ('never', 1, 'A', 'LONG', 'closed', '-infinity', '2025-02-27 12:00Z', 100, 101, 1000),"
            " ('right', 2, 'A', 'LONG', 'closed', '2025-02-27 11:00Z', '2025-02-27 12:00Z', 100, 101, 1000)"
        )
    migrations.upgrade(empty_database)
    held = quarantined.list_rows(empty_database)
    assert sorted((row.reason, row.column_name) for row in held) == [("impossible_time", "entry_time")] * 2
    for hour, row in enumerate(held, start=9):
        corrected = {"entry_time": f"2025-02-27 {hour:02}:00Z", "exit_time": f"2025-02-27 {hour:02}:30Z"}
        quarantine.release(empty_database, row.quarantine_id, corrected, END)
    days.refresh(empty_database, END.date() - timedelta(days=2), END.date() - timedelta(days=1), END)
    with connect(empty_database) as connection:
        ids = connection.execute("SELECT source_trade_id, pnl FROM trades ORDER BY 1").fetchall()
        counted = connection.execute(
            "SELECT bot_id, trades FROM bot_metrics WHERE ticker = '*' AND day = '2025-02-27' ORDER BY 1"
        ).fetchall()
    assert ids == [("early", 10.0), ("never", 10.0), ("right", 10.0)]
    assert counted == [(1, 2), (2, 1)]


def test_an_open_trade_whose_names_are_blank_can_still_be_closed_and_no_further_one_is_taken(
    empty_database: str,
) -> None:
    """From 0017 to 0020: what was recorded stays, and counts."""
    make(empty_database, "0017")
    insert = (
        "INSERT INTO trades (source_trade_id, bot_id, strategy_id, ticker, direction, entry_time, entry_price, notional)"
        " VALUES (%s, 1, ' ', '   ', 'LONG', '2025-02-27 11:00Z', 100, 1000)"
    )
    close = "UPDATE trades SET status = 'closed', exit_time = '2025-02-27 12:00Z', exit_price = 101 WHERE source_trade_id = %s"
    with connect(empty_database) as connection:
        connection.execute(insert, ("\u3000",))
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        assert connection.execute(close, ("\u3000",)).rowcount == 1
        connection.execute("UPDATE bots SET is_active = false WHERE bot_id = 1")
        with pytest.raises(psycopg.errors.CheckViolation, match="the ticker of a row of trades is blank"):
            connection.execute(insert, ("next",))
        found = connection.execute("SELECT source_trade_id, strategy_id, ticker, pnl FROM trades").fetchall()
    assert found == [("\u3000", " ", "   ", 10.0)]
    days.refresh(empty_database, END.date() - timedelta(days=2), END.date() - timedelta(days=1), END)
    with connect(empty_database) as connection:
        counted = connection.execute("SELECT ticker, avg_pnl FROM bot_metrics WHERE day = '2025-02-27' ORDER BY 1")
        assert counted.fetchall() == [("   ", 10.0), ("*", 10.0)]


@pytest.mark.long
def test_amounts_that_cannot_be_computed_with_go_to_quarantine_and_come_back_corrected(empty_database: str) -> None:
    """From 0017 to 0018: one such trade stopped every run. The days on which one counted are stale."""
    make(empty_database, "0017")
    with connect(empty_database) as connection:
        connection.execute("INSERT INTO bots (bot_id, capital) VALUES (1, 1e-320)")
        connection.execute(
            "INSERT INTO trades (source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time, entry_price,"
            " exit_price, notional, exit_trigger_price) VALUES"
            " ('huge', 1, 'A', 'LONG', 'closed', '2025-02-26 09:00Z', '2025-02-26 09:30Z', 100, 101, 1e300, NULL),"
            " ('tiny', 1, 'A', 'LONG', 'closed', '2025-02-26 10:00Z', '2025-02-26 10:30Z', 100, 1e10, 1000, 1e-300),"
            " ('pnl', 1, 'A', 'LONG', 'closed', '2025-02-26 11:00Z', '2025-02-26 11:30Z', 1e-9, 101, 1e10, NULL),"
            " ('right', 2, 'A', 'LONG', 'closed', '2025-02-27 11:00Z', '2025-02-27 12:00Z', 100, 101, 1000, NULL)"
        )
        with pytest.raises(psycopg.errors.NumericValueOutOfRange):
            connection.execute("SELECT * FROM closed_trades")
        before = connection.execute("SELECT pg_current_xact_id()").fetchone()
    migrations.upgrade(empty_database)
    held = {row.original["source_trade_id"]: row for row in quarantined.list_rows(empty_database)}
    assert {name: (row.reason, row.column_name) for name, row in held.items()} == {
        "huge": ("poison", "notional"),
        "tiny": ("poison", "exit_trigger_price"),
        "pnl": ("poison", "notional"),
    }
    assert held["huge"].message == explain(Reason.POISON, "notional", "notional", "1e+300")
    with connect(empty_database) as connection:
        noted = connection.execute(
            "SELECT since FROM input_changes WHERE input = 'trades' AND recorded_xid > %s", before
        ).fetchall()
    assert noted == [(datetime(2025, 2, 26, 9, 30, tzinfo=UTC),)]
    days.compute_stale(empty_database, END)
    with pytest.raises(quarantined.QuarantineError, match="stays in quarantine: notional '1e200' is, or gives"):
        quarantine.release(empty_database, held["huge"].quarantine_id, {"notional": "1e200"}, END)
    for name, corrected in (
        ("huge", {"notional": "1000"}),
        ("tiny", {"exit_trigger_price": "101", "exit_price": "101"}),
        ("pnl", {"entry_price": "100", "notional": "1000"}),
    ):
        quarantine.release(empty_database, held[name].quarantine_id, corrected, END)
    days.compute_stale(empty_database, END)
    with connect(empty_database) as connection:
        ids = connection.execute("SELECT source_trade_id, pnl FROM trades ORDER BY 1").fetchall()
        counted = connection.execute(
            "SELECT bot_id, trades FROM bot_metrics WHERE ticker = '*' AND day = '2025-02-27' ORDER BY 1"
        ).fetchall()
    assert ids == [("huge", 10.0), ("pnl", 10.0), ("right", 10.0), ("tiny", 10.0)]
    assert counted == [(1, 3), (2, 1)]


def test_a_capital_that_cannot_be_computed_with_is_replaced_and_the_bot_s_history_says_so(empty_database: str) -> None:
    """From 0017 to 0018: such a bot can be switched off and given another capital, as any other; from 0023 on nobody has
    stated it."""
    make(empty_database, "0017")
    with connect(empty_database) as connection:
        connection.execute(
            "INSERT INTO bots (bot_id, capital) VALUES (1, 1e-320), (2, 1e300), (3, 1e15), (4, 9e14), (5, 7)"
        )
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        assert connection.execute("SELECT bot_id, capital FROM bots ORDER BY 1").fetchall() == [
            (1, None), (2, None), (3, None), (4, 9e14), (5, 7),
        ]  # fmt: skip
        assert set_active(connection, ["1", "2"], False, "me", "a test") == ["1", "2"]
        told = [(row["bot_id"], row["kind"], row["author"], row["reason"]) for row in history(connection, None, 9)]
    assert sorted(told) == [
        (1, "corrected", "upgrade", REPLACED.format("1e-320")),
        (1, "deactivated", "me", "a test"),
        (2, "corrected", "upgrade", REPLACED.format("1e+300")),
        (2, "deactivated", "me", "a test"),
        (3, "corrected", "upgrade", REPLACED.format("1e+15")),
    ]


def closed(name: str, bot: int, at: datetime, notional: float, simulated: bool = False) -> tuple:
    return name, bot, at - timedelta(hours=1), at, 100.0 + at.hour, 101.5 + at.hour % 3 * 100, notional, simulated


def insert_closed(connection: psycopg.Connection, *trades: tuple) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO trades (source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time, entry_price,"
            " exit_price, notional, simulated) VALUES (%s, %s, 'A', 'LONG', 'closed', %s, %s, %s, %s, %s, %s)",
            trades,
        )


def mark_computed(connection: psycopg.Connection, first: date, family: Family = RANKING) -> None:
    """Say of the days from the first on that all of them was computed from what is there now: no code of this version
    computes on a schema before its own."""
    connection.execute(
        "INSERT INTO refreshed_days (asset, day, as_of, seen) SELECT asset, day, day_end(day::date), pg_current_snapshot()"
        " FROM unnest(%s::text[]) AS asset, generate_series(%s::date, %s::date, interval '1 day') AS day",
        (list(family.assets), first, END.date() - timedelta(days=1)),
    )


def results(connection: psycopg.Connection) -> dict[str, list[tuple]]:
    return {table: rows(connection, table) for table in COMPUTED}


def clean_recompute(url: str) -> dict[str, list[tuple]]:
    with connect(url) as connection:
        connection.execute(f"TRUNCATE {', '.join(FORGOTTEN)}")
    days.compute_stale(url, END)
    with connect(url) as connection:
        return results(connection)


@pytest.mark.long
def test_days_computed_before_the_upgrade_are_stale_and_settle_to_a_clean_recompute(empty_database: str) -> None:
    """From 0017 to 0018, with an amount beyond the bounds. (What the capital was, each bot has stated.)"""
    make(empty_database, "0017")
    hours = [END - timedelta(hours=7 * number) for number in range(1, 40)]
    with connect(empty_database) as connection:
        connection.execute("INSERT INTO bots (bot_id, capital) VALUES (1, 500), (2, 500), (3, 500)")
        insert_closed(connection, *(closed(f"{bot}-{at}", bot, at, 1000.0) for at in hours for bot in (1, 2, 3)))
        insert_closed(connection, closed("late", 1, END - timedelta(days=2, minutes=1), 4e15))
        mark_computed(connection, hours[-1].date())
    make(empty_database, "0018")
    with connect(empty_database) as connection:
        stale = stale_before_positions(connection)
        assert (stale.first, stale.last) == (END.date() - timedelta(days=3), END.date() - timedelta(days=1))
    migrations.upgrade(empty_database)
    days.compute_stale(empty_database, END)
    with connect(empty_database) as connection:
        after = {table: found for table, found in results(connection).items() if "fund" not in table}
    clean = clean_recompute(empty_database)
    since = END.date() - timedelta(days=3)
    assert after["bot_rankings"]
    assert {table: [row for row in found if since in row] for table, found in after.items()} == {
        table: [row for row in clean[table] if since in row] for table in after
    }


def test_another_capital_counts_from_the_first_trade_of_its_bot_on(empty_database: str) -> None:
    """From 0017 to 0018: what cannot be computed with is no capital."""
    make(empty_database, "0017")
    hours = [END - timedelta(hours=7 * number) for number in range(1, 40)]
    with connect(empty_database) as connection:
        connection.execute("INSERT INTO bots (bot_id, capital) VALUES (1, 500), (2, 1e16)")
        insert_closed(connection, *(closed(f"{bot}-{at}", bot, at, 1000.0) for at in hours for bot in (1, 2)))
        mark_computed(connection, hours[-1].date())
    make(empty_database, "0018")
    with connect(empty_database) as connection:
        stale = stale_before_positions(connection)
        assert (stale.first, stale.last) == (hours[-1].date(), END.date() - timedelta(days=1))


def test_a_simulated_trade_stays_simulated_in_quarantine_and_goes_with_the_fleet(empty_database: str) -> None:
    """From 0017 to 0018."""
    make(empty_database, "0017")
    at = END - timedelta(hours=9)
    with connect(empty_database) as connection:
        insert_closed(connection, closed("invented", 1, at, 1e16, True), closed("own", 2, at, 1e16))
    migrations.upgrade(empty_database)
    held = quarantined.list_rows(empty_database)
    assert {row.original["source_trade_id"]: row.simulated for row in held} == {"invented": True, "own": False}
    with connect(empty_database) as connection:
        remove_simulated(connection)
    assert [row.original["source_trade_id"] for row in quarantined.list_rows(empty_database, None)] == ["own"]


def test_market_data_that_stopped_every_ticker_go_to_quarantine_and_their_days_are_stale(empty_database: str) -> None:
    """From 0017 to 0018: a timeframe and a year that nobody can tell, and a size whose sum is no number."""
    make(empty_database, "0017")
    first, last = END.date() - timedelta(days=6), END.date() - timedelta(days=1)
    with connect(empty_database) as connection:
        connection.execute(
            "INSERT INTO price_bars (ticker, timeframe, open_time, open, high, low, close) SELECT 'B', '1h', hour,"
            " 100 + n %% 7, 110, 90, 100 + n %% 5 FROM generate_series(%s::timestamptz, %s, interval '1 hour')"
            " WITH ORDINALITY AS h (hour, n)",
            (END - timedelta(days=8), END - timedelta(hours=1)),
        )
        insert_closed(connection, closed("a", 1, END - timedelta(days=3), 1000.0))
        connection.execute(
            "INSERT INTO order_book_levels (ticker, observed_at, side, price, size) VALUES"
            " ('A', %(at)s, 'BID', 100, 5), ('A', %(at)s, 'ASK', 100.5, 1e300)",
            {"at": END - timedelta(days=3, hours=1)},
        )
    with connect(empty_database) as connection:
        mark_computed(connection, first, MARKET)
        settle(connection, stale_days(connection, MARKET, END, first))
        connection.execute(
            "INSERT INTO price_bars (ticker, timeframe, open_time, open, high, low, close, volume) VALUES"
            " ('C', '100000m', '2025-02-27Z', 1, 1, 1, 1, NULL), ('C', '1h', '294276-12-31Z', 1, 1, 1, 1, NULL),"
            " ('C', '1h', '2025-02-28Z', 1, 1, 1, 1, 1.7e308)"
        )
    with open_session(empty_database) as session:
        with pytest.raises(DataError, match="timestamp out of range"):
            count_bars(session, first, last)
        with pytest.raises(BarError, match="'100000m' is not a timeframe"):
            compute_scores(session, first, last, END)
    migrations.upgrade(empty_database)
    held = {(row.source, row.reason): row for row in quarantined.list_rows(empty_database)}
    assert {key: row.column_name for key, row in held.items()} == {
        ("bars", "bad_timeframe"): "timeframe",
        ("bars", "future_time"): "open_time",
        ("bars", "poison"): "volume",
        ("order books", "poison"): "size",
    }
    with connect(empty_database) as connection:
        stale = stale_days(connection, MARKET, END, first)
        assert {*stale.days} >= {END.date() - timedelta(days=back) for back in range(1, 5)}
    with pytest.raises(quarantined.QuarantineError, match="volumes and sizes stay below 1e"):
        quarantine.release(empty_database, held["order books", "poison"].quarantine_id, {"size": "1e31"}, END)
    quarantine.release(empty_database, held["order books", "poison"].quarantine_id, {"size": "15"}, END)
    quarantine.release(empty_database, held["bars", "bad_timeframe"].quarantine_id, {"timeframe": "1h"}, END)
    quarantine.release(empty_database, held["bars", "poison"].quarantine_id, {"volume": "3"}, END)
    compute_market(empty_database, stale.first, last)
    with connect(empty_database) as connection:
        assert connection.execute("SELECT price_wall_score FROM trade_scores").fetchall() == [(25.0,)]
        assert connection.execute("SELECT volume FROM price_bars WHERE ticker = 'C' ORDER BY 1").fetchall() == [
            (3.0,), (None,),
        ]  # fmt: skip


def compute_market(url: str, first: date, last: date) -> None:
    with open_session(url) as session:
        count_bars(session, first, last)
        compute_regimes(session, first, last, END)
        compute_scores(session, first, last, END)


@pytest.mark.long
def test_a_bot_that_was_deleted_by_hand_comes_back_switched_off(empty_database: str) -> None:
    """From 0018 to 0019. Its trades had stayed, and nothing named it."""
    make(empty_database, "0018")
    hours = [END - timedelta(hours=7 * number) for number in range(1, 40)]
    with connect(empty_database) as connection:
        insert_closed(connection, *(closed(f"{bot}-{at}", bot, at, 1000.0) for at in hours for bot in (1, 2, 3)))
        connection.execute(
            "INSERT INTO fund_settings (quote_currency, in_force_from, funds, method, bot_cap, ticker_cap, "
            "minimum_ticket, drawdown_limit, daily_loss_limit, cool_down_hours, author, reason) "
            "VALUES ('USD', %s, 1000, 'rank_score', 0.1, 1, 0, 25, 5, 24, 'test', 'a test')",
            (END - timedelta(days=30),),
        )
        connection.execute("DELETE FROM bots WHERE bot_id = 2")
        mark_computed(connection, hours[-1].date())
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        bots = connection.execute("SELECT bot_id, is_active, capital FROM bots ORDER BY 1").fetchall()
        assert bots == [(1, True, None), (2, False, None), (3, True, None)]
        (event,) = history(connection, "2", 9)
        assert (event["kind"], event["author"]) == ("deactivated", "upgrade")
        assert event["reason"] == "its row had been deleted by hand, while its trades stayed"
        stale = stale_days(connection, RANKING, END)
        assert (stale.first, stale.last) == (hours[-1].date(), END.date() - timedelta(days=1))
    migrations.upgrade(empty_database)
    days.compute_stale(empty_database, END)
    with connect(empty_database) as connection:
        after = results(connection)
    assert after == clean_recompute(empty_database)


def test_bots_keep_their_numbers_and_a_capital_that_nobody_stated_is_estimated(empty_database: str) -> None:
    """From 0022 to 0023: every bot is named by its number, 10,000 were the default, and days with them are computed anew."""
    make(empty_database, "0022")
    day = END.date() - timedelta(days=2)
    trade = (
        "INSERT INTO trades (source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time, entry_price,"
        " exit_price, notional, quote_currency, simulated) VALUES"
    )
    with connect(empty_database) as connection:
        for bot, currency, simulated in ((7, "USD", False), (-3, "USD", False), (5, "JPY", False), (6, "USD", True)):
            connection.execute(
                f"{trade} ('a', {bot}, 'A', 'LONG', 'closed', '{day} 11:00Z', '{day} 12:00Z', 100, 90, 400, '{currency}',"
                f" {simulated})".replace("'a'", f"'{bot}'")
            )
        connection.execute("UPDATE bots SET capital = 500 WHERE bot_id = 5")
        connection.execute(
            "INSERT INTO bot_metrics_rows (day, bot_id, ticker, trades, wins, losses, first_exit, last_exit, lifetime_trades)"
            " SELECT %s, bot_id, '*', 1, 0, 1, now(), now(), 1 FROM bots",
            (day,),
        )
        connection.execute(
            "INSERT INTO refreshed_days (asset, day, as_of, seen) SELECT asset, %s, day_end(%s), pg_current_snapshot() "
            "FROM unnest(%s::text[]) AS asset",
            (day, day, list(RANKING.assets)),
        )
        connection.execute(
            "INSERT INTO fund_settings (quote_currency, funds, method, bot_cap, ticker_cap, minimum_ticket, drawdown_limit,"
            " daily_loss_limit, cool_down_hours, author, reason) VALUES ('JPY', 99.95, 'equal', 1, 1, 0, 25, 5, 24, 'a', 'b')"
        )
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        bots = connection.execute("SELECT bot_id, name, capital FROM bots ORDER BY 1").fetchall()
        shown = connection.execute(
            "SELECT bot_id, capital, capital_is_estimated FROM bot_metrics_rows ORDER BY 1"
        ).fetchall()
        stale = stale_days(connection, RANKING, END)
        (settings,) = fund_settings(connection)
        connection.execute(trade.replace("bot_id", "bot_name") + (
            f" ('n', 'new', 'A', 'LONG', 'closed', '{day} 11:00Z', '{day} 12:00Z', 100, 90, 400, 'USD', false)"
        ))  # fmt: skip
        assert connection.execute("SELECT bot_id FROM bots WHERE name = 'new'").fetchall() == [(-4,)]
    assert bots == [(-3, "-3", None), (5, "5", 500.0), (6, "6", 10_000.0), (7, "7", None)]
    assert shown == [(-3, 10_000, True), (5, 500, False), (6, 10_000, False), (7, 10_000, True)]
    assert stale.days == (day,)
    assert settings.funds == 99
    days.refresh(empty_database, day, day, END)
    with connect(empty_database) as connection:
        found = connection.execute(
            "SELECT bot_id, capital, capital_is_estimated, max_drawdown FROM bot_metrics WHERE ticker = '*' ORDER BY 1"
        ).fetchall()
    assert found == [
        (-4, 400, True, 10),
        (-3, 400, True, 10),
        (5, 500, False, 8),
        (6, 10_000, False, 0.4),
        (7, 400, True, 10),
    ]


def test_trades_from_before_their_terms_were_kept_say_what_they_said(empty_database: str) -> None:
    """From 0020 to 0021: with a size or without, closed or open; and no day becomes stale."""
    make(empty_database, "0020")
    with connect(empty_database) as connection:
        connection.execute("INSERT INTO bots (bot_id, capital) VALUES (1, 500), (2, 500)")
        connection.execute(
            "INSERT INTO trades (source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time, entry_price,"
            " exit_price, notional, fees, pnl) VALUES"
            " ('long', 1, 'A', 'LONG', 'closed', '2025-02-26 09:00Z', '2025-02-26 09:30Z', 3, 3.1, 1000, 0.7, NULL),"
            " ('short', 1, 'A', 'SHORT', 'closed', '2025-02-26 10:00Z', '2025-02-26 10:30Z', 3, 3.1, 1000, -0.1, 9.5),"
            " ('stated', 1, 'A', 'LONG', 'closed', '2025-02-26 11:00Z', '2025-02-26 11:30Z', 3, 3.1, NULL, 0.7, 12.5),"
            " ('open', 2, 'A', 'LONG', 'open', '2025-02-27 11:00Z', NULL, 3, NULL, 1000, 0, NULL),"
            " ('unsized', 2, 'A', 'SHORT', 'pending_exit', '2025-02-27 11:00Z', NULL, 3, NULL, NULL, 0, 4.5)"
        )
        before = connection.execute("SELECT * FROM trades ORDER BY trade_id").fetchall()
        changes = connection.execute("SELECT * FROM input_changes ORDER BY 1, 2").fetchall()
        mark_computed(connection, date(2025, 2, 26))
    make(empty_database, "0021")
    with connect(empty_database) as connection:
        names = [column for (column,) in connection.execute(COLUMNS_OF_TRADES)][: len(before[0])]
        assert connection.execute(f"SELECT {', '.join(names)} FROM trades ORDER BY trade_id").fetchall() == before
        bases = "SELECT source_trade_id, pnl, pnl_basis FROM trades ORDER BY trade_id"
        assert connection.execute(bases).fetchall() == [
            ("long", 1000 * 1 * (3.1 - 3) / 3 - 0.7, "computed"),
            ("short", 1000 * -1 * (3.1 - 3) / 3 + 0.1, "computed"),
            ("stated", 12.5, "stated"),
            ("open", None, "computed"),
            ("unsized", None, "computed"),
        ]
        terms = "SELECT DISTINCT quantity, contract_multiplier, contract_type, funding, entry_fee, exit_fee, exits FROM trades"
        assert connection.execute(terms).fetchall() == [(None, 1, "linear", 0, None, None, 1)]
        assert connection.execute("SELECT * FROM input_changes ORDER BY 1, 2").fetchall() == changes
        assert stale_before_positions(connection).days == ()
        close = (
            "UPDATE trades SET status = 'closed', exit_time = '2025-02-28', exit_price = 6 WHERE source_trade_id = %s"
        )
        connection.execute(close, ["open"])
        connection.execute(close, ["unsized"])
        assert connection.execute(bases).fetchall()[3:] == [("open", 1000.0, "computed"), ("unsized", 4.5, "stated")]


def test_verdicts_in_words_are_the_same_by_their_codes(empty_database: str) -> None:
    """From 0047 to 0048: every sentence comes back; what is none of them is computed again."""
    make(empty_database, "0047")
    count, said = len(WORDS), "SELECT bot_id, verdict FROM bot_skill WHERE day = '2025-02-26' ORDER BY 1"
    zeros = [0] * count
    with connect(empty_database) as connection:
        connection.execute("INSERT INTO bots (bot_id) SELECT generate_series(0, %s)", (count - 1,))
        mark_computed(connection, date(2025, 2, 26))
        connection.execute(
            "INSERT INTO bot_skill_rows (day, time_window, bot_id, trades, edge, edge_low, edge_high, p_skill, verdict)"
            " VALUES ('2025-02-26', 'lifetime', %s, %s, %s, %s, %s, %s, %s)",
            ([*range(count)], zeros, zeros, zeros, zeros, zeros, WORDS.tolist()),
        )
        connection.execute("CREATE VIEW own AS SELECT bot_id, verdict FROM report.skill ORDER BY 1")  # what people make
        before = connection.execute(said).fetchall()
    assert before == [*enumerate(WORDS.tolist())]
    make(empty_database, "0048")
    with connect(empty_database) as connection:
        assert connection.execute(said).fetchall() == connection.execute("TABLE own").fetchall() == before
        assert stale_days(connection, RANKING, END).days == ()


def test_a_verdict_that_is_no_longer_said_is_said_anew(empty_database: str) -> None:
    make(empty_database, "0047")
    with connect(empty_database) as connection:
        connection.execute("INSERT INTO bots (bot_id) VALUES (1)")
        mark_computed(connection, date(2025, 2, 26))
        connection.execute(
            "INSERT INTO bot_skill_rows (day, time_window, bot_id, trades, edge, edge_low, edge_high, p_skill, verdict)"
            " VALUES ('2025-02-26', 'lifetime', '{1}', '{9}', '{0}', '{0}', '{0}', '{0.5}', '{who knows}')"
        )
    make(empty_database, "0048")
    with connect(empty_database) as connection:
        assert connection.execute("SELECT bot_id, verdict FROM bot_skill").fetchall() == [(1, None)]
        assert stale_days(connection, RANKING, END).days == tuple(date(2025, 2, day) for day in (26, 27, 28))


COLUMNS_OF_TRADES = (
    "SELECT attname FROM pg_attribute WHERE attrelid = 'trades'::regclass AND attnum > 0 AND NOT attisdropped"
    " ORDER BY attnum"
)


HAND_OVER = """
    SELECT format('ALTER %s %s OWNER TO upgrading_owner', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, oid::regclass)
    FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'report'::regnamespace) AND relkind IN ('r', 'v')
    UNION ALL
    SELECT format('ALTER FUNCTION %s OWNER TO upgrading_owner', oid::regprocedure)
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
"""


@pytest.mark.long
@pytest.mark.parametrize("revision", ["0017", "0022", migrations.revisions()[-2]])
def test_a_database_whose_tables_belong_to_a_role_is_upgraded_as_that_role(empty_database: str, revision: str) -> None:
    """As a server that is ours alone hands its tables to a role that is no superuser."""
    make(empty_database, revision)
    with connect(empty_database) as connection:
        connection.execute("CREATE ROLE upgrading_owner")
        for statement in (
            *(row[0] for row in connection.execute(HAND_OVER).fetchall()),
            "ALTER SCHEMA report OWNER TO upgrading_owner",
            "GRANT USAGE, CREATE ON SCHEMA public TO upgrading_owner",
        ):
            connection.execute(statement)
        try:
            assert migrations.upgrade(empty_database)[-1] == migrations.revisions()[-1]
            owners = connection.execute(
                "SELECT DISTINCT relowner::regrole::text FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')"
            ).fetchall()
        finally:
            connection.execute("REASSIGN OWNED BY upgrading_owner TO CURRENT_USER")
            connection.execute("DROP OWNED BY upgrading_owner")
            connection.execute("DROP ROLE upgrading_owner")
    assert len(owners) == 1
