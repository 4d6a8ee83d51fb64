"""A fleet as real ones are: bots that look good and are not, one market for all, and the truth about each.

Every price is a point on one path per ticker, in steps of 15 minutes: a martingale with a common factor, of which the
bars are made. So trades can be marked to market, bots share luck, and only what follows is an edge:

    steady      enters at random and knows the sign of the move to come in a part of its trades: a constant edge
    luck        the same with an edge of exactly 0, net of fees
    breaking    the same with an edge that turns into its opposite on one day
    grid        takes small profits and stops far away: 98 % small wins, no edge before fees
    holder      takes small profits and never a loss: losing positions stay open
    martingale  doubles its size after every loss, up to six times; no edge before fees
    lottery     stops close by and takes rare large profits; no edge before fees
    duplicate   the trades of another bot at slightly other prices and another size

Some bots are born late and some die early; what a bot holds when it dies is closed then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.simulation.positions import (
    NOTIONAL_LOG_SD,
    NOTIONAL_MEDIAN,
    STEP,
    STEPS_PER_DAY,
    TICKERS,
    TIMING,
    as_bars,
    as_trades,
    copied,
    draw_prices,
    edge_of_fees,
    positions,
)
from knowdefeat_pipeline.core.units import Floats

FLEETS = ("realistic",)
PATTERN = (
    *("steady", "luck", "grid", "martingale", "lottery", "breaking", "holder", "duplicate", "steady", "luck"),
    *("steady", "luck", "grid", "steady", "breaking", "steady", "martingale", "luck", "steady", "duplicate"),
)
"""The kinds of bots 1, 2, …, over and over."""

RATE_MEDIAN, RATE_LOG_SD = 3.0, 0.4  # entries a day
EDGE_SD, BREAKING_EDGE = 0.08, 0.15  # per trade, in standard deviations of the bot's results
BORN_LATE, DIES_EARLY = 0.3, 0.2  # shares of the bots


@dataclass(frozen=True)
class Fleet:
    """One simulated fleet.

    trades: canonical trade columns, closed ones by (exit_time, entry_time), then those that are open at the end.
    bars: hourly, as `price_bars` holds them.
    truth: a row per bot: bot_id, kind, edge (expected net result per trade in standard deviations of its results),
        edge_after and break_time (NULL without a break), born, died (NULL for bots that live), duplicate_of.
    """

    trades: pd.DataFrame
    bars: pd.DataFrame
    truth: pd.DataFrame
    seed: int


def simulate_fleet(name: str, *, bots: int, days: int, seed: int, end: datetime) -> Fleet:
    """Simulate bots 1..bots over the `days` UTC days before `end` (a UTC midnight, exclusive).

    The same arguments give the same frames in any process. Raises ValueError for an unknown fleet, fewer than one bot
    or day, a negative seed, or an `end` that is no UTC midnight.

    >>> fleet = simulate_fleet("realistic", bots=8, days=10, seed=1, end=datetime(2025, 3, 1, tzinfo=UTC))
    >>> fleet.truth["kind"].tolist()[:3]
    ['steady', 'luck', 'grid']
    """
    if name not in FLEETS:
        raise ValueError(f"unknown fleet {name!r}: choose one of {', '.join(FLEETS)}")
    if bots < 1 or days < 1 or seed < 0:
        raise ValueError(f"need bots >= 1, days >= 1, seed >= 0; got bots={bots}, days={days}, seed={seed}")
    if end.utcoffset() != timedelta(0) or end.timestamp() % 86_400:
        raise ValueError(f"end must be midnight in UTC, got {end.isoformat()}")
    market, *own = np.random.default_rng(seed).spawn(1 + bots)
    start = pd.Timestamp(end.astimezone(UTC) - timedelta(days=days)).as_unit("us")
    prices = draw_prices(market, days)
    trades: list[pd.DataFrame] = []
    truth: list[dict[str, object]] = []
    for bot, rng in enumerate(own):
        kind = PATTERN[bot % len(PATTERN)]
        if kind == "duplicate":
            original = int(rng.choice([n for n, known in enumerate(truth) if known["kind"] in TIMING]))
            trades.append(copied(rng, trades[original]).assign(bot_id=bot + 1))
            truth.append(truth[original] | {"bot_id": bot + 1, "kind": kind, "duplicate_of": original + 1})
            continue
        made, known = _draw_bot(rng, kind, prices)
        trades.append(made.assign(bot_id=bot + 1))
        truth.append({"bot_id": bot + 1, "kind": kind, "duplicate_of": None} | known)
    return Fleet(
        as_trades(pd.concat(trades, ignore_index=True), start, prices, f"{name}-{seed}"),
        as_bars(market, prices, start),
        _as_truth(pd.DataFrame(truth), start, len(prices) - 1),
        seed,
    )


def _draw_bot(rng: np.random.Generator, kind: str, prices: Floats) -> tuple[pd.DataFrame, dict[str, object]]:
    """Its positions as rows (step numbers, prices, size), and what is true of it."""
    steps = len(prices) - 1
    born = int(rng.integers(steps // 2)) if rng.random() < BORN_LATE else 0
    died = int(rng.integers((born + steps) // 2, steps)) if rng.random() < DIES_EARLY else steps + 1
    ticker = int(rng.integers(len(TICKERS)))
    path, sd = prices[:, ticker], list(TICKERS.values())[ticker][1]
    changes = int(rng.uniform(0.3, 0.7) * (min(died, steps) - born)) + born if kind == "breaking" else steps + 1
    rate = RATE_MEDIAN * np.exp(RATE_LOG_SD * rng.standard_normal())
    notional = NOTIONAL_MEDIAN * float(np.exp(NOTIONAL_LOG_SD * rng.standard_normal()))
    last = min(died, steps)
    count = rng.poisson(rate * (last - born) / STEPS_PER_DAY)
    begin = np.sort(rng.integers(born, max(last, born + 1), size=count))
    drawn = EDGE_SD * rng.standard_normal() if kind in TIMING else 0.0
    edge = {"steady": drawn, "breaking": BREAKING_EDGE}.get(kind, 0.0)
    held = positions(rng, kind, begin, path, sd, notional=notional, edge=edge, changes=changes)
    rows = pd.DataFrame(
        {"begin": held.begin, "end": np.minimum(held.end, died), "side": held.side, "notional": held.notional}
    ).assign(ticker=ticker, strategy_id=_strategy(rng, kind), slip=0.0)
    known: dict[str, object] = {
        "edge": held.edge,
        "edge_after": held.edge_after,
        "break": changes,
        "born": born,
        "died": died,
    }
    if kind not in TIMING:
        known["edge"] = edge_of_fees(rows, path)
    return rows, known


def _strategy(rng: np.random.Generator, kind: str) -> str:
    if kind in TIMING:
        return str(rng.choice(["trend", "pairs", "momentum"]))
    return "grid" if kind == "holder" else kind


def _as_truth(truth: pd.DataFrame, start: pd.Timestamp, steps: int) -> pd.DataFrame:
    def when(step: pd.Series) -> pd.Series:
        return (start + pd.to_timedelta(step * STEP)).where(step <= steps)

    return pd.DataFrame(
        {
            "bot_id": truth["bot_id"],
            "kind": truth["kind"].astype("str"),
            "edge": truth["edge"].astype(np.float64),
            "edge_after": truth["edge_after"].astype(np.float64),
            "break_time": when(truth["break"]),
            "born": when(truth["born"]),
            "died": when(truth["died"]),
            "duplicate_of": truth["duplicate_of"].astype("Int64"),
        }
    )
