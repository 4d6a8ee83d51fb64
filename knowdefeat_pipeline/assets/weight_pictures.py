"""The picture of the weights over time: arrays in, SVG markup out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from knowdefeat_pipeline.assets.chart import BLUE, GREEN, ORANGE, PURPLE, RED, Chart, ticks
from knowdefeat_pipeline.core.schema import VARIABLES
from knowdefeat_pipeline.core.units import Floats

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED)


def most_moved(weights: Floats) -> list[int]:
    """The columns of days x 17 whose weights covered the widest range, as many as there are colours, widest first."""
    widest: list[int] = np.argsort(-np.ptp(weights, axis=0), kind="stable")[: len(COLOURS)].tolist()
    return widest


def draw_weights(days: Sequence[date], weights: Floats) -> str | None:
    """A line for each of the five weights that moved most, from days x 17; None without days."""
    if not days:
        return None
    chosen = most_moved(weights)
    x = np.array([day.toordinal() for day in days])
    grid = ticks(min(0.0, weights[:, chosen].min()), weights[:, chosen].max(), 4)
    chart = Chart((x[0], max(x[-1], x[0] + 1)), (grid[0], grid[-1]))
    chart.titles("Weights in force that moved most", "weight (points of 100)", "day (UTC)")
    chart.y_axis(grid, [f"{value:,.10g}" for value in grid])
    labelled = x[np.unique(np.linspace(0, len(x) - 1, min(len(x), 5)).round().astype(int))]
    chart.x_axis(labelled, [f"{date.fromordinal(day):%d %b}" for day in labelled.tolist()])
    for colour, column in zip(COLOURS, chosen, strict=False):
        chart.line(x, weights[:, column], colour)
    labels = [f"{VARIABLES[column].label} {weights[-1, column]:.1f}" for column in chosen]
    chart.beside(weights[-1, chosen], labels, COLOURS[: len(chosen)])
    return chart.svg()
