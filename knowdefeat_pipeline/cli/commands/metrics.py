"""`metrics` and `streaks`: what was computed of each bot, for a day."""

from __future__ import annotations

import psycopg

from knowdefeat_pipeline.cli.database import database, day_or_latest, require_rows
from knowdefeat_pipeline.cli.options import Bot, Day, Json, Ticker
from knowdefeat_pipeline.cli.views.metrics import show_bot, show_metrics, show_streaks
from knowdefeat_pipeline.cli.views.output import print_json
from knowdefeat_pipeline.core.schema import ALL_TICKERS
from knowdefeat_pipeline.store.bots import bot_keys
from knowdefeat_pipeline.store.reads import Record, day_rows


def _key(connection: psycopg.Connection, bot: str | None) -> int | None:
    return None if bot is None else bot_keys(connection, [bot])[0]


def metrics(
    day: Day = None,
    bot: Bot = None,
    ticker: Ticker = None,
    json: Json = False,
) -> None:
    """Every bot's figures, over all tickers ('*') or one; with --bot all figures of one bot, per ticker."""
    with database() as connection:
        day = day_or_latest(connection, day, "bot_metrics")
        chosen = ticker or (None if bot is not None else ALL_TICKERS)
        rows = day_rows(connection, "bot_metrics", day, bot_id=_key(connection, bot), ticker=chosen)
    if json:
        print_json(rows)
        return
    require_rows(rows, f"No metrics on {day}{f' for bot {bot}' if bot is not None else ''}.")
    if bot is not None:
        show_bot(rows)
    else:
        show_metrics(rows)


def streaks(day: Day = None, bot: Bot = None, json: Json = False) -> None:
    """Runs of wins and losses, and whether their order differs from chance."""
    with database() as connection:
        day = day_or_latest(connection, day, "win_streak_summary")
        key = _key(connection, bot)
        rows = day_rows(connection, "win_streak_summary", day, bot_id=key)
        lengths = day_rows(connection, "win_streaks", day, bot_id=key)
    of_bot: dict[int, list[Record]] = {}
    for row in sorted(lengths, key=lambda row: row["streak_length"]):
        of_bot.setdefault(row["bot_id"], []).append(row)
    if json:
        print_json([{**row, "lengths": of_bot[row["bot_id"]]} for row in rows])
        return
    require_rows(rows, f"No streaks on {day}{f' for bot {bot}' if bot is not None else ''}.")
    show_streaks(rows, of_bot)
