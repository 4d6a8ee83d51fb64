"""What is believed of strategies, day by day and by whose decision."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from knowdefeat_pipeline.cli.views.output import Record, out, strong
from knowdefeat_pipeline.cli.views.tables import Justify, instant, number, table, text
from knowdefeat_pipeline.core.market.labels import ANY_REGIME
from knowdefeat_pipeline.core.wording import counted

COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("strategy", "left"),
    ("regime", "left"),
    ("weight %", "right"),
    ("edge (R)", "right"),
    ("90 % interval", "left"),
    ("win %", "right"),
    ("90 % interval", "left"),
    ("prior %", "right"),
    ("confidence", "right"),
    ("samples", "right"),
)


def show_beliefs(title: str, rows: Sequence[Record]) -> None:
    """Weight, edge and win rate of each strategy, with intervals."""
    table(
        title,
        COLUMNS,
        [
            (
                row["strategy_id"],
                "as things stand" if row["regime"] == ANY_REGIME else row["regime"],
                number(100 * row["weight"], 1),
                number(row["edge"], 3, sign=True),
                f"{row['edge_low']:+.3f} to {row['edge_high']:+.3f}",
                number(100 * row["win_rate"], 1),
                f"{100 * row['win_rate_low']:.1f} to {100 * row['win_rate_high']:.1f}",
                number(100 * row["prior_win_rate"], 1),
                number(row["confidence"]),
                number(row["effective_samples"], 1),
            )
            for row in rows
        ],
    )


def exposure_of(rows: Sequence[Record]) -> float | None:
    """The share of the book to hold that a day's rows say; None where none of them does."""
    return rows[0]["exposure"] if rows else None


def show_exposure(rows: Sequence[Record]) -> None:
    """The share of the book to hold at all."""
    share = exposure_of(rows)
    if share is not None:
        note = " No strategy has an edge above 0 with more than 50 % probability." if share == 0 else ""
        out.print(f"Exposure: {share:.1%} of the book; the rest is cash.{note}", style="dim")


def show_calibration(rows: Sequence[Record]) -> None:
    """How a strategy's stated confidence compares with what its trades brought."""
    for row in rows:
        out.print(
            f"\nTrailing 30 days: {counted(row['trades'], 'trade')}; "
            f"{row['learning_velocity']:.1f} a day in the last week"
        )
        if not row["stated_trades"]:
            out.print("No signal stated its confidence (trades.signal_confidence), so there is nothing to calibrate.")
            continue
        out.print(
            Text.assemble(
                strong("Calibration of stated confidence"),
                f": Brier score {row['brier_score']:.4f}, expected calibration error {row['calibration_error']:.4f}",
            )
        )
        table(
            "",
            (
                ("stated", "left"),
                ("trades", "right"),
                ("mean %", "right"),
                ("won %", "right"),
                ("95 % interval", "left"),
            ),
            [
                (
                    f"{bin_['low']:.1f} to {bin_['high']:.1f}",
                    number(bin_["trades"]),
                    number(100 * bin_["stated"], 1),
                    number(100 * bin_["realised"], 1),
                    f"{100 * bin_['realised_low']:.1f} to {100 * bin_['realised_high']:.1f}",
                )
                for bin_ in row["reliability"]
            ],
        )


def show_history(rows: Sequence[Record]) -> None:
    """What was believed, a day and strategy a row."""
    table(
        "Beliefs day by day",
        (
            ("day", "left"),
            ("strategy", "left"),
            ("weight %", "right"),
            ("book %", "right"),
            ("edge (R)", "right"),
            ("90 % interval", "left"),
            ("win %", "right"),
            ("confidence", "right"),
            ("samples", "right"),
        ),
        [
            (
                str(row["day"]),
                row["strategy_id"],
                number(100 * row["weight"], 1),
                number(None if row["exposure"] is None else 100 * row["exposure"], 1),
                number(row["edge"], 3, sign=True),
                f"{row['edge_low']:+.3f} to {row['edge_high']:+.3f}",
                number(100 * row["win_rate"], 1),
                number(row["confidence"]),
                number(row["effective_samples"], 1),
            )
            for row in rows
        ],
    )


def show_ledger(rows: Sequence[Record]) -> None:
    """What was decided about learning, an entry a row."""
    table(
        "Ledger of learning",
        (
            ("no.", "right"),
            ("what", "left"),
            ("of", "left"),
            ("outcomes", "right"),
            ("each counts", "right"),
            ("in force from", "left"),
            ("reason", "left"),
        ),
        [
            (
                str(row["entry_id"]),
                row["kind"],
                row["source"] or row["strategy_id"] or "all strategies",
                number(row["outcomes"] or None),
                number(row["discount"]),
                instant(row["in_force_from"]) if row["in_force_from"] else "the beginning",
                text(row["reason"]),
            )
            for row in rows
        ],
    )
