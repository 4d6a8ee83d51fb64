"""Small pictures as SVG, drawn here: they need no script, and what they show is told in words too.

Colours come from classes of the style sheet, so that they follow light and dark. What a page has hundreds of is written
as text, with what came from outside escaped: `Markup.format` looks at every number too, which takes most of the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from knowdefeat_pipeline.core.schema import VARIABLES

SPARK = (72, 22)  # width and height in px
BAR = (100, 16)
MOST_POINTS = 50.0  # that a score can be away from the middle
COLOURS = 8
UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))  # of large amounts
NOTHING = Markup('<span class="none">–</span>')
_POINTS = tuple((f"{variable.name}_points", escape(variable.label)) for variable in VARIABLES)


def _path(values: Sequence[float], width: float, height: float, low: float, high: float) -> str:
    across = width / max(len(values) - 1, 1)
    up = height / (high - low) if high > low else 0.0
    return " ".join(
        f"{'M' if n == 0 else 'L'}{n * across:.1f} {height - (value - low) * up:.1f}" for n, value in enumerate(values)
    )


def _drawn(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 (numbers, words of our own, and labels that are escaped where they are set in)


def sparkline(values: Sequence[float], label: str) -> Markup:
    """A line over time without axes; a text says where it ends."""
    width, height = SPARK
    if len(values) < 2:
        return NOTHING
    low, high = min(*values, 0.0), max(*values, 0.0)
    way = _path(values, width, height - 4, low, high)
    tone = "up" if values[-1] > 0 else "down" if values[-1] < 0 else ""
    zero = height - 4 - (0 - low) * ((height - 4) / (high - low) if high > low else 0.0)
    return _drawn(
        f'<svg class="spark {tone}" viewBox="0 -2 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(label)}"><path class="zero" d="M0 {zero:.1f}H{width}"/>'
        f'<path class="line" d="{way}"/></svg>'
    )


def contributions(row: Mapping[str, Any]) -> Markup:
    """What moved a score: right of the middle what added to it, left what took from it; the largest in the middle."""
    if row["rank_score"] is None:
        return NOTHING
    width, height = BAR
    middle, scale = width / 2, width / 2 / MOST_POINTS
    known = [(points, label) for name, label in _POINTS if (points := row[name])]
    drawn = []
    for sign, side in ((1, "up"), (-1, "down")):
        at = middle
        for number, size in enumerate(sorted((abs(points) for points, _ in known if points * sign > 0), reverse=True)):
            length = size * scale
            x = at if sign > 0 else at - length
            at += sign * length
            drawn.append(
                f'<rect class="{side} s{number % 2}" x="{x:.1f}" y="2" width="{max(length - 0.4, 0.2):.1f}" '
                f'height="{height - 4}"/>'
            )
    largest = sorted(known, key=lambda item: -abs(item[0]))[:5]
    told = ", ".join(f"{label} {'+' if points > 0 else '−'}{abs(points):.1f}" for points, label in largest) or "nothing"
    return _drawn(
        f'<svg class="bar" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="Moved by {told}"><title>{told}</title>{"".join(drawn)}'
        f'<path class="axis" d="M{middle} 0V{height}"/></svg>'
    )


def interval(low: float | None, middle: float | None, high: float | None, label: str, bound: float = 0.25) -> Markup:
    """A 90 % interval and its middle on one scale from -bound to bound."""
    if low is None or middle is None or high is None:
        return NOTHING
    width, height = 64, 14

    def x(value: float) -> float:
        return (min(max(value, -bound), bound) + bound) / (2 * bound) * width

    tone, told = "up" if low > 0 else "down" if high < 0 else "", escape(label)
    return _drawn(
        f'<svg class="interval {tone}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{told}"><title>{told}</title><path class="axis" d="M{width / 2} 0V{height}"/>'
        f'<path class="range" d="M{x(low):.1f} 7H{x(high):.1f}"/><circle cx="{x(middle):.1f}" cy="7" r="2.6"/></svg>'
    )


def single_bar(value: float | None, most: float, label: str) -> Markup:
    """One figure as a bar from the middle."""
    width, height = 150, 14
    size = 0.0 if value is None or most <= 0 else min(abs(value) / most, 1.0) * width / 2
    side = "up" if (value or 0) > 0 else "down"
    x = width / 2 if (value or 0) > 0 else width / 2 - size
    return Markup(
        '<svg class="bar" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
        '<rect class="{} s0" x="{:.2f}" y="1" width="{:.2f}" height="{}"/><path class="axis" d="M{} 0V{}"/></svg>'
    ).format(width, height, width, height, label, side, x, size, height - 2, width / 2, height)


def lines(
    series: Sequence[tuple[str, Sequence[float | None]]],
    days: Sequence[date],
    label: str,
    height: int = 220,
    *,
    bars: Collection[str] = (),
    top: float | None = None,
) -> Markup:
    """Lines over days with a labelled axis, as they are seen where no script runs. `bars`: the names of series that are
    drawn as bars from 0; `top`: above what no figure can be."""
    known = [value for _, values in series for value in values if value is not None]
    if len(days) < 2 or not known:
        return Markup('<p class="none">Not enough days to draw.</p>')
    width, left, bottom = 900, 72, 22
    zero = [0.0] if bars else []
    low, high = padded(min(known + zero), max(known + zero), top)
    half = 0.5 if bars else 0.0  # of a day, beside the first and the last bar
    across, up = (width - left - 8) / (len(days) - 1 + 2 * half), (height - bottom - 8) / (high - low)

    def x(place: int) -> float:
        return left + (place + half) * across

    def y(value: float) -> float:
        return 8 + (high - value) * up

    steps = sorted({round(n * (len(days) - 1) / 6) for n in range(7)})
    drawn = _levels(low, high, width, left, y)
    drawn += _below([x(step) for step in steps], [days[step] for step in steps], height - 4)
    for number, (name, values) in enumerate(series):
        shape = _bars(values, x, y, across) if name in bars else _line(values, x, y)
        drawn.append(
            Markup('<path class="{} c{}{}" d="{}"><title>{}</title></path>').format(
                "bars" if name in bars else "line", number % COLOURS, " more" if number >= COLOURS else "", shape, name
            )
        )
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, label, Markup("").join(drawn)
    )


def _line(values: Sequence[float | None], x: Callable[[int], float], y: Callable[[float], float]) -> str:
    way, pen = [], "M"
    for place, value in enumerate(values):
        if value is not None:
            way.append(f"{pen}{x(place):.1f} {y(value):.1f}")
        pen = "M" if value is None else "L"
    return " ".join(way)


def _bars(values: Sequence[float | None], x: Callable[[int], float], y: Callable[[float], float], across: float) -> str:
    wide = min(0.6 * across, 40.0)
    return " ".join(
        f"M{x(place) - wide / 2:.1f} {y(0.0):.1f}V{y(value):.1f}h{wide:.1f}V{y(0.0):.1f}Z"
        for place, value in enumerate(values)
        if value
    )


def padded(low: float, high: float, top: float | None = None) -> tuple[float, float]:
    """The ends of an axis, a little beyond the figures (as app.js does), but not above `top`.

    >>> padded(100, 200), padded(0.0, 0.0, top=0.0)
    ((94.0, 206.0), (-1.0, 0.0))
    """
    pad = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    return low - pad, high + pad if top is None else min(high + pad, top)


def time_names(times: Sequence[date]) -> list[str]:
    """Times (in order) as they stand below a chart, no two alike: days; hours too within a few days, and months and
    years over more than a year.

    >>> time_names([date(2025, 1, 30), date(2025, 2, 1)])
    ['30 Jan', '1 Feb']
    >>> time_names([datetime(2025, 1, 30, 6), datetime(2025, 1, 30, 18)])
    ['30 Jan 06:00', '30 Jan 18:00']
    """
    if times[-1] - times[0] > timedelta(days=366):
        return [f"{at:%b %Y}" for at in times]
    names = [f"{at.day} {at:%b}" for at in times]
    return names if len({*names}) == len(names) else [f"{at.day} {at:%b %H:%M}" for at in times]


def _below(places: Sequence[float], times: Sequence[date], y: int) -> list[Markup]:
    """The times below a chart; the last one ends where the chart does."""
    last = len(places) - 1
    return [
        Markup('<text x="{:.1f}" y="{}" class="x{}">{}</text>').format(
            place + 8 if number == last else place, y, " last" if number == last else "", name
        )
        for number, (place, name) in enumerate(zip(places, time_names(times), strict=True))
    ]


REGIMES = {"TRENDING": "T", "RANGING": "R", "VOLATILE": "V", "NEUTRAL": ""}


def probabilities(row: Mapping[str, Any]) -> Markup:
    """The probabilities of the regimes as parts of one bar, with their letters where there is room."""
    width, height, x = 240.0, 18, 0.0
    parts = []
    known = [(name, row[f"p_{name.lower()}"]) for name in REGIMES if name != "NEUTRAL"]
    if any(value is None for _, value in known):
        return Markup('<span class="none">–</span>')
    for name, value in known:
        length = value * width
        letter = Markup('<text x="{:.1f}" y="13" class="x">{}</text>').format(x + length / 2, REGIMES[name])
        parts.append(
            Markup('<rect class="band {}" x="{:.1f}" y="0" width="{:.1f}" height="{}"/>{}').format(
                name.lower(), x, length, height, letter if length > 14 else ""
            )
        )
        x += length
    told = ", ".join(f"{name.lower()} {100 * value:.0f} %" for name, value in known)
    return Markup(
        '<svg class="parts" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
        "<title>{}</title>{}</svg>"
    ).format(width, height, width, height, told, told, Markup("").join(parts))


def banded(
    times: Sequence[datetime], values: Sequence[float], runs: Sequence[tuple[str, datetime, datetime]], label: str
) -> Markup:
    """A line over time before bands that say which regime it was, each with its letter where there is room."""
    if len(times) < 2:
        return Markup('<p class="none">Not enough bars to draw.</p>')
    width, height, left, bottom = 1400, 320, 72, 22
    low, high = min(values), max(values)
    pad = (high - low) * 0.08 or abs(high) * 0.06 or 1.0
    low, high = low - pad, high + pad
    first, whole = times[0], times[-1] - times[0]

    def x(at: datetime) -> float:
        return left + min(max((at - first) / whole, 0.0), 1.0) * (width - left - 8)

    def y(value: float) -> float:
        return 8 + (high - value) * (height - bottom - 8) / (high - low)

    drawn = [_band(name, x(since), x(until), height - bottom - 8, since, until) for name, since, until in runs]
    drawn += _levels(low, high, width, left, y)
    below = [first + whole * step / 6 for step in range(7)]
    drawn += _below([x(at) for at in below], below, height - 4)
    points = (f"{x(at):.1f} {y(value):.1f}" for at, value in zip(times, values, strict=True))
    drawn += [Markup('<path class="line price" d="M{}"/>').format("L".join(points))]
    return Markup('<svg class="chart wide" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, label, Markup("").join(drawn)
    )


def _band(name: str, begin: float, end: float, height: float, since: datetime, until: datetime) -> Markup:
    told = f"{name.lower()} from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
    letter = Markup('<text x="{:.1f}" y="22" class="x">{}</text>').format((begin + end) / 2, REGIMES[name])
    return Markup(
        '<rect class="band {}" x="{:.1f}" y="8" width="{:.1f}" height="{}"><title>{}</title></rect>{}'
    ).format(name.lower(), begin, max(end - begin, 0.5), height, told, letter if end - begin > 14 else "")


def _levels(low: float, high: float, width: float, left: float, y: Callable[[float], float]) -> list[Markup]:
    """Lines across at round figures, which stand at their left."""
    at = ticks(low, high)
    return [
        Markup('<path class="grid" d="M{} {:.1f}H{}"/><text x="{}" y="{:.1f}" class="y">{}</text>').format(
            left, y(value), width - 8, left - 6, y(value) + 4, name
        )
        for value, name in zip(at, level_names(at), strict=True)
    ]


MOST_DECIMALS = 8


def level_names(levels: Sequence[float]) -> list[str]:
    """Figures as they stand beside a chart (as app.js does): all with the decimals that tell them apart, and from a
    million on in millions (M), billions (B) or trillions (T), as they would not fit.

    >>> level_names([-400.0, 0.0, 200.0]), level_names([89.6, 89.8, 90.0]), level_names([0.0, 0.00002])
    (['−400', '0', '200'], ['89.6', '89.8', '90.0'], ['0.00000', '0.00002'])
    >>> level_names([-30e9, -20e9, 0.0]), level_names([1_000_000.0, 1_500_000.0])
    (['−30 B', '−20 B', '0 B'], ['1.0 M', '1.5 M'])
    """
    largest = max(map(abs, levels), default=0.0)
    unit, letter = next(((unit, f" {of}") for unit, of in UNITS if largest >= unit >= 1e6), (1.0, ""))
    shown = [level / unit for level in levels]
    step = (shown[-1] - shown[0]) / (len(shown) - 1) if len(shown) > 1 else 1.0
    near = [step * 10**n / 1000 for n in range(MOST_DECIMALS)]  # what binary does to a round figure is less
    decimals = next((n for n, most in enumerate(near) if all(_off(of * 10**n) < most for of in shown)), MOST_DECIMALS)
    return [f"{of:,.{decimals}f}{letter}".replace("-", "−") for of in shown]


def _off(value: float) -> float:
    return abs(value - round(value))


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round figures from low to high, at most so many.

    >>> ticks(-465, 641), ticks(0.41, 0.58)
    ([-400.0, -200.0, 0.0, 200.0, 400.0, 600.0], [0.45, 0.5, 0.55])
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [round(n * step, 10) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def weeks(values: Mapping[date, Any], last: date, number: int) -> list[list[date | None]]:
    """The days of the last `number` weeks up to `last`, a row per week from Monday on; None for days after `last`."""
    monday = last - timedelta(days=last.weekday() + 7 * (number - 1))
    days = [monday + timedelta(days=n) for n in range(7 * number)]
    return [[day if day <= last else None for day in days[7 * n : 7 * n + 7]] for n in range(number)]


def shade(value: float | None, most: float) -> str:
    """The class of a cell: from d4 (least) over n (nothing) to u4 (most)."""
    if value is None or value != value or most <= 0:
        return "n"
    step = min(4, 1 + int(3.999 * min(abs(value) / most, 1.0))) if value else 0
    return "n" if not step else f"{'u' if value > 0 else 'd'}{step}"
