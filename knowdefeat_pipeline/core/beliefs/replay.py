"""Replay of any history: what was believed, and how strategies were weighed, before each instant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.posterior import Beliefs, beliefs_before
from knowdefeat_pipeline.core.beliefs.r_multiples import Volatility, standardise
from knowdefeat_pipeline.core.beliefs.state import Rules, State, WeighingMethod
from knowdefeat_pipeline.core.beliefs.strategy_weights import MOVE_A_DAY, adaptive_weights, exposure, steady_path
from knowdefeat_pipeline.core.units import Floats

FIGURES = ("weight", "p_win", "edge", "exposure")


@dataclass(frozen=True)
class Book:
    """What was believed and held before each of B instants, for K strategies.

    targets, weights: (B, K), the weights that follow from the beliefs, and those held, which move towards them.
    exposure: (B,).
    """

    instants: Floats
    beliefs: Beliefs
    targets: Floats
    weights: Floats
    exposure: Floats


def books_before_each(outcomes: Outcomes, rules: Rules, method: WeighingMethod = "edge") -> Iterator[Book]:
    """Block by block what was believed and held before each instant, from earlier outcomes alone.

    Results are in any unit; each strategy's are measured by its own earlier ones. A strategy is weighed from its first
    trade on. Weights move by at most 0.2 in a unit of time, also where a regime changes, as that shows in outcomes only
    little by little. Raises like `fold`.
    """
    result, _ = standardise(outcomes.result, outcomes.strategy, Volatility.unknown())
    born = np.full(len(outcomes.strategies), np.inf)
    np.minimum.at(born, outcomes.strategy, outcomes.time)
    before, held = outcomes.time[:1], None
    for instants, beliefs in beliefs_before(State.prior(rules), replace(outcomes, result=result), rules):
        known = born <= instants[:, None]
        targets = adaptive_weights(beliefs.edge, beliefs.edge_sd, method, known=known)
        elapsed = np.diff(instants, prepend=before)
        weights, held = steady_path(targets, MOVE_A_DAY * elapsed, held)
        before = instants[-1:]
        yield Book(instants, beliefs, targets, weights, exposure(weights, beliefs.edge, beliefs.edge_sd))


def replay_beliefs(
    history: pd.DataFrame, rules: Rules, method: WeighingMethod = "edge", unit: float | None = None
) -> pd.DataFrame:
    """What was held before each time: a row per time and strategy, columns time, strategy_id, weight, p_win, edge and
    exposure (of the whole book, the same in each row of a time).

    `history` has the columns time (numbers, or timestamps), strategy_id, result and, if there, regime, in any order;
    rows of one time are one batch. `unit`: the length of a unit of time, in the numbers' unit or in seconds; without
    one, each distinct time is a unit after the one before. Raises like `fold`.
    """
    number, times = pd.factorize(history["time"], sort=True)
    outcomes = Outcomes.from_frame(history.assign(time=number if unit is None else _units(times, unit)[number]))
    width = len(outcomes.strategies)
    names = pd.Series(outcomes.strategies, dtype="str")
    blocks = [_columns(book) for book in books_before_each(outcomes, rules, method)]
    figures = np.concatenate(blocks, axis=1) if blocks else np.empty((len(FIGURES), 0))
    table = {"time": times.repeat(width), "strategy_id": names.iloc[np.tile(np.arange(width), len(times))].array}
    return pd.DataFrame(table | dict(zip(FIGURES, figures, strict=True)))


def _columns(book: Book) -> Floats:
    """The FIGURES of each instant and strategy, a row each."""
    exposure = np.broadcast_to(book.exposure[:, None], book.weights.shape)
    return np.stack([of.ravel() for of in (book.weights, book.beliefs.p_win, book.beliefs.edge, exposure)])


def _units(times: pd.Index, unit: float) -> Floats:
    if isinstance(times, pd.DatetimeIndex):
        return times.as_unit("us").asi8 / 1e6 / unit
    return times.to_numpy(np.float64) / unit
