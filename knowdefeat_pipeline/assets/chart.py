"""A small chart as SVG markup of a few kB: axes, lines, bars, labels beside the data, on a transparent ground.

Written by hand, because a plotting library takes a second to import, and every run that draws would wait for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from knowdefeat_pipeline.core.units import Floats

WIDTH, HEIGHT = 480, 220
LEFT, RIGHT, TOP, BOTTOM = 50, 116, 44, 40  # pixels around the plot area
TEXT, LINE_HEIGHT = 11.5, 15

# A picture does not hear of the UI's theme: each of these stands out from a white page and from a near-black one.
INK, BAR = "#7c8189", "#6f8fb8"
BLUE, ORANGE, GREEN, PURPLE, RED = "#3b82d6", "#d9731a", "#2f9868", "#9b62d0", "#d6497f"


def ticks(low: float, high: float, most: int) -> np.ndarray:
    """Multiples of 1, 2 or 5 · 10^k that reach from at most `low` to at least `high`, in at most about `most` steps."""
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(multiple * power for multiple in (1, 2, 5, 10) if multiple * power >= least * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return np.arange(first, last + 1) * step


class Chart:
    """A plot area whose x and y run over the given ranges (low, high), both in the data's own units."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y
        self._parts: list[str] = []

    def titles(self, title: str, y_label: str, x_label: str) -> None:
        """The title and below it what y means, at the top; what x means at the bottom."""
        self._text(4, 12, title, INK, "start", bold=True)
        self._text(4, 12 + LINE_HEIGHT, y_label, INK, "start")
        self._text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 7, x_label, INK, "middle")

    def y_axis(self, values: np.ndarray, labels: Sequence[str]) -> None:
        """A thin line across the plot area at each value, with its label."""
        across = "".join(f"M{LEFT} {y:.1f}H{WIDTH - RIGHT}" for y in self._down(values))
        self._parts.append(f'<path d="{across}" stroke="{INK}" stroke-opacity=".35"/>')
        for y, label in zip(self._down(values), labels, strict=True):
            self._text(LEFT - 6, y + 4, label, INK, "end")

    def x_axis(self, values: np.ndarray, labels: Sequence[str]) -> None:
        """Labels below the plot area."""
        for x, label in zip(self._across(values), labels, strict=True):
            self._text(x, HEIGHT - BOTTOM + 17, label, INK, "middle")

    def line(self, x: np.ndarray, y: np.ndarray, colour: str) -> None:
        """A line through the points that are no NaN, and a dot on the last."""
        known = ~np.isnan(y)
        points = [f"{px:.1f} {py:.1f}" for px, py in zip(self._across(x[known]), self._down(y[known]), strict=True)]
        if points:
            ends = f"{points[0]}L{' '.join(points[1:])}" if points[1:] else points[0]
            self._parts.append(f'<path d="M{ends}" stroke="{colour}" stroke-width="1.7" stroke-linejoin="round"/>')
            cx, cy = points[-1].split()
            self._parts.append(f'<circle cx="{cx}" cy="{cy}" r="2.6" fill="{colour}"/>')

    def bars(self, edges: np.ndarray, heights: np.ndarray) -> None:
        """Bars from 0, one between each two edges."""
        across, down, base = self._across(edges), self._down(heights), self._down(np.zeros(1))[0]
        drawn = "".join(
            f"M{left:.1f} {base:.1f}V{top:.1f}H{right:.1f}V{base:.1f}z"
            for left, right, top, height in zip(across[:-1] + 0.5, across[1:] - 0.5, down, heights, strict=True)
            if height
        )
        self._parts.append(f'<path d="{drawn}" fill="{BAR}"/>')

    def intervals(self, x: np.ndarray, bounds: np.ndarray, middle: np.ndarray, colour: str) -> None:
        """A line between two bounds (n, 2) at each x, and a dot at its middle."""
        across = self._across(x)
        drawn = "".join(f"M{at:.1f} {a:.1f}V{b:.1f}" for at, (a, b) in zip(across, self._down(bounds), strict=True))
        dots = "".join(f"M{at:.1f} {y:.1f}h0" for at, y in zip(across, self._down(middle), strict=True))
        self._parts.append(f'<path d="{drawn}" stroke="{colour}" stroke-opacity=".6"/>')
        self._parts.append(f'<path d="{dots}" stroke="{colour}" stroke-width="4" stroke-linecap="round"/>')

    def marks(self, x: np.ndarray, colour: str) -> None:
        """A small triangle below the plot area that points at each x."""
        drawn = "".join(f"M{at:.1f} {HEIGHT - BOTTOM}l-3.5 6h7z" for at in self._across(x))
        self._parts.append(f'<path d="{drawn}" fill="{colour}"/>')

    def beside(self, y: np.ndarray, labels: Sequence[str], colours: Sequence[str]) -> None:
        """Labels right of the plot area at the height of y (NaN: below the others), moved apart where they touch."""
        heights = np.where(np.isnan(y), HEIGHT, self._down(y))
        order = np.argsort(heights, kind="stable")
        places = _apart(heights[order], TOP, HEIGHT - BOTTOM)
        for at, place in zip(order, places, strict=True):
            self._text(WIDTH - RIGHT + 10, place + 4, labels[at], colours[at], "start")

    def svg(self) -> str:
        """The picture."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'font-family="system-ui,sans-serif" font-size="{TEXT}" fill="none">{"".join(self._parts)}</svg>'
        )

    def _across(self, x: np.ndarray) -> np.ndarray:
        low, high = self._x
        return LEFT + (np.asarray(x) - low) / (high - low) * (WIDTH - RIGHT - LEFT)

    def _down(self, y: np.ndarray) -> np.ndarray:
        low, high = self._y
        return HEIGHT - BOTTOM - (np.asarray(y) - low) / (high - low) * (HEIGHT - BOTTOM - TOP)

    def _text(self, x: float, y: float, text: str, colour: str, anchor: str, bold: bool = False) -> None:
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )


def _apart(heights: Floats, top: float, bottom: float) -> Floats:
    """Ascending heights, each at least a line below the one before, and none below `bottom` where there is room."""
    offset = np.arange(len(heights)) * LINE_HEIGHT
    down = np.maximum.accumulate(np.maximum(heights, top) - offset) + offset
    apart: Floats = np.minimum(down, bottom - offset[::-1])
    return apart
