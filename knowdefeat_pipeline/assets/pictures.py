"""The pictures in a run's metadata: data frames in, SVG markup out.

Each is a few kB and drawn in a few milliseconds.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from knowdefeat_pipeline.assets.chart import BAR, BLUE, GREEN, ORANGE, PURPLE, RED, Chart, ticks

EQUITY_DAYS, EQUITY_BOTS = 30, 5
MARKED_BOTS = 3
LONGEST_LABEL = 14
ESTIMATED = "~"  # beside what is in percent of an estimated capital
FEWEST_BINS, MOST_BINS = 6, 24


def equity_by_day(rows: pd.DataFrame) -> pd.DataFrame:
    """Equity in percent of capital: a row per day, a column per bot, the one that stands highest at the end first.

    `rows`: day, bot (its name), lifetime_pnl, capital, capital_is_estimated. 100 is the capital itself; NaN on days
    without the bot.
    """
    equity = rows.assign(equity=100 * (1 + rows["lifetime_pnl"] / rows["capital"]))
    table = equity.pivot(index="day", columns="bot", values="equity").sort_index()
    return table[table.iloc[-1].sort_values(ascending=False, kind="stable").index]


def draw_equity(rows: pd.DataFrame) -> str | None:
    """A line for each of at most five bots, from their rows as `equity_by_day` takes them; None without rows."""
    if rows.empty:
        return None
    equity = equity_by_day(rows)
    days, values = _ordinals(equity.index), equity.to_numpy(np.float64)
    grid = ticks(np.nanmin(values), np.nanmax(values), 4)
    chart = Chart((days[0], max(days[-1], days[0] + 1)), (grid[0], grid[-1]))
    chart.titles("Equity of the bots that gained most in the last 30 days", "equity (% of capital)", "day (UTC)")
    chart.y_axis(grid, [f"{value:,.10g}" for value in grid])
    labelled = days[np.unique(np.linspace(0, len(days) - 1, min(len(days), 5)).round().astype(int))]
    chart.x_axis(labelled, [f"{date.fromordinal(day):%d %b}" for day in labelled.tolist()])
    colours = (BLUE, ORANGE, GREEN, PURPLE, RED)[: len(equity.columns)]
    for colour, line in zip(colours, values.T, strict=True):
        chart.line(days, line, colour)
    marks = dict.fromkeys(rows["bot"][rows["capital_is_estimated"].astype(bool)], ESTIMATED)
    named = zip(equity.columns, values[-1], strict=True)
    labels = [f"bot {_short(bot)}: {marks.get(bot, '')}{value:,.1f} %" for bot, value in named]
    chart.beside(values[-1], labels, colours)
    return chart.svg()


def score_bins(scores: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Bins of a round width over all scores, few for few bots: their edges (n + 1), and how many scores each holds."""
    bins = np.clip(2 * len(scores) ** 0.5, FEWEST_BINS, MOST_BINS)
    edges = ticks(scores.min(), scores.max(), int(bins))
    within = np.clip(scores, edges[0], edges[-1])  # the outer edges are the extremes but for rounding
    return edges, np.histogram(within, edges)[0]


def marked_bots(ranked: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The three best and the three worst by rank, fewer where there are not six."""
    ordered = ranked.sort_values("rank")
    return ordered.head(min(MARKED_BOTS, (len(ordered) + 1) // 2)), ordered.tail(min(MARKED_BOTS, len(ordered) // 2))


def draw_scores(rows: pd.DataFrame) -> str | None:
    """The distribution of the scores of a day's bots (bot, rank, rank_score), ends marked; None without ranks."""
    ranked = rows[rows["rank"].notna()]
    if ranked.empty:
        return None
    edges, counts = score_bins(ranked["rank_score"])
    grid = ticks(0, max(4, counts.max()), 4)  # whole bots
    chart = Chart((edges[0], edges[-1]), (0, grid[-1]))
    chart.titles(f"Scores of the ranked bots ({len(ranked):,})", "bots", "rank_score (points)")
    chart.y_axis(grid, [f"{value:,.0f}" for value in grid])
    labelled = ticks(edges[0], edges[-1], 6)
    labelled = labelled[(labelled > edges[0] - 1e-9) & (labelled < edges[-1] + 1e-9)]
    chart.x_axis(labelled, [f"{value:,.10g}" for value in labelled])
    chart.bars(edges, counts)
    labels: list[str] = []
    colours: list[str] = []
    for bots, colour in zip(marked_bots(ranked), (GREEN, ORANGE), strict=True):
        chart.marks(bots["rank_score"].to_numpy(), colour)
        entries = zip(bots["rank"], bots["bot"], bots["rank_score"], strict=True)
        labels += [f"{rank}. bot {_short(bot)}: {score:.1f}" for rank, bot, score in entries]
        colours += [colour] * len(bots)
    chart.beside(np.where(np.array(colours) == GREEN, grid[-1], 0), labels, colours)
    return chart.svg()


def draw_skill(rows: pd.DataFrame) -> str | None:
    """The 90 % interval of each bot's edge, the best first; None without rows.

    `rows`: bot, edge, edge_low, edge_high, p_skill. Green where it is above 0, orange where it is below. The three best
    and the three worst are named.
    """
    if rows.empty:
        return None
    ordered = rows.sort_values(["p_skill", "edge"], ascending=False, kind="stable").reset_index(drop=True)
    grid = ticks(min(ordered["edge_low"].min(), 0.0), max(ordered["edge_high"].max(), 0.0), 5)
    chart = Chart((-1.0, float(len(ordered))), (grid[0], grid[-1]))
    chart.titles(
        f"What is known of each bot's edge ({len(ordered):,} bots)", "edge (R), 90 % interval", "bots, best first"
    )
    chart.y_axis(grid, [f"{value:,.10g}" for value in grid])
    colour = np.where(ordered["edge_low"] > 0, GREEN, np.where(ordered["edge_high"] < 0, ORANGE, BAR))
    for each in dict.fromkeys(colour.tolist()):
        chosen = ordered[colour == each]
        chart.intervals(
            chosen.index.to_numpy(), chosen[["edge_low", "edge_high"]].to_numpy(), chosen["edge"].to_numpy(), each
        )
    best = min(MARKED_BOTS, (len(ordered) + 1) // 2)
    named = np.r_[:best, len(ordered) - min(MARKED_BOTS, len(ordered) // 2) : len(ordered)]
    labels = [f"{_short(ordered['bot'][at])}: {_share(ordered['p_skill'][at])}" for at in named.tolist()]
    chart.beside(np.where(named < best, grid[-1], grid[0]), labels, [str(each) for each in colour[named]])
    return chart.svg()


def _share(p: float) -> str:
    """A probability in percent that is never shown as certain."""
    return "> 99.9 %" if p > 0.999 else "< 0.1 %" if p < 0.001 else f"{100 * p:.1f} %"


def _short(bot: str) -> str:
    """What fits beside a chart; the tables have the whole name."""
    return bot if len(bot) <= LONGEST_LABEL else f"{bot[: LONGEST_LABEL - 1]}…"


def _ordinals(days: pd.Index) -> np.ndarray:
    return np.array([day.toordinal() for day in days])
