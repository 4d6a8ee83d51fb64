"""The figures of a window that need its trades one after another, in one walk over each: spread and drawdown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from knowdefeat_pipeline.core.metrics.drawdown import (
    avg_drawdown,
    avg_drawdown_amount,
    drawdown,
    drawdown_episodes,
    max_drawdown,
    max_drawdown_amount,
    time_below_peak,
)
from knowdefeat_pipeline.core.trades.reductions import dense_chunks, padded, reduce_windows
from knowdefeat_pipeline.core.units import NEVER, ROUNDING, Floats, Ints


@dataclass(frozen=True)
class PathFigures:
    """One value per window, NaN for an empty one. Money in quote currency, `max_drawdown` and `avg_drawdown` in percent
    of the peak. `deviation`: sum of squared deviations from the window's mean. `drawdown_time` and
    `drawdown_since`: see `time_below_peak`. `below_peak`: how far equity is below its peak at the end, 0 for an empty
    window; `peak_equity`: that peak, which is at least the capital."""

    total: Floats
    gross_profit: Floats
    gross_loss: Floats
    deviation: Floats
    max_drawdown: Floats
    max_drawdown_amount: Floats
    avg_drawdown: Floats
    avg_drawdown_amount: Floats
    drawdown_time: Ints
    drawdown_since: Ints
    below_peak: Floats
    peak_equity: Floats


def path_figures(pnl: Floats, exit_time: Ints, low: Ints, high: Ints, capital: Floats) -> PathFigures:
    """Walk every window [low, high) once.

    `pnl` and `exit_time` (µs) are the series' columns; `low`, `high` and `capital` (> 0) have one entry per window.
    """
    total, profit, loss = (reduce_windows(np.add, part, low, high, np.nan) for part in (pnl, *profit_and_loss(pnl)))
    figures = {
        "max_drawdown": max_drawdown,
        "max_drawdown_amount": max_drawdown_amount,
        "avg_drawdown": avg_drawdown,
        "avg_drawdown_amount": avg_drawdown_amount,
    }
    out: dict[str, Floats] = {name: np.full(len(low), np.nan) for name in (*figures, "deviation")}
    ended, since = np.zeros(len(low), np.int64), np.full(len(low), NEVER)
    below = np.zeros(len(low))
    series = padded(pnl, low, high)
    for chunk in dense_chunks(low, high):
        pick = chunk.pick
        x = chunk.rows(series)  # what lies outside a window moves nothing
        spread = chunk.cleared(x - (total[pick] / chunk.length)[:, None])
        out["deviation"][pick] = np.einsum("ij,ij->i", spread, spread)
        fall = drawdown(x, capital[pick], ROUNDING * (profit + loss)[pick, None])
        episodes = drawdown_episodes(fall)
        below[pick] = fall.amount[:, -1]
        for name, figure in figures.items():
            out[name][pick] = figure(episodes)
        ended[pick], since[pick] = time_below_peak(episodes, exit_time, low[pick], high[pick])
    return PathFigures(
        total=total,
        gross_profit=profit,
        gross_loss=loss,
        drawdown_time=ended,
        drawdown_since=since,
        below_peak=below,
        peak_equity=capital + np.where(high > low, total, 0.0) + below,
        **out,
    )


def profit_and_loss(pnl: Floats) -> tuple[Floats, Floats]:
    """What the winning and what the losing trades moved, both as positive amounts."""
    return np.maximum(pnl, 0.0), 0.0 - np.minimum(pnl, 0.0)
