"""Random histories: whatever arrived, was decided and was computed, in whatever order, once nothing is stale any more
every table equals a clean recompute in a second database bit for bit, and the audit finds nothing.

KNOWDEFEAT_HISTORIES sets the number of histories.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.funds.settings import AllocationRules, FundSettings, RiskRules
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, TABLES
from knowdefeat_pipeline.core.units import day_start
from knowdefeat_pipeline.postgres.connection import close_idle, connect
from knowdefeat_pipeline.steps.audit import RULES, offenders
from knowdefeat_pipeline.steps.beliefs import compute_beliefs, compute_strategy_weights
from knowdefeat_pipeline.steps.chain import refresh
from knowdefeat_pipeline.steps.funds import compute_allocations
from knowdefeat_pipeline.steps.learning import compute_weights
from knowdefeat_pipeline.steps.metrics import compute_metrics, compute_streaks
from knowdefeat_pipeline.steps.ranking import compute_rankings
from knowdefeat_pipeline.store.funds import resume, save_settings, set_active
from knowdefeat_pipeline.store.learning import add_version, weight_versions
from knowdefeat_pipeline.store.learning_ledger import record_backtest, record_reset, record_withdrawal
from knowdefeat_pipeline.store.locks import days_locked
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import BELIEFS, FAMILIES, RANKING, Staleness, settle, stale_days
from knowdefeat_pipeline.store.tables import stored
from tests.conftest import temporary_database

START = datetime(2025, 2, 25, tzinfo=UTC)  # the first of the days on which something happens; a month ends among them
DAYS = 8
NOON = START + timedelta(days=5, hours=12)  # the clock at the beginning; it moves on by at most two days
BOTS = (1, 2, 3)
RESULTS = [name for name in TABLES if name not in ("fund_settings", "bot_events", "market_regimes")]
FORGOTTEN = (*map(stored, RESULTS), "open_positions", "slow_results", "bot_days_rows", "refreshed_days", "settled_changes", "input_changes", "bot_months",
             "bot_months_state", "belief_checkpoints", "belief_checkpoints_state", "bot_exposures", "bot_exposures_state")  # fmt: skip
COMPUTED = (RANKING, BELIEFS)  # what markets tell is given here
ROUNDS = 6  # after which nothing may be stale
HISTORIES = int(os.environ.get("KNOWDEFEAT_HISTORIES", "15"))


@dataclass
class World:
    """A database, its clock, and whoever works with it: writers that have not committed yet, runs that take long."""

    url: str
    connection: psycopg.Connection
    now: datetime = NOON
    trades: int = 0
    versions: int = 1
    sources: int = 0
    slow: list[psycopg.Connection] = field(default_factory=list)
    listener: Session = field(init=False)
    open: list[int] = field(default_factory=list)  # trades that are
    long_runs: list[tuple[Session, date]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = Session(self.url, self.connection, Memory(self.url))
        # A bot's first trade makes the bot, for which others would wait while its writer has not committed.
        self.connection.execute("INSERT INTO bots (bot_id) SELECT unnest(%s::integer[])", (list(BOTS),))

    @property
    def today(self) -> date:
        return self.now.date()

    def session(self) -> Session:
        return Session(self.url, self.connection)

    def days(self, first: int, length: int) -> tuple[date, date]:
        """A range of days up to the running one."""
        begin = min(START.date() + timedelta(days=first), self.today)
        return begin, min(begin + timedelta(days=length), self.today)

    def stale(self, family: Any) -> Staleness:
        """As whoever asks does: what is settled is noted down."""
        found = stale_days(self.connection, family, self.now)
        settle(self.connection, found)
        return found


Action = Callable[[World], None]


@contextmanager
def opened(url: str) -> Iterator[World]:
    with connect(url) as connection:
        world = World(url, connection)
        for bot in BOTS:
            trades(bot, bot, [99.0, 101.0, 102.5, 98.0, 100.5])(world)
        try:
            yield world
        finally:
            for writer in world.slow:
                writer.close()


# What arrives


def instants() -> st.SearchStrategy[timedelta]:
    """Since START: mostly on the hour, midnights among them, and one microsecond before or after."""
    hours = st.one_of(st.integers(0, DAYS * 24), st.integers(0, DAYS).map(lambda day: 24 * day))
    edge = st.sampled_from([0, 0, 0, -1, 1])
    return st.builds(lambda hour, micro: timedelta(hours=hour, microseconds=micro), hours, edge)


def insert(world: World, connection: psycopg.Connection, bot: int, exit_time: datetime, exit_price: float,
           ticker: str, strategy: str | None, confidence: float | None) -> None:  # fmt: skip
    world.trades += 1
    connection.execute(
        "INSERT INTO trades (trade_id, bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
        " notional, strategy_id, signal_confidence) VALUES (%s, %s, %s, 'LONG', 'closed', %s, %s, 100, %s, 1000, %s, %s)",
        (world.trades, bot, ticker, exit_time - timedelta(minutes=30 + world.trades), exit_time, exit_price, strategy,
         confidence),
    )  # fmt: skip


TRADE = {
    "bot": st.sampled_from(BOTS),
    "exit_price": st.floats(90, 110).map(lambda price: round(price, 2)),
    "ticker": st.sampled_from(["COIN", "ETH"]),
    "strategy": st.sampled_from([None, "a", "b"]),
    "confidence": st.sampled_from([None, 0.7]),
}


def trade(at: timedelta, slow: bool, **columns: Any) -> Action:
    def act(world: World) -> None:
        exit_time = min(START + at, world.now + timedelta(minutes=2))  # the writer's clock may be a little ahead
        connection = world.connection
        if slow:
            connection = psycopg.connect(world.url)
            world.slow.append(connection)
        insert(world, connection, exit_time=exit_time, **columns)

    return act


def trades(bot: int, first: int, prices: list[float]) -> Action:
    """Some trades in a row, so that a bot is ranked."""

    def act(world: World) -> None:
        for n, price in enumerate(prices):
            exit_time = min(START + timedelta(days=first, hours=3 * n), world.now - timedelta(minutes=n))
            insert(world, world.connection, bot, exit_time, price, "COIN", None, None)

    return act


def late_by_months(bot: int, back: int, price: float) -> Action:
    return lambda world: insert(world, world.connection, bot, START - timedelta(days=back), price, "COIN", None, None)


def delete(number: int, count: int) -> Action:
    """What only the owner of the table can do."""

    def act(world: World) -> None:
        world.connection.execute("DELETE FROM trades WHERE trade_id BETWEEN %s AND %s", (number, number + count))

    return act


def commit_slow(world: World) -> None:
    for writer in world.slow:
        writer.commit()
        writer.close()
    world.slow.clear()


def score(number: int, value: float) -> Action:
    def act(world: World) -> None:
        world.connection.execute(
            "INSERT INTO trade_scores (trade_id, price_model_score) SELECT trade_id, %s FROM trades WHERE trade_id = %s "
            "ON CONFLICT (trade_id) DO UPDATE SET price_model_score = excluded.price_model_score",
            (value, number),
        )

    return act


def label(at: timedelta, name: str) -> Action:
    def act(world: World) -> None:
        open_time = START + at
        world.connection.execute(
            "INSERT INTO market_regimes (day, ticker, timeframe, open_time, label) VALUES (%s, 'COIN', '1h', %s, %s) "
            "ON CONFLICT (ticker, timeframe, open_time) DO UPDATE SET label = excluded.label",
            (open_time.date(), open_time, name),
        )

    return act


def open_trade(at: timedelta, bot: int, ticker: str, long: bool, price: float | None) -> Action:
    def act(world: World) -> None:
        world.trades += 1
        entry_time = min(START + at, world.now)
        with marked_at(world, entry_time):
            world.connection.execute(
                "INSERT INTO trades (trade_id, bot_id, ticker, direction, entry_time, entry_price, notional, mark_price)"
                " VALUES (%s, %s, %s, %s, %s, %s, 1000, %s)",
                (world.trades, bot, ticker, "LONG" if long else "SHORT", entry_time, 100 + world.trades / 100, price),
            )
        world.open.append(world.trades)

    return act


def touch_open(which: int, at: timedelta, column: str, value: float | None) -> Action:
    """Mark one of the open trades or change its size."""

    def act(world: World) -> None:
        if world.open:
            number = world.open[which % len(world.open)]
            with marked_at(world, min(START + at, world.now)):
                world.connection.execute(f"UPDATE trades SET {column} = %s WHERE trade_id = %s", (value, number))

    return act


def close_open(which: int, after: timedelta, price: float) -> Action:
    def act(world: World) -> None:
        if world.open:
            number = world.open.pop(which % len(world.open))
            world.connection.execute(
                "UPDATE trades SET status = 'closed', exit_price = %s,"
                " exit_time = greatest(entry_time, least(entry_time + %s, %s)) WHERE trade_id = %s",
                (price, after, world.now, number),
            )

    return act


@contextmanager
def marked_at(world: World, instant: datetime) -> Iterator[None]:
    """The world's clock is not the database's."""
    with world.connection.transaction():
        world.connection.execute("SELECT set_config('knowdefeat.marked_at', %s, true)", (instant.isoformat(),))
        yield


def bar(at: timedelta, ticker: str, timeframe: str, price: float) -> Action:
    def act(world: World) -> None:
        world.connection.execute(
            "INSERT INTO price_bars (ticker, timeframe, open_time, open, high, low, close)"
            " VALUES (%(ticker)s, %(timeframe)s, %(at)s, 100, 200, 50, %(price)s)"
            " ON CONFLICT (ticker, timeframe, open_time) DO UPDATE SET close = excluded.close",
            {"ticker": ticker, "timeframe": timeframe, "at": START + at, "price": price},
        )

    return act


# What is decided


def version(at: timedelta, shift: float) -> Action:
    """A new set of weights, none before the latest."""

    def act(world: World) -> None:
        latest = weight_versions(world.connection)[-1]
        since = max(START + at, latest.in_force_from or START)
        weights = DEFAULT_WEIGHTS | {"avg_win_rate": 10.0 - shift, "one_hour_performance": 15.0 + shift}
        world.versions = add_version(
            world.connection, weights, based_on=latest.version, author="manual", reason="a test",
            in_force_from=since,
        )  # fmt: skip

    return act


def capital(bot: int, amount: float | None) -> Action:
    return lambda world: world.connection.execute("UPDATE bots SET capital = %s WHERE bot_id = %s", (amount, bot))


def strategy(bot: int, name: str | None) -> Action:
    return lambda world: world.connection.execute("UPDATE bots SET strategy_id = %s WHERE bot_id = %s", (name, bot))


def activity(bot: int, active: bool, at: timedelta | None) -> Action:
    def act(world: World) -> None:
        if world.connection.execute("SELECT FROM bots WHERE bot_id = %s", (bot,)).fetchone():
            set_active(world.connection, [str(bot)], active, "ann", "a test", None if at is None else START + at)

    return act


def funds(method: str, amount: int, at: timedelta | None) -> Action:
    def act(world: World) -> None:
        chosen = FundSettings("USD", amount * 100, method, AllocationRules(bot_cap=0.6), RiskRules(5.0, 2.0))
        save_settings(world.connection, chosen, "ann", "a test", None if at is None else START + at)

    return act


def resume_halted(world: World) -> None:
    halted = [str(row[0]) for row in world.connection.execute(
        "SELECT DISTINCT ON (bot_id) bot_id, kind FROM bot_events WHERE kind IN ('halted', 'released', 'resumed') "
        "ORDER BY bot_id, in_force_from DESC, event_id DESC") if row[1] == "halted"]  # fmt: skip
    if halted:
        resume(world.connection, halted, "ann", "a test")


def reset(name: str | None) -> Action:
    def act(world: World) -> None:
        known = {row[0] for row in world.connection.execute("SELECT DISTINCT strategy_id FROM strategy_beliefs")}
        if name is None or name in known:
            record_reset(world.connection, name, "a test")

    return act


def backtest(at: timedelta, results: list[float]) -> Action:
    def act(world: World) -> None:
        world.sources += 1
        times = [START + at + timedelta(hours=n) for n in range(len(results))]
        outcomes = pd.DataFrame({"exit_time": times, "strategy_id": "a", "regime": None, "result": results})
        record_backtest(world.connection, outcomes, f"sweep-{world.sources}", 0.5)

    return act


def withdraw(world: World) -> None:
    """The latest backtest counts no more."""
    if world.sources > 0:
        record_withdrawal(world.connection, f"sweep-{world.sources}", "a test")
        world.sources -= 100  # none is withdrawn twice


# What is computed


def compute(first: int, length: int, by: str) -> Action:
    def act(world: World) -> None:
        days = world.days(first, length)
        with days_locked(world.connection, *days):
            STEPS[by](world, world.session(), *days)

    return act


def chain_of_the_listener(world: World, _: Session, first: date, last: date) -> None:
    refresh(world.listener, first, last, world.now)


def chain_that_is_rolled_back(world: World, _: Session, first: date, last: date) -> None:
    with world.connection.transaction(force_rollback=True):
        for step in (STEPS["streaks"], STEPS["rankings"], STEPS["weights"], STEPS["allocations"]):
            step(world, world.listener, first, last)


def metrics(world: World, session: Session, first: date, last: date) -> None:
    session.begin(first)
    compute_metrics(session, first, last, world.now)


STEPS: dict[str, Callable[[World, Session, date, date], object]] = {
    "listener": chain_of_the_listener,
    "rolled back": chain_that_is_rolled_back,
    "chain": lambda world, session, first, last: refresh(session, first, last, world.now),
    "metrics": metrics,
    "streaks": lambda _, session, first, last: compute_streaks(session, first, last),
    "rankings": lambda _, session, first, last: compute_rankings(session, first, last),
    "weights": lambda world, session, first, last: compute_weights(session, first, last, world.now),
    "adjust": lambda world, session, first, last: compute_weights(session, first, last, world.now, adjust=True),
    "allocations": lambda _, session, first, last: compute_allocations(session, first, last),
    "beliefs": lambda _, session, first, last: compute_beliefs(session, first, last),
    "strategy weights": lambda _, session, first, last: compute_strategy_weights(session, first, last),
}


def compute_stale(world: World) -> None:
    """What the sensors begin, once for each family."""
    if found := world.stale(RANKING):
        refresh(world.session(), found.first, found.last, world.now)
    if found := world.stale(BELIEFS):
        learn(world.session(), found.first, found.last)


def learn(session: Session, first: date, last: date) -> None:
    compute_beliefs(session, first, last)
    compute_strategy_weights(session, first, last)
    compute_allocations(session, first, last)


def look(world: World) -> None:
    for family in FAMILIES:
        world.stale(family)


def begin_long_run(first: int) -> Action:
    """A run that has read its trades, and will write much later."""

    def act(world: World) -> None:
        session, (day, _) = world.session(), world.days(first, 0)
        session.begin(day)
        session.trades(START - timedelta(days=60), START + timedelta(days=60))
        world.long_runs.append((session, day))

    return act


def end_long_run(length: int) -> Action:
    def act(world: World) -> None:
        if world.long_runs:
            session, first = world.long_runs.pop()
            last = min(first + timedelta(days=length), world.today)
            compute_metrics(session, first, last, world.now)
            for step in ("streaks", "rankings", "weights", "allocations"):
                STEPS[step](world, session, first, last)

    return act


def clock(hours: float) -> Action:
    def act(world: World) -> None:
        world.now = min(world.now + timedelta(hours=hours), START + timedelta(days=DAYS))

    return act


def actions() -> st.SearchStrategy[Action]:
    day, some_time = st.integers(0, DAYS - 1), st.one_of(st.none(), instants())
    price = st.one_of(st.none(), st.floats(60, 140).map(lambda value: round(value, 1)))
    return st.one_of(
        st.just(look),  # where counterexamples shrink to
        st.builds(trades, st.sampled_from(BOTS), day, st.lists(TRADE["exit_price"], min_size=5, max_size=8)),
        st.builds(trade, instants(), st.booleans(), **TRADE),
        st.builds(trade, instants(), st.just(False), **TRADE),
        st.builds(late_by_months, st.sampled_from(BOTS), st.integers(1, 60), TRADE["exit_price"]),
        st.builds(delete, st.integers(1, 20), st.integers(0, 3)),
        st.builds(open_trade, instants(), TRADE["bot"], TRADE["ticker"], st.booleans(), price),
        st.builds(open_trade, instants(), TRADE["bot"], TRADE["ticker"], st.booleans(), price),
        st.builds(touch_open, st.integers(0, 9), instants(), st.just("mark_price"), price),
        st.builds(touch_open, st.integers(0, 9), instants(), st.just("notional"), st.sampled_from([500.0, 2000.0])),
        st.builds(close_open, st.integers(0, 9), instants(), st.floats(60, 140)),
        st.builds(bar, instants(), TRADE["ticker"], st.sampled_from(["1h", "1d"]), st.floats(60, 140)),
        st.just(commit_slow),
        st.builds(score, st.integers(1, 20), st.floats(0, 100)),
        st.builds(label, instants(), st.sampled_from(["TRENDING", "RANGING", "NEUTRAL"])),
        st.builds(version, instants(), st.sampled_from([1.0, 2.0, -3.0])),
        st.builds(capital, st.sampled_from(BOTS), st.sampled_from([None, 1000.0, 2000.0])),
        st.builds(strategy, st.sampled_from(BOTS), st.sampled_from([None, "a", "b"])),
        st.builds(activity, st.sampled_from(BOTS), st.booleans(), some_time),
        st.builds(funds, st.sampled_from(["rank_score", "belief_edge", "hrp"]), st.integers(100, 1000), some_time),
        st.just(resume_halted),
        st.builds(reset, st.sampled_from([None, "a", "bot 1"])),
        st.builds(backtest, instants(), st.lists(st.floats(-2, 2), min_size=1, max_size=3)),
        st.just(withdraw),
        st.builds(compute, day, st.integers(0, DAYS), st.sampled_from(["chain", "listener"])),
        st.builds(compute, day, st.integers(0, DAYS), st.sampled_from([*STEPS])),
        st.builds(compute, day, st.integers(0, DAYS), st.sampled_from([*STEPS])),
        st.just(compute_stale),
        st.builds(begin_long_run, day),
        st.builds(end_long_run, st.integers(0, DAYS)),
        st.builds(clock, st.sampled_from([1.0, 11.0, 12.0, 24.0])),
    )


# What is left once nothing is stale


def compute_until_nothing_is_stale(world: World) -> None:
    for _ in range(ROUNDS):
        compute_stale(world)
        if not any(world.stale(family) for family in COMPUTED):
            return
    left = {family.name: stale_days(world.connection, family, world.now).days for family in COMPUTED}
    raise AssertionError(f"after {ROUNDS} rounds still stale: {left}")


def computed(connection: psycopg.Connection) -> dict[date, datetime]:
    rows = connection.execute("SELECT day, as_of FROM refreshed_days WHERE asset = 'bot_metrics' ORDER BY day")
    return dict(rows.fetchall())


def tables(connection: psycopg.Connection, days: list[date]) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: connection.execute(f"SELECT t::text FROM {name} AS t WHERE day = ANY(%s) ORDER BY 1", (days,)).fetchall()
        for name in RESULTS
    }


def recomputed(server_url: str, url: str, as_of: dict[date, datetime]) -> dict[str, list[tuple[Any, ...]]]:
    """The tables of a second database with the same inputs, in which all days are computed in one go."""
    close_idle()
    with temporary_database(server_url, url) as clean, connect(clean) as connection:
        connection.execute("TRUNCATE " + ", ".join(FORGOTTEN))
        first, last = min(as_of), max(as_of)
        session = Session(clean, connection)
        refresh(session, first, last, as_of[last])
        if as_of[last] == day_start(last):  # a day is computed at its very beginning only where it is asked for alone
            refresh(session, last, last, as_of[last])
        learn(session, first, last)
        found = tables(connection, [*as_of])
    close_idle()
    return found


@pytest.mark.long
@settings(
    max_examples=HISTORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(history=st.lists(actions(), min_size=10, max_size=40))
def test_once_nothing_is_stale_all_tables_equal_a_clean_recompute(
    server_url: str, template: str, history: list[Action]
) -> None:
    with temporary_database(server_url, template) as url:
        with opened(url) as world:
            for act in history:
                act(world)
            commit_slow(world)
            while world.long_runs:
                end_long_run(1)(world)
            compute_until_nothing_is_stale(world)
            as_of = computed(world.connection)
            found = tables(world.connection, [*as_of])
            for name in RESULTS:
                everything = world.connection.execute(f"SELECT count(*) FROM {name}").fetchone()
                assert everything == (len(found[name]),), f"{name} holds days that were not computed"
            if as_of:
                for rule in (rule for rule in RULES if rule.severity == "ERROR"):  # bots may trade alike
                    wrong, examples = offenders(world.connection, rule, min(as_of), max(as_of))
                    assert wrong == 0, f"{rule.asset}, {rule.name}:\n{examples}"
        if as_of:
            clean = recomputed(server_url, url, as_of)
            for name in RESULTS:
                assert found[name] == clean[name], name
