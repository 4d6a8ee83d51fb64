"""Beliefs on a real database: what a day's beliefs rest on, bit for bit, and what may not move them."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import psycopg
import pytest

from knowdefeat_pipeline.core.beliefs.calibration import calibration
from knowdefeat_pipeline.core.beliefs.daily import Memory
from knowdefeat_pipeline.core.beliefs.learning import fold
from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.posterior import beliefs_at
from knowdefeat_pipeline.core.beliefs.r_multiples import Volatility, standardise
from knowdefeat_pipeline.core.beliefs.state import Rules, State
from knowdefeat_pipeline.core.beliefs.strategy_weights import adaptive_weights
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.beliefs import compute_beliefs
from knowdefeat_pipeline.steps.outcome import CheckResult
from knowdefeat_pipeline.store.belief_checkpoints import checkpoint_before, pack, unpack, worth_keeping
from knowdefeat_pipeline.store.learning_ledger import LedgerError, record_backtest, record_reset, record_withdrawal
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.simulation import remove_simulated
from knowdefeat_pipeline.store.staleness import BELIEFS, stale_days
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 12
FIRST, LAST = (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date()
TABLES = ("strategy_beliefs", "strategy_weights", "strategy_calibration")
START = datetime(2025, 2, 1, tzinfo=UTC)


@pytest.fixture
def fleet(database: str) -> str:
    """A database with six bots' trades over twelve days."""
    trades = simulate("base", bots=6, days=DAYS, seed=3, end=END).trades
    load_trades(database, read_frame(trades, "simulator", END), "fleet", simulated=True)
    return database


def materialise(url: str, first: date, last: date) -> dict[str, CheckResult]:
    days.refresh(url, first, last, END + timedelta(days=9))
    return learn(url, first, last)


def learn(url: str, first: date, last: date) -> dict[str, CheckResult]:
    return days.checks([*days.learn(url, first, last)])


def tables(url: str, first: date = FIRST) -> dict[str, list[tuple]]:
    with connect(url) as connection:
        return {
            name: connection.execute(f"SELECT * FROM {name} WHERE day >= %s ORDER BY 1, 2, 3, 4", (first,)).fetchall()
            for name in TABLES
        }


def forget_checkpoints(url: str) -> None:
    with connect(url) as connection:
        connection.execute("DELETE FROM belief_checkpoints")


def close(connection: psycopg.Connection, bot: int, exit_time: datetime, pnl: float, **columns: object) -> None:
    """One closed trade over an hour with exactly that net pnl on 100."""
    values = {
        "bot_id": bot, "ticker": "COIN", "direction": "LONG", "status": "closed",
        "entry_time": exit_time - timedelta(hours=1), "exit_time": exit_time, "entry_price": 100,
        "exit_price": 100 + pnl, "notional": 100, **columns,
    }  # fmt: skip
    names = ", ".join(values)
    connection.execute(f"INSERT INTO trades ({names}) VALUES ({', '.join(['%s'] * len(values))})", [*values.values()])


def label(connection: psycopg.Connection, ticker: str, at: datetime, name: str, timeframe: str = "1h") -> None:
    connection.execute(
        "INSERT INTO market_regimes (day, ticker, timeframe, open_time, label) VALUES (%s, %s, %s, %s, %s)",
        (at.date(), ticker, timeframe, at, name),
    )


def held(url: str, column: str = "weight", day: date = LAST) -> dict[str, float]:
    with connect(url) as connection:
        rows = connection.execute(f"SELECT strategy_id, {column} FROM strategy_weights WHERE day = %s", (day,))
        return dict(rows.fetchall())


def believed(url: str, column: str, day: date = LAST, regime: str = "*") -> dict[str, float]:
    with connect(url) as connection:
        rows = connection.execute(
            f"SELECT strategy_id, {column} FROM strategy_beliefs WHERE day = %s AND regime = %s", (day, regime)
        )
        return dict(rows.fetchall())


def test_a_small_history_against_the_fold_itself(database: str) -> None:
    day = date(2025, 2, 10)
    exits = [datetime(2025, 2, 10, hour, tzinfo=UTC) for hour in (1, 2, 3, 4)]
    with connect(database) as connection:
        close(connection, 7, exits[0], 10.0, strategy_id="momentum")
        close(connection, 7, exits[1], -5.0)  # the bot's strategy
        close(connection, 8, exits[2], 3.0)  # a bot without one
        close(connection, 8, exits[3], -2.0, strategy_id="fade")
    materialise(database, day, day)
    bots, names = np.array([7, 7, 8, 8]), ["momentum", "momentum", "bot 8", "fade"]
    result, _ = standardise(np.array([10.0, -5.0, 3.0, -2.0]), bots, Volatility.unknown())
    times = [at.timestamp() / 86_400 for at in exits]
    rules = Rules()
    history = pd.DataFrame({"time": times, "strategy_id": names, "result": result})
    state = fold(State.prior(rules), Outcomes.from_frame(history), rules)
    beliefs = beliefs_at(state, datetime(2025, 2, 11, tzinfo=UTC).timestamp() / 86_400, rules, {})
    assert state.strategies == ("bot 8", "fade", "momentum")
    assert believed(database, "edge", day) == dict(zip(state.strategies, beliefs.edge[0], strict=True))
    assert believed(database, "win_rate", day) == dict(zip(state.strategies, beliefs.p_win[0], strict=True))
    weights = adaptive_weights(beliefs.edge, beliefs.edge_sd)[0]
    assert held(database, day=day) == dict(zip(state.strategies, weights, strict=True))
    assert sum(held(database, day=day).values()) == 1


def test_daily_ranged_and_from_scratch_are_the_same_to_the_bit(fleet: str) -> None:
    materialise(fleet, FIRST, LAST)
    ranged = tables(fleet)
    assert all(ranged.values())
    for n in range(DAYS - 4, DAYS):
        day = FIRST + timedelta(days=n)
        learn(fleet, day, day)
    assert tables(fleet) == ranged
    forget_checkpoints(fleet)
    learn(fleet, LAST, LAST)
    assert tables(fleet) == ranged
    materialise(fleet, FIRST, LAST)
    assert tables(fleet) == ranged


def test_a_late_trade_is_folded_in_its_place(fleet: str) -> None:
    materialise(fleet, FIRST, LAST)
    before = tables(fleet)
    late = datetime.combine(LAST - timedelta(days=4), datetime.min.time(), tzinfo=UTC) + timedelta(hours=9)
    with connect(fleet) as connection:
        close(connection, 3, late, -7.0)
    materialise(fleet, LAST, LAST)  # goes on from the last checkpoint that still holds
    continued = tables(fleet, LAST)
    assert continued != tables_of(before, LAST)
    forget_checkpoints(fleet)
    materialise(fleet, FIRST, LAST)
    assert tables(fleet, LAST) == continued
    assert tables_of(tables(fleet), FIRST, late.date()) == tables_of(before, FIRST, late.date())


def tables_of(found: dict[str, list[tuple]], first: date, before: date = date.max) -> dict[str, list[tuple]]:
    return {name: [row for row in rows if first <= row[0] < before] for name, rows in found.items()}


def test_learning_goes_on_from_the_last_checkpoint(fleet: str) -> None:
    materialise(fleet, FIRST, LAST)
    yesterday = datetime.combine(LAST, datetime.min.time(), tzinfo=UTC)
    with connect(fleet) as connection:
        kept = {row[0] for row in connection.execute("SELECT day FROM belief_checkpoints")}
        (trades,) = connection.execute("SELECT count(*) FROM trades WHERE exit_time >= %s", (yesterday,)).fetchone()
        as_of, memory = checkpoint_before(connection, LAST)
    assert kept == {LAST - timedelta(days=n) for n in range(7)}
    assert (as_of, pack(unpack(pack(memory)))) == (yesterday, pack(memory))
    with open_session(fleet) as session:
        learned = compute_beliefs(session, LAST, LAST)
    assert (learned.since, learned.outcomes) == (yesterday, trades)
    assert "is believed to have the largest edge" in learned.statement


def test_which_checkpoints_are_kept() -> None:
    kept = [day for n in range(60) if worth_keeping(day := LAST - timedelta(days=n), LAST)]
    assert kept[:7] == [LAST - timedelta(days=n) for n in range(7)]
    assert kept[7:] == [date(2025, 1, 31), date(2024, 12, 31)]


def test_memory_survives_packing_when_empty() -> None:
    assert unpack(pack(Memory.empty(Rules()))).state.strategies == ()


def test_a_day_without_any_trade_is_empty_and_not_a_failure(database: str) -> None:
    assert all(check.passed for check in materialise(database, FIRST, FIRST).values())
    found = tables(database)
    assert found["strategy_beliefs"] == found["strategy_weights"] == []
    assert [row[2:5] for row in found["strategy_calibration"]] == [("*", 0, 0)]


def test_checks_carry_their_figures(fleet: str) -> None:
    checks = materialise(fleet, FIRST, LAST)
    assert checks["weights_sum_to_one"].figures == {
        "days": DAYS, "largest distance of a sum from 1": 0.0, "negative or missing": 0
    }  # fmt: skip
    assert checks["beliefs_are_finite"].figures["wrong"] == 0
    assert checks["weights_sum_to_one"].passed


# Regimes


def two_sides(connection: psycopg.Connection, days: int = 40) -> None:
    """`trend` wins while COIN trends and loses while it ranges, `fade` the other way round; labels a bar before."""
    rng = np.random.default_rng(1)
    for n in range(days):
        day = START + timedelta(days=n - days)
        name, way = (("TRENDING", 1), ("RANGING", -1))[n // 5 % 2]
        for hour in range(0, 24, 6):
            label(connection, "COIN", day + timedelta(hours=hour), name)
            exit_time = day + timedelta(hours=hour + 2)
            for bot, strategy, sign in ((1, "trend", way), (2, "fade", -way)):
                close(connection, bot, exit_time, float(sign + rng.normal()), strategy_id=strategy)


def test_a_change_of_regime_changes_the_weights(database: str) -> None:
    day = (START - timedelta(days=1)).date()
    with connect(database) as connection:
        two_sides(connection)
    materialise(database, day, day)
    ranging = held(database, day=day)  # the last label
    assert ranging["fade"] > 0.8
    assert held(database, "p_ranging", day) == {"fade": 1.0, "trend": 1.0}
    assert held(database, "weight_trending", day)["trend"] > 0.8
    with connect(database) as connection:
        label(connection, "COIN", START - timedelta(hours=1), "TRENDING")
    learn(database, day, day)
    trending = held(database, day=day)
    assert trending["trend"] > 0.8
    assert trending == held(database, "weight_trending", day)
    assert believed(database, "edge", day) == believed(database, "edge", day, "TRENDING")


def reverse(connection: psycopg.Connection, days: int = 40) -> date:
    """`up` wins for 12 days and then loses, `down` the other way round; the day of the turn."""
    for n in range(days):
        day = START + timedelta(days=n - days)
        way = 1 if n < 12 else -1
        for hour in range(0, 24, 2):
            for bot, strategy, sign in ((1, "up", way), (2, "down", -way)):
                size = float(2 * sign + (1 if hour % 4 else -1))
                close(connection, bot, day + timedelta(hours=hour, minutes=bot), size, strategy_id=strategy)
    return (START + timedelta(days=12 - days)).date()


def weights_by_day(url: str) -> pd.DataFrame:
    with connect(url) as connection:
        rows = connection.execute("SELECT day, strategy_id, weight, exposure FROM strategy_weights").fetchall()
    return pd.DataFrame(rows, columns=["day", "strategy", "weight", "exposure"])


def test_weights_move_by_at_most_a_fifth_a_day_and_only_some_of_the_book_is_held_meanwhile(database: str) -> None:
    with connect(database) as connection:
        turn = reverse(connection)
    first, last = turn - timedelta(days=5), (START - timedelta(days=1)).date()
    materialise(database, first, last)
    rows = weights_by_day(database)
    weights = rows.pivot(index="day", columns="strategy", values="weight")
    moved = weights.diff().abs().sum(axis=1)
    assert moved.max() == pytest.approx(0.2, abs=1e-9)
    assert (weights.sum(axis=1) == 1).all()
    assert weights.loc[turn - timedelta(days=1), "up"] > 0.9
    assert weights.loc[last, "down"] > 0.7
    assert (rows.groupby("day")["exposure"].nunique() == 1).all()
    held = rows.groupby("day")["exposure"].first()
    assert held[turn - timedelta(days=1)] > 0.9
    assert held.min() < 0.6  # while most is still held in what loses


@pytest.mark.long
def test_days_that_moved_on_from_an_older_day_are_stale(database: str) -> None:
    with connect(database) as connection:
        turn = reverse(connection)
    first, last = turn - timedelta(days=5), (START - timedelta(days=1)).date()
    materialise(database, first, last)
    whole = tables(database)
    at = START + timedelta(hours=1)

    def stale() -> list[date]:
        with connect(database) as connection:
            found = stale_days(connection, BELIEFS, at)
            return [day for day in found.days if day >= first]

    assert stale() == []
    learn(database, turn, turn)
    assert stale() == [turn + timedelta(days=n) for n in range(1, (last - turn).days + 1)]
    learn(database, turn + timedelta(days=1), turn + timedelta(days=3))
    assert stale() == [turn + timedelta(days=n) for n in range(4, (last - turn).days + 1)]
    learn(database, turn + timedelta(days=4), last)
    assert stale() == []
    assert tables(database) == whole


def test_an_outcome_belongs_to_the_last_bar_that_had_closed_before_its_entry(database: str) -> None:
    entry = datetime(2025, 2, 10, 12, 30, tzinfo=UTC)
    with connect(database) as connection:
        for minutes, name in ((-150, "RANGING"), (-90, "VOLATILE"), (-59, "TRENDING")):  # the last closes too late
            label(connection, "COIN", entry + timedelta(minutes=minutes), name)
        label(connection, "COIN", entry - timedelta(days=1), "TRENDING", "1d")  # a coarser series
        label(connection, "ETH", entry - timedelta(days=9), "TRENDING", "1h")  # too long ago
        label(connection, "BTC", entry - timedelta(hours=2), "NEUTRAL")
        exits = dict(zip(("COIN", "ETH", "BTC", "SOL"), range(4), strict=True))
        for ticker, minute in exits.items():
            close(connection, 1, entry + timedelta(hours=1, minutes=minute), 1.0, ticker=ticker,
                  entry_time=entry)  # fmt: skip
    with open_session(database) as session:
        rows = session.read("beliefs/belief_outcomes", "-infinity", entry + timedelta(days=1))
    assert rows.sort_by("exit_time")["regime"].to_pylist() == ["VOLATILE", None, None, None]


def test_relabelled_bars_make_checkpoints_stale(database: str) -> None:
    day = (START - timedelta(days=1)).date()
    with connect(database) as connection:
        two_sides(connection)
    materialise(database, day - timedelta(days=1), day)
    with connect(database) as connection:
        connection.execute("UPDATE market_regimes SET label = 'VOLATILE' WHERE label = 'RANGING'")
    learn(database, day, day)
    assert held(database, "weight_volatile", day)["fade"] > 0.8
    continued = tables(database, day)
    forget_checkpoints(database)
    learn(database, day, day)
    assert tables(database, day) == continued


# The ledger


def backtest(strategy: str, results: Iterable[float]) -> pd.DataFrame:
    values = [*results]
    return pd.DataFrame(
        {
            "exit_time": [END - timedelta(days=DAYS) + timedelta(hours=n) for n in range(len(values))],
            "strategy_id": strategy,
            "regime": None,
            "result": values,
        }
    )


@pytest.mark.long
def test_a_reset_returns_exactly_to_the_prior_and_history_stays(fleet: str) -> None:
    materialise(fleet, FIRST, LAST)
    before = tables(fleet)
    with connect(fleet) as connection:
        record_reset(connection, "pairs", "new code")
    learn(fleet, LAST, LAST)
    for column, prior in (("win_rate", "prior_win_rate"), ("win_rate_low", "prior_win_rate_low")):
        assert believed(fleet, column)["pairs"] == pytest.approx(believed(fleet, prior)["pairs"], abs=1e-15)
    assert believed(fleet, "confidence")["pairs"] == 0
    assert believed(fleet, "effective_samples")["pairs"] == 0
    assert believed(fleet, "effective_samples")["scalper"] > 50
    materialise(fleet, FIRST, LAST)  # earlier days are believed as they were then
    assert tables_of(tables(fleet), FIRST, LAST) == tables_of(before, FIRST, LAST)
    with connect(fleet) as connection:
        record_reset(connection, None, "a fresh start")
    learn(fleet, LAST, LAST)
    assert set(believed(fleet, "win_rate").values()) == {0.5}
    assert set(believed(fleet, "edge").values()) == set(believed(fleet, "confidence").values()) == {0.0}
    assert sum(held(fleet).values()) == 1
    assert max(held(fleet).values()) - min(held(fleet).values()) < 1e-9
    with connect(fleet) as connection:
        with pytest.raises(LedgerError, match="No beliefs for 'unheard of'"):
            record_reset(connection, "unheard of", "a slip")
        with pytest.raises(LedgerError, match="A reason is required"):
            record_reset(connection, None, "  ")


def test_what_comes_after_a_reset_is_learned(fleet: str) -> None:
    first = FIRST + timedelta(days=5)
    materialise(fleet, FIRST, first)
    with connect(fleet) as connection:
        record_reset(connection, None, "a fresh start")
    materialise(fleet, first, LAST)
    after = tables(fleet, LAST)
    with connect(fleet) as connection:
        connection.execute("ALTER TABLE belief_ledger DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM belief_ledger")
        connection.execute(
            "DELETE FROM trades WHERE exit_time < %s",
            (datetime.combine(first + timedelta(days=1), datetime.min.time(), tzinfo=UTC),),
        )
    learn(fleet, LAST, LAST)
    assert tables(fleet, LAST)["strategy_beliefs"] == after["strategy_beliefs"]


def test_a_backtest_counts_in_part_is_learned_once_and_withdrawn_as_a_whole(fleet: str) -> None:
    materialise(fleet, FIRST, LAST)
    before = tables(fleet)
    wins = backtest("promising", [1.0, 2.0, -0.5] * 30)
    with connect(fleet) as connection:
        assert record_backtest(connection, wins, "sweep-1", 0.3)
        assert not record_backtest(connection, wins, "sweep-1", 0.3)
        with pytest.raises(LedgerError, match="stands for a backtest with other outcomes"):
            record_backtest(connection, wins, "sweep-1", 0.5)
    learn(fleet, LAST, LAST)
    assert 0 < believed(fleet, "effective_samples")["promising"] <= 0.3 * 90
    assert believed(fleet, "edge")["promising"] > 0
    learned = tables(fleet)
    assert tables_of(learned, FIRST, LAST) == tables_of(before, FIRST, LAST)
    with connect(fleet) as connection:
        record_withdrawal(connection, "sweep-1", "a bug in the fees")
    learn(fleet, LAST, LAST)
    assert tables(fleet) == before
    with connect(fleet) as connection:
        with pytest.raises(LedgerError, match="already been withdrawn"):
            record_withdrawal(connection, "sweep-1", "again")
        with pytest.raises(LedgerError, match="No backtest was learned under the name 'sweep-2'"):
            record_withdrawal(connection, "sweep-2", "a slip")


@pytest.mark.parametrize("table", ["belief_ledger", "backtest_outcomes"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET entry_id = DEFAULT", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_the_ledger_is_append_only(database: str, table: str, statement: str) -> None:
    with connect(database) as connection:
        record_backtest(connection, backtest("a", [1.0]), "sweep", 0.5)
        if "UPDATE" in statement:
            statement = {
                "belief_ledger": "UPDATE {} SET discount = 1",
                "backtest_outcomes": "UPDATE {} SET result = 9",
            }[table]
        with pytest.raises(psycopg.errors.CheckViolation, match="append-only"):
            connection.execute(statement.format(table))
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)


def test_a_confidence_of_80_is_refused_where_it_is_recorded(database: str) -> None:
    with connect(database) as connection, pytest.raises(psycopg.errors.CheckViolation, match="signal_confidence"):
        close(connection, 1, END, 1.0, signal_confidence=80)


def test_calibration_counts_losses_and_states_its_bins(database: str) -> None:
    with connect(database) as connection:
        for n in range(20):
            close(connection, 1, START + timedelta(minutes=n), 1.0 if n == 0 else -1.0, signal_confidence=0.95,
                  strategy_id="boaster")  # fmt: skip
        close(connection, 1, START + timedelta(hours=1), 1.0, strategy_id="boaster")
    materialise(database, START.date(), START.date())
    with connect(database) as connection:
        row = connection.execute(
            "SELECT trades, stated_trades, brier_score, calibration_error, reliability, learning_velocity "
            "FROM strategy_calibration WHERE strategy_id = 'boaster'"
        ).fetchone()
    expected = calibration(np.full(20, 0.95), np.arange(20) == 0)
    assert row[:2] == (21, 20)
    assert row[2:4] == pytest.approx((expected.brier, 0.9))
    (bin_,) = row[4]
    assert (bin_["trades"], bin_["realised"]) == (20, 0.05)
    assert bin_["realised_low"] < 0.05 < bin_["realised_high"] < 0.25
    assert row[5] == 3.0


def test_the_simulated_fleet_leaves_no_belief_behind(fleet: str) -> None:
    materialise(fleet, LAST, LAST)
    with connect(fleet) as connection:
        remove_simulated(connection)
        close(connection, 1, END - timedelta(hours=3), 1.0, strategy_id="real")
    assert tables(fleet) == {name: [] for name in TABLES}
    materialise(fleet, LAST, LAST)
    assert held(fleet) == {"real": 1.0}


def test_what_is_decided_before_anything_was_learned_counts_from_the_beginning(fleet: str) -> None:
    days.refresh(fleet, FIRST, LAST, END)
    with connect(fleet) as connection:
        record_backtest(connection, backtest("promising", [1.0]), "sweep-1", 0.5)
    learn(fleet, LAST, LAST)
    with connect(fleet) as connection:  # as if it had been recorded while the first days were learned
        connection.execute("UPDATE belief_checkpoints_state SET seen = '1:1:'")
    continued = tables(fleet, LAST)
    learn(fleet, LAST, LAST)
    assert tables(fleet, LAST) == continued
    assert "promising" in believed(fleet, "edge")
