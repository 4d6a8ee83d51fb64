"""Refreshes in shards of bots: whatever their number, the tables are those of one piece, to the last bit."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.scale.costs import held_bytes
from knowdefeat_pipeline.scale.workers import Workers
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps import ranking
from knowdefeat_pipeline.steps.metrics import compute_metrics, compute_streaks
from knowdefeat_pipeline.steps.outcome import StepResult
from knowdefeat_pipeline.steps.ranking import compute_rankings
from knowdefeat_pipeline.steps.skill import compute_skill
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.tables import ROWS
from knowdefeat_pipeline.store.trades import load_trades

NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
FIRST, LAST = date(2025, 3, 3), NOW.date()  # the last one still runs
BOTS = 12
PATIENCE = 120  # seconds
Kill = Callable[["subprocess.Popen[str]"], None]
SHARDED = ("bot_metrics_rows", "bot_days_rows", "win_streaks_rows")
TABLES = (*sorted({*ROWS.values()}), "bot_days_rows", "open_positions", "slow_results", "bot_months")


@dataclass(frozen=True)
class Shards(Workers):
    """Workers that cut whatever there is into shards of so many bytes."""

    bytes_each: int = 0

    @property
    def whole_bytes(self) -> int:
        return -1 if self.bytes_each else 10**12

    @property
    def shard_bytes(self) -> int:
        return self.bytes_each

    def local_processes(self, seconds: float) -> int:
        return self.processes


def refresh(url: str, workers: Workers, first: date = FIRST, last: date = LAST) -> list[StepResult]:
    """The steps of a run that depend on metrics, as a run does them: each by itself."""
    with connect(url) as connection:
        session = Session(url, connection, workers=workers)
        try:
            session.begin(first)
            results = [
                compute_metrics(session, first, last, NOW),
                compute_streaks(session, first, last),
                compute_rankings(session, first, last),
                compute_skill(session, first, last),
            ]
        finally:
            session.unstage()
    for result in results:
        result.require()
    return results


def tables(url: str) -> dict[str, list[str]]:
    """Every row of the results as text, which has every bit of a number."""
    with connect(url) as connection:
        return {
            name: [row for (row,) in connection.execute(f"SELECT t::text FROM {name} AS t ORDER BY 1")]
            for name in TABLES
        }


def empty(url: str) -> None:
    """Take away what refreshes have written."""
    with connect(url) as connection:
        connection.execute(f"TRUNCATE {', '.join(TABLES)}, bot_months_state, refreshed_days")


def staged(url: str) -> dict[str, int]:
    """How many rows each table of the staging holds."""
    with connect(url) as connection:
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in NOTHING_STAGED}  # type: ignore[index]


NOTHING_STAGED = {"staged_plans": 0, "staged_shards": 0, "staged_parts": 0}


@pytest.fixture(scope="module")
def fleet(server_url: str, template: str) -> Iterator[str]:
    """Twelve bots of a hundred days, with an open trade and one bot that stopped long ago."""
    from tests.conftest import temporary_database

    with temporary_database(server_url, template) as url:
        trades = simulate("base", bots=BOTS, days=100, seed=5, end=NOW - timedelta(hours=12)).trades
        load_trades(url, read_frame(trades, "simulator", NOW), "fleet")
        with connect(url) as connection:
            connection.execute(
                "INSERT INTO trades (bot_name, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
                " notional) VALUES ('sleeper', 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100)",
                (NOW - timedelta(days=80), NOW - timedelta(days=79)),
            )
            connection.execute(
                "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, mark_price, notional)"
                " VALUES (3, 'COIN', 'LONG', %s, 100, 101, 100)",
                (NOW - timedelta(days=1),),
            )
            connection.execute(
                "INSERT INTO trade_scores (trade_id, price_model_score, volume_model_score, price_wall_score)"
                " SELECT trade_id, 70, 60, 50 + trade_id %% 7 FROM trades WHERE exit_time > %s AND trade_id %% 3 = 0",
                (NOW - timedelta(days=9),),
            )
            connection.execute("ANALYZE")
        yield url


@pytest.fixture(scope="module")
def copy(cloned: Callable[[str], AbstractContextManager[str]], fleet: str) -> Callable[[], AbstractContextManager[str]]:
    return lambda: cloned(fleet)


@pytest.fixture(scope="module")
def whole(copy: Callable[[], AbstractContextManager[str]]) -> dict[str, list[str]]:
    """The tables as one piece leaves them."""
    with copy() as url:
        refresh(url, Workers())
        return tables(url)


def bytes_for(url: str, shards: int) -> int:
    """The size of a shard by which the fleet is cut into about so many."""
    with connect(url) as connection:
        session = Session(url, connection, workers=Shards(bytes_each=10**12))
        plan = session.plan(NOW - timedelta(days=40), NOW, (LAST - FIRST).days + 1)
        assert plan is not None
        return max(1, held_bytes(plan.trades, plan.rows) // shards)


@pytest.mark.long
@pytest.mark.parametrize("shards", [1, 2, 7, 64])
def test_any_number_of_shards_leaves_what_one_piece_leaves(
    copy: Callable[[], AbstractContextManager[str]],
    whole: dict[str, list[str]],
    shards: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(ranking, "ROWS_AT_ONCE", 3 * BOTS)  # the rankings of three days at once, of a few bots
    with copy() as url:
        results = refresh(url, Shards(bytes_each=bytes_for(url, shards), report=told.append))
        found = tables(url)
        assert staged(url) == NOTHING_STAGED
    assert {name: len(rows) for name, rows in found.items()} == {name: len(rows) for name, rows in whole.items()}
    assert found == whole
    computed = sum(line.startswith("Shard ") for line in told)
    assert shards <= computed <= BOTS + 1 if shards < BOTS else computed == BOTS + 1
    monkeypatch.undo()
    with copy() as url:
        expected = refresh(url, Workers())
    assert [result.counts for result in results] == [result.counts for result in expected]
    assert [[(c.name, c.passed, c.figures) for c in result.checks] for result in results] == [
        [(c.name, c.passed, c.figures) for c in result.checks] for result in expected
    ]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_a_refresh_that_is_killed_is_done_again_and_leaves_nothing(
    copy: Callable[[], AbstractContextManager[str]], whole: dict[str, list[str]], seed: int
) -> None:
    with copy() as url:
        kill_at_random(url, random.Random(seed))
        refresh(url, Shards(bytes_each=bytes_for(url, 7)))
        assert tables(url) == whole
        assert staged(url) == NOTHING_STAGED


def kill_at_random(url: str, chance: random.Random, where: str = "1", kill: Kill = subprocess.Popen.kill) -> bool:
    """Begin a refresh as a process of its own, `kill` it or what it needs after so many of its words, and a moment;
    whether it was done all the same."""
    with begun(url, where) as process:
        assert process.stdout is not None
        for _ in range(chance.randint(1, 9)):
            if process.stdout.readline() == "done\n":
                break
        with suppress(subprocess.TimeoutExpired):  # a moment of any length: within a shard, or within what publishes
            process.wait(chance.random() / 10)
        kill(process)
        return process.wait(PATIENCE) == 0


def begun(url: str, where: str) -> subprocess.Popen[str]:
    """A refresh as a process of its own."""
    command = [sys.executable, "-m", "tests.steps.refresh_in_shards", url, str(bytes_for(url, 7)), where]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)


def test_a_refresh_within_a_transaction_is_computed_in_one_piece(fleet: str) -> None:
    with connect(fleet) as connection:
        session = Session(fleet, connection, workers=Shards(bytes_each=1))
        about = (NOW - timedelta(days=30), NOW, 1)
        plan = session.plan(*about)
        assert len(plan or ()) == BOTS + 1
        with connection.transaction():
            assert session.plan(*about) is None
        assert Session(fleet, connection, Memory(fleet), Shards(bytes_each=1)).plan(*about) is None
        assert Session(fleet, connection).plan(*about) is None  # it is small


@pytest.mark.long
def test_trades_that_arrive_meanwhile_are_in_no_shard_and_in_the_next_refresh(
    copy: Callable[[], AbstractContextManager[str]], whole: dict[str, list[str]]
) -> None:
    def close(url: str) -> None:
        exit_time = NOW - timedelta(days=3)
        with connect(url) as writer:
            writer.execute(
                "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
                " notional) SELECT bot_id, 'COIN', 'LONG', 'closed', %s, %s, 100, 150, 100 FROM bots",
                (exit_time - timedelta(hours=1), exit_time),
            )

    with copy() as url:
        refresh(
            url, Shards(bytes_each=bytes_for(url, 7), report=lambda told: told.startswith("Shard 1 ") and close(url))
        )
        found = tables(url)
        assert {name: found[name] for name in SHARDED} == {name: whole[name] for name in SHARDED}
        refresh(url, Shards(bytes_each=bytes_for(url, 7)))
        again = tables(url)
    with copy() as url:
        close(url)
        refresh(url, Workers())
        clean = tables(url)
    assert again == clean
    assert all(clean[name] != whole[name] for name in SHARDED)
