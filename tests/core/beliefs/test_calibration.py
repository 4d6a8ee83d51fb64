"""Calibration: hand-computed figures, and losses that count."""

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.beliefs.calibration import calibration, calibrations, wilson


def test_four_trades_by_hand() -> None:
    found = calibration(np.array([0.62, 0.68, 0.1, 1.0]), np.array([True, False, False, True]))
    # Squares .38², .68², .1², 0; bins .6-.7 (stated .65, realised .5), .1-.2 (.1, 0), .9-1 (1, 1).
    assert found.brier == pytest.approx((0.1444 + 0.4624 + 0.01) / 4)
    assert found.error == pytest.approx((2 * 0.15 + 0.1) / 4)
    assert found.bins[["low", "trades", "realised"]].values.tolist() == [[0.1, 1, 0], [0.6, 2, 0.5], [0.9, 1, 1]]


def test_losses_count() -> None:
    one_win = calibration(np.full(100, 0.9), np.arange(100) == 0)
    assert one_win.bins["realised"].tolist() == [0.01]
    assert one_win.error == pytest.approx(0.89)
    assert calibration(np.full(100, 0.01), np.arange(100) == 0).error == pytest.approx(0.0)


def test_wilson_interval_of_a_known_case() -> None:
    # 1 of 10 at 95 %: 0.0179 to 0.4042 (Newcombe, 1998, method 3).
    low, high = wilson(np.array([0.1, 0.0, 1.0]), np.array([10, 10, 10]))
    assert [low[0], high[0]] == pytest.approx([0.0179, 0.4042], abs=5e-5)
    assert low[1] == 0
    assert high[2] == pytest.approx(1)


def test_a_confidence_of_80_is_refused() -> None:
    with pytest.raises(ValueError, match=r"row 1: 80\.0 is no probability from 0 to 1"):
        calibration(np.array([0.8, 80.0]), np.array([True, True]))
    with pytest.raises(ValueError, match="row 0: nan"):
        calibration(np.array([np.nan]), np.array([True]))


def test_without_trades_there_is_no_figure() -> None:
    nothing = calibration(np.zeros(0), np.zeros(0, bool))
    assert np.isnan(nothing.brier)
    assert np.isnan(nothing.error)
    assert len(nothing.bins) == 0


def test_groups_are_judged_each_by_itself_and_what_was_not_stated_is_left_out() -> None:
    rng = np.random.default_rng(3)
    probability, won, group = rng.random(300), rng.random(300) < 0.4, rng.integers(3, size=300)
    silent = group == 2
    table = calibrations(np.where(silent, np.nan, probability), won, group, 4)
    for number in (0, 1):
        alone = calibration(probability[group == number], won[group == number])
        row = table.loc[number]
        assert (row["stated_trades"], len(row["reliability"])) == (alone.trades, len(alone.bins))
        assert [row["brier_score"], row["calibration_error"]] == pytest.approx([alone.brier, alone.error])
        np.testing.assert_allclose(pd.DataFrame(row["reliability"]), alone.bins)
    for number in (2, 3):
        assert table.loc[number, ["stated_trades", "reliability"]].tolist() == [0, []]
        assert np.isnan(table.loc[number, ["brier_score", "calibration_error"]].to_numpy(float)).all()
    with pytest.raises(ValueError, match=r"80\.0 is no probability"):
        calibrations(np.array([80.0]), np.array([True]), np.array([0]), 1)
