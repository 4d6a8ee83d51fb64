"""The examples in core's docstrings run, and every public figure has one."""

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import knowdefeat_pipeline.core as core
from knowdefeat_pipeline.core.metrics import drawdown, figures, open_positions, order, returns, streaks

MODULES = [info.name for info in pkgutil.walk_packages(core.__path__, f"{core.__name__}.")]
FIGURES = {
    figures: ["win_rate", "expectancy", "profit_factor", "payoff_ratio", "sqn", "spread_of_pnl", "volatility", "trade_frequency",
              "profit_per_second"],
    returns: ["sharpe_ratio", "sharpe_interval", "sortino_ratio", "calmar_ratio"],
    drawdown: ["drawdown", "drawdown_episodes", "max_drawdown", "avg_drawdown", "time_below_peak",
               "time_in_drawdown"],
    open_positions: ["max_drawdown_with_open"],
    order: ["order_p_value"],
    streaks: ["win_streaks", "longest_streak", "current_streak", "streakiness_p_value", "expected_frequency"],
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in FIGURES.items() for name in names])
def test_a_figure_says_what_it_takes_and_shows_it(module: ModuleType, name: str) -> None:
    text = inspect.getdoc(getattr(module, name)) or ""
    assert [part for part in ("Parameters\n---", "Returns\n---", "Examples\n---", ">>> ") if part not in text] == []
