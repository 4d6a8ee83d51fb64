"""The ranking of a day, with what moved each bot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from knowdefeat_pipeline.cli.views.output import Record, out
from knowdefeat_pipeline.cli.views.skill import chance, explain_good, verdict
from knowdefeat_pipeline.cli.views.tables import (
    NOTHING,
    Justify,
    explain_estimates,
    instant,
    money,
    number,
    percent,
    pnl,
    table,
    text,
)
from knowdefeat_pipeline.core.ranking.ranking import top_movers
from knowdefeat_pipeline.core.schema import VARIABLE

RANKING_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("rank", "right"),
    ("bot", "left"),
    ("strategy", "left"),
    ("score", "right"),
    ("P(edge > 0)", "right"),
    ("good, or lucky", "left"),
    ("moved most by (points)", "left"),
    ("trades", "right"),
    ("win %", "right"),
    ("pnl", "right"),
    ("max dd %", "right"),
    ("streak", "right"),
)


def movers(row: Record) -> str:
    """The three variables that moved a bot's score most, in points."""
    named = [f"{points:+.1f} {VARIABLE[name].label}" for name, points in top_movers(row)]
    return ", ".join(named) if named else NOTHING


def show_ranking(rows: Sequence[Record], as_of: datetime) -> None:
    """The ranking of one day, and below it why some bots are not ranked."""
    currencies = sorted({row["quote_currency"] for row in rows})
    unit = f", money in {currencies[0]}" if len(currencies) == 1 else ", money in each bot's own currency"
    ranked = [row for row in rows if row["eligible"]]
    if not ranked:
        out.print(f"No bot is ranked as of {instant(as_of)}: none closed enough trades in the 30 days before.")
    else:
        table(
            f"Ranking as of {instant(as_of)} (trailing 30 days{unit})",
            RANKING_COLUMNS,
            [
                (
                    str(row["rank"]),
                    row["bot"],
                    text(row["strategy_id"]),
                    number(row["rank_score"], 1),
                    chance(row["p_skill"]),
                    verdict(row),
                    movers(row),
                    number(row["trades"]),
                    number(row["win_rate"], 1),
                    pnl(row, "pnl"),
                    percent(row, "max_drawdown"),
                    number(row["longest_win_streak"]),
                )
                for row in ranked
            ],
            spare=("moved most by (points)", "strategy", "streak", "max dd %", "win %", "trades"),
        )
    for row in rows:
        if row["flag"]:
            out.print(
                f"  bot {row['bot']}: {row['flag']} ({money(row['open_pnl'], row['quote_currency'])}, "
                f"{money(row['pnl'], row['quote_currency'])})",
                style="yellow",
            )
    explain_estimates(ranked)
    if ranked:
        explain_good([row for row in ranked if row["verdict"] == "good"])
    left_out = [row for row in rows if not row["eligible"]]
    for row in left_out[:10]:
        out.print(f"  bot {row['bot']} is not ranked: {row['reason']}", style="dim")
    if len(left_out) > 10:
        out.print(f"  … and {len(left_out) - 10:,} more bots that are not ranked", style="dim")
