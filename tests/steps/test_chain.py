"""The chain on a real database: what it writes, that it can be repeated, and what stops it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, VARIABLE_NAMES
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.core.units import micros
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.metrics import _missing
from knowdefeat_pipeline.steps.outcome import CheckFailed, CheckResult
from knowdefeat_pipeline.store.staleness import current_snapshot
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 12
FIRST, LAST = (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date()
FIRST_END = END - timedelta(days=DAYS - 1)
RESULTS = ("bot_metrics", "win_streaks", "win_streak_summary", "bot_rankings", "bot_skill", "variable_weights")


@pytest.fixture
def fleet(database: str) -> str:
    """A database with six bots' trades over twelve days."""
    load_trades(
        database, read_frame(simulate("base", bots=6, days=DAYS, seed=3, end=END).trades, "simulator", END), "fleet"
    )
    return database


def materialise(url: str, first: date, last: date, now: datetime = END + timedelta(days=9)) -> dict[str, CheckResult]:
    return days.checks(days.refresh(url, first, last, now))


def tables(url: str) -> dict[str, list[tuple]]:
    with connect(url) as connection:
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3, 4").fetchall() for name in RESULTS}


def count(url: str, table: str) -> int:
    with connect(url) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def close(url: str, bot: int, exit_time: datetime, pnl: float, **columns: object) -> None:
    """One closed trade over an hour with exactly that net pnl."""
    values = {"ticker": "COIN", "direction": "LONG", **columns}
    with connect(url) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
            " VALUES (%s, %s, %s, 'closed', %s, %s, 100, %s, 100)",
            (bot, values["ticker"], values["direction"], exit_time - timedelta(hours=1), exit_time, 100 + pnl),
        )


def test_a_small_history_by_hand(database: str) -> None:
    for hour, pnl in ((1, 10.0), (2, -5.0), (3, 10.0), (4, 10.0), (5, 0.0)):
        close(database, 7, datetime(2025, 2, 10, hour, tzinfo=UTC), pnl)
    close(database, 8, datetime(2025, 2, 9, 12, tzinfo=UTC), 3.0)
    materialise(database, date(2025, 2, 9), date(2025, 2, 10))
    with connect(database) as connection:
        metrics = connection.execute(
            "SELECT trades, wins, losses, total_pnl, avg_win_rate, profit_factor, max_drawdown_amount, win_streak_2, as_of"
            " FROM bot_metrics WHERE day = '2025-02-10' AND bot_id = 7 AND ticker = '*'"
        ).fetchone()
        streaks = connection.execute(
            "SELECT hits, runs FROM win_streaks WHERE day = '2025-02-10' AND bot_id = 7 AND streak_length = 2"
        ).fetchone()
        ranks = connection.execute(
            "SELECT bot_id, rank, rank_score, eligible, reason FROM bot_rankings WHERE day = '2025-02-10' ORDER BY bot_id"
        ).fetchall()
        rows = connection.execute("SELECT day, count(*) FROM bot_metrics GROUP BY day ORDER BY day").fetchall()
    assert metrics[:3] == (5, 3, 1)
    assert metrics[3:8] == pytest.approx((25.0, 60.0, 6.0, 5.0, 20.0))
    assert metrics[8] == datetime(2025, 2, 11, tzinfo=UTC)
    assert streaks == (1, 1)
    assert ranks == [
        (7, 1, 50.0, True, None),
        (8, None, None, False, "1 closed trade in 30 days, 5 needed"),
    ]
    assert rows == [(date(2025, 2, 9), 2), (date(2025, 2, 10), 4)]


def test_a_range_equals_its_days_one_by_one_to_the_bit(fleet: str) -> None:
    # A bot that falls out of the window within the range.
    close(fleet, 50, datetime.combine(FIRST - timedelta(days=25), datetime.min.time(), tzinfo=UTC), 5.0)
    materialise(fleet, FIRST, LAST)
    ranged = tables(fleet)
    for n in range(DAYS):
        day = FIRST + timedelta(days=n)
        materialise(fleet, day, day)
    assert tables(fleet) == ranged
    assert all(ranged.values())


def test_a_second_run_changes_nothing(fleet: str) -> None:
    materialise(fleet, FIRST, LAST)
    before = tables(fleet)
    materialise(fleet, FIRST, LAST)
    assert tables(fleet) == before


def test_contributions_sum_to_the_score_and_ranks_follow_it(fleet: str) -> None:
    materialise(fleet, LAST, LAST)
    with connect(fleet) as connection:
        points = " + ".join(f"{name}_points" for name in VARIABLE_NAMES)
        rows = connection.execute(
            f"SELECT rank, rank_score, {points} FROM bot_rankings WHERE eligible ORDER BY rank"
        ).fetchall()
    assert [row[0] for row in rows] == list(range(1, 7))
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)
    assert [row[2] for row in rows] == pytest.approx([row[1] - 50 for row in rows], abs=1e-9)


def test_the_running_day_is_true_at_the_time_of_the_run(fleet: str) -> None:
    noon = datetime(2025, 2, 27, 12, tzinfo=UTC)
    materialise(fleet, noon.date(), noon.date(), now=noon)
    with connect(fleet) as connection:
        as_ofs = {
            row[0] for row in connection.execute("SELECT as_of FROM bot_metrics UNION SELECT as_of FROM bot_rankings")
        }
        trades = connection.execute("SELECT sum(lifetime_trades) FROM bot_metrics WHERE ticker = '*'").fetchone()[0]
        expected = connection.execute("SELECT count(*) FROM trades WHERE exit_time < %s", (noon,)).fetchone()[0]
    assert as_ofs == {noon}
    assert trades == expected > 0


def test_a_past_day_keeps_the_weights_of_its_time(fleet: str) -> None:
    flipped = {name: -weight for name, weight in DEFAULT_WEIGHTS.items()}
    with connect(fleet) as connection:
        connection.execute(
            f"INSERT INTO weight_versions (version, author, reason, in_force_from, {', '.join(VARIABLE_NAMES)}) "
            f"VALUES (2, 'manual', 'a test', %s, {', '.join(['%s'] * 19)})",
            (datetime(2025, 2, 28, 6, tzinfo=UTC), *flipped.values()),
        )
    materialise(fleet, LAST - timedelta(days=1), LAST)
    with connect(fleet) as connection:
        versions = connection.execute("SELECT DISTINCT day, weight_version FROM bot_rankings ORDER BY 1").fetchall()
        weight = connection.execute(
            "SELECT version, weight FROM variable_weights WHERE variable = 'one_hour_performance' ORDER BY day"
        ).fetchall()
    assert versions == [(date(2025, 2, 27), 1), (date(2025, 2, 28), 2)]
    assert weight == [(1, 15.0), (2, -15.0)]


def test_activity_set_by_a_person_is_kept_across_runs(fleet: str) -> None:
    with connect(fleet) as connection:
        connection.execute("UPDATE bots SET is_active = false WHERE bot_id = 4")
    materialise(fleet, LAST, LAST)
    materialise(fleet, LAST, LAST)
    with connect(fleet) as connection:
        active = dict(connection.execute("SELECT bot_id, is_active FROM bot_rankings").fetchall())
    assert active == {1: True, 2: True, 3: True, 4: False, 5: True, 6: True}


def test_a_day_without_any_trade_is_an_empty_day_and_not_a_failure(database: str) -> None:
    checks = materialise(database, date(2025, 2, 9), date(2025, 2, 10))
    assert all(check.passed for check in checks.values())
    assert count(database, "bot_metrics") == count(database, "bot_rankings") == 0
    assert count(database, "variable_weights") == 2 * 19


def test_a_trade_that_was_tampered_with_stops_the_chain(fleet: str) -> None:
    materialise(fleet, LAST, LAST)
    before = tables(fleet)
    with connect(fleet) as connection:
        connection.execute("ALTER TABLE trades DISABLE TRIGGER ALL")
        connection.execute("ALTER TABLE trades DROP CONSTRAINT trades_pnl_agrees")
        connection.execute("UPDATE trades SET pnl = pnl + 1 WHERE exit_time >= %s AND bot_id = 1", (LAST,))
    with pytest.raises(CheckFailed, match=r"constraints_are_enforced on trades failed .*net pnl follows"):
        materialise(fleet, LAST, LAST)
    assert tables(fleet) == before


def test_claims_that_disagree_are_counted_and_do_not_stop_the_chain(database: str) -> None:
    with connect(database) as connection:
        for bot in (1, 2):
            connection.execute(
                "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, "
                "notional, reported_pnl) VALUES (%s, 'COIN', 'SHORT', 'closed', '2025-02-10 01:00Z', '2025-02-10 02:00Z', "
                "100, 99, 100, %s)",
                (bot, bot),
            )
    checks = materialise(database, date(2025, 2, 10), date(2025, 2, 10))
    claim = checks["reported_pnl_agrees"]
    assert (claim.passed, claim.severity) == (False, "WARN")
    assert claim.description == "1 of the 2 recorded pnl values disagreed and were recomputed"
    assert count(database, "bot_metrics") == 4


def test_the_first_seeds_real_trades(database: str, shared_data: Path) -> None:
    path = shared_data / "know_defeat" / "all_trades.csv"
    reference = pd.read_json(shared_data / "know_defeat" / "reference.json", typ="series")["per_bot_deduped"]
    load_trades(database, read_trades(path, now=END), path.name)
    checks = materialise(database, date(2025, 2, 11), date(2025, 2, 11))
    claim = checks["reported_pnl_agrees"]
    assert claim.figures == {"disagreed and recomputed": 229, "reported": 230}
    with connect(database) as connection:
        rows = connection.execute(
            "SELECT m.bot_id, m.trades, m.wins, m.total_pnl, m.avg_win_rate, m.max_drawdown_amount, s.longest_win_streak "
            "FROM bot_metrics m JOIN win_streak_summary s USING (day, bot_id) WHERE ticker = '*' ORDER BY bot_id"
        ).fetchall()
        hits = connection.execute("SELECT bot_id, streak_length, hits, runs FROM win_streaks").fetchall()
    assert [row[0] for row in rows] == [2, 3, 4]
    for bot, *figures in rows:
        stored = reference[str(bot)]["usd"]
        assert figures[:2] == [stored["trades"], stored["wins"]]
        assert figures[2] == pytest.approx(stored["total_pnl"], abs=1e-6)
        assert figures[3] == pytest.approx(stored["win_rate_pct"], abs=1e-6)
        assert figures[4] == pytest.approx(stored["max_drawdown"], abs=1e-6)
        assert figures[5] == stored["longest_win_streak"]
    for bot, length, count_, runs in hits:
        stored = reference[str(bot)]["usd"]
        assert count_ == stored["upstream_streak_hits_ge"][str(length)]
        assert runs == stored["maximal_win_streaks_len_ge"][str(length)]


def test_a_missing_unique_key_stops_the_chain(fleet: str) -> None:
    with connect(fleet) as connection:
        connection.execute("ALTER TABLE trades DROP CONSTRAINT trades_source_key")
    with pytest.raises(CheckFailed, match=r"constraints_are_enforced on trades failed .*trades_source_key"):
        materialise(fleet, LAST, LAST)
    assert count(fleet, "bot_metrics") == 0


def test_an_active_bot_without_metrics_is_found(database: str) -> None:
    first_exits = {1: END - timedelta(days=30), 2: END - timedelta(days=1), 3: END + timedelta(days=1), 4: FIRST_END}
    for bot, first_exit in first_exits.items():
        close(database, bot, first_exit, 1.0)
        close(database, bot, first_exit + timedelta(days=1), 1.0)
    rows = {"as_of": micros([FIRST_END, END]), "bot_id": np.array([1, 1])}
    with connect(database) as connection:
        connection.execute("UPDATE bots SET is_active = false WHERE bot_id = 4")
        seen = current_snapshot(connection)
        close(database, 5, FIRST_END, 1.0)  # arrived too late to be missed
        assert _missing(connection, rows, {FIRST: FIRST_END, LAST: END}, seen) == [(LAST, 2)]
