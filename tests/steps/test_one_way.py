"""What was learned from a day changes later days only, and whatever rests on something that changed follows it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from knowdefeat_pipeline.core.funds.settings import AllocationRules, FundSettings
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.core.units import WINDOW_DAYS, day_end, day_start, each_day
from knowdefeat_pipeline.postgres.connection import close_idle, connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.audit import audit_days
from knowdefeat_pipeline.steps.funds import compute_allocations
from knowdefeat_pipeline.steps.learning import compute_weights
from knowdefeat_pipeline.steps.metrics import compute_metrics, compute_streaks
from knowdefeat_pipeline.steps.ranking import compute_rankings
from knowdefeat_pipeline.store.funds import save_settings
from knowdefeat_pipeline.store.learning import add_version
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.staleness import (
    BELIEFS,
    FAMILIES,
    RANKING,
    current_snapshot,
    mark,
    marks,
    settle,
    stale_days,
)
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 40
FIRST, LAST = (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date()
FOLLOWS = {"allocations_follow_the_ranking", "ranked_with_an_earlier_version", "version_was_in_force"}


@pytest.fixture(scope="module")
def computed(cloned: Callable[[str], AbstractContextManager[str]], template: str) -> Iterator[str]:
    """Eight bots' trades over forty days with funds, all of them computed."""
    with cloned(template) as url:
        trades = simulate("base", bots=8, days=DAYS, seed=5, end=END).trades
        load_trades(url, read_frame(trades, "simulator", END), "fleet")
        with connect(url) as connection:
            save_settings(
                connection, FundSettings("USD", 1000_00, allocation=AllocationRules(bot_cap=0.4)), "test", "a test"
            )
        days.refresh(url, FIRST, LAST, END)
        days.learn(url, FIRST, LAST)
        close_idle()
        yield url


@pytest.fixture
def fleet(cloned: Callable[[str], AbstractContextManager[str]], computed: str) -> Iterator[str]:
    with cloned(computed) as url:
        yield url


def offenders(url: str) -> dict[tuple[str, str], int]:
    """How many rows break each rule of what rests on what."""
    with connect(url) as connection:
        found = audit_days(connection, FIRST, END.date())
    return {
        (rule.asset, rule.name): int(check.figures["wrong"])
        for rule, check in found
        if check.figures["wrong"] and (rule.name in FOLLOWS or rule.query == "rests_on")
    }


def stale(url: str, now: datetime = END) -> list[str]:
    with connect(url) as connection:
        return [family.name for family in FAMILIES if stale_days(connection, family, now)]


def close(url: str, bot: int, exit_time: datetime, pnl: float) -> None:
    with connect(url) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, "
            "notional) VALUES (%s, 'COIN', 'LONG', 'closed', %s, %s, 10000, %s, 10000)",
            (bot, exit_time - timedelta(hours=1), exit_time, 10000 + pnl),
        )


def ranks(url: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute("SELECT day, bot_id, rank FROM bot_rankings ORDER BY 1, 2").fetchall()


def test_allocations_follow_one_late_trade(fleet: str) -> None:
    before = ranks(fleet)
    close(fleet, 8, END - timedelta(days=6, hours=5), 3000.0)
    with connect(fleet) as connection:
        assert stale_days(connection, RANKING, END).days == tuple(each_day(LAST - timedelta(days=6), LAST))
    days.compute_stale(fleet, END)
    assert ranks(fleet) != before
    assert offenders(fleet) == {}
    assert stale(fleet) == []


@pytest.mark.long
def test_allocations_follow_one_nights_adjustment(fleet: str) -> None:
    """The two runs of a night: the day that ended, with what is learned from it, and the day that runs."""
    night = END + timedelta(minutes=15)
    close(fleet, 8, END + timedelta(minutes=5), 1.0)
    days.adjust(fleet, FIRST, LAST - timedelta(days=1), END)
    days.compute_stale(fleet, END)
    for day in (LAST, END.date()):
        days.refresh(fleet, day, day, night)
        days.adjust(fleet, day, day, night)
        days.learn(fleet, day, day)
    assert offenders(fleet) == {}
    assert stale(fleet, night) == []


def test_allocations_follow_an_adjustment_of_seven_days(fleet: str) -> None:
    before, first = ranks(fleet), LAST - timedelta(days=6)
    attempts = days.adjust(fleet, first, LAST, END).attempts
    published = [attempt.day for attempt in attempts if attempt.version]
    assert len(published) > 1
    assert ranks(fleet) == before  # no ranking is rewritten by what was learned from it
    with connect(fleet) as connection:
        assert stale_days(connection, RANKING, END).days == tuple(each_day(published[0] + timedelta(days=1), LAST))
    assert ("bot_rankings", "ranked_with_an_earlier_version") in offenders(fleet)
    days.compute_stale(fleet, END)
    after = ranks(fleet)
    assert after != before
    assert [row for row in after if row[0] <= published[0]] == [row for row in before if row[0] <= published[0]]
    assert offenders(fleet) == {}
    assert stale(fleet) == []


def test_a_version_from_the_very_end_of_a_day_is_what_comes_next_and_not_what_ranked_it(fleet: str) -> None:
    weights = DEFAULT_WEIGHTS | {"avg_win_rate": 5.0, "one_hour_performance": 20.0}
    day = LAST - timedelta(days=1)
    with connect(fleet) as connection:
        add_version(connection, weights, based_on=1, author="manual", reason="a test", in_force_from=day_end(day))
        assert stale_days(connection, RANKING, END).days == (day, LAST)
    days.compute_stale(fleet, END)
    with connect(fleet) as connection:
        ranked = connection.execute(
            "SELECT DISTINCT day, weight_version FROM bot_rankings WHERE day >= %s ORDER BY 1", (day,)
        ).fetchall()
        following = connection.execute(
            "SELECT DISTINCT day, version FROM variable_weights WHERE day >= %s ORDER BY 1", (day,)
        ).fetchall()
    assert ranked == [(day, 1), (LAST, 2)]
    assert following == [(day, 2), (LAST, 2)]
    assert offenders(fleet) == {}


def test_funds_by_beliefs_come_to_rest(fleet: str) -> None:
    """New metrics make beliefs stale, new beliefs the allocations, and these nothing more."""
    with connect(fleet) as connection:
        save_settings(connection, FundSettings("USD", 1000_00, "belief_edge"), "test", "a test")
    close(fleet, 8, END - timedelta(days=6, hours=5), 300.0)
    with connect(fleet) as connection:
        first = stale_days(connection, RANKING, END)
    days.refresh(fleet, first.first, first.last, END)
    with connect(fleet) as connection:
        assert stale_days(connection, RANKING, END).days == ()
        assert stale_days(connection, BELIEFS, END).days == first.days
    days.learn(fleet, first.first, first.last)
    assert stale(fleet) == []
    assert offenders(fleet) == {}


def test_weights_are_written_of_ranked_days_alone(fleet: str) -> None:
    """Those of a day that was never ranked could not become stale."""
    ahead = END.date() + timedelta(days=3)
    days.adjust(fleet, ahead, ahead, END)
    with connect(fleet) as connection:
        assert connection.execute("SELECT max(day) FROM variable_weights").fetchone() == (LAST,)


def run_that_takes_long(url: str, day: date, meanwhile: Callable[[], None]) -> None:
    """A run over a day that has read its trades before something else happens, and writes after it."""
    with open_session(url) as session:
        session.begin(day)
        session.trades(day_start(day) - timedelta(days=WINDOW_DAYS), day_end(day))
        meanwhile()
        compute_metrics(session, day, day, END)
        compute_streaks(session, day, day)
        compute_rankings(session, day, day)
        compute_weights(session, day, day, END)
        compute_allocations(session, day, day)


@pytest.mark.long
@pytest.mark.parametrize("changes", ["arrives", "is deleted"])
def test_a_run_that_writes_late_is_held_against_what_was_settled_meanwhile(database: str, changes: str) -> None:
    """Nothing that was settled is looked at again, but for days that were computed since from an older snapshot."""
    first, day = END - timedelta(days=9), LAST - timedelta(days=2)
    close(database, 1, first, 1.0)
    close(database, 2, first + timedelta(hours=1), 1.0)
    days.compute_stale(database, END)

    def meanwhile() -> None:
        if changes == "arrives":
            close(database, 1, END - timedelta(days=5), 1.0)
        else:
            with connect(database) as connection:
                connection.execute("DELETE FROM trades WHERE bot_id = 2")
        days.compute_stale(database, END)

    run_that_takes_long(database, day, meanwhile)
    with connect(database) as connection:
        assert day in stale_days(connection, RANKING, END).days
    days.refresh(database, day, day, END)
    days.compute_stale(database, END)
    expected = {"arrives": (3, 2), "is deleted": (1, 1)}[changes]
    with connect(database) as connection:
        found = connection.execute(
            "SELECT sum(lifetime_trades), count(*) FROM bot_metrics WHERE day = %s AND ticker = '*'", (day,)
        ).fetchone()
    assert found == expected


def test_a_step_that_writes_late_is_held_against_what_it_rested_on(database: str) -> None:
    """It read the metrics before they were computed again, and wrote after that was settled."""
    close(database, 1, END - timedelta(hours=3), 1.0)
    days.compute_stale(database, END)
    with connect(database) as connection:
        (old,) = marks(connection, "win_streaks", LAST, LAST)
        days.refresh(database, LAST, LAST, END)
        settle(connection, stale_days(connection, RANKING, END))
        mark(connection, "win_streaks", LAST, LAST, [replace(old, seen=current_snapshot(connection))])
        assert stale_days(connection, RANKING, END).days == (LAST,)
