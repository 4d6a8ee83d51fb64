"""What the page says of other libraries' figures is what they compute, on the worked example and on small cases.

freqtrade and vectorbt are not installed here; tests/core/metrics/test_oracles.py holds ours against figures that they
stored.
"""

import warnings
from math import inf, isnan

import empyrical
import numpy as np
import pandas as pd
import pytest
import quantstats.stats as quantstats

from knowdefeat_pipeline.core.schema import METRICS, STREAK_SUMMARY
from scripts.docs import example, workings
from scripts.docs.peers import PEERS


@pytest.fixture(scope="module")
def returns() -> pd.Series:
    """Daily returns of the example's bot."""
    known = workings.quantities(workings.trades_of(example.BOT, example.files()["trades.csv"]), 1000.0)
    return pd.Series(known["returns"], index=pd.date_range("2026-03-02", periods=len(known["returns"])))


@pytest.fixture(scope="module")
def ours() -> dict[str, float]:
    known = workings.quantities(workings.trades_of(example.BOT, example.files()["trades.csv"]), 1000.0)
    return {name: workings.evaluated(line, known) for name, line in workings.METRICS.items() if line}


def test_each_word_is_one_of_ours() -> None:
    assert PEERS.keys() <= {figure.name for figure in (*METRICS, *STREAK_SUMMARY)}


@pytest.mark.parametrize(("name", "of"), [("sharpe", empyrical.sharpe_ratio), ("sortino", empyrical.sortino_ratio)])
def test_empyrical_s_ratios_are_ours_a_year_of_365_days(
    name: str, of: object, returns: pd.Series, ours: dict[str, float]
) -> None:
    assert of(returns, annualization=365) == pytest.approx(ours[name])
    assert of(returns) == pytest.approx(ours[name] * np.sqrt(252 / 365))


def test_empyrical_s_calmar_is_ours_a_year_of_365_days(returns: pd.Series, ours: dict[str, float]) -> None:
    assert empyrical.calmar_ratio(returns, annualization=365) == pytest.approx(ours["calmar"])
    assert empyrical.max_drawdown(returns) < 0


@pytest.mark.parametrize("name", ["sharpe", "sortino"])
def test_quantstats_ratios_are_those_of_252_periods(name: str, returns: pd.Series, ours: dict[str, float]) -> None:
    of = getattr(quantstats, name)
    assert of(returns, periods=365) == pytest.approx(ours[name])
    assert of(returns) == pytest.approx(ours[name] * np.sqrt(252 / 365))


def test_quantstats_counts_periods_and_not_trades(returns: pd.Series, ours: dict[str, float]) -> None:
    gains, losses = returns[returns > 0], returns[returns < 0]
    assert quantstats.win_rate(returns) == pytest.approx(len(gains) / (len(gains) + len(losses)))
    assert 100 * quantstats.win_rate(returns) != pytest.approx(ours["avg_win_rate"])
    assert quantstats.profit_factor(returns) == pytest.approx(gains.sum() / -losses.sum())
    assert quantstats.payoff_ratio(returns) == pytest.approx(gains.mean() / -losses.mean())


def test_quantstats_writes_infinity_where_nothing_was_lost() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert quantstats.profit_factor(pd.Series([0.01, 0.02], index=pd.date_range("2026-03-02", periods=2))) == inf


def test_quantstats_drawdown_begins_at_1_and_is_a_negative_share() -> None:
    returns = pd.Series([-0.1, 0.05], index=pd.date_range("2026-03-02", periods=2))
    assert quantstats.max_drawdown(returns) == pytest.approx(-0.1)


def test_quantstats_expected_return_is_the_geometric_mean() -> None:
    returns = pd.Series([0.1, -0.05], index=pd.date_range("2026-03-02", periods=2))
    assert quantstats.expected_return(returns) == pytest.approx((1.1 * 0.95) ** 0.5 - 1)


def test_empyrical_has_no_ratio_where_nothing_varies() -> None:
    found = empyrical.sharpe_ratio(pd.Series([0.01, 0.01, 0.01]))
    assert isnan(found) or found > 1e10
