"""Steps of one run hand on what the next would read, and write part by part: what is stored stays the same."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from threading import Event, current_thread

import pytest

from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps import ranking, skill
from knowdefeat_pipeline.steps.in_parts import computed_ahead
from knowdefeat_pipeline.steps.metrics import compute_metrics, compute_streaks
from knowdefeat_pipeline.steps.ranking import compute_rankings
from knowdefeat_pipeline.steps.skill import compute_skill
from knowdefeat_pipeline.store.session import Session, open_session
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps.test_shards import Shards

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 12
FIRST, LAST = (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date()
LOSS = (
    "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
    " VALUES (1, 'ETH', 'LONG', 'closed', %(exit)s - interval '1 hour', %(exit)s, 100, 1, 100000)"
)
TABLES = ("bot_metrics", "win_streaks", "bot_rankings", "bot_skill")


@pytest.fixture
def fleet(database: str) -> str:
    """A database with six bots' trades over twelve days."""
    trades = read_frame(simulate("base", bots=6, days=DAYS, seed=3, end=END).trades, "simulator", END)
    load_trades(database, trades, "fleet")
    return database


def tables(url: str) -> dict[str, list[tuple]]:
    with connect(url) as connection:
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3, 4").fetchall() for name in TABLES}


def measure(session: Session, first: date = FIRST, last: date = LAST) -> None:
    session.begin(first)
    compute_metrics(session, first, last, END)


def read_nothing(*_: object) -> None:
    raise AssertionError("what the step before left is read again")


def test_a_ranking_of_what_the_run_has_measured_is_that_of_what_is_stored(
    fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, open_session(fleet) as session:
        patched.setattr(ranking, "_read", read_nothing)
        measure(session)
        compute_rankings(session, FIRST, LAST)
        handed_on = tables(fleet)["bot_rankings"]
    with open_session(fleet) as session:
        compute_rankings(session, FIRST, LAST)
    assert tables(fleet)["bot_rankings"] == handed_on
    assert len(handed_on) == 6 * DAYS


def test_metrics_that_another_run_has_replaced_are_read(fleet: str) -> None:
    with open_session(fleet) as session, open_session(fleet) as other:
        measure(session)
        compute_rankings(session, FIRST, LAST)
        before = tables(fleet)["bot_rankings"]
        measure(session)
        with connect(fleet) as connection:
            connection.execute(LOSS, {"exit": END - timedelta(hours=2)})
        measure(other)
        compute_rankings(session, FIRST, LAST)
        found = tables(fleet)["bot_rankings"]
        compute_rankings(other, FIRST, LAST)
    assert tables(fleet)["bot_rankings"] == found
    assert found != before


def test_what_was_left_is_taken_once(fleet: str) -> None:
    with open_session(fleet) as session:
        measure(session)
        marks = compute_metrics(session, FIRST, LAST, END).marks
        left = session.take_left(marks)
        assert left is not None
        assert len(left["bot_id"]) == 6 * DAYS
        assert session.take_left(marks) is None


def test_trades_that_a_step_has_read_need_no_plan(fleet: str) -> None:
    since = END - timedelta(days=40)
    with connect(fleet) as connection:
        session = Session(fleet, connection, workers=Shards(bytes_each=10**12))
        assert session.plan(since, END, DAYS) is not None
        session.trades(since, END)
        assert session.plan(since, END, DAYS) is None
        assert session.plan(since - timedelta(days=1), END, DAYS) is not None


@pytest.mark.parametrize("days", [1, DAYS])
def test_the_parts_in_which_days_are_written_change_nothing(
    fleet: str, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    first = LAST - timedelta(days=days - 1)

    def refresh() -> dict[str, list[tuple]]:
        with open_session(fleet) as session:
            measure(session, first)
            compute_streaks(session, first, LAST)
            compute_rankings(session, first, LAST)
            compute_skill(session, first, LAST)
        return tables(fleet)

    whole = refresh()
    monkeypatch.setattr("knowdefeat_pipeline.core.metrics.engine.BLOCK_ROWS", 3 * days)  # a block of one or two bots
    monkeypatch.setattr(ranking, "DAYS_AT_ONCE", 5)
    monkeypatch.setattr(skill, "DAYS_AT_ONCE", 1)
    assert refresh() == whole
    assert len(whole["bot_rankings"]) == 6 * days
    assert all(whole.values())


def test_items_are_computed_ahead_in_order_by_another_thread() -> None:
    asked, threads = Event(), set()

    def numbers() -> Iterator[int]:
        for number in range(1, 5):
            threads.add(current_thread().name)
            yield number
            asked.set()  # whoever goes on from the first has begun the second

    with computed_ahead(numbers(), 2) as items:
        assert asked.wait(60)  # though nobody has taken one
        assert list(items) == [1, 2, 3, 4]
    assert threads == {"ahead_0"}


def test_what_computing_raises_is_raised_to_who_takes_it() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with computed_ahead(numbers(), 2) as items:
        assert next(items) == 1
        with pytest.raises(ZeroDivisionError):
            next(items)


def test_at_the_end_nothing_is_computed_any_more() -> None:
    begun = list[int]()

    def numbers() -> Iterator[int]:
        for number in range(1, 10):
            begun.append(number)
            yield number

    with computed_ahead(numbers(), 2) as items:
        next(items)
    count = len(begun)
    assert count <= 3
    assert next(iter(numbers())) == 1  # the thread would have gone on meanwhile
    assert len(begun) == count + 1
