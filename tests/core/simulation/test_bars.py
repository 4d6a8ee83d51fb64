"""The simulated worlds follow the law that they state, and the judge counts as it says."""

from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.market.bars import check_bars
from knowdefeat_pipeline.core.market.labels import REGIMES
from knowdefeat_pipeline.core.simulation.bars import REGIME_WORLDS, judge, simulate_regimes

LONG = 60_000


def episodes(truth: np.ndarray) -> list[np.ndarray]:
    return np.split(np.arange(len(truth)), np.flatnonzero(truth[1:] != truth[:-1]) + 1)


@pytest.mark.parametrize("world", REGIME_WORLDS)
def test_bars_are_bars_and_the_same_every_time(world: str) -> None:
    bars, truth = simulate_regimes(world, bars=500, seed=3)
    check_bars(bars)
    again, truth_again = simulate_regimes(world, bars=500, seed=3)
    pd.testing.assert_frame_equal(bars, again, check_exact=True)
    assert list(truth) == list(truth_again)
    assert not bars["close"].equals(simulate_regimes(world, bars=500, seed=4)[0]["close"])
    assert np.array_equal(bars["open"][1:], bars["close"][:-1])
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()


def test_the_plain_world_follows_its_law() -> None:
    law = REGIME_WORLDS["plain"]
    bars, truth = simulate_regimes("plain", bars=LONG, seed=1)
    move = np.log(bars["close"] / bars["open"]).to_numpy() / law.deviation
    found = [part for part in episodes(truth) if len(part) > 50]
    assert np.mean([len(part) for part in episodes(truth)]) == pytest.approx(law.episode, rel=0.15)
    assert np.bincount(pd.Categorical(truth, categories=REGIMES).codes) / LONG == pytest.approx([1 / 3] * 3, abs=0.1)

    trends = [part for part in found if truth[part[0]] == "TRENDING"]
    drifts = np.array([move[part].mean() for part in trends])
    # A drift and a tenth of the move before it: drift / (1 - .1), up and down alike.
    assert np.abs(drifts).mean() == pytest.approx(law.drift / (1 - law.momentum), abs=0.02)
    assert (drifts > 0).mean() == pytest.approx(0.5, abs=0.2)
    fresh = np.concatenate([move[part] - move[part].mean() for part in trends])
    assert np.corrcoef(fresh[1:], fresh[:-1])[0, 1] == pytest.approx(law.momentum, abs=0.04)

    walks = np.concatenate([move[part] for part in found if truth[part[0]] == "VOLATILE"])
    assert walks.std() == pytest.approx(law.volatile, rel=0.03)
    assert walks.mean() == pytest.approx(0, abs=0.1)

    # Away from its centre a range comes back half of the way in `half_life` bars.
    now, later = [], []
    for part in [part for part in found if truth[part[0]] == "RANGING"]:
        distance = np.log(bars["close"].to_numpy()[part] / bars["open"].to_numpy()[part[0]])
        lag = int(law.half_life)
        now.append(distance[:-lag])
        later.append(distance[lag:])
    away, back = np.concatenate(now), np.concatenate(later)
    assert away @ back / (away @ away) == pytest.approx(0.5, abs=0.04)


def test_worlds_differ_by_what_their_names_say() -> None:
    def spread(world: str, regime: str) -> float:
        bars, truth = simulate_regimes(world, bars=20_000, seed=2)
        return (np.log(bars["close"] / bars["open"]).to_numpy()[truth == regime]).std() / REGIME_WORLDS[world].deviation

    def kurtosis(world: str) -> float:
        bars, truth = simulate_regimes(world, bars=20_000, seed=2)
        return pd.Series(np.log(bars["close"] / bars["open"])[truth == "VOLATILE"]).kurt()

    assert spread("quiet", "RANGING") == pytest.approx(0.6 * spread("plain", "RANGING"), rel=0.05)
    assert spread("strong", "VOLATILE") == pytest.approx(3.5, rel=0.05)
    assert kurtosis("plain") == pytest.approx(0, abs=0.3)
    assert kurtosis("tails") > 2
    assert len(episodes(simulate_regimes("short", bars=LONG, seed=2)[1])) == pytest.approx(LONG / 120, rel=0.15)


def test_the_judge_by_hand() -> None:
    truth = np.array(["TRENDING"] * 4 + ["RANGING"] * 4 + ["VOLATILE"] * 2)
    labels = np.array(["TRENDING"] * 5 + ["NEUTRAL"] + ["RANGING"] * 4)
    # 4/4, 2/4 and 0/2 right; RANGING found after 2 bars, VOLATILE never in 2; two changes of label in ten bars.
    assert astuple(judge(labels, truth)) == (0.5, 2.0, 200.0)
    perfect = judge(truth, truth)
    assert astuple(perfect) == (1.0, 0.0, 200.0)
    assert np.isnan(judge(labels[:4], truth[:4]).median_delay)


def test_what_cannot_be_simulated_is_said() -> None:
    with pytest.raises(ValueError, match="unknown world 'mars': choose one of plain, weak"):
        simulate_regimes("mars", bars=10, seed=1)
    with pytest.raises(ValueError, match="need bars >= 1; got 0"):
        simulate_regimes("plain", bars=0, seed=1)
