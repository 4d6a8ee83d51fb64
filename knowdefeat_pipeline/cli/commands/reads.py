"""`metrics`, `streaks`, `rankings`: what was computed, for a day."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from knowdefeat_pipeline.cli.options import Bot, CommandError, Day, Json, database, day_or_latest
from knowdefeat_pipeline.cli.views.output import Justify, instant, number, pnl, print_json, show_ranking, table, text
from knowdefeat_pipeline.core.schema import ALL_TICKERS, METRICS
from knowdefeat_pipeline.store.reads import Record, day_rows, ranking

METRIC_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("bot", "right"),
    ("ticker", "left"),
    ("trades", "right"),
    ("win %", "right"),
    ("pnl", "right"),
    ("profit factor", "right"),
    ("sharpe", "right"),
    ("max dd %", "right"),
    ("lifetime pnl", "right"),
)
STREAK_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("bot", "right"),
    ("trades", "right"),
    ("win %", "right"),
    ("longest win", "right"),
    ("longest loss", "right"),
    ("current", "right"),
    ("streaks 2..7 (% of trades)", "left"),
    ("luck? p", "right"),
)


def metrics(
    day: Day = None,
    bot: Bot = None,
    ticker: Annotated[str | None, typer.Option(help="Only this ticker; '*' for all tickers together.")] = None,
    json: Json = False,
) -> None:
    """Every bot's figures; with --bot all figures of one bot, per ticker."""
    with database() as connection:
        day = day_or_latest(connection, day, "bot_metrics")
        chosen = ticker or (None if bot is not None else ALL_TICKERS)
        rows = day_rows(connection, "bot_metrics", day, bot_id=bot, ticker=chosen)
    if json:
        print_json(rows)
        return
    _require(rows, f"No metrics on {day}{f' for bot {bot}' if bot is not None else ''}.")
    if bot is not None:
        _show_bot(rows)
        return
    table(
        f"Metrics as of {instant(rows[0]['as_of'])} (trailing 30 days)",
        METRIC_COLUMNS,
        [
            (
                str(row["bot_id"]),
                row["ticker"],
                number(row["trades"]),
                number(row["avg_win_rate"], 1),
                pnl(row, "total_pnl"),
                number(row["profit_factor"]),
                number(row["sharpe"]),
                number(row["max_drawdown"], 1),
                pnl(row, "lifetime_pnl"),
            )
            for row in rows
        ],
    )


def _show_bot(rows: list[Record]) -> None:
    columns: list[tuple[str, Justify]] = [("figure", "left"), ("unit", "left")]
    columns += [(row["ticker"], "right") for row in rows]
    table(
        f"Bot {rows[0]['bot_id']} as of {instant(rows[0]['as_of'])}",
        columns,
        [(f.name, f.unit, *(_cell(row[f.name]) for row in rows)) for f in METRICS],
    )


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, float) and value != 0 and abs(value) < 0.01:
        return f"{value:.3g}"
    return number(value) if isinstance(value, int | float) else text(value)


def streaks(day: Day = None, bot: Bot = None, json: Json = False) -> None:
    """Runs of wins and losses, and whether they are more than luck."""
    with database() as connection:
        day = day_or_latest(connection, day, "win_streak_summary")
        rows = day_rows(connection, "win_streak_summary", day, bot_id=bot)
        lengths = day_rows(connection, "win_streaks", day, bot_id=bot)
    of_bot: dict[int, list[Record]] = {}
    for row in sorted(lengths, key=lambda row: row["streak_length"]):
        of_bot.setdefault(row["bot_id"], []).append(row)
    if json:
        print_json([{**row, "lengths": of_bot[row["bot_id"]]} for row in rows])
        return
    _require(rows, f"No streaks on {day}{f' for bot {bot}' if bot is not None else ''}.")
    table(
        f"Win streaks as of {instant(rows[0]['as_of'])} (trailing 30 days)",
        STREAK_COLUMNS,
        [
            (
                str(row["bot_id"]),
                number(row["trades"]),
                number(row["win_rate"], 1),
                number(row["longest_win_streak"]),
                number(row["longest_loss_streak"]),
                number(row["current_streak"], sign=True),
                "  ".join(number(length["frequency"], 1) for length in of_bot[row["bot_id"]]),
                number(row["streakiness_p_value"], 3),
            )
            for row in rows
        ],
    )


def rankings(day: Day = None, json: Json = False) -> None:
    """The bots in order, with what moved each."""
    with database() as connection:
        day = day_or_latest(connection, day, "bot_rankings")
        rows = ranking(connection, day)
    if json:
        print_json(rows)
        return
    _require(rows, f"No ranking on {day}.")
    show_ranking(rows, rows[0]["as_of"])


def _require(rows: list[Record], message: str) -> None:
    if not rows:
        raise CommandError(
            f"{message} See which days are there: knowdefeat db status; "
            "compute more: knowdefeat run --from DAY --to DAY"
        )
