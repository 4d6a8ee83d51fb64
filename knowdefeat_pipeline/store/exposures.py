"""The capital of bots: what is stated, and the exposures by which the others' is estimated, kept in step with the
trades.

Only what the trades since the last time may have moved is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.metrics.capital import Capital, Exposures, exposures
from knowdefeat_pipeline.core.trades.columns import arrow_micros
from knowdefeat_pipeline.core.units import NEVER, Floats, Ints
from knowdefeat_pipeline.postgres import advisory
from knowdefeat_pipeline.postgres.connection import query, read_arrow
from knowdefeat_pipeline.scale.plan import EVERY_BOT, Bots

TRADES_AT_ONCE = 2_000_000  # whose sizes are read at a time, about
StaleBot: TypeAlias = tuple[int, datetime | None, float | None]
"""A bot, since when its exposures lack trades (None: all), and the most before."""
_LOCK = int.from_bytes(b"kdexpose", "big")  # the advisory lock that whoever brings exposures up to date holds
_BELOW = """
    SELECT coalesce((SELECT recorded_below FROM bot_exposures_state), '0')::text,
           pg_snapshot_xmin(pg_current_snapshot())::text,
           EXISTS (SELECT FROM bots WHERE capital IS NULL)
"""
# A parameter, and no subquery, tells the planner how few trades are younger.
_STALE = """
    SELECT EXISTS (SELECT FROM trades WHERE recorded_xid >= %s::xid8)
        OR EXISTS (SELECT FROM bots AS b WHERE b.capital IS NULL AND NOT EXISTS (
            SELECT FROM bot_exposures AS e WHERE e.bot_id = b.bot_id AND e.since = '-infinity'))
"""


def sync_exposures(connection: psycopg.Connection, url: str) -> None:
    """Bring the exposures of bots whose capital nobody stated in step with the trades.

    Where an estimate is another one by that, the days that rest on it become stale. One transaction; others wait for
    it. Trades whose transactions were still open when it began are counted next time.
    """
    if not _stale(connection)[2]:  # no need to wait for others
        return
    with connection.transaction():
        advisory.take(connection, _LOCK, "the estimates of capital")
        ((below, now_below, _),) = connection.execute(_BELOW).fetchall()  # others may have been here meanwhile
        for bots in _in_pieces(connection, connection.execute(query("capital/stale_bots"), (below,)).fetchall()):
            seen = [of for of in bots if of[1] is not None]
            asked = [*([of[at] for of in seen] for at in range(3)), [bot for bot, since, _ in bots if since is None]]
            _replace(connection, read_arrow(url, query("capital/read_stale_sizes"), asked), now_below)


def _in_pieces(connection: psycopg.Connection, bots: list[StaleBot]) -> Iterator[list[StaleBot]]:
    """Some bots at a time, so that the sizes of their trades can be held; as a rule all."""
    ((trades,),) = connection.execute("SELECT reltuples FROM pg_class WHERE oid = 'trades'::regclass").fetchall()
    each = max(1, int(len(bots) * min(1, TRADES_AT_ONCE / max(trades, 1))))
    for at in range(0, max(len(bots), 1), each):
        yield bots[at : at + each]


def _stale(connection: psycopg.Connection) -> tuple[str, str, bool]:
    ((below, now_below, any_estimated),) = connection.execute(_BELOW).fetchall()
    if not any_estimated:
        return below, now_below, False
    ((stale,),) = connection.execute(_STALE, (below,)).fetchall()
    return below, now_below, stale


def _replace(connection: psycopg.Connection, sizes: pa.Table, now_below: str) -> None:
    """Write the steps that follow from these sizes in the place of those that stand there, and below which transaction
    all trades are in them."""
    steps = _steps(sizes.filter(pc.is_valid(sizes["size"])))
    bots, row_of = np.unique(sizes["bot_id"].to_numpy(), return_index=True)  # of which each has one since
    connection.execute(
        query("capital/replace_exposures"),
        {
            "bots": bots.tolist(),
            "since": sizes["since"].take(row_of).to_pylist(),
            "step_bots": steps["bot_id"].to_pylist(),
            "step_since": steps["since"].to_pylist(),
            "exposures": steps["exposure"].to_pylist(),
            "now_below": now_below,
        },
    )


def _steps(sizes: pa.Table) -> pa.Table:
    """As rows of `bot_exposures`. What was open before `since` is open at it."""
    entry, exit_ = arrow_micros(sizes["entry_time"]), _micros_or(sizes["exit_time"], NEVER)
    found = exposures(
        sizes["bot_id"].to_numpy().astype(np.int64),
        np.maximum(entry, _micros_or(sizes["since"], NEVER)),
        exit_,
        _floats(sizes["size"]),
        _floats(sizes["above"]),
    )
    since = pa.array(found.since, pa.timestamp("us", "UTC"))
    return pa.table({"bot_id": pa.array(found.bot, pa.int32()), "since": since, "exposure": found.exposure})


def _micros_or(column: pa.ChunkedArray, absent: int) -> Ints:
    micros = pc.cast(pc.cast(column, pa.timestamp("us", "UTC"), safe=False), pa.int64())
    out: Ints = pc.fill_null(micros, absent).to_numpy()
    return out


def _floats(column: pa.ChunkedArray) -> Floats:
    out: Floats = column.cast(pa.float64()).to_numpy()
    return out


def read_capital(connection: psycopg.Connection, url: str, bots: Bots = EVERY_BOT) -> Capital:
    """What each of these bots has to trade with, stated or estimated."""
    stated: dict[int, float] = dict(
        connection.execute(
            "SELECT bot_id, capital FROM bots WHERE capital IS NOT NULL AND bot_id BETWEEN %s AND %s", bots
        ).fetchall()
    )
    rows = read_arrow(
        url,
        "SELECT bot_id, since, exposure FROM bot_exposures"
        " WHERE exposure > 0 AND bot_id BETWEEN $1 AND $2 ORDER BY 1, 2",
        bots,
    )
    bot = rows["bot_id"].to_numpy().astype(np.int64)
    return Capital(stated, Exposures(bot, arrow_micros(rows["since"]), _floats(rows["exposure"])))
