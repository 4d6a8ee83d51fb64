"""`consensus` and `size`: what follows from beliefs for the signals of the moment."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from knowdefeat_pipeline.cli.database import database
from knowdefeat_pipeline.cli.options import CommandError, ConfidenceScale, Json, Regime
from knowdefeat_pipeline.cli.views.beliefs import exposure_of, show_exposure
from knowdefeat_pipeline.cli.views.decisions import show_consensus, show_size
from knowdefeat_pipeline.cli.views.output import Record, print_json
from knowdefeat_pipeline.core.amounts import BOUND, LEAST_SIZE
from knowdefeat_pipeline.core.decisions.consensus import THRESHOLD
from knowdefeat_pipeline.core.market.labels import ANY_REGIME
from knowdefeat_pipeline.store.decisions import agreed, size_of


def percent(confidence: float, scale: int, where: str) -> float:
    """A confidence on 0..100. Raises CommandError for one outside the declared scale."""
    if scale not in (1, 100):
        raise typer.BadParameter(f"--confidence-scale {scale}: 1 or 100")
    if not 0 <= confidence <= scale:
        raise CommandError(
            f"{where}: the confidence {confidence:g} does not lie in 0..{scale}. Correct it, or declare the scale: "
            f"--confidence-scale {101 - scale}"
        )
    return confidence * 100 / scale


def consensus(
    signals: Annotated[str, typer.Option(help="CSV or JSON file of signals, or - for standard input.")],
    threshold: Annotated[float, typer.Option(min=0.5, max=1, help="Share of both scores that decides.")] = THRESHOLD,
    regime: Regime = None,
    timeframe_weight: Annotated[
        list[str] | None, typer.Option(metavar="TIMEFRAME=WEIGHT", help="Weigh timeframes (repeat as needed).")
    ] = None,
    confidence_scale: ConfidenceScale = 100,
    json: Json = False,
) -> None:
    """What signals say together, each counting its confidence times the weight of its strategy.

    Signals have the columns strategy_id, direction (LONG or SHORT), confidence and, with --timeframe-weight, timeframe.
    """
    frame = _signals(signals, timeframe_weight is not None)
    frame["confidence"] = [
        percent(value, confidence_scale, f"signal {row}") for row, value in enumerate(frame["confidence"], start=1)
    ]
    with database() as connection:
        found = agreed(
            connection,
            {str(name): frame[name].tolist() for name in frame},
            threshold=threshold,
            regime=regime or ANY_REGIME,
            timeframes=_timeframes(timeframe_weight),
        )
    outcome, rows = found.outcome, found.rows
    contributions: list[Record] = frame.assign(contribution=outcome.contributions).to_dict("records")  # type: ignore[assignment]
    if json:
        print_json(
            {
                "direction": outcome.direction,
                "agreement": outcome.agreement,
                "threshold": threshold,
                "long_score": outcome.long_score,
                "short_score": outcome.short_score,
                "as_of": rows[0]["as_of"],
                "exposure": exposure_of(rows),
                "contributions": contributions,
            }
        )
        return
    show_consensus(outcome, contributions, threshold, found.weights, rows[0]["as_of"])
    show_exposure(rows)


def _signals(place: str, with_timeframe: bool) -> pd.DataFrame:
    try:
        content = sys.stdin.read() if place == "-" else Path(place).read_text(encoding="utf-8")
        is_json = content.lstrip()[:1] in ("[", "{")
        frame = pd.read_json(StringIO(content)) if is_json else pd.read_csv(StringIO(content))
    except OSError as error:
        raise CommandError(f"{place}: it cannot be read: {error.strerror}; check the path") from error
    except ValueError as error:
        raise CommandError(
            f"{place}: no signals can be read: {error}; write CSV with a header, or JSON, a list of signals"
        ) from error
    needed = ["strategy_id", "direction", "confidence", *(["timeframe"] if with_timeframe else [])]
    missing = [name for name in needed if name not in frame]
    if missing:
        raise CommandError(
            f"{place}: no column {', '.join(missing)}; signals have the columns strategy_id, direction, confidence and "
            "timeframe"
        )
    frame["confidence"] = pd.to_numeric(frame["confidence"], errors="coerce")
    return frame.assign(strategy_id=frame["strategy_id"].astype(str), direction=frame["direction"].str.upper())


def _timeframes(pairs: list[str] | None) -> dict[str, float] | None:
    if pairs is None:
        return None
    try:
        return {name: float(weight) for name, weight in (pair.rsplit("=", 1) for pair in pairs)}
    except ValueError:
        raise typer.BadParameter(f"--timeframe-weight {' '.join(pairs)}: write TIMEFRAME=WEIGHT") from None


def parse_size(value: str) -> float:
    """An amount of money that a size can be computed from: 0, or within the bounds of `core.amounts`."""
    try:
        amount = float(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not an amount; write it as 10000") from None
    if not 0 <= amount < BOUND or 0 < amount < LEAST_SIZE:
        raise typer.BadParameter(f"{value} cannot be computed with; write 0, or from {LEAST_SIZE:g} to below {BOUND:g}")
    return amount


def size(
    strategy: Annotated[str, typer.Option(help="The strategy that trades.")],
    base: Annotated[float, typer.Option(parser=parse_size, metavar="AMOUNT", help="Usual size, in quote currency.")],
    confidence: Annotated[float, typer.Option(help="The signal's confidence.")],
    cap: Annotated[
        float | None,
        typer.Option(parser=parse_size, metavar="AMOUNT", help="Largest size; by default a tenth of the capital."),
    ] = None,
    capital: Annotated[
        float | None,
        typer.Option(
            parser=parse_size,
            metavar="AMOUNT",
            help="Capital to stake from; by default that of the strategy's largest bot.",
        ),
    ] = None,
    regime: Regime = None,
    confidence_scale: ConfidenceScale = 100,
    json: Json = False,
) -> None:
    """How large a position to take: by Scanstream's rule, and by half Kelly on the lower quartile of the edge."""
    stated = percent(confidence, confidence_scale, "--confidence")
    with database() as connection:
        answer = size_of(connection, strategy, base, stated, cap=cap, capital=capital, regime=regime or ANY_REGIME)
    if json:
        print_json(answer)
        return
    show_size(answer, base, stated)
