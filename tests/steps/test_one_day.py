"""The running day, written again and again: the rows that changed and no others, and always what a cold run writes."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import psycopg
import pytest
from psycopg.sql import Composable

from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect, query
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.chain import refresh
from knowdefeat_pipeline.steps.metrics import compute_metrics
from knowdefeat_pipeline.store.exposures import _BELOW
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.results import ROWS
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import RANKING, stale_days
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
DAY = NOW.date()
FIGURES = ("bot_metrics", "win_streaks", "win_streak_summary")  # of a bot alone; ranks depend on the others


class Fleet:
    """Twelve bots of 60 days, and a session that computes the running day."""

    def __init__(self, url: str, connection: psycopg.Connection) -> None:
        self.url, self.connection, self.now = url, connection, NOW
        self.session = Session(url, connection, Memory(url))

    def close(self, bot: int, back: timedelta = timedelta(seconds=1), price: float = 101.0) -> None:
        exit_time = self.now - back
        self.connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
            " notional) VALUES (%s, 'COIN', 'LONG', 'closed', %s, %s, 100, %s, 100)",
            (bot, exit_time - timedelta(hours=1), exit_time, price),
        )

    def refresh(self) -> None:
        self.now += timedelta(seconds=2)
        refresh(self.session, DAY, DAY, self.now)

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        statement = f"SELECT t::text FROM {name} AS t WHERE day = %s ORDER BY 1"
        return self.connection.execute(statement, (DAY,)).fetchall()

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        return {name: self.rows(name) for name in ROWS}

    def cold(self) -> dict[str, list[tuple[Any, ...]]]:
        """What a session without a memory makes of the day."""
        refresh(Session(self.url, self.connection), DAY, DAY, self.now)
        return self.tables()

    def written(self, name: str) -> dict[int, set[str]]:
        """The transactions that wrote each bot's rows."""
        found: dict[int, set[str]] = {}
        statement = f"SELECT bot_id, xmin::text FROM {ROWS[name]} WHERE day = %s"
        for bot, transaction in self.connection.execute(statement, (DAY,)).fetchall():
            found.setdefault(bot, set()).add(transaction)
        return found


@pytest.fixture
def fleet(database: str) -> Iterator[Fleet]:
    trades = simulate("base", bots=12, days=60, seed=5, end=NOW - timedelta(hours=12)).trades
    load_trades(database, read_frame(trades, "simulator", NOW), "fleet")
    days.refresh(database, DAY - timedelta(days=1), DAY - timedelta(days=1), NOW)
    with connect(database) as connection:
        yield Fleet(database, connection)


def test_only_the_rows_of_bots_that_traded_are_written(fleet: Fleet) -> None:
    fleet.refresh()
    bots = sorted(fleet.written("bot_metrics"))
    before = {name: fleet.written(name) for name in FIGURES}
    fleet.close(bots[3])
    fleet.refresh()
    for name in FIGURES:
        after = fleet.written(name)
        assert [bot for bot in bots if after[bot] != before[name][bot]] == [bots[3]]
    found = fleet.tables()
    assert found == fleet.cold()
    assert f'"{fleet.now:%Y-%m-%d %H:%M:%S}+00"' in found["bot_metrics"][0][0]


class Counted(psycopg.Cursor):
    """A cursor that notes what is asked, by its text up to the first parameter."""

    asked: ClassVar[Counter[str]] = Counter()

    def execute(self, query: Any, *given: Any, **how: Any) -> Any:
        text = query.as_string() if isinstance(query, Composable) else query
        self.asked[text.decode() if isinstance(text, bytes) else text] += 1
        return super().execute(query, *given, **how)


def test_a_batch_asks_for_each_thing_once(fleet: Fleet) -> None:
    fleet.refresh()
    fleet.close(sorted(fleet.written("bot_metrics"))[3])
    fleet.connection.cursor_factory = Counted
    Counted.asked.clear()
    fleet.refresh()
    asked = Counted.asked
    assert asked.pop(query("staleness/mark")) == len(RANKING.assets)
    assert {text: count for text, count in asked.items() if count > 1} == {
        _BELOW: 2,  # the second time by whoever has the lock
    }
    # What a step has just written, nobody reads.
    assert [text for text in asked if "refreshed_days" in text] == []
    assert sum(asked.values()) <= 36


@pytest.mark.long
def test_whatever_arrives_it_comes_to_what_a_cold_run_writes(fleet: Fleet) -> None:
    fleet.refresh()
    bots = sorted(fleet.written("bot_metrics"))
    for step, back in enumerate([1, 3600, 3595, 7300, 86_395, 7 * 86_400 - 3, 30 * 86_400 - 3, 40 * 86_400, 2]):
        fleet.close(bots[step % 5], timedelta(seconds=back), 99 + step / 3)
        fleet.refresh()
        fleet.refresh()  # what has left a window meanwhile
        found = fleet.tables()
        assert found == fleet.cold()
        fleet.close(bots[step % 3])  # between two batches somebody else has written the day
        fleet.refresh()
        assert fleet.tables() == fleet.cold()


@pytest.mark.parametrize("late", [timedelta(seconds=10), timedelta(hours=11)])
def test_the_batch_that_closes_the_day_carries_nothing_over_its_end(fleet: Fleet, late: timedelta) -> None:
    """There the window touches one calendar day less, and trades of the day that it leaves go."""
    midnight = datetime(2025, 3, 11, tzinfo=UTC)
    bots = [bot for (bot,) in fleet.connection.execute("SELECT bot_id FROM bots ORDER BY 1").fetchall()]
    fleet.now = midnight - late - timedelta(seconds=2)
    left = midnight - timedelta(days=30) - late / 2
    fleet.close(bots[2], fleet.now - left, 107.0)
    fleet.refresh()
    fleet.now = midnight + timedelta(seconds=1)
    fleet.refresh()
    found = fleet.tables()
    assert found == fleet.cold()
    fleet.close(bots[4], timedelta(hours=2))  # late, for the day that has ended
    fleet.refresh()
    found = fleet.tables()
    assert found == fleet.cold()


@pytest.mark.parametrize("statement", ["DELETE FROM trade_scores", "TRUNCATE trade_scores"])
def test_scores_that_are_deleted_go_from_the_running_day(fleet: Fleet, statement: str) -> None:
    fleet.close(1)
    fleet.connection.execute(
        "INSERT INTO trade_scores (trade_id, price_model_score, volume_model_score, price_wall_score)"
        " SELECT trade_id, 70, 60, 50 FROM trades WHERE exit_time > %s",
        (fleet.now - timedelta(days=5),),
    )
    fleet.refresh()
    scored = "SELECT count(price_model_score) FROM bot_metrics WHERE day = %s"
    assert fleet.connection.execute(scored, (DAY,)).fetchone() != (0,)
    fleet.connection.execute(statement)
    assert stale_days(fleet.connection, RANKING, fleet.now).last == DAY
    fleet.refresh()
    assert fleet.connection.execute(scored, (DAY,)).fetchone() == (0,)
    found = fleet.tables()
    assert found == fleet.cold()


def test_decisions_and_new_bots_count_too(fleet: Fleet) -> None:
    fleet.refresh()
    bots = sorted(fleet.written("bot_metrics"))
    fleet.connection.execute("UPDATE bots SET capital = 123 WHERE bot_id = %s", (bots[2],))
    fleet.refresh()
    found = fleet.tables()
    assert found == fleet.cold()
    fleet.close(max(bots) + 1)
    fleet.refresh()
    assert len(fleet.written("bot_metrics")) == 13
    fleet.refresh()
    found = fleet.tables()
    assert found == fleet.cold()
    fleet.connection.execute("DELETE FROM trades WHERE bot_id = %s", (bots[0],))
    fleet.refresh()
    found = fleet.tables()
    assert found == fleet.cold()


@pytest.mark.parametrize("step", ["win_streaks_rows", "variable_weights_rows"])
def test_a_batch_that_came_to_nothing_leaves_no_gap(fleet: Fleet, step: str) -> None:
    fleet.refresh()
    bots = sorted(fleet.written("bot_metrics"))
    fleet.close(bots[1])
    fleet.connection.execute(f"ALTER TABLE {step} RENAME TO hidden")
    with pytest.raises(psycopg.errors.UndefinedTable):
        fleet.refresh()
    fleet.connection.execute(f"ALTER TABLE hidden RENAME TO {step}")
    fleet.close(bots[2])
    fleet.refresh()
    found = fleet.tables()
    assert found == fleet.cold()


def test_metrics_computed_but_not_written_are_written_with_the_next_batch(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.refresh()
    bots = sorted(fleet.written("bot_metrics"))
    fleet.close(bots[1])
    with monkeypatch.context() as broken:
        broken.setattr("knowdefeat_pipeline.steps.metrics.renew_day", lambda *given: 1 / 0)
        fleet.session.begin(DAY)
        with pytest.raises(ZeroDivisionError):
            compute_metrics(fleet.session, DAY, DAY, fleet.now)
    fleet.refresh()
    found = fleet.tables()
    assert found == fleet.cold()
