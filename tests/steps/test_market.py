"""Regimes and scores on a real database: the same however they are computed, and never from what came later."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pytest

from knowdefeat_pipeline.core.market.bars import PRICES, average_true_range
from knowdefeat_pipeline.core.market.forecasts import model_forecasts
from knowdefeat_pipeline.core.market.labels import PROBABILITIES, REGIMES
from knowdefeat_pipeline.core.market.regimes import label_regimes
from knowdefeat_pipeline.core.market.trade_scores import trade_scores as scores_of
from knowdefeat_pipeline.core.schema import SCORE_NAMES
from knowdefeat_pipeline.core.simulation.bars import simulate_regimes
from knowdefeat_pipeline.postgres.connection import connect, copy_arrow
from knowdefeat_pipeline.sources.market import BARS, read_market
from knowdefeat_pipeline.steps.market import compute_regimes, compute_scores, count_bars
from knowdefeat_pipeline.steps.metrics import compute_metrics
from knowdefeat_pipeline.steps.outcome import CheckResult
from knowdefeat_pipeline.store.market import load_market
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.session import Session, open_session
from knowdefeat_pipeline.store.staleness import MARKET, RANKING, settle, stale_days
from tests.steps import days

HOUR = pd.Timedelta(hours=1)
NOW = datetime(2025, 12, 31, tzinfo=UTC)
START = pd.Timestamp("2025-03-01", tz="UTC")
FIRST, LAST = date(2025, 3, 15), date(2025, 5, 13)


def store_bars(url: str, ticker: str, bars: pd.DataFrame, timeframe: str = "1h") -> None:
    names = ["open_time", "open", "high", "low", "close", "volume"]
    with connect(url) as connection:
        copy_arrow(
            connection,
            "price_bars",
            pa.Table.from_pandas(bars[names].assign(ticker=ticker, timeframe=timeframe), preserve_index=False),
        )


def store_trades(url: str, trades: pd.DataFrame) -> None:
    """Trades with bot_id, ticker, direction, entry_time, exit_time and, if there, source and trade_id."""
    prices = {"status": "closed", "entry_price": 100.0, "exit_price": 101.0, "notional": 100.0}
    side = np.where(trades["direction"] == "LONG", 1.0, -1.0)
    with connect(url) as connection:
        rows = trades.assign(**prices, pnl=100.0 * side * (101.0 - 100.0) / 100.0)
        copy_arrow(connection, "trades", pa.Table.from_pandas(rows, preserve_index=False))


def some_trades(count: int, begin: pd.Timestamp, end: pd.Timestamp, ticker: str = "BTC", seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    exit_ = begin + pd.to_timedelta(rng.uniform(0, (end - begin).total_seconds(), count).round(3), unit="s")
    return pd.DataFrame(
        {
            "trade_id": np.arange(1, count + 1),
            "bot_id": rng.integers(1, 5, count).astype(np.int32),
            "ticker": ticker,
            "direction": rng.choice(["LONG", "SHORT"], count),
            "entry_time": exit_ - pd.to_timedelta(rng.uniform(0, 2e5, count).round(3), unit="s"),
            "exit_time": exit_,
        }
    ).astype({"entry_time": "datetime64[us, UTC]", "exit_time": "datetime64[us, UTC]"})


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    frame, _ = simulate_regimes("plain", bars=2100, seed=5)
    return frame.assign(open_time=pd.date_range(START, periods=len(frame), freq="h"))


@pytest.fixture
def market(database: str, bars: pd.DataFrame) -> str:
    """Hourly bars of BTC from March to May, some of ETH, and 400 trades of four bots."""
    store_bars(database, "BTC", bars)
    store_bars(database, "ETH", bars[300:900].assign(close=bars["open"], open=bars["close"]))
    store_trades(database, some_trades(400, START + 12 * timedelta(days=1), START + 80 * timedelta(days=1)))
    return database


def select(url: str, statement: str, *parameters: object) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(statement, parameters).fetchall()


def labels(url: str) -> list[tuple]:
    return select(url, "SELECT * FROM market_regimes ORDER BY ticker, timeframe, open_time")


def scores(url: str) -> list[tuple]:
    return select(url, f"SELECT trade_id, {', '.join(SCORE_NAMES)} FROM trade_scores ORDER BY 1")


def ranges(url: str) -> list[tuple]:
    return select(url, "SELECT trade_id, average_true_range FROM trade_ranges ORDER BY 1")


def compute(url: str, first: date = FIRST, last: date = LAST, now: datetime = NOW) -> dict[str, CheckResult]:
    """What the market's job does; its checks."""
    with open_session(url) as session:
        results = [
            count_bars(session, first, last),
            compute_regimes(session, first, last, now),
            compute_scores(session, first, last, now),
        ]
    for result in results:
        result.require()
    return days.checks(results)


def compute_figures(url: str, first: date, last: date) -> None:
    """The metrics of bots alone."""
    with open_session(url) as session:
        session.begin(first)
        compute_metrics(session, first, last, NOW)


def waiting(url: str) -> tuple[date, date] | None:
    with connect(url) as connection:
        found = stale_days(connection, MARKET, NOW, date(2015, 1, 1))
        settle(connection, found)
    return (found.first, found.last) if found else None


@pytest.mark.long
def test_days_ranges_and_the_whole_come_out_the_same_to_the_bit(market: str, bars: pd.DataFrame) -> None:
    compute(market)
    ranged = labels(market), scores(market), ranges(market)
    for day in pd.date_range(FIRST, LAST).date:
        compute(market, day, day)
    assert (labels(market), scores(market), ranges(market)) == ranged
    whole = label_regimes(bars)
    inside = whole[
        (whole["open_time"] >= pd.Timestamp(FIRST, tz="UTC"))
        & (whole["open_time"] < pd.Timestamp(LAST, tz="UTC") + 24 * HOUR)
    ]
    found = [row for row in ranged[0] if row[1] == "BTC"]
    assert len(found) == len(inside) == 60 * 24
    assert [row[4] for row in found] == list(inside["label"])
    assert [row[5:] for row in found] == [
        *inside[[*PROBABILITIES, "average_true_range"]].itertuples(index=False, name=None)
    ]
    assert {row[0] for row in found} == {*pd.date_range(FIRST, LAST).date}


def test_scores_are_those_of_the_forecasts_at_entry(market: str, bars: pd.DataFrame) -> None:
    compute(market)
    trades = some_trades(400, START + 12 * timedelta(days=1), START + 80 * timedelta(days=1))
    closed = (trades["exit_time"] >= pd.Timestamp(FIRST, tz="UTC")) & (
        trades["exit_time"] < pd.Timestamp(LAST, tz="UTC") + 24 * HOUR
    )
    expected = trades[closed].set_index("trade_id")
    expected = scores_of(expected, model_forecasts(bars), HOUR).dropna(how="all").drop(columns="price_wall_score")
    assert len(expected) > 300
    found = pd.DataFrame(scores(market), columns=["trade_id", *SCORE_NAMES]).set_index("trade_id")
    assert found.pop("price_wall_score").isna().all()
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_the_average_true_range_at_entry_is_that_of_the_last_bar_that_had_closed(
    market: str, bars: pd.DataFrame
) -> None:
    compute(market)
    found = dict(ranges(market))
    average = average_true_range(bars)
    closed = dict(select(market, "SELECT trade_id, entry_time FROM trades WHERE exit_time >= %s AND exit_time < %s",
                         FIRST, LAST + timedelta(days=1)))  # fmt: skip
    assert set(found) == set(closed)
    assert len(found) > 300
    for trade, entry in closed.items():
        place = int((pd.Timestamp(entry) - START) // HOUR) - 1
        assert found[trade] == pytest.approx(average[place], rel=1e-12)
    changed_before = select(market, "SELECT max(recorded_xid::text::bigint) FROM changes WHERE input = 'scores'")
    with connect(market) as connection:
        connection.execute("DELETE FROM trade_ranges WHERE trade_id % 2 = 0")
        connection.execute("UPDATE trade_ranges SET average_true_range = 1")
    compute(market)
    assert dict(ranges(market)) == found
    # No ranking rests on it.
    assert (
        select(market, "SELECT max(recorded_xid::text::bigint) FROM changes WHERE input = 'scores'") == changed_before
    )
    with connect(market) as connection:
        connection.execute("DELETE FROM price_bars")
        connection.execute("DELETE FROM trades WHERE trade_id <= 200")
    assert all(trade > 200 for trade, _ in ranges(market))


def test_a_label_entered_before_the_run_in_is_found_further_back(database: str, bars: pd.DataFrame) -> None:
    still = bars.assign(**{name: bars["close"].where(bars.index < 700, bars["close"][699]) for name in PRICES})
    store_bars(database, "BTC", still)
    day = LAST
    compute(database, day, day)
    found = [row[4:] for row in labels(database)]
    inside = label_regimes(still)[still["open_time"].dt.date == day]
    assert found == [*inside.drop(columns="open_time").itertuples(index=False, name=None)]
    assert set(inside["label"]) <= set(REGIMES)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("UPDATE price_bars SET volume = 1e30", "price_bars_possible"),
        ("UPDATE price_bars SET open_time = '9999-01-01Z'", "price_bars_possible"),
        ("UPDATE price_bars SET open_time = 'infinity'", "price_bars_possible"),
        ("UPDATE price_bars SET timeframe = '100000m'", "price_bars_possible"),
        ("INSERT INTO order_book_levels VALUES ('A', now(), 'BID', 1, 1e30)", "order_book_levels_possible"),
    ],
)
def test_market_data_that_would_stop_every_ticker_are_refused(market: str, change: str, constraint: str) -> None:
    with connect(market) as connection, pytest.raises(psycopg.errors.CheckViolation) as refusal:
        connection.execute(change)
    assert refusal.value.diag.constraint_name == constraint


def test_whatever_bars_and_books_the_tables_accept_the_other_tickers_come_out_the_same(market: str) -> None:
    compute(market)
    before = labels(market), scores(market)
    least, most, units = 5e-324, 1.7e308, 9.9e29
    bars = [
        ("1h", "-infinity", 1.0, 1.0, 1.0, 1.0, 1.0), ("99999w", "0044-03-14 BC", 1.0, 1.0, 1.0, 1.0, None),
        ("1h", "9998-12-31Z", 1.0, 1.0, 1.0, 1.0, 0.0), ("1h", "2025-04-01Z", most, most, least, least, units),
        ("1h", "2025-04-01 01:00Z", least, least, least, least, least), ("1h", "2025-04-01 02:00Z", most, most, most, most, least),
    ]  # fmt: skip
    levels = [(least, least, least), (most, units, units), (least, units, least), (1.0, 0.0, 0.0), (most, least, units)]
    store_trades(
        market,
        some_trades(60, START + 12 * timedelta(days=1), START + 70 * timedelta(days=1), "ABSURD").assign(
            trade_id=lambda frame: frame["trade_id"] + 1000
        ),
    )
    with connect(market) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO price_bars VALUES ('ABSURD', %s, %s, %s, %s, %s, %s, %s)", bars)
        entries = connection.execute("SELECT entry_time FROM trades WHERE ticker = 'ABSURD' LIMIT 5").fetchall()
        for (entry,), (price, bid, ask) in zip(entries, levels, strict=True):
            cursor.executemany(
                "INSERT INTO order_book_levels VALUES ('ABSURD', %s, %s, %s, %s)",
                [(entry, "BID", price, bid), (entry, "ASK", price, ask)],
            )
    assert waiting(market) is not None
    compute(market)
    assert [row for row in labels(market) if row[1] != "ABSURD"] == before[0]
    assert [row for row in scores(market) if row[0] <= 1000] == before[1]
    walls = select(market, "SELECT price_wall_score FROM trade_scores WHERE price_wall_score IS NOT NULL")
    assert len(walls) >= 2


def test_twice_is_once_and_rewrites_nothing(market: str) -> None:
    compute(market)
    before = select(market, "SELECT *, xmin::text FROM trade_scores ORDER BY 1"), labels(market)
    compute(market)
    assert (select(market, "SELECT *, xmin::text FROM trade_scores ORDER BY 1"), labels(market)) == before


def test_nothing_after_an_instant_changes_what_was_told_until_then(market: str) -> None:
    compute(market)
    until = date(2025, 4, 20)
    cut = datetime(2025, 4, 21, tzinfo=UTC)
    known = [row for row in labels(market) if row[3] < cut], scores(market)
    earlier = {trade for (trade,) in select(market, "SELECT trade_id FROM trades WHERE exit_time < %s", cut)}
    with connect(market) as connection:
        connection.execute("DELETE FROM price_bars WHERE open_time >= %s", (cut,))
        connection.execute("DELETE FROM trades WHERE exit_time >= %s", (cut,))
        connection.execute("DELETE FROM trade_scores")
        connection.execute("DELETE FROM market_regimes")
    compute(market, FIRST, until)
    assert labels(market) == known[0]
    assert scores(market) == [row for row in known[1] if row[0] in earlier]


def test_appended_bars_change_no_label_of_the_past(database: str, bars: pd.DataFrame) -> None:
    store_bars(database, "BTC", bars[:1500])
    compute(database)
    before = labels(database)
    store_bars(database, "BTC", bars[1500:])
    compute(database)
    assert labels(database)[: len(before)] == before
    assert len(labels(database)) > len(before)


def test_scores_given_from_outside_stay_where_there_are_no_market_data(market: str) -> None:
    entered = pd.Timestamp("2025-04-01 10:30", tz="UTC")
    given = pd.DataFrame(
        {
            "trade_id": [9001, 9002, 9003], "bot_id": np.array([9, 9, 9], np.int32), "ticker": ["XYZ", "BTC", "BOOK"],
            "direction": "LONG", "entry_time": entered, "exit_time": entered + HOUR,
        }
    )  # fmt: skip
    store_trades(market, given)
    with connect(market) as connection:
        for trade in given["trade_id"]:
            connection.execute("INSERT INTO trade_scores VALUES (%s, 11, 22, 33)", (int(trade),))
        for side, price, size in (("BID", 99.9, 30.0), ("ASK", 100.1, 10.0)):
            connection.execute(
                "INSERT INTO order_book_levels VALUES ('BOOK', %s, %s, %s, %s)",
                (entered - timedelta(minutes=2), side, price, size),
            )
    compute(market)
    found = {row[0]: row[1:] for row in scores(market) if row[0] > 9000}
    assert found[9001] == (11, 22, 33)
    assert found[9002][2] == 33
    assert found[9002][0] != 11
    assert found[9003] == (11, 22, 75)  # 50 + 50 · (30 - 10)/(30 + 10)


def test_the_shortest_timeframe_that_covers_an_entry_answers(database: str, bars: pd.DataFrame) -> None:
    quarters = bars.assign(open_time=pd.date_range(START + 60 * 24 * HOUR, periods=len(bars), freq="15min"))
    store_bars(database, "BTC", bars)
    store_bars(database, "BTC", quarters, "15m")
    early, late = START + 40 * 24 * HOUR, START + 75 * 24 * HOUR
    trades = some_trades(2, early, early + HOUR).assign(entry_time=[early, late], exit_time=[early + HOUR, late + HOUR])
    store_trades(database, trades)
    compute(database, early.date(), late.date())
    hourly = scores_of(trades, model_forecasts(bars), HOUR)["price_model_score"]
    quarterly = scores_of(trades, model_forecasts(quarters), HOUR / 4)["price_model_score"]
    assert [row[1] for row in scores(database)] == [hourly.iloc[0], quarterly.iloc[1]]


def bars_of(url: str, first: date, last: date) -> pd.DataFrame:
    with open_session(url) as session:
        return count_bars(session, first, last).rows


def test_the_job_counts_bars_and_finds_gaps(market: str) -> None:
    day = date(2025, 3, 20)
    with connect(market) as connection:
        connection.execute(
            "DELETE FROM price_bars WHERE open_time >= '2025-03-20 05:00Z' AND open_time < '2025-03-20 07:00Z'"
        )
    rows = bars_of(market, day, day)
    assert [*rows[["ticker", "bars", "gaps"]].itertuples(index=False, name=None)] == [("BTC", 22, 2), ("ETH", 22, 2)]
    checks = compute(market, date(2025, 3, 19), day)
    assert (checks["no_gaps"].passed, checks["no_gaps"].severity) == (False, "WARN")
    assert checks["no_gaps"].figures["missing bars"] == 4
    assert checks["probabilities_sum_to_one"].passed
    assert len(labels(market)) == 2 * (24 + 22)


def test_nights_and_weekends_of_an_exchange_are_no_gaps(database: str, bars: pd.DataFrame) -> None:
    times = pd.date_range(START, periods=24 * 28, freq="h")
    open_ = times[(times.hour >= 14) & (times.hour < 21) & (times.day_of_week < 5)]
    store_bars(database, "TSLA", bars[: len(open_)].assign(open_time=open_))
    rows = bars_of(database, START.date(), (START + 27 * 24 * HOUR).date())
    assert rows["gaps"].sum() == 0
    assert rows["bars"].sum() == len(open_)


def test_without_market_data_the_job_is_empty(database: str) -> None:
    store_trades(database, some_trades(5, START, START + 48 * HOUR))
    assert waiting(database) is None
    assert all(check.passed for check in compute(database, START.date(), START.date()).values())
    assert labels(database) == scores(database) == []


def test_what_arrives_is_pending_until_it_is_computed(database: str, bars: pd.DataFrame) -> None:
    store_trades(database, some_trades(50, START + 12 * 24 * HOUR, START + 50 * 24 * HOUR))
    store_bars(database, "BTC", bars[:960])
    found = waiting(database)
    assert found == (
        date(2025, 3, 1),
        max(date(2025, 4, 9), select(database, "SELECT max(exit_time) FROM trades")[0][0].date()),
    )
    compute(database, *found)
    assert waiting(database) is None
    assert select(database, "SELECT count(*) FROM settled_changes WHERE family = 'market'") == [(1,)]
    # Later bars touch their own days, a late one all days from its own on, a trade the day on which it closed.
    store_bars(database, "BTC", bars[962:984])
    assert waiting(database) == (date(2025, 4, 10), found[1])
    compute(database, date(2025, 4, 10), found[1])
    assert waiting(database) is None
    store_bars(database, "BTC", bars[960:962])
    assert waiting(database) == (date(2025, 4, 10), found[1])
    compute(database, date(2025, 4, 10), date(2025, 4, 10))
    assert waiting(database) == (date(2025, 4, 11), found[1])
    compute(database, date(2025, 4, 11), found[1])
    late = some_trades(1, START + 20 * 24 * HOUR, START + 20 * 24 * HOUR, seed=2).assign(trade_id=999)
    store_trades(database, late)
    assert waiting(database) == (date(2025, 3, 21), date(2025, 3, 21))
    compute(database, date(2025, 3, 21), date(2025, 3, 21))
    other = late.assign(trade_id=1000, ticker="XYZ")
    store_trades(database, other)
    assert waiting(database) is None


def test_bars_of_a_ticker_whose_trades_were_settled_touch_their_days(database: str, bars: pd.DataFrame) -> None:
    store_bars(database, "ETH", bars[:24])
    store_trades(database, some_trades(1, START + 40 * 24 * HOUR, START + 40 * 24 * HOUR))
    compute(database, *waiting(database))
    assert waiting(database) is None
    store_bars(database, "BTC", bars[:30])
    assert waiting(database) == (date(2025, 3, 1), date(2025, 4, 10))


def test_a_corrected_bar_is_news(market: str) -> None:
    compute(market, *waiting(market))
    with connect(market) as connection:
        connection.execute(
            "UPDATE price_bars SET volume = volume + 1 WHERE ticker = 'BTC' AND open_time = '2025-05-01 03:00Z'"
        )
    assert waiting(market)[0] == date(2025, 5, 1)


def metrics_of(url: str, day: date, bot: int) -> dict[str, tuple]:
    rows = select(
        url, f"SELECT ticker, {', '.join(SCORE_NAMES)} FROM bot_metrics WHERE day = %s AND bot_id = %s", day, bot
    )
    return {ticker: values for ticker, *values in rows}


def give(connection: psycopg.Connection, trade: int, *values: float | None) -> None:
    connection.execute(
        "INSERT INTO trade_scores VALUES (%s, %s, %s, %s) ON CONFLICT (trade_id) DO UPDATE SET "
        "(price_model_score, volume_model_score, price_wall_score) = "
        "(excluded.price_model_score, excluded.volume_model_score, excluded.price_wall_score)",
        (trade, *values),
    )


def test_means_of_a_bot_by_hand(database: str) -> None:
    instant = timedelta(microseconds=1)
    exits = [
        datetime(2025, 4, 1, tzinfo=UTC) - instant,
        *(datetime(2025, 4, day, 12, tzinfo=UTC) for day in (10, 20, 30)),
        datetime(2025, 5, 1, tzinfo=UTC) - instant,
    ]
    trades = pd.DataFrame(
        {
            "trade_id": range(1, 6), "bot_id": np.full(5, 7, np.int32), "ticker": ["BTC", "BTC", "ETH", "BTC", "ETH"],
            "direction": "LONG", "entry_time": [at - timedelta(hours=1) for at in exits], "exit_time": exits,
        }
    )  # fmt: skip
    store_trades(database, trades)
    with connect(database) as connection:
        give(connection, 1, 10, 20, 30)
        give(connection, 2, 40, None, None)
        give(connection, 3, 70, 80, None)
        give(connection, 5, None, 90, None)
    compute_figures(database, date(2025, 4, 29), date(2025, 5, 20))
    # The window of a day reaches back 30 days from its end, which is excluded.
    assert metrics_of(database, date(2025, 4, 29), 7) == {"*": [40, 50, 30], "BTC": [25, 20, 30], "ETH": [70, 80, None]}
    assert metrics_of(database, date(2025, 4, 30), 7) == {
        "*": [55, 85, None],
        "BTC": [40, None, None],
        "ETH": [70, 85, None],
    }
    assert metrics_of(database, date(2025, 5, 20), 7) == {
        "*": [None, 90, None],
        "BTC": [None] * 3,
        "ETH": [None, 90, None],
    }


@pytest.mark.long
def test_ranges_and_days_of_means_are_the_same_to_the_bit(market: str) -> None:
    compute(market)
    names = ", ".join(SCORE_NAMES)
    statement = f"SELECT day, bot_id, ticker, {names} FROM bot_metrics ORDER BY 1, 2, 3"
    store_trades(
        market, some_trades(100, START, START + 70 * 24 * HOUR, "ETH", seed=3).assign(trade_id=range(1001, 1101))
    )
    compute(market)
    first, last = date(2025, 4, 1), date(2025, 4, 12)
    compute_figures(market, first, last)
    ranged = select(market, statement)
    for day in pd.date_range(first, last).date:
        compute_figures(market, day, day)
    assert select(market, statement) == ranged
    last_day = [row for row in ranged if row[0] == last]
    expected = pd.DataFrame(
        select(
            market,
            f"SELECT bot_id, ticker, {names} FROM trades JOIN trade_scores USING (trade_id) "
            "WHERE exit_time >= %s AND exit_time < %s",
            datetime(2025, 3, 14, tzinfo=UTC), datetime(2025, 4, 13, tzinfo=UTC),
        ),
        columns=["bot_id", "ticker", *SCORE_NAMES],
    )  # fmt: skip
    means = pd.concat([expected, expected.assign(ticker="*")]).astype(dict.fromkeys(SCORE_NAMES, float))
    means = means.groupby(["bot_id", "ticker"])[[*SCORE_NAMES]].mean()
    assert len(last_day) == 12
    for _, bot, ticker, *values in last_day:
        wanted = means.loc[(bot, ticker)] if (bot, ticker) in means.index else [np.nan] * 3
        assert [np.nan if value is None else value for value in values] == pytest.approx([*wanted], nan_ok=True)


def test_scores_that_change_make_their_days_pending(market: str) -> None:
    run_chain(market, date(2025, 4, 1), date(2025, 4, 30))
    assert pending_first(market) is None
    with connect(market) as connection:
        trade = select(
            market, "SELECT trade_id FROM trades WHERE exit_time > '2025-04-15 00:00Z' ORDER BY exit_time LIMIT 1"
        )[0][0]
        give(connection, trade, 1, 2, 3)
    assert pending_first(market) == date(2025, 4, 15)
    run_chain(market, date(2025, 4, 15), date(2025, 4, 30))
    assert pending_first(market) is None
    with connect(market) as connection:
        give(connection, trade, 4, 5, 6)
    assert pending_first(market) == date(2025, 4, 15)


def run_chain(url: str, first: date, last: date) -> None:
    days.refresh(url, first, last, NOW)


def pending_first(url: str) -> date | None:
    with connect(url) as connection:
        found = stale_days(connection, RANKING, NOW)
        settle(connection, found)
    return found.first if found else None


@pytest.mark.long
@pytest.mark.parametrize("ticker", ["BTCUSDT", "ETHUSDT"])
def test_real_bars_end_to_end(database: str, shared_data: Path, ticker: str) -> None:
    path = shared_data / "ohlcv" / f"{ticker}_1h.csv.gz"
    load_market(database, read_market(path, BARS, now=NOW), path.name)
    end = pd.Timestamp("2025-12-01", tz="UTC")
    store_trades(database, some_trades(200, end - 720 * HOUR, end, ticker))
    first, last = date(2025, 11, 1), date(2025, 11, 30)
    compute(database, first, last)
    regimes = select(database, "SELECT label, count(*) FROM market_regimes GROUP BY 1")
    assert sum(count for _, count in regimes) == 720
    found = select(
        database,
        "SELECT count(price_model_score), count(volume_model_score), min(price_model_score), max(volume_model_score) FROM trade_scores",
    )
    assert found[0][:2] == (200, 200)
    assert 0 <= found[0][2] < 50
    assert 50 < found[0][3] <= 100
    compute_figures(database, last, last)
    for bot in (1, 2, 3, 4):
        prices, volumes, walls = metrics_of(database, last, bot)["*"]
        assert 30 < prices < 70
        assert 20 < volumes < 80
        assert walls is None


def test_a_memory_reads_what_changed_and_comes_to_the_same(market: str) -> None:
    compute(market)
    day, memory = date(2025, 4, 20), Memory(market)

    def both() -> tuple[list[tuple], list[tuple]]:
        statement = f"SELECT day, bot_id, ticker, {', '.join(SCORE_NAMES)} FROM bot_metrics ORDER BY 1, 2, 3"
        found = []
        with connect(market) as connection:
            for session in (Session(market, connection, memory), Session(market, connection)):
                session.begin(day)
                compute_metrics(session, day, day, NOW)
                found.append(select(market, statement))
        return found[0], found[1]

    first, cold = both()
    assert first == cold
    assert any(row[3] is not None for row in first)
    ((trade,),) = select(
        market, "SELECT trade_id FROM trades WHERE exit_time < '2025-04-20 00:00Z' ORDER BY exit_time DESC LIMIT 1"
    )
    with connect(market) as connection:
        give(connection, trade, 100, 0, 50)
    later, cold = both()
    assert later == cold != first
    # A score may be there before its trade closes.
    with connect(market) as connection:
        connection.execute(
            "INSERT INTO trades (trade_id, bot_id, ticker, direction, entry_time, entry_price, notional) "
            "VALUES (5000, 1, 'BTC', 'LONG', '2025-04-19 10:00Z', 100, 100)"
        )
        give(connection, 5000, 0, 0, 0)
    assert both()[0] == later
    with connect(market) as connection:
        connection.execute(
            "UPDATE trades SET status = 'closed', exit_time = '2025-04-19 12:00Z', exit_price = 101 WHERE trade_id = 5000"
        )
    closed, cold = both()
    assert closed == cold != later
