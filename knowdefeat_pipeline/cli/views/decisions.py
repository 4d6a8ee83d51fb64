"""What follows from beliefs: what signals say together, and how large a position may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.text import Text

from knowdefeat_pipeline.cli.views.output import Record, out, strong
from knowdefeat_pipeline.cli.views.tables import ESTIMATE, instant, number, table
from knowdefeat_pipeline.core.decisions.consensus import Consensus


def show_consensus(
    outcome: Consensus,
    contributions: Sequence[Record],
    threshold: float,
    weights: Mapping[str, float],
    as_of: datetime,
) -> None:
    """The direction, and what each signal counts: the signals with their `contribution`."""
    out.print(
        Text.assemble(
            strong(outcome.direction),
            f": agreement {outcome.agreement:.1%}, threshold {threshold:.0%} "
            f"(long {outcome.long_score:.4f}, short {outcome.short_score:.4f}), "
            f"by the weights as of {instant(as_of)}",
        )
    )
    table(
        "",
        (
            ("strategy", "left"),
            ("direction", "left"),
            ("confidence", "right"),
            ("weight %", "right"),
            ("counts", "right"),
        ),
        [
            (
                row["strategy_id"],
                row["direction"],
                number(row["confidence"], 0),
                number(100 * weights[row["strategy_id"]], 1),
                number(row["contribution"], 4),
            )
            for row in contributions
        ],
    )


def show_size(answer: Record, base: float, confidence: float) -> None:
    """The size by both rules, and what each rests on; confidence is on 0..100."""
    table(
        f"Size for {answer['strategy_id']}, by the beliefs as of {instant(answer['as_of'])}",
        (("", "left"), ("size", "right"), ("", "left")),
        [
            (
                "Scanstream's rule",
                number(answer["size"]),
                f"{number(base)} × {answer['win_rate']:.3f} / {answer['prior_win_rate']:.3f} × {confidence / 100:.2f}",
            ),
            (
                "half Kelly",
                number(answer["kelly_size"]),
                f"lower quartile of the edge {answer['edge']:+.3f} ± {answer['edge_sd']:.3f}"
                if answer["kelly_size"] is not None
                else "not available: no trade of this strategy has a notional",
            ),
            ("at most", number(answer["cap"]), "the cap"),
        ],
    )
    if answer["capital_is_estimated"]:
        out.print(f"The capital of {number(answer['capital'])} is estimated: {ESTIMATE}.", style="dim")
