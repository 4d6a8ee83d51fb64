"""Market regimes: whether a market is trending, ranging or volatile at each bar, from the bars up to it alone.

A hidden Markov model (Hamilton 1989) of two features of the last bars:

    range     log of the exponential average of the true range: how far a bar moves
    stretch   log of the channel that the closes span over 48 bars, against what their moves would span as a random
              walk: high in a trend, low in a range (the rescaled range of Hurst 1951 and Feller 1951)

Stretch has no unit, so its law in each regime is the same in any market and fixed here. The range has a scale of its
own in each market: it is learned by expectation maximisation, walk-forward (see `walk_forward`), from where the forward
filter, which also yields the probabilities, placed the past bars. A regime keeps its meaning through every fit: it
owns its law of stretch, and VOLATILE the highest range.

Labels follow the probabilities with hysteresis, so that they do not flicker: one is entered at a probability of 0.70
and held until another gets there; where its own falls below 0.15, it is given up for NEUTRAL.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.market.bars import average_true_range, check_bars, true_range
from knowdefeat_pipeline.core.market.labels import NEUTRAL, PROBABILITIES, REGIMES
from knowdefeat_pipeline.core.market.walk_forward import SeriesError, blocks, check_history, features_from, needed_from
from knowdefeat_pipeline.core.units import Floats, Texts

TRENDING, RANGING, VOLATILE = range(len(REGIMES))
ENTERED, GIVEN_UP = 0.70, 0.15
"""The probability from which on a label is entered, and that below which the held one is given up."""
UNKNOWN = ""
_NEUTRAL, _UNKNOWN = len(REGIMES), -1  # codes of labels beside those of REGIMES
RUN_IN = 256
"""Bars before the first one to label in which to look for the label that is held there."""

RANGE_SPAN = 12
WINDOW = 48
MIN_BARS = WINDOW // 2
FIRST_FIT = 64

DWELL = 200.0
"""Mean length of a regime, in bars."""
EVIDENCE = 0.5
"""What a bar's features count against independent ones: their averages overlap from bar to bar."""

# By regime: TRENDING, RANGING, VOLATILE. The moments of stretch over the worlds of `regime_worlds`.
STRETCH_MEAN = np.array([0.84, 0.36, 0.57])
STRETCH_SD = np.array([0.36, 0.27, 0.31])
# What is believed of the range before any bar, against the median of the past, and the bars that this belief is worth.
RANGE_MEAN = np.array([-0.2, -0.2, 0.45])
RANGE_SD = 0.35
PRIOR_BARS = 20.0
CALM_SPREAD = 0.4
"""The most by which the ranges of TRENDING and RANGING differ; neither may settle on that of volatile bars."""
PASSES = 5


class HeldLabelUnknown(SeriesError):
    """The label that was held before the first bar to label does not follow from the bars of the run-in alone."""


def bars_from(since: int, run_in: int = RUN_IN) -> int:
    """The first bar that labels from `since` on rest on, if the held one follows from so many bars before."""
    return needed_from(max(0, since - run_in), FIRST_FIT)


def label_regimes(bars: pd.DataFrame, *, position: int = 0, since: int = 0, run_in: int = RUN_IN) -> pd.DataFrame:
    """The regime at the close of each bar of one ticker and timeframe.

    bars: open_time, open, high, low, close, volume, ascending in time. `position`: the place of the first given bar in
    its series, counted from 0; `since`: the place of the first bar to label. The bars before `bars_from(since, run_in)`
    may be left out: the rows are those of the whole series, bit for bit.

    Returns a row per bar from `since` on, under its index in `bars`: open_time, label (TRENDING, RANGING, VOLATILE or
    NEUTRAL, see `hold_labels`), p_trending, p_ranging, p_volatile, which sum to 1, and average_true_range (Wilder, 14
    bars, in the unit of the prices; NaN before the 14th bar). The first 64 bars are NEUTRAL at a third each. A bar
    without features (a flat price) adds no evidence. Later bars change no row.

    Raises BarError for bars that cannot be used, SeriesError where needed ones are left out, HeldLabelUnknown where the
    label held at `since` was entered before the run-in (`run_in` = `since` always suffices).
    """
    check_bars(bars)
    begin = max(0, since - run_in)
    check_history(position, begin, FIRST_FIT)
    probability = _probabilities(bars, position, begin)
    label = hold_labels(probability, NEUTRAL if begin <= FIRST_FIT else None)[since - begin :]
    if (label == UNKNOWN).any():
        raise HeldLabelUnknown(
            f"the label held before bar {since} of the series does not follow from the {run_in} bars before it; give "
            "earlier bars and a longer run_in"
        )
    wanted = slice(max(0, since - position), None)
    labels = pd.DataFrame(probability[since - begin :], columns=list(PROBABILITIES), index=bars.index[wanted])
    labels.insert(0, "open_time", bars["open_time"].iloc[wanted])
    labels.insert(1, "label", label)
    return labels.assign(average_true_range=average_true_ranges(bars, position=position, since=since))


def _probabilities(bars: pd.DataFrame, position: int, begin: int) -> Floats:
    """Of each regime at the bars from place `begin` on; a third each before the first fit."""
    probability = np.full((position + len(bars) - begin, len(REGIMES)), 1 / len(REGIMES))
    for oldest, start, stop in blocks(begin, position + len(bars), FIRST_FIT):
        if start:
            reach = features_from(oldest)
            features = regime_features(bars.iloc[reach - position : stop - position])[oldest - reach :]
            path, _ = _filter(features, learn_range(features[: start - oldest]))
            first = max(start, begin)
            probability[first - begin : stop - begin] = path[first - oldest :]
    return probability


def average_true_ranges(bars: pd.DataFrame, *, position: int, since: int) -> Floats:
    """Wilder's average true range of the bars from place `since` on; those before `needed_from(since, FIRST_FIT)` may
    be left out. Averages begin where a block's features do: they are the same, bit for bit, whichever bars are given.
    """
    parts = [np.empty(0)]
    for oldest, start, stop in blocks(since, position + len(bars), FIRST_FIT):
        reach = features_from(oldest)
        ranges = average_true_range(bars.iloc[reach - position : stop - position])
        parts.append(ranges[max(start, since) - reach :])
    return np.concatenate(parts)


def hold_labels(probability: Floats, held: str | None = NEUTRAL) -> Texts:
    """The label at each of successive bars, from the probabilities (bars, 3) of TRENDING, RANGING and VOLATILE.

    A label is entered at a probability of at least 0.70 and held until another gets there; it falls to NEUTRAL once its
    own is below 0.15. `held`: the label before the first bar; None where that is not known: UNKNOWN then stands at the
    bars whose label depends on it. Example: (.72, .20, .08), (.40, .55, .05), (.14, .60, .26) give TRENDING, TRENDING,
    NEUTRAL.
    """
    count = len(probability)
    enters = probability.max(axis=1) >= ENTERED
    since = np.maximum.accumulate(np.where(enters, np.arange(1, count + 1), 0))
    given_up = np.vstack([np.zeros(len(REGIMES), dtype=int), np.cumsum(probability < GIVEN_UP, axis=0)])
    begun = _UNKNOWN if held is None else (*REGIMES, NEUTRAL).index(held)
    entered = np.append(begun, probability.argmax(axis=1))[since]
    regime = np.clip(entered, 0, len(REGIMES) - 1)
    fallen = given_up[np.arange(1, count + 1), regime] > given_up[since, regime]
    fallen = np.where(entered == _UNKNOWN, given_up[1:].min(axis=1) > 0, fallen)
    code = np.where(fallen, _NEUTRAL, entered)
    return np.array([*REGIMES, NEUTRAL, UNKNOWN], dtype=object)[code]


def regime_features(bars: pd.DataFrame) -> Floats:
    """Range and stretch at the close of each bar, shape (bars, 2); NaN in both before 24 moves or at a flat price."""
    close = np.log(bars["close"])
    move = close.diff().abs()
    moves = move.rolling(WINDOW, min_periods=MIN_BARS)
    closes = close.rolling(WINDOW + 1, min_periods=MIN_BARS + 1)
    channel = closes.max() - closes.min()
    size = true_range(bars).ewm(span=RANGE_SPAN).mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        features = np.column_stack([np.log(size), np.log(channel / (moves.mean() * np.sqrt(moves.count())))])
    features[~np.isfinite(features).all(axis=1)] = np.nan
    return features


@dataclass(frozen=True)
class RangeLaw:
    """Mean and standard deviation of the range in each regime, in the order of REGIMES."""

    mean: Floats
    sd: Floats


def learn_range(features: Floats) -> RangeLaw:
    """The law of the range over past bars: from the prior on, a few rounds of filtering and taking moments."""
    size = features[:, 0]
    known = np.isfinite(size)
    size = size[known]
    centre = np.median(size) if size.size else 0.0
    prior = law = RangeLaw(centre + RANGE_MEAN, np.full(len(REGIMES), RANGE_SD))
    for _ in range(PASSES):
        weight = _filter(features, law)[0][known]
        bars = PRIOR_BARS + weight.sum(axis=0)
        mean = (PRIOR_BARS * prior.mean + size @ weight) / bars
        mean[VOLATILE] = mean.max()
        mean[:VOLATILE] = np.minimum(mean[:VOLATILE], mean.min() + CALM_SPREAD)
        spread = (weight * (size[:, None] - mean) ** 2).sum(axis=0)
        law = RangeLaw(mean, np.sqrt((PRIOR_BARS * prior.sd**2 + spread) / bars))
    return law


def _filter(features: Floats, law: RangeLaw) -> tuple[Floats, float]:
    count = len(REGIMES)
    evidence = _log_normal(features[:, [0]], law.mean, law.sd) + _log_normal(features[:, [1]], STRETCH_MEAN, STRETCH_SD)
    transition = np.full((count, count), 1 / DWELL / (count - 1))
    np.fill_diagonal(transition, 1 - 1 / DWELL)
    return forward_filter(EVIDENCE * evidence, transition, np.full(count, 1 / count))


def _log_normal(value: Floats, mean: Floats, sd: Floats) -> Floats:
    out: Floats = -0.5 * ((value - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)
    return out


def forward_filter(log_likelihood: Floats, transition: Floats, initial: Floats) -> tuple[Floats, float]:
    """Hamilton's filter: the probability of each state given the observations so far, and their log-likelihood.

    log_likelihood: shape (steps, states), of each observation given its state; a row with a NaN is an observation that
    was not made. transition[i, j]: probability of state j after i. initial: of the states at the first step, before its
    observation. Returns probabilities of shape (steps, states).

    Source: Hamilton (1989), A New Approach to the Economic Analysis of Nonstationary Time Series, Econometrica 57(2).
    """
    seen = np.isfinite(log_likelihood).all(axis=1, keepdims=True)
    observed = np.where(seen, log_likelihood, 0.0)
    peak = observed.max(axis=1, keepdims=True)
    likelihood = np.exp(observed - peak)
    probability = np.empty_like(likelihood)
    scale = np.empty(len(likelihood))
    predicted = initial
    for step in range(len(likelihood)):
        joint = predicted * likelihood[step]
        scale[step] = joint.sum()
        probability[step] = joint / scale[step]
        predicted = probability[step] @ transition
    return probability, float(np.log(scale).sum() + peak.sum())
