"""The tear sheet of one bot: one HTML file with its tables and pictures, for any browser and without a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from html import escape

import numpy as np

from knowdefeat_pipeline.assets.chart import BLUE, GREEN, RED, Chart, ticks
from knowdefeat_pipeline.cli.views.backtest_report import STYLE
from knowdefeat_pipeline.cli.views.skill import chance
from knowdefeat_pipeline.cli.views.tables import ESTIMATE, ESTIMATED, NOTHING, number, text
from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.core.metrics.equity import EquityByDay, equity_by_day, pnl_by_month
from knowdefeat_pipeline.core.money import digits
from knowdefeat_pipeline.core.ranking.ranking import top_movers
from knowdefeat_pipeline.core.schema import METRICS, OPEN_POSITIONS, VARIABLE, VARIABLE_NAMES
from knowdefeat_pipeline.core.units import Floats, Ints
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.store.reads import Record
from knowdefeat_pipeline.store.tear_sheets import TearSheet

DEFINITIONS = {figure.name: figure.description for figure in (*METRICS, *OPEN_POSITIONS)}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
UNRANKED = "not ranked"
STATE_CAPITAL = "State it: knowdefeat bots set BOT --capital AMOUNT"
OWN_STYLE = """
h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: .6rem; margin: 1rem 0; }
.tile { border: 1px solid var(--line); border-radius: 6px; padding: .45rem .7rem; }
.tile dt { opacity: .75; font-size: .85rem; } .tile dd { margin: 0; font-size: 1.15rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 0 1.5rem; }
td.wide { width: 45%; } .bar { position: relative; height: .8em; }
.bar i { position: absolute; top: 0; bottom: 0; } .bar::after { content: ""; position: absolute; left: 50%; top: -.3em;
  bottom: -.3em; border-left: 1px solid var(--line); }
.columns th, .columns td { padding: .35rem .4rem; } .columns :is(th, td):last-child { white-space: normal; }
"""


def tear_sheet_page(sheet: TearSheet) -> str:
    """The page. What came from outside is escaped in it."""
    row, figures = sheet.ranking, sheet.metrics
    equity = equity_by_day(sheet.exit, sheet.pnl, figures["capital"])
    title = f"Bot {printable(row['bot'])}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="about">{escape(_about(sheet))}</p>',
        f'<p class="statement">{escape(_statement(sheet))}</p>',
        _tiles(sheet),
        f'<div class="pictures">{_draw_equity(equity, row["quote_currency"])}{_draw_drawdown(equity, row)}</div>',
        _months(sheet.exit, sheet.pnl, row["quote_currency"]),
        f'<div class="columns"><div>{_contributions(row)}</div><div>{_skill(sheet.skill)}{_streaks(sheet)}</div></div>',
        _held(sheet),
        _notes(sheet),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{OWN_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _about(sheet: TearSheet) -> str:
    row, figures = sheet.ranking, sheet.metrics
    since = counted(len(sheet.pnl), "closed trade")
    if figures["first_exit"] is not None:
        since += f", {figures['first_exit']:%Y-%m-%d} to {figures['last_exit']:%Y-%m-%d}"
    return (
        f"strategy {printable(text(row['strategy_id']))} · {row['quote_currency']} · {since} · "
        f"as of {figures['as_of']:%Y-%m-%d %H:%M} UTC"
    )


def _statement(sheet: TearSheet) -> str:
    """Good, or lucky, in words."""
    found = next((row for row in sheet.skill if row["verdict"]), None)
    if found is None:
        return "Whether its results are more than luck cannot be told yet."
    return (
        f"{found['verdict'].capitalize()}: P(edge > 0) {chance(found['p_skill'])}. Its edge is "
        f"{number(found['edge'], 3, sign=True)} R a trade, with 90 % between {number(found['edge_low'], 3, sign=True)} "
        f"and {number(found['edge_high'], 3, sign=True)}, from {counted(found['trades'], 'trade')}."
    )


def _tiles(sheet: TearSheet) -> str:
    row, figures = sheet.ranking, sheet.metrics
    places = digits(row["quote_currency"])
    estimated = ESTIMATED if figures["capital_is_estimated"] else ""

    def percent(value: float | None) -> str:
        return NOTHING if value is None else f"{estimated}{number(value, 1)} %"

    capital, earned = figures["capital"], figures["lifetime_pnl"]
    gain = 100 * earned / capital if capital and earned is not None else None
    tiles = [
        ("rank", f"{row['rank']} of {sheet.ranked}" if row["eligible"] else UNRANKED, text(row["reason"])),
        ("score", number(row["rank_score"], 1), "Out of 100; 50 is the middle."),
        ("net pnl", number(earned, places, sign=True), DEFINITIONS["lifetime_pnl"]),
        ("return", percent(gain), "Net pnl in percent of the capital."),
        ("win rate", percent(figures["lifetime_win_rate"]).removeprefix(ESTIMATED), DEFINITIONS["lifetime_win_rate"]),
        ("profit factor", number(figures["lifetime_profit_factor"]), DEFINITIONS["lifetime_profit_factor"]),
        ("max drawdown", percent(figures["lifetime_max_drawdown"]), DEFINITIONS["lifetime_max_drawdown"]),
        ("Sharpe, 30 days", number(figures["sharpe"]), DEFINITIONS["sharpe"]),
        ("open pnl", number(figures["open_pnl"], places, sign=True), DEFINITIONS["open_pnl"]),
        ("capital", f"{estimated}{number(capital, places)}", DEFINITIONS["capital"]),
    ]  # fmt: skip
    return f'<dl class="tiles">{"".join(_tile(*tile) for tile in tiles)}</dl>'


def _tile(name: str, value: str, meaning: str) -> str:
    return (
        f'<div class="tile" title="{escape(printable(meaning))}"><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>'
    )


def _draw(days: Ints, values: Floats, colour: str, title: str, unit: str, label: tuple[float, str]) -> str:
    """A line from 0, where it stood before the first of the days, and a label at a height beside it."""
    x = np.append(days[0] - 1, days) + date(1970, 1, 1).toordinal()
    line = np.append(0.0, values)
    grid = ticks(float(line.min()), float(line.max()), 5)
    chart = Chart((x[0], x[-1]), (grid[0], grid[-1]))
    chart.titles(title, unit, "day (UTC)")
    chart.y_axis(grid, [f"{value:,.10g}" for value in grid])
    labelled = x[np.unique(np.linspace(0, len(x) - 1, min(len(x), 4)).round().astype(int))]
    chart.x_axis(labelled, [f"{date.fromordinal(day):%d %b %y}" for day in labelled.tolist()])
    chart.line(x, line, colour)
    chart.beside(np.array([label[0]]), [label[1]], [colour])
    return chart.svg()


def _draw_equity(equity: EquityByDay, currency: str) -> str:
    if not len(equity.day):
        return ""
    last = float(equity.pnl[-1])
    label = last, number(last, digits(currency), sign=True)
    return _draw(equity.day, equity.pnl, BLUE, "Net pnl", f"cumulative, {printable(currency)}", label)


def _draw_drawdown(equity: EquityByDay, row: Record) -> str:
    """Below the peak: in percent of it, or in money where no capital is known."""
    if not len(equity.day):
        return ""
    in_percent = bool(np.isfinite(equity.share).all())
    fall = 0.0 - (equity.share if in_percent else equity.fall)
    deepest = float(fall.min())
    estimated = ESTIMATED if in_percent and row["capital_is_estimated"] else ""
    unit = f"below the peak of equity, {'percent of it' if in_percent else printable(row['quote_currency'])}"
    label = deepest, f"{estimated}{number(deepest, 1)}{' %' if in_percent else ''} at most"
    return _draw(equity.day, fall, RED, "Drawdown", unit, label)


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], meaning: str = "") -> str:
    """A table whose cells are HTML; those that begin a row are texts."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    about = f'<p class="notes">{escape(meaning)}</p>' if meaning else ""
    return (
        f'<h2>{escape(title)}</h2>{about}<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _td(value: str, style: str = "", title: str = "") -> str:
    about = f' title="{escape(title)}"' if title else ""
    return f"<td{about}{f' style={chr(34)}{style}{chr(34)}' if style else ''}>{escape(value)}</td>"


def _shade(value: float, largest: float) -> str:
    """The colour of an amount beside the largest one."""
    share = round(100 * abs(value) / largest * 0.45) if largest else 0
    return f"background:color-mix(in srgb, {GREEN if value > 0 else RED} {share}%, transparent)" if share else ""


def _months(exits: Ints, pnl: Floats, currency: str) -> str:
    found = pnl_by_month(exits, pnl)
    largest = max((abs(value) for value in found.values()), default=0.0)
    places = digits(currency)
    rows = []
    for year in range(max((year for year, _ in found), default=0), min((year for year, _ in found), default=1) - 1, -1):
        months = [found.get((year, month)) for month in range(1, 13)]
        cells = [
            _td(number(value, places, sign=True), _shade(value, largest)) if value is not None else _td("")
            for value in months
        ]
        rows.append([_td(str(year)), *cells, _td(number(sum(value or 0.0 for value in months), places, sign=True))])
    return _table(
        "Net pnl by month",
        ["year", *MONTHS, "year's sum"],
        rows,
        f"In {printable(currency)}, by the month of the exit.",
    )


def _contributions(row: Record) -> str:
    """What moved the score from 50, the largest first."""
    if not row["eligible"]:
        return f"<h2>What moved the score</h2><p>{escape(printable('Not ranked: ' + text(row['reason'])))}</p>"
    moved = top_movers(row, len(VARIABLE_NAMES))
    largest = max((abs(points) for _, points in moved), default=1.0)
    rows = [
        [
            _td(VARIABLE[name].label, title=VARIABLE[name].description),
            _td(number(points, 2, sign=True)),
            _bar(points, largest),
        ]
        for name, points in moved
    ]
    total = sum(points for _, points in moved)
    rows.append([_td("sum"), _td(number(total, 2, sign=True)), _td("")])
    meaning = f"Points that each variable adds to 50; with them the score is {number(row['rank_score'], 2)}."
    return _table("What moved the score", ["variable", "points", ""], rows, meaning)


def _bar(value: float, largest: float) -> str:
    width = 50 * abs(value) / largest
    left = 50.0 if value > 0 else 50 - width
    colour = GREEN if value > 0 else RED
    style = f"left:{left:.1f}%;width:{width:.1f}%;background:{colour}"
    return f'<td class="wide"><div class="bar"><i style="{style}"></i></div></td>'


def _skill(rows: Sequence[Record]) -> str:
    if not rows:
        return ""
    cells = [
        [_td(row["time_window"]), _td(number(row["edge"], 3, sign=True)),
         _td(f"{number(row['edge_low'], 3, sign=True)} to {number(row['edge_high'], 3, sign=True)}"),
         _td(chance(row["p_skill"])), _td(text(row["verdict"]))]
        for row in rows
    ]  # fmt: skip
    heads = ["window", "edge (R)", "90 % interval", "P(edge > 0)", "good, or lucky"]
    meaning = (
        "R: the mean net result per trade in its own standard deviation, shrunk to the bot's strategy and the fleet."
    )
    return _table("Skill", heads, cells, meaning)


def _streaks(sheet: TearSheet) -> str:
    row = sheet.ranking
    rows = [
        [
            _td(f"{of['streak_length']} or more wins"),
            _td(number(of["frequency"], 1)),
            _td(number(of["expected_frequency"], 1)),
        ]
        for of in sheet.streaks
    ]
    meaning = (
        f"Of 30 days. Longest: {number(row['longest_win_streak'])} wins, {number(row['longest_loss_streak'])} losses; "
        f"current: {number(row['current_streak'], sign=True)}. Order p: {number(row['order_p_value'], 3)} (how often "
        "chance puts the same days into so uneven an order)."
    )
    return _table("Win streaks", ["streak", "% of trades", "by chance"], rows, meaning)


def _held(sheet: TearSheet) -> str:
    row, figures = sheet.ranking, sheet.metrics
    places = digits(row["quote_currency"])
    if not sheet.held:
        return "<h2>Open positions</h2><p>None.</p>"
    rows = [
        [_td(printable(of["ticker"])), _td(of["direction"]), _td(f"{of['entry_time']:%Y-%m-%d %H:%M}"),
         _td(f"{of['entry_price']:,.10g}"), _td(number(of["notional"], places)),
         _td(NOTHING if of["mark_price"] is None else f"{of['mark_price']:,.10g}")]
        for of in sheet.held
    ]  # fmt: skip
    parts = []
    if figures["open_pnl"] is not None:
        worth = number(figures["open_pnl"], places, sign=True)
        parts.append(f"Their open pnl is {worth} {printable(row['quote_currency'])}.")
    if figures["unmarked_open"]:
        parts.append(f"{figures['unmarked_open']:,} could not be marked: no price was known by then.")
    meaning = " ".join([*parts, "They count in no figure above but the open pnl."])
    heads = ["ticker", "side", "entered (UTC)", "entry price", "size", "latest mark"]
    return _table("Open positions", heads, rows, meaning)


def _notes(sheet: TearSheet) -> str:
    notes = ["Equity, drawdown and months count closed trades, net of fees and funding, at their exit."]
    if sheet.metrics["capital_is_estimated"]:
        notes.append(f"{ESTIMATED} rests on an estimated capital: {ESTIMATE}. {STATE_CAPITAL}")
    return f'<div class="notes">{"".join(f"<p>{escape(note)}</p>" for note in notes)}</div>'
