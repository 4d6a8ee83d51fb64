"""Simulated bars whose market regime is known: what the regime labels are judged against.

A world is a sequence of episodes of random length. Within one, the log price moves in steps, `STEPS` to a bar, by

    TRENDING   a constant drift up or down, plus `momentum` times the bar before's move, plus noise
    RANGING    back toward the price at which the episode began, half of the way in `half_life` bars, plus noise
    VOLATILE   noise alone, `volatile` times as large

Drifts are in standard deviations of a calm bar, so a world means the same at any price and any length of a bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from knowdefeat_pipeline.core.market.labels import REGIMES
from knowdefeat_pipeline.core.market.regimes import RANGING, TRENDING, VOLATILE
from knowdefeat_pipeline.core.units import Array, Floats, Ints

STEPS = 12
START = datetime(2024, 1, 1, tzinfo=UTC)
PRICE_MEDIAN, PRICE_LOG_SD = 100.0, 2.0
VOLUME_LOG_SD, VOLUME_MEDIAN, VOLUME_PERSISTENCE = 0.4, 1_000.0, 0.9
CLUSTER_HALF_LIFE = 48.0


@dataclass(frozen=True)
class RegimeWorld:
    """The law of one world. Lengths and half-lives in bars, drift in standard deviations of a calm bar.

    `quiet`: noise of a ranging bar against a trending one. `tails`: degrees of freedom of Student's t, normal where
    None. `clusters`: standard deviation of a slow wave in the log of the noise, whatever the regime.
    """

    drift: float = 0.2
    momentum: float = 0.1
    half_life: float = 8.0
    volatile: float = 2.5
    quiet: float = 1.0
    tails: int | None = None
    clusters: float = 0.0
    episode: float = 200.0
    deviation: float = 0.005


REGIME_WORLDS = {
    "plain": RegimeWorld(),
    "weak": RegimeWorld(drift=0.12, volatile=2.0),
    "strong": RegimeWorld(drift=0.35, half_life=5, volatile=3.5),
    "momentum": RegimeWorld(drift=0.1, momentum=0.3),
    "slow": RegimeWorld(half_life=20),
    "quiet": RegimeWorld(quiet=0.6),
    "tails": RegimeWorld(tails=4),
    "clusters": RegimeWorld(clusters=0.2),
    "short": RegimeWorld(episode=120, deviation=0.0005),
    "long": RegimeWorld(episode=300, deviation=0.03),
}


def simulate_regimes(world: str, *, bars: int, seed: int) -> tuple[pd.DataFrame, Array]:
    """Hourly bars (open_time, open, high, low, close, volume) of a world, and each bar's regime (text).

    The same arguments give the same bars in any process. Raises ValueError for an unknown world or fewer than one bar.
    """
    if world not in REGIME_WORLDS:
        raise ValueError(f"unknown world {world!r}: choose one of {', '.join(REGIME_WORLDS)}")
    if bars < 1:
        raise ValueError(f"need bars >= 1; got {bars}")
    law = REGIME_WORLDS[world]
    rng = np.random.default_rng([seed, list(REGIME_WORLDS).index(world)])
    first = _draw_episodes(rng, bars, law.episode)
    regime = _draw_regimes(rng, len(first))
    of_bar = np.repeat(regime, np.diff(first, append=bars))
    deviation = law.deviation * np.array([1.0, law.quiet, law.volatile])[of_bar] * _draw_clusters(rng, bars, law)
    noise = _draw_noise(rng, bars, law.tails) * deviation[:, None] / np.sqrt(STEPS)
    drift = law.drift * law.deviation * rng.choice([-1.0, 1.0], len(first))

    end, path = 0.0, np.empty((bars, STEPS))
    for start, stop, state, slope in zip(first, np.append(first[1:], bars), regime, drift, strict=True):
        path[start:stop] = end + _PATHS[state](noise[start:stop], slope, law)
        end = path[stop - 1, -1]
    frame = _as_bars(path, PRICE_MEDIAN * np.exp(PRICE_LOG_SD * rng.standard_normal()))
    return frame.assign(volume=_draw_volume(rng, deviation / law.deviation)), np.array(REGIMES)[of_bar]


@dataclass(frozen=True)
class Verdict:
    """How labels compare with the truth; a NEUTRAL bar counts as wrong.

    `balanced_accuracy`: mean over the regimes of the share of their bars that is labelled right. `median_delay`: bars
    from a change of regime to the first right label, the whole episode where there is none; NaN without a change.
    `flips`: changes of label per 1,000 bars.
    """

    balanced_accuracy: float
    median_delay: float
    flips: float


def judge(labels: Array, truth: Array) -> Verdict:
    """Compare the labels of consecutive bars with their regimes (text, of one length)."""
    right = labels == truth
    accuracy = [right[truth == name].mean() for name in np.unique(truth)]
    begins = np.flatnonzero(truth[1:] != truth[:-1]) + 1
    episodes = np.split(right, begins)[1:]
    delays = [int(np.argmax(episode)) if episode.any() else len(episode) for episode in episodes]
    return Verdict(
        balanced_accuracy=float(np.mean(accuracy)),
        median_delay=float(np.median(delays)) if delays else np.nan,
        flips=1000 * float((labels[1:] != labels[:-1]).sum()) / len(labels),
    )


def _draw_episodes(rng: np.random.Generator, bars: int, mean: float) -> Ints:
    """The first bar of each episode; the lengths are geometric."""
    ends = np.cumsum(rng.geometric(1 / mean, size=bars))
    return np.concatenate([[0], ends[ends < bars]])


def _draw_regimes(rng: np.random.Generator, count: int) -> Ints:
    """One code per episode, never twice the same in a row."""
    return np.cumsum(np.append(rng.integers(3), rng.integers(1, 3, count - 1))) % 3


def _draw_clusters(rng: np.random.Generator, bars: int, law: RegimeWorld) -> Floats:
    persistence = 0.5 ** (1 / CLUSTER_HALF_LIFE)
    shocks = np.sqrt(1 - persistence**2) * rng.standard_normal(bars)
    out: Floats = np.exp(law.clusters * lfilter([1.0], [1.0, -persistence], shocks))
    return out


def _draw_noise(rng: np.random.Generator, bars: int, tails: int | None) -> Floats:
    """Steps of unit variance, bars x STEPS; under fat tails the steps of one bar share their scale."""
    noise = rng.standard_normal((bars, STEPS))
    if tails is None:
        return noise
    return noise * np.sqrt((tails - 2) / rng.chisquare(tails, (bars, 1)))


def _trend(noise: Floats, slope: float, law: RegimeWorld) -> Floats:
    move = lfilter([1.0], [1.0, -law.momentum], noise.sum(axis=1) + slope)
    steady = move - noise.sum(axis=1)
    out: Floats = (np.cumsum(move) - move)[:, None] + np.cumsum(noise + steady[:, None] / STEPS, axis=1)
    return out


def _range(noise: Floats, slope: float, law: RegimeWorld) -> Floats:
    stay = 0.5 ** (1 / (law.half_life * STEPS))
    out: Floats = lfilter([1.0], [1.0, -stay], noise.ravel()).reshape(noise.shape)
    return out


def _walk(noise: Floats, slope: float, law: RegimeWorld) -> Floats:
    return np.cumsum(noise.ravel()).reshape(noise.shape)


_PATHS = {TRENDING: _trend, RANGING: _range, VOLATILE: _walk}


def _as_bars(path: Floats, price: float) -> pd.DataFrame:
    """Bars of log prices after each step; the first one opens at `price`."""
    opens = np.append(0.0, path[:-1, -1])
    low, high = np.minimum(opens, path.min(axis=1)), np.maximum(opens, path.max(axis=1))
    times = pd.date_range(START, periods=len(path), freq="h")
    logs = {"open": opens, "high": high, "low": low, "close": path[:, -1]}
    return pd.DataFrame({"open_time": times} | {name: price * np.exp(log) for name, log in logs.items()})


def _draw_volume(rng: np.random.Generator, activity: Floats) -> Floats:
    """Volumes that persist from bar to bar and grow with the noise."""
    shocks = np.sqrt(1 - VOLUME_PERSISTENCE**2) * rng.standard_normal(len(activity))
    wave = lfilter([1.0], [1.0, -VOLUME_PERSISTENCE], shocks)
    out: Floats = VOLUME_MEDIAN * activity * np.exp(VOLUME_LOG_SD * wave)
    return out
