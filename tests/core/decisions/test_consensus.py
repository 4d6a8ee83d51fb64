"""Consensus over signals by hand."""

import pandas as pd
import pytest

from knowdefeat_pipeline.core.decisions.consensus import consensus

SIGNALS = pd.DataFrame(
    {
        "strategy_id": ["a", "b", "c"],
        "timeframe": ["1h", "1d", "1h"],
        "direction": ["LONG", "LONG", "SHORT"],
        "confidence": [80.0, 50.0, 90.0],
    }
)
WEIGHTS = {"a": 0.5, "b": 0.3, "c": 0.2}


def test_three_signals_by_hand() -> None:
    found = consensus(SIGNALS, WEIGHTS, {"1h": 1.0, "1d": 2.0})
    assert found.contributions.tolist() == pytest.approx([0.4, 0.3, 0.18])
    assert [found.long_score, found.short_score] == pytest.approx([0.7, 0.18])
    assert found.agreement == pytest.approx(0.7 / 0.88)
    assert found.direction == "LONG"


@pytest.mark.parametrize(("threshold", "direction"), [(0.60, "LONG"), (0.75, "LONG"), (0.76, "NEUTRAL")])
def test_the_larger_side_needs_its_share(threshold: float, direction: str) -> None:
    # .4 + .15 against .18: 75.3 %
    assert consensus(SIGNALS, WEIGHTS, threshold=threshold).direction == direction


def test_equal_scores_and_no_signals_are_neutral() -> None:
    both = SIGNALS.iloc[[0, 2]].assign(confidence=[40.0, 100.0])
    tie = consensus(both, WEIGHTS, threshold=0.5)
    assert (tie.direction, tie.agreement) == ("NEUTRAL", 0.5)
    nothing = consensus(SIGNALS.iloc[:0], WEIGHTS)
    assert (nothing.direction, nothing.agreement, nothing.long_score) == ("NEUTRAL", 0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": "BUY"}, "signal 0, direction: 'BUY' is neither LONG nor SHORT"),
        ({"confidence": 101.0}, "signal 0, confidence: .*101.0.* is no confidence from 0 to 100"),
        ({"confidence": float("nan")}, "signal 0, confidence"),
        ({"strategy_id": "z"}, "signal 0, strategy_id: 'z' has no weight"),
        ({"timeframe": "5m"}, "signal 0, timeframe: '5m' has no weight"),
    ],
)
def test_signals_without_meaning_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        consensus(SIGNALS.assign(**change), WEIGHTS, {"1h": 1.0, "1d": 1.0})
