"""Plans: every bot once, in shards that take about equally much."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.postgres.connection import connect, query, quoted
from knowdefeat_pipeline.scale.costs import ROW_BYTES, TRADE_BYTES, held_bytes
from knowdefeat_pipeline.scale.plan import FIRST_BOT, LAST_BOT, Extent, cut, make_plan

END = datetime(2025, 7, 1, tzinfo=UTC)

bots = st.lists(
    st.tuples(st.integers(FIRST_BOT, LAST_BOT), st.integers(0, 10**6), st.integers(0, 10**4)),
    max_size=60,
    unique_by=lambda bot: bot[0],
).map(sorted)


@given(bots, st.integers(1, 10**9))
def test_every_bot_is_in_one_shard_that_is_not_too_large(fleet: list[tuple[int, int, int]], most: int) -> None:
    bot, trades, rows = (np.array([of[at] for of in fleet], np.int64) for at in range(3))
    plan = cut(bot, trades, rows, most)
    ends = [shard.bots for shard in plan]
    assert (ends[0][0], ends[-1][1]) == (FIRST_BOT, LAST_BOT)
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(ends))
    assert [shard.number for shard in plan] == list(range(len(plan)))
    for shard in plan:
        own = (bot >= shard.first_bot) & (bot <= shard.last_bot)
        assert (shard.trades, shard.rows) == (trades[own].sum(), rows[own].sum())
        assert held_bytes(shard.trades, shard.rows) <= most or own.sum() == 1
    assert (plan.trades, plan.rows) == (trades.sum(), rows.sum())


@given(st.integers(1, 40), st.integers(1, 12))
def test_equal_bots_are_dealt_out_evenly(per_shard: int, shards: int) -> None:
    count = per_shard * shards
    plan = cut(np.arange(count), np.full(count, 100), np.zeros(count, np.int64), per_shard * 100 * TRADE_BYTES)
    assert [shard.trades for shard in plan] == [per_shard * 100] * shards


def test_no_bot_is_one_shard_of_nothing() -> None:
    nothing = np.empty(0, np.int64)
    assert [shard.bots for shard in cut(nothing, nothing, nothing, 1)] == [(FIRST_BOT, LAST_BOT)]


def test_trades_of_the_window_are_counted_by_bot_with_rows_of_bots_that_rest(database: str) -> None:
    insert = (
        "INSERT INTO trades (bot_name, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
        " SELECT %s, ticker, 'LONG', 'closed', %s - interval '1 hour', %s, 100 + n, 101, 100"
        " FROM generate_series(1, %s) AS n, unnest(%s::text[]) AS ticker"
    )
    with connect(database) as connection:
        for name, back, count, tickers in (
            ("two", 3, 5, ["ETH", "BTC"]),
            ("rests", 300, 2, ["ETH"]),
            ("at the end", 0, 1, ["ETH"]),  # of which the window knows nothing yet
            ("at the start", 30, 1, ["ETH"]),
        ):
            at = END - timedelta(days=back)
            connection.execute(insert, (name, at, at, count, tickers))
        by_name = dict(connection.execute("SELECT bot_id, name FROM bots").fetchall())
        plan = make_plan(database, END - timedelta(days=30), END, 10, 1)
        found = {
            by_name[bot]: (shard.trades, shard.rows)
            for shard in plan
            for bot in by_name
            if shard.first_bot <= bot <= shard.last_bot
        }
        assert found == {"two": (10, 40), "rests": (0, 20), "at the end": (0, 20), "at the start": (1, 20)}
        assert (plan.trades, plan.rows, len(plan)) == (11, 100, 4)
        assert plan.largest.trades == 10

        connection.execute("ANALYZE trades")
        whole = held_bytes(14, 4 * 10 * 4)  # 14 trades; four bots with four rows on each of ten days
        extent = Extent.of(connection)
        assert extent == Extent(14, 4)
        assert [extent.is_small(10, most) for most in (whole, whole - 1)] == [True, False]
        connection.execute("UPDATE pg_class SET reltuples = -1 WHERE relname = 'trades'")
        unknown = Extent.of(connection)  # to the planner
        assert (unknown.is_small(10, 10**12), unknown.slices(1)) == (False, 1)


@pytest.mark.parametrize(
    ("trades", "bots", "days", "expected"),
    [
        (3_000_000, 3_000, 1, 10),  # 250 trades for each of a bot's four rows
        (10_000_000, 10_000, 8, 10),
        (10_000_000, 10_000, 30, 2),  # 1.2 M rows: the half of the trades are three for each
        (300_000, 20_000, 8, 1),
        (300_000, 10, 0, 3),  # a hundred thousand are counted
        (300, 10, 0, 1),
        (0, 0, 1, 1),
    ],
)
def test_the_more_trades_a_row_has_the_fewer_are_counted(trades: int, bots: int, days: int, expected: int) -> None:
    assert Extent(trades, bots).slices(days) == expected


def test_each_bot_is_counted_in_a_slice_of_its_own(database: str) -> None:
    with connect(database) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
            " SELECT bot, 'ETH', 'LONG', 'closed', at - interval '1 hour', at, 100, 101, 100"
            " FROM generate_series(1, 9) AS bot, generate_series(%s, %s, interval '6 hours') AS at",
            (END - timedelta(days=30), END - timedelta(microseconds=1)),
        )
        # A fifth of the time is six days: bot 6 trades in the second fifth alone, which is the one that it is counted in.
        own = (END - timedelta(days=24), END - timedelta(days=18))
        connection.execute("DELETE FROM trades WHERE bot_id = 6 AND NOT (exit_time >= %s AND exit_time < %s)", own)

    def counted(slices: int) -> list[int]:
        return [shard.trades for shard in make_plan(database, END - timedelta(days=30), END, 0, 1, slices)]

    assert counted(1) == [120, 120, 120, 120, 120, 24, 120, 120, 120]
    assert counted(5) == [120, 120, 120, 120, 120, 5 * 24, 120, 120, 120]
    assert counted(3) == [
        120,
        120,
        120,
        120,
        120,
        3 * 16,
        120,
        120,
        120,
    ]  # of bot 6 the first ten days, four of which count


def test_a_shard_reads_its_trades_from_the_index_alone(database: str) -> None:
    with connect(database) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
            " SELECT n %% 200, 'ETH', 'LONG', 'closed', %s - n * interval '1 minute', %s - n * interval '1 minute', 100 + n,"
            " 101, 100 FROM generate_series(1, 40000) AS n",
            (END, END),
        )
        connection.execute("VACUUM ANALYZE trades")
        ((seen,),) = connection.execute("SELECT pg_current_snapshot()::text").fetchall()
        asked = quoted(query("trades/read_trades_of_bots"), [20, 29, END - timedelta(days=3), END, seen])
        plan = "\n".join(row for (row,) in connection.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {asked}"))
        count = connection.execute(f"SELECT count(*) FROM ({asked}) AS t").fetchone()
    assert "Index Only Scan using trades_of_bot on trades" in plan
    assert "Heap Fetches: 0" in plan
    assert count == (sum(20 <= n % 200 <= 29 for n in range(1, 3 * 24 * 60 + 1)),)


def test_the_constants_are_those_by_which_memory_is_told() -> None:
    assert held_bytes(3, 5) == 3 * TRADE_BYTES + 5 * ROW_BYTES
