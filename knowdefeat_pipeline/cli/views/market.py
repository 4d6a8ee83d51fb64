"""Loaded market data, and the regimes that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from knowdefeat_pipeline.cli.views.output import Record, out, strong
from knowdefeat_pipeline.cli.views.tables import Justify, number, table, text
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.sources.market import Form
from knowdefeat_pipeline.store.market import MarketReport

COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("file", "left"),
    ("ticker", "left"),
    ("timeframe", "left"),
    ("rows", "right"),
    ("from", "left"),
    ("to", "left"),
)


def show_loaded(form: Form, reports: Sequence[MarketReport]) -> None:
    """What the files held, and below it what became of their rows."""
    rows = [
        (
            r.file_name,
            s.ticker,
            text(s.timeframe),
            number(s.rows),
            _minute(s.first),
            _minute(s.last),
        )
        for r in reports
        for s in r.series
    ]
    table(f"{form.name.capitalize()} (UTC)", COLUMNS, rows)
    for report in reports:
        counts = {"new": report.inserted, "replaced": report.replaced, "known": report.unchanged}
        counts |= {"still open": report.unfinished, "quarantined": sum(report.quarantined.values())}
        counts |= {"settled in quarantine before": report.settled}
        outcome = ", ".join(f"{number(count)} {what}" for what, count in counts.items() if count or what == "new")
        out.print(Text.assemble(strong(report.file_name), f": {counted(report.rows_read, 'row')}: {outcome}"))
        for reason, count in report.quarantined.items():
            out.print(f"  {count:,} quarantined: {reason} (knowdefeat quarantine list)", style="yellow")
        for note in report.notes:
            out.print(f"  {note}", style="dim")
    out.print("Next: knowdefeat run, then knowdefeat regimes", style="dim")


REGIME_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("ticker", "left"),
    ("timeframe", "left"),
    ("regime", "left"),
    ("since", "left"),
    ("P(T) / P(R) / P(V) %", "right"),
    ("30 days: T / R / V / N %", "right"),
    ("ATR", "right"),
    ("as of", "left"),
)


RUN_COLUMNS: tuple[tuple[str, Justify], ...] = (
    *REGIME_COLUMNS[:4],
    ("until", "left"),
    ("bars", "right"),
)


def show_regimes(rows: Sequence[Record]) -> None:
    """The regime of each series now."""
    shares = ("trending", "ranging", "volatile", "neutral")
    table(
        "Market regimes (UTC)",
        REGIME_COLUMNS,
        [
            (
                *_series(row),
                _minute(row["since"]),
                " / ".join(number(100 * row[f"p_{name}"], 1) for name in shares[:3]),
                " / ".join(number(100 * row[name], 0) for name in shares),
                text(None if row["average_true_range"] is None else f"{row['average_true_range']:.4g}"),
                _minute(row["as_of"]),
            )
            for row in rows
        ],
    )
    out.print(
        "T trending, R ranging, V volatile, N neutral (no regime has been entered at 70 %); "
        "ATR: average true range of 14 bars, in the quote currency",
        style="dim",
    )
    if any(row["last_bar"] >= row["as_of"] for row in rows):
        out.print("There are later bars without a label. Next: knowdefeat run", style="dim")


def _series(row: Record) -> tuple[str, str, str]:
    return row["ticker"], row["timeframe"], row["label"]


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def show_regime_runs(rows: Sequence[Record]) -> None:
    """Each run of a label, a row."""
    table(
        "Runs of regimes over the last 30 days (UTC)",
        RUN_COLUMNS,
        [(*_series(row), _minute(row["since"]), _minute(row["as_of"]), number(row["bars"])) for row in rows],
    )
