"""What a shard reads: its bots' trades and scores, and nothing of the others."""

from __future__ import annotations

from datetime import datetime

import psycopg

from knowdefeat_pipeline.core.metrics.score_means import TradeScores
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.postgres.connection import query, read_arrow
from knowdefeat_pipeline.scale.plan import Bots
from knowdefeat_pipeline.store.trade_scores import any_scores


def trades_of(url: str, bots: Bots, since: datetime, until: datetime, seen: str) -> Trades:
    """The closed trades of these bots with since <= exit_time < until that the snapshot `seen` shows, and no others:
    whenever a shard is computed, and however often, they are the same."""
    return Trades.from_arrow(read_arrow(url, query("trades/read_trades_of_bots"), [*bots, since, until, seen]))


def scores_of(
    connection: psycopg.Connection, url: str, bots: Bots, since: datetime, until: datetime
) -> TradeScores | None:
    """The scores of the closed trades of these bots with since <= exit_time < until; None where no trade has any."""
    if not any_scores(connection):
        return None
    return TradeScores.from_arrow(read_arrow(url, query("market/read_scores_of_bots"), [*bots, since, until]))
