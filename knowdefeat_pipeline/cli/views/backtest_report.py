"""The report of a backtest: one HTML file with its table and pictures, for any browser and without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from itertools import cycle

import numpy as np
import pandas as pd

from knowdefeat_pipeline.assets.chart import BLUE, GREEN, INK, ORANGE, PURPLE, RED, Chart, ticks

LABEL_LENGTH = 16
COLOURS = (INK, BLUE, ORANGE, GREEN, PURPLE, RED)  # the first is the reference's

STYLE = """
:root { color-scheme: light dark; --line: #7c818944; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
.about { opacity: .75; margin: .2rem 0 1.2rem; }
.statement { font-size: 1.15rem; margin: 1rem 0; padding: .6rem 1rem; border-left: 4px solid #3b82d6; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 1.5rem; }
.pictures { margin-top: 1.5rem; }
.pictures svg { width: 100%; height: auto; }
.swatch { display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin-right: .5em; }
.notes { opacity: .75; font-size: .9rem; }
"""


def html(
    title: str,
    about: str,
    statement: str,
    notes: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    pictures: Sequence[str],
) -> str:
    """The page. A row begins with the name of its set, which gets the colour that it has in the pictures."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f'<tr><td><span class="swatch" style="background:{colour}"></span>{escape(row[0])}</td>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row, colour in zip(rows, cycle(COLOURS), strict=False)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'<h1>{escape(title)}</h1><p class="about">{escape(about)}</p><p class="statement">{escape(statement)}</p>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f'<div class="pictures">{"".join(pictures)}</div>'
        f'<div class="notes">{"".join(f"<p>{escape(note)}</p>" for note in notes)}</div></body></html>\n'
    )


def draw_cumulative(title: str, unit: str, days: Sequence[date], daily: Mapping[str, pd.Series]) -> str:
    """A line per set that adds up its daily values; a day without one adds nothing."""
    x = np.array([day.toordinal() for day in days])
    sums = {name: np.cumsum(np.nan_to_num(values.to_numpy(np.float64))) for name, values in daily.items()}
    grid = ticks(min(0.0, *(line.min() for line in sums.values())), max(line.max() for line in sums.values()), 5)
    chart = Chart((x[0], max(x[-1], x[0] + 1)), (grid[0], grid[-1]))
    chart.titles(title, unit, "day (UTC)")
    chart.y_axis(grid, [f"{value:,.10g}" for value in grid])
    labelled = x[np.unique(np.linspace(0, len(x) - 1, min(len(x), 4)).round().astype(int))]
    chart.x_axis(labelled, [f"{date.fromordinal(day):%d %b %y}" for day in labelled.tolist()])
    colours = [colour for _, colour in zip(sums, cycle(COLOURS), strict=False)]
    for line, colour in zip(sums.values(), colours, strict=True):
        chart.line(x, line, colour)
    last = np.array([line[-1] for line in sums.values()])
    chart.beside(last, [_short(name) for name in sums], colours)
    return chart.svg()


def draw_gains(table: pd.DataFrame, title: str, unit: str) -> str:
    """Each set's gain over the reference (the first row): a dot, and its interval as a line through it."""
    shown = table.iloc[1:].dropna(subset=["gain", "gain_low", "gain_high"])
    low, high = min(0.0, shown["gain_low"].min()), max(0.0, shown["gain_high"].max())
    grid = ticks(low, high, 5)
    chart = Chart((0, len(shown) + 1), (grid[0], grid[-1]))
    chart.titles(title, unit, "")
    chart.y_axis(grid, [f"{value:+,.10g}" if value else "0" for value in grid])
    place = np.arange(1, len(shown) + 1)
    colours = dict(zip(table.index, cycle(COLOURS), strict=False))
    for at, (name, row) in zip(place, shown.iterrows(), strict=True):
        # The line ends in the dot: drawn down to the mean from above, and up to it from below.
        for end in ("gain_low", "gain_high"):
            chart.line(np.array([at, at]), np.array([row[end], row["gain"]]), colours[name])
    chart.beside(
        shown["gain"].to_numpy(), [_short(str(name)) for name in shown.index], [colours[n] for n in shown.index]
    )
    return chart.svg()


def _short(name: str) -> str:
    """What fits beside a chart; the table has the whole name."""
    return name if len(name) <= LABEL_LENGTH else f"{name[: LABEL_LENGTH - 1]}…"
