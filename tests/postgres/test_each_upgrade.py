"""From each earlier schema, with data in it: nothing is lost, and all comes out as in a database born with today's."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.ranking.weight_set import normalise
from knowdefeat_pipeline.core.schema import TABLES, VARIABLE_NAMES
from knowdefeat_pipeline.core.simulation.bars import simulate_regimes
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect, copy_arrow
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.market import compute_regimes, compute_scores
from knowdefeat_pipeline.store.funds import save_settings, set_active
from knowdefeat_pipeline.store.learning import add_version
from knowdefeat_pipeline.store.learning_ledger import record_backtest
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.staleness import MARKET, settle, stale_days
from knowdefeat_pipeline.store.tables import stored
from knowdefeat_pipeline.store.trades import load_trades
from tests.conftest import temporary_database
from tests.faults.earlier import MEMORY, enter, fill, given, make, table_names
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
COUNTED = END + timedelta(hours=9)  # when the results were computed that the upgrade finds
UPGRADED = END + timedelta(hours=12)
LATE = END + timedelta(hours=10)  # trades that closed from then on are in no result
OF_TIME = ("volatility", "time_in_drawdown", "trade_frequency")
RESULTS = [name for name in TABLES if name not in ("fund_settings", "bot_events")]
BOOK = (
    "INSERT INTO order_book_levels (ticker, observed_at, side, price, size)"
    " VALUES ('COIN', %(at)s, 'BID', 99, 5), ('COIN', %(at)s, 'ASK', 101, 5)"
)
HELD = (
    "INSERT INTO trade_quarantine (source, file_name, row_number, reason, message, original, layout)"
    " VALUES ('s', 'f', 1, 'no_price', 'no price', '{\"a\": \"1\"}', '{}')"
)


def give(url: str) -> None:
    """All that people and bots may put in before anything is computed."""
    trades = simulate("base", bots=4, days=6, seed=5, end=END).trades
    load_trades(url, read_frame(trades, "simulator", END, capital=500.0), "fleet", simulated=True)
    bars, _ = simulate_regimes("plain", bars=600, seed=5)
    bars = bars.assign(
        ticker="COIN",
        timeframe="1h",
        open_time=pd.date_range(END - len(bars) * timedelta(hours=1), periods=len(bars), freq="h"),
    )
    with connect(url) as connection:
        names = ["ticker", "timeframe", "open_time", "open", "high", "low", "close", "volume"]
        copy_arrow(connection, "price_bars", pa.Table.from_pandas(bars[names], preserve_index=False))
        connection.execute(BOOK, {"at": END - timedelta(days=1)})
        connection.execute(HELD)
        # As 0009 says of a bot that is not active: who decided it, and when, no schema before that one knew.
        user, reason = connection.info.user, "inactive before events were recorded"
        set_active(connection, ["2"], False, user, reason)
        save_settings(connection, FundSettings("USD", 100_000), "test", "funds to divide")
        weights = normalise(dict.fromkeys(VARIABLE_NAMES[:17], 1.0))
        add_version(connection, weights, based_on=1, author="manual", reason="equal", in_force_from=END - timedelta(2))
        outcomes = pd.DataFrame(
            {"exit_time": [END - timedelta(days=9)], "strategy_id": "trend", "regime": "RANGING", "result": [0.5]}
        )
        assert record_backtest(connection, outcomes, "first", 0.5)


def close_late(url: str) -> None:
    """Trades that a bot closed after the last computation, one of them into an earlier day."""
    with connect(url) as connection:
        for name, exit_time in (("late", LATE), ("later", LATE + timedelta(hours=1)), ("old", END - timedelta(2))):
            connection.execute(
                "INSERT INTO trades (source, source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time,"
                " entry_price, exit_price, notional) VALUES"
                " ('test', %s, 9, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100)",
                (name, exit_time - timedelta(hours=1), exit_time),
            )


@pytest.fixture(scope="module")
def used(server_url: str, template: str) -> Iterator[str]:
    """A database of today's schema in use, whose results are of COUNTED."""
    with temporary_database(server_url, template) as url:
        give(url)
        compute_stale(url, COUNTED)
        yield url


@pytest.fixture(scope="module")
def expected(server_url: str, used: str, cloned: Callable[[str], AbstractContextManager[str]]) -> dict[str, list]:
    """Of a database that was born with today's schema: what was given, and the results of a clean computation."""
    with cloned(used) as url:
        close_late(url)
        with connect(url) as connection:
            computed = ", ".join(
                {*map(stored, RESULTS), *MEMORY, "trade_scores", "trade_ranges", "refreshed_days", "settled_changes"}
            )
            connection.execute(f"TRUNCATE {computed}")
        compute_stale(url, UPGRADED)
        found = given(url) | results(url)
    assert all(found.values()), [name for name, of in found.items() if not of]
    return found


def compute_stale(url: str, now: datetime) -> None:
    """The market, then all that rests on trades, as far as it is stale."""
    with open_session(url) as session:
        if found := stale_days(session.connection, MARKET, now):
            compute_regimes(session, found.first, found.last, now).require()
            compute_scores(session, found.first, found.last, now).require()
        settle(session.connection, found)
    days.compute_stale(url, now)


def results(url: str) -> dict[str, list[tuple]]:
    """All results, sorted; what 0013 left to the marks is rounded, as it may come out otherwise in the last bits."""
    found = {}
    with connect(url) as connection:
        for table in RESULTS:
            loose = [number for number, figure in enumerate(TABLES[table]) if figure.name in OF_TIME]
            names = ", ".join(figure.name for figure in TABLES[table])
            of = connection.execute(f"SELECT {names} FROM {table}").fetchall()
            found[table] = sorted((tuple(_rounded(row, loose)) for row in of), key=repr)
        ranges = connection.execute(
            "SELECT t.source, t.source_trade_id, r.average_true_range FROM trade_ranges AS r JOIN trades AS t USING (trade_id)"
        ).fetchall()
    return found | {"trade_ranges": sorted(ranges)}


def _rounded(row: tuple, loose: Sequence[int]) -> Iterator[object]:
    for number, value in enumerate(row):
        yield float(f"{value:.9g}") if number in loose and value is not None else value


@pytest.mark.long
@pytest.mark.parametrize("revision", migrations.revisions())
def test_from_every_earlier_schema_nothing_is_lost_and_all_comes_out_as_if_it_had_always_been_todays(
    revision: str, used: str, expected: dict[str, list], empty_database: str
) -> None:
    """With results of before and trades that are in none; what the schema had no table for is given after the upgrade."""
    make(empty_database, revision)
    fill(empty_database, used)
    known = table_names(empty_database)
    close_late(empty_database)
    migrations.upgrade(empty_database)
    enter(empty_database, used, known)
    compute_stale(empty_database, UPGRADED)
    found = given(empty_database) | results(empty_database)
    assert [name for name in expected if found[name] != expected[name]] == []
