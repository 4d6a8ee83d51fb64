"""The months of `bot_months`: kept in step with the trades, and read as the past of a refresh.

Only whole months that a refresh needs are summarised, once; after that a late trade costs one bot's one month.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import numpy as np
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.metrics.lifetime import Past, past_months
from knowdefeat_pipeline.core.metrics.summaries import Stretches, Summaries, month_number
from knowdefeat_pipeline.core.schema import ALL_TICKERS
from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.trades.reductions import flat_ranges
from knowdefeat_pipeline.postgres import advisory
from knowdefeat_pipeline.postgres.connection import copy_arrow, query, read_arrow
from knowdefeat_pipeline.scale.plan import EVERY_BOT, Bots, Extent, make_plan

_LOCK = int.from_bytes(b"kdmonths", "big")  # the advisory lock that whoever brings months up to date holds
FOLDED_BYTES = 150_000_000  # of trades that are folded at a time
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_OF_DAYS = {"days": "day", **{f"day_{name}": name for name in ("trades", "wins", "losses", "pnl", "m2", "m3")}}
"""The columns that hold a month's days, and the fields of DailyResults that stand in them."""


# A parameter, and no subquery, tells the planner how few trades are younger. Where somebody else has written the state
# meanwhile, no row is found.
_STILL_IN_STEP = """
    UPDATE bot_months_state SET recorded_below = %(now_below)s::xid8
    WHERE recorded_below = %(below)s::xid8 AND complete_before = %(complete)s
      AND NOT EXISTS (SELECT FROM closed_trades WHERE recorded_xid >= %(below)s::xid8 AND exit_time < %(since)s)
    RETURNING content
"""


def sync_months(connection: psycopg.Connection, url: str, before: date) -> UUID | None:
    """Bring the summaries of all months before `before` (the first of a month) in step with the trades; a name of what
    they hold, which is another one once they hold something else.

    One transaction; others wait for it. Trades whose transactions were still open when it began are counted next time.
    """
    complete, below, now_below, _ = _state(connection)
    if complete is not None and complete >= before:  # as a rule no trade is of a month that is over
        state = {"complete": complete, "since": _start(complete), "below": below, "now_below": now_below}
        content: UUID | None = next((row[0] for row in connection.execute(_STILL_IN_STEP, state).fetchall()), None)
        if content is not None:
            return content
    with connection.transaction():
        advisory.take(connection, _LOCK, "the summaries of months")
        changed = False
        complete, below, now_below, snapshot = _state(connection)
        if complete is not None and _any_stale(connection, below, complete):
            stale = read_arrow(url, query("metrics/read_stale_trades"), [below, _start(complete)])
            changed = _replace(connection, stale, None)
        if complete is None or complete < before:
            changed |= _fold(connection, url, complete, before, snapshot)
        connection.execute(
            "INSERT INTO bot_months_state (complete_before, recorded_below) VALUES (%s, %s::xid8) "
            "ON CONFLICT (only_row) DO UPDATE SET (complete_before, recorded_below) = "
            "(greatest(bot_months_state.complete_before, excluded.complete_before), excluded.recorded_below)",
            (before, now_below),
        )
        if changed:
            connection.execute("UPDATE bot_months_state SET content = gen_random_uuid()")
        return months_content(connection)


def months_content(connection: psycopg.Connection) -> UUID | None:
    """A name of what the months hold, which is another one once they hold something else."""
    row = connection.execute("SELECT content FROM bot_months_state").fetchone()
    return row[0] if row else None


def read_past(url: str, before: date, bots: Bots = EVERY_BOT) -> Past:
    """All months before `before` folded into one summary per bot and ticker, as the metrics engine takes them."""
    rows = read_arrow(url, query("metrics/read_months"), [before, *bots])
    bot, ticker = rows["bot_id"].to_numpy().astype(np.int64), np.asarray(rows["ticker"].to_pylist(), dtype=object)
    names, code = np.unique(ticker.astype(str), return_inverse=True)
    keys, series = np.unique(bot * len(names) + code, return_inverse=True)
    legs = rows["leg_peaks"].combine_chunks()
    summaries = Summaries(
        **{name: rows[name].to_numpy() for name in ("trades", "wins", "pnl", "gross_profit", "gross_loss", "peak")},
        **{name: rows[name].cast(pa.int64()).to_numpy() for name in ("first_exit", "last_exit")},
        leg_stop=np.cumsum(np.diff(legs.offsets.to_numpy())).astype(np.int64),
        leg_peak=legs.flatten().to_numpy(),
        leg_trough=rows["leg_troughs"].combine_chunks().flatten().to_numpy(),
    )
    day = rows["last_day"].cast(pa.int32()).to_numpy().astype(np.int64)
    months = Stretches(series, day, summaries).take(np.lexsort((day, series)))
    return Past(keys // max(len(names), 1), names[keys % max(len(names), 1)], months.folded())


def read_days(url: str, before: date) -> DailyResults:
    """What all days before `before` (the first of a month) left of each bot's results."""
    rows = read_arrow(url, query("metrics/read_days"), [before]).combine_chunks()
    days = rows["days"].combine_chunks()
    values = {name: rows[column].combine_chunks().flatten() for column, name in _OF_DAYS.items()}
    values["day"] = values["day"].cast(pa.int32()).cast(pa.int64())
    bot = np.repeat(rows["bot_id"].to_numpy().astype(np.int64), np.diff(days.offsets.to_numpy()))
    return DailyResults(bot=bot, **{name: of.to_numpy() for name, of in values.items()})


def unfolded_trades(connection: psycopg.Connection, before: date) -> int:
    """About how many trades of months before `before` are in no summary yet, as the planner takes it."""
    complete, *_ = _state(connection)
    since = _FIRST if complete is None else _start(complete)
    asked = psycopg.ClientCursor(connection).mogrify(
        "EXPLAIN (FORMAT JSON) SELECT FROM closed_trades WHERE exit_time >= %s AND exit_time < %s",
        (since, _start(before)),
    )
    (((plan,),),) = connection.execute(asked.encode()).fetchall()
    rows = int(plan["Plan"]["Plan Rows"])
    return rows if rows > 1 else 0  # which it says of none, too


def _fold(connection: psycopg.Connection, url: str, complete: date | None, before: date, snapshot: str) -> bool:
    """Add the months from `complete` (None: all) to `before`, some bots at a time; whether there was any trade."""
    since, until, changed = _FIRST if complete is None else _start(complete), _start(before), False
    few = Extent.of(connection).is_small(0, FOLDED_BYTES)
    for bots in [EVERY_BOT] if few else [shard.bots for shard in make_plan(url, since, until, 0, FOLDED_BYTES)]:
        fresh = read_arrow(url, query("trades/read_trades_of_bots"), [*bots, since, until, snapshot])
        changed |= _replace(connection, fresh, complete)
    return changed


def _state(connection: psycopg.Connection) -> tuple[date | None, str | None, str, str]:
    """Before which month all are there, below which transaction all trades are in them, below which one all have ended
    by now, and the snapshot of now."""
    (row,) = connection.execute(
        "SELECT complete_before, recorded_below::text, pg_snapshot_xmin(pg_current_snapshot())::text,"
        " pg_current_snapshot()::text"
        " FROM (SELECT) AS now LEFT JOIN bot_months_state ON true"
    ).fetchall()
    return row


def _any_stale(connection: psycopg.Connection, below: str | None, complete: date) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM closed_trades WHERE recorded_xid >= %s::xid8 AND exit_time < %s)",
        (below, _start(complete)),
    ).fetchone()
    return row is not None and row[0]


def _start(month: date) -> datetime:
    return datetime(month.year, month.month, month.day, tzinfo=UTC)


def _replace(connection: psycopg.Connection, trades: pa.Table, since: date | None) -> bool:
    """Write the months of these trades over what stands there; with `since`, nothing stands from there on.

    Whether there was something to write.
    """
    if trades.num_rows == 0:
        return False
    closed = Trades.from_arrow(trades)
    rows = _rows(past_months(closed), DailyResults.of(closed))
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS renewed (LIKE bot_months) ON COMMIT DELETE ROWS")
    copy_arrow(connection, "renewed", rows)
    if since is None:
        connection.execute(
            "DELETE FROM bot_months m USING (SELECT DISTINCT month, bot_id FROM renewed) r "
            "WHERE (m.month, m.bot_id) = (r.month, r.bot_id)"
        )
    connection.execute("INSERT INTO bot_months SELECT * FROM renewed")
    connection.execute("TRUNCATE renewed")
    return True


def _rows(past: Past, daily: DailyResults) -> pa.Table:
    series, summaries = past.months.series, past.months.summaries
    last_day = past.months.day.astype("datetime64[D]")
    offsets = pa.array(np.concatenate([[0], summaries.leg_stop]), pa.int32())
    return pa.table(
        {
            "month": pa.array(last_day.astype("datetime64[M]").astype("datetime64[D]")),
            "bot_id": past.bot[series],
            "ticker": pa.array(past.ticker[series], pa.string()),
            "last_day": pa.array(last_day),
            **{
                name: getattr(summaries, name)
                for name in ("trades", "wins", "pnl", "gross_profit", "gross_loss", "peak")
            },
            **{
                name: pa.array(getattr(summaries, name), pa.timestamp("us", "UTC"))
                for name in ("first_exit", "last_exit")
            },
            "leg_peaks": pa.ListArray.from_arrays(offsets, pa.array(summaries.leg_peak)),
            "leg_troughs": pa.ListArray.from_arrays(offsets, pa.array(summaries.leg_trough)),
            **_days(past, daily),
        }
    )


def _days(past: Past, daily: DailyResults) -> dict[str, pa.Array]:
    """A month's days beside its summary over all tickers, and none beside those of its tickers."""
    bot, ticker, month = (
        past.bot[past.months.series],
        past.ticker[past.months.series],
        month_number(past.months.day),
    )
    whole = np.flatnonzero(ticker == ALL_TICKERS)
    # Both are sorted by bot and month, and have the same months.
    of_day = month_number(daily.day)
    begin = np.flatnonzero((np.diff(daily.bot, prepend=daily.bot[:1] - 1) != 0) | (np.diff(of_day, prepend=0) != 0))
    order = whole[np.lexsort((month[whole], bot[whole]))]
    start, stop = np.zeros(len(bot), np.int64), np.zeros(len(bot), np.int64)
    start[order], stop[order] = begin, np.append(begin[1:], len(daily))
    _, rows = flat_ranges(start, stop)
    offsets = pa.array(np.concatenate([[0], np.cumsum(stop - start)]), pa.int32())
    values = {column: getattr(daily, name)[rows] for column, name in _OF_DAYS.items()}
    values["days"] = values["days"].astype("datetime64[D]")
    return {column: pa.ListArray.from_arrays(offsets, pa.array(array)) for column, array in values.items()}
