"""What is pending, on a real server: new, late and out-of-order trades, days that end, and what is settled."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.locks import day_holders, days_locked, listener_is_there, listener_lock
from knowdefeat_pipeline.store.staleness import (
    BELIEFS,
    RANKING,
    Family,
    Mark,
    Staleness,
    current_snapshot,
    mark,
    marks,
    settle,
    stale_days,
)

NOW = datetime(2025, 3, 10, 15, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture
def connection(database: str):
    with connect(database) as connection:
        yield connection


def close(connection: psycopg.Connection, exit_time: datetime, bot: int = 1, price: float = 101) -> None:
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
        " VALUES (%s, 'COIN', 'LONG', 'closed', %s, %s, 100, %s, 100)",
        (bot, exit_time - timedelta(hours=1), exit_time, price),
    )


def end(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=UTC)


def refresh(connection: psycopg.Connection, first: date, last: date, now: datetime = NOW) -> None:
    """What a successful run leaves: marks of all assets and days, each resting on the one before it."""
    seen = current_snapshot(connection)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    own = [Mark(day, min(end(day), now), seen) for day in days]
    for asset, upstream in zip(
        RANKING.assets, ("", "bot_metrics", "bot_metrics", "bot_metrics", "bot_rankings", "bot_rankings"), strict=True
    ):
        if upstream:
            below = marks(connection, upstream, first, last)
            own = [Mark(of.day, of.as_of, seen, {upstream: of.number}) for of in below]
        mark(connection, asset, first, last, own)


def look(connection: psycopg.Connection, now: datetime = NOW, family: Family = RANKING) -> Staleness:
    """As whoever asks does: what is settled is noted down."""
    found = stale_days(connection, family, now)
    settle(connection, found)
    return found


def found(connection: psycopg.Connection, now: datetime = NOW) -> tuple[date, date, int] | int:
    stale = look(connection, now)
    return (stale.first, stale.last, stale.trades) if stale else stale.computed_days


def test_a_mark_tells_its_number_and_which_it_replaced(connection: psycopg.Connection) -> None:
    seen, days = current_snapshot(connection), [TODAY - timedelta(days=1), TODAY]
    own = [Mark(day, min(end(day), NOW), seen, {"bot_metrics": None}) for day in days]
    first = mark(connection, "win_streaks", *days, own)
    assert [(of.day, of.replaced) for of in first] == [(day, None) for day in days]
    assert [replace(of, replaced=None) for of in first] == marks(connection, "win_streaks", *days)
    (again,) = mark(connection, "win_streaks", TODAY, TODAY, own[1:])
    assert again.replaced == first[1].number
    assert first[1].number < again.number
    # Of days that are not given none is left.
    assert [of.replaced for of in mark(connection, "win_streaks", *days, own[:1])] == [first[0].number]
    assert [of.day for of in marks(connection, "win_streaks", *days)] == days[:1]


def test_without_trades_nothing_is_pending(connection: psycopg.Connection) -> None:
    assert found(connection) == 0


def test_a_new_trade_is_pending_until_its_day_was_refreshed(connection: psycopg.Connection) -> None:
    close(connection, NOW - timedelta(minutes=1))
    assert found(connection) == (TODAY, TODAY, 1)
    assert found(connection) == (TODAY, TODAY, 1)
    refresh(connection, TODAY, TODAY)
    assert found(connection) == 1


def test_a_late_trade_touches_its_day_and_every_computed_day_after_it(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY - timedelta(days=5), TODAY)
    close(connection, NOW - timedelta(days=3))
    assert found(connection) == (TODAY - timedelta(days=3), TODAY, 1)
    refresh(connection, TODAY - timedelta(days=3), TODAY - timedelta(days=3))
    assert found(connection) == (TODAY - timedelta(days=2), TODAY, 1)
    refresh(connection, TODAY - timedelta(days=2), TODAY)
    assert found(connection) == 6


def test_an_exit_at_midnight_belongs_to_the_day_that_begins(connection: psycopg.Connection) -> None:
    yesterday = TODAY - timedelta(days=1)
    refresh(connection, yesterday, TODAY)
    close(connection, end(yesterday))
    assert found(connection) == (TODAY, TODAY, 1)
    close(connection, end(yesterday) - timedelta(microseconds=1), bot=2)
    assert found(connection) == (yesterday, TODAY, 2)


def test_an_exit_at_this_very_instant_waits_for_the_next(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY, TODAY)
    close(connection, NOW)
    assert found(connection) == 1
    later = NOW + timedelta(microseconds=1)
    assert found(connection, later) == (TODAY, TODAY, 1)
    refresh(connection, TODAY, TODAY, later)
    assert found(connection, later) == 1


def test_a_transaction_that_commits_last_is_not_missed(database: str, connection: psycopg.Connection) -> None:
    with psycopg.connect(database) as slow:  # begins first, commits last
        close(slow, NOW - timedelta(minutes=3), bot=1)
        close(connection, NOW - timedelta(minutes=2), bot=2)
        assert found(connection) == (TODAY, TODAY, 1)
        refresh(connection, TODAY, TODAY)
        assert found(connection) == 1
        close(connection, NOW - timedelta(minutes=1), bot=3)
        refresh(connection, TODAY, TODAY)
        assert found(connection) == 1
        slow.commit()
    assert found(connection) == (TODAY, TODAY, 1)
    refresh(connection, TODAY, TODAY)
    assert found(connection) == 1


def test_trades_that_were_read_stay_read_while_an_older_transaction_is_open(
    database: str, connection: psycopg.Connection
) -> None:
    with psycopg.connect(database) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        close(connection, NOW - timedelta(minutes=2))
        refresh(connection, TODAY, TODAY)
        assert found(connection) == 1
        slow.rollback()


def test_a_trade_that_closes_is_new(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional)"
        " VALUES (1, 'COIN', 'LONG', %s, 100, 100)",
        (NOW - timedelta(hours=1),),
    )
    assert found(connection) == (TODAY, TODAY, 0)
    refresh(connection, TODAY, TODAY)
    assert found(connection) == 1
    connection.execute(
        "UPDATE trades SET status = 'closed', exit_time = %s, exit_price = 101", (NOW - timedelta(seconds=1),)
    )
    assert found(connection) == (TODAY, TODAY, 1)


def test_a_day_that_ended_is_computed_once_more(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY - timedelta(days=1), TODAY)
    tomorrow = end(TODAY) + timedelta(seconds=1)
    stale = look(connection, tomorrow)
    assert (stale.days, stale.trades, stale.since, stale.newest) == ((TODAY,), 0, end(TODAY), None)
    assert stale.batch == "ranking/2025-03-10/2025-03-10/end of day"
    refresh(connection, TODAY, TODAY, tomorrow)
    assert found(connection, tomorrow) == 2


def test_days_long_ago_count_only_if_they_were_computed(connection: psycopg.Connection) -> None:
    close(connection, NOW - timedelta(days=200))
    assert found(connection) == 0
    refresh(connection, TODAY - timedelta(days=210), TODAY - timedelta(days=205))
    close(connection, NOW - timedelta(days=207))
    assert found(connection) == (TODAY - timedelta(days=207), TODAY - timedelta(days=205), 1)


def test_what_has_reached_its_days_is_not_looked_at_again(connection: psycopg.Connection) -> None:
    close(connection, NOW - timedelta(minutes=1))
    refresh(connection, TODAY, TODAY)
    assert found(connection) == 1
    ((settled,),) = connection.execute("SELECT seen::text FROM settled_changes").fetchall()
    ((visible,),) = connection.execute(
        "SELECT pg_visible_in_snapshot(recorded_xid, %s::pg_snapshot) FROM trades", (settled,)
    ).fetchall()
    assert visible
    assert found(connection) == 1
    assert connection.execute("SELECT seen::text FROM settled_changes").fetchall() == [(settled,)]


def test_an_exit_a_little_in_the_future_waits_for_its_time(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY, TODAY)
    connection.execute("ALTER TABLE trades DISABLE TRIGGER trades_admit_insert")
    close(connection, NOW + timedelta(minutes=2))
    refresh(connection, TODAY, TODAY)  # has seen it, but its figures end before it
    assert found(connection) == 1
    later = NOW + timedelta(minutes=3)
    assert found(connection, later) == (TODAY, TODAY, 1)
    refresh(connection, TODAY, TODAY, later)
    assert found(connection, later) == 1


def test_days_are_locked_until_the_holder_is_gone(database: str, connection: psycopg.Connection) -> None:
    yesterday = TODAY - timedelta(days=1)
    with connect(database) as holder, days_locked(holder, yesterday, TODAY):
        around = (yesterday, TODAY, end(TODAY).date())
        assert [len(day_holders(connection, day, day)) for day in around] == [1, 1, 0]
    with connect(database) as other:
        with days_locked(connection, yesterday, TODAY):  # waits until the server has noticed
            assert len(day_holders(other, TODAY, TODAY)) == 1
        assert day_holders(other, TODAY, TODAY) == []


def test_one_listener_at_a_time(database: str, connection: psycopg.Connection) -> None:
    assert not listener_is_there(connection)
    with connect(database) as other, listener_lock(other) as first:
        assert first
        assert listener_is_there(connection)
        with listener_lock(connection) as second:
            assert not second
    assert not listener_is_there(connection)


def test_where_trades_keep_coming_those_that_reached_their_days_are_not_looked_at_again(
    connection: psycopg.Connection,
) -> None:
    for minute in range(5):
        close(connection, NOW - timedelta(minutes=10 - minute))
        refresh(connection, TODAY, TODAY)
        close(connection, NOW - timedelta(minutes=9 - minute, seconds=30))
        assert found(connection) == (TODAY, TODAY, 1)
        unsettled = connection.execute(
            "SELECT count(*) FROM trades WHERE NOT pg_visible_in_snapshot(recorded_xid, (SELECT seen FROM settled_changes))"
        ).fetchall()
        assert unsettled == [(1,)]


def test_what_was_computed_from_an_older_computation_is_stale(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY - timedelta(days=2), TODAY)
    yesterday = TODAY - timedelta(days=1)
    again = [Mark(of.day, of.as_of, of.seen) for of in marks(connection, "bot_metrics", yesterday, yesterday)]
    mark(connection, "bot_metrics", yesterday, yesterday, again)
    assert look(connection).days == (yesterday,)
    assert look(connection).days == (yesterday,)  # asking changes nothing
    refresh(connection, yesterday, yesterday)
    assert not look(connection)


def test_a_day_that_lacks_an_asset_of_its_family_is_stale(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY - timedelta(days=1), TODAY)
    connection.execute("DELETE FROM refreshed_days WHERE asset = 'fund_allocations' AND day = %s", (TODAY,))
    assert look(connection).days == (TODAY,)
    assert look(connection, family=BELIEFS).days == (TODAY - timedelta(days=1), TODAY)


def add_version(connection: psycopg.Connection, in_force_from: datetime) -> None:
    connection.execute(
        "INSERT INTO weight_versions SELECT (json_populate_record(v, json_build_object("
        "'version', v.version + 1, 'author', 'manual', 'in_force_from', %s::timestamptz,"
        " 'recorded_xid', pg_current_xact_id()::text))).* FROM weight_versions v ORDER BY version DESC LIMIT 1",
        (in_force_from,),
    )


def test_a_version_touches_the_days_strictly_after_it_and_what_comes_next_at_its_own(
    connection: psycopg.Connection,
) -> None:
    days = [TODAY - timedelta(days=n) for n in (3, 2, 1, 0)]
    refresh(connection, days[0], TODAY)
    add_version(connection, end(days[1]))
    assert look(connection).days == (days[1], days[2], TODAY)
    refresh(connection, days[1], TODAY)
    assert not look(connection)


def test_a_version_of_now_touches_the_running_day_alone(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY - timedelta(days=1), TODAY, NOW - timedelta(hours=1))
    add_version(connection, NOW - timedelta(minutes=1))
    assert look(connection).days == (TODAY,)


def test_a_version_alone_makes_no_day_worth_computing(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY - timedelta(days=1), TODAY - timedelta(days=1))
    add_version(connection, NOW - timedelta(minutes=1))
    assert not look(connection)


def test_decisions_capital_and_deletions_are_changes(connection: psycopg.Connection) -> None:
    days = [TODAY - timedelta(days=n) for n in (3, 2, 1, 0)]
    for day in days:
        close(connection, end(day) - timedelta(hours=12))
    refresh(connection, days[0], TODAY)
    assert not look(connection)
    with connection.transaction():
        connection.execute("SELECT set_config('knowdefeat.in_force_from', %s, true)", (end(days[2]).isoformat(),))
        connection.execute("UPDATE bots SET is_active = false WHERE bot_id = 1")
    assert look(connection).days == (days[2], TODAY)  # it counts at its own instant already
    refresh(connection, days[0], TODAY)
    connection.execute("UPDATE bots SET capital = 5000 WHERE bot_id = 1")
    assert look(connection).days == tuple(days)
    refresh(connection, days[0], TODAY)
    connection.execute("DELETE FROM trades WHERE exit_time > %s", (end(days[1]),))
    assert look(connection).days == (days[2], TODAY)
    refresh(connection, days[0], TODAY)
    assert not look(connection)
    assert connection.execute("SELECT count(*) FROM settled_changes").fetchall() == [(1,)]


def test_an_open_trade_opens_its_day_and_one_that_went_opens_none(connection: psycopg.Connection) -> None:
    entered = NOW - timedelta(days=2)
    with connection.transaction():
        connection.execute("SELECT set_config('knowdefeat.marked_at', %s, true)", (f"{NOW - timedelta(days=1)}",))
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, mark_price)"
            " VALUES (1, 'COIN', 'LONG', %s, 100, 100, 101)",
            (entered,),
        )
    assert look(connection).days == (TODAY - timedelta(days=2), TODAY - timedelta(days=1))  # its entry, and its mark
    connection.execute("UPDATE trades SET entry_price = 99, entry_time = %s", (entered + timedelta(days=1),))
    assert look(connection).days == (TODAY - timedelta(days=1),)
    connection.execute("DELETE FROM trades")
    assert not look(connection)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE bots SET quote_currency = 'EUR' WHERE bot_id = 1",
        "TRUNCATE trades CASCADE",
    ],
)
def test_what_no_row_tells_of_is_a_change(connection: psycopg.Connection, statement: str) -> None:
    days = (TODAY - timedelta(days=1), TODAY)
    for day in days:
        close(connection, end(day) - timedelta(hours=12))
    refresh(connection, *days)
    assert not look(connection)
    connection.execute(statement)
    assert look(connection).days == days
    refresh(connection, *days)
    assert not look(connection)


def test_beliefs_follow_the_metrics_and_the_ledger(connection: psycopg.Connection) -> None:
    yesterday = TODAY - timedelta(days=1)
    refresh(connection, yesterday, TODAY)
    learn(connection, yesterday, TODAY)
    assert not look(connection, family=BELIEFS)
    refresh(connection, TODAY, TODAY)
    assert look(connection, family=BELIEFS).days == (TODAY,)
    learn(connection, TODAY, TODAY)
    connection.execute(
        "INSERT INTO belief_ledger (kind, reason, in_force_from) VALUES ('reset', 'a test', %s)", (end(yesterday),)
    )
    assert look(connection, family=BELIEFS).days == (yesterday, TODAY)
    learn(connection, yesterday, TODAY)
    assert not look(connection, family=BELIEFS)


def learn(connection: psycopg.Connection, first: date, last: date) -> None:
    """What learning leaves."""
    seen = current_snapshot(connection)
    for asset, upstream in zip(BELIEFS.assets, ("bot_metrics", "strategy_beliefs", "strategy_beliefs"), strict=True):
        below = marks(connection, upstream, first, last)
        own = [Mark(of.day, of.as_of, seen, {upstream: of.number}) for of in below]
        mark(connection, asset, first, last, own)
