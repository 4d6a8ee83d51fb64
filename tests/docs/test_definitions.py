"""The worked examples: every figure of a bot is computed a second time from its trades alone."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from knowdefeat_pipeline.core.schema import (
    DECISIONS,
    METRICS,
    OPEN_POSITIONS,
    SLOW_RESULTS,
    STREAK_SUMMARY,
    STREAKS,
    TABLES,
)
from scripts.docs import contributions, definitions, example, workings
from tests.core import plain

# What is not worked out from the trades on the page: what rests on bars and books, and what is no number.
ELSEWHERE = {
    "price_model_score", "volume_model_score", "price_wall_score", "main_ticker", "main_direction", "first_exit",
    "last_exit", "capital_is_estimated", "oldest_open", "order_p_value",
}  # fmt: skip


def trades() -> list[workings.Trade]:
    return workings.trades_of(example.BOT, example.files()["trades.csv"])


def worked(lines: dict[str, str | None]) -> dict[str, Any]:
    known = workings.quantities(trades(), 1000.0)
    return {name: workings.evaluated(line, known) for name, line in lines.items()}


@pytest.mark.docs
def test_what_the_product_computed_is_what_the_page_says_by_hand(found: example.Example) -> None:
    assert {name: len(lines) for name, lines in definitions.worked_examples(found).items()} == {
        "bot_metrics": len(workings.METRICS), "win_streak_summary": 6, "win_streaks": 5,
        **{name: len(lines) for name, lines in workings.OF_THE_ROW.items()},
    }  # fmt: skip


@pytest.mark.docs
def test_a_figure_that_differs_stops_the_build(found: example.Example) -> None:
    row = definitions.chosen_row("bot_metrics", found)
    rows = [row | {"sharpe": row["sharpe"] * (1 + 1e-6)}]
    with pytest.raises(definitions.Disagreement, match=r"bot_metrics: .*'sharpe'"):
        definitions.pages(replace(found, rows={**found.rows, "bot_metrics": rows}))


def test_every_figure_of_a_bot_is_worked_out_or_named_as_resting_on_something_else() -> None:
    figures = {f.name for f in (*METRICS, *OPEN_POSITIONS, *SLOW_RESULTS, *STREAKS, *STREAK_SUMMARY)}
    done = workings.METRICS.keys() | workings.SUMMARY.keys() | workings.streaks(3).keys()
    assert figures - done == ELSEWHERE
    assert done <= figures


def test_some_figures_by_hand() -> None:
    """23 of 24 trades were decided: 13 won 227 in all and 10 lost 121, so that 106 are left of the capital of 1,000."""
    figures = worked(workings.METRICS)
    assert (figures["wins"], figures["losses"], figures["trades"]) == (13, 10, 24)
    assert (figures["gross_profit"], figures["gross_loss"], figures["total_pnl"]) == (227, 121, 106)
    assert figures["avg_win_rate"] == pytest.approx(100 * 13 / 24)
    assert figures["profit_factor"] == pytest.approx(227 / 121)
    assert figures["payoff_ratio"] == pytest.approx((227 / 13) / (121 / 10))
    assert (figures["best_trade"], figures["worst_trade"]) == (35, -25)
    assert figures["open_pnl"] == 12  # 1,000 at 2,000, marked at 2,024


def test_the_workings_agree_with_the_slow_definitions_of_the_tests() -> None:
    """Two ways to write a formula down, neither of which is the product's."""
    book = [
        plain.Trade(number, 1, t.ticker, t.direction, t.entered, t.left, round(100 * t.pnl), None)
        for number, t in enumerate(trades())
    ]
    slow = plain.figures(book, 1, "*", workings.AS_OF, 1000)
    assert slow is not None
    fast = worked(workings.METRICS)
    shared = fast.keys() & slow.keys() - {"price_slippage"}
    assert len(shared) > 40
    assert {name for name in shared if not plain.close(fast[name], slow[name])} == set()


def test_a_nullable_number_says_when_it_is_null_or_that_it_never_is() -> None:
    """Those of which no rule of ours leaves them NULL, though their column might be."""
    silent = {
        figure.name
        for figures in (*TABLES.values(), *DECISIONS.values())
        for figure in figures
        if figure.type == "double precision" and figure.nullable and "NULL" not in figure.description
    }
    assert silent == {"p_trending", "p_ranging", "p_volatile", "lifetime_pnl", "lifetime_win_rate"}


def test_the_rule_of_null_is_told_apart_from_the_meaning() -> None:
    (of,) = (figure for figure in METRICS if figure.name == "profit_factor")
    assert definitions.rule_of_null(of) == (
        "Gross profit / gross loss, trailing 30 days.", "NULL without losses.",
    )  # fmt: skip


def test_the_example_has_a_breakeven_trade_and_a_day_per_pair_of_trades() -> None:
    assert sum(trade.pnl == 0 for trade in trades()) == 1
    assert len({trade.left.date() for trade in trades()}) == 12
    assert all(Fraction(trade.pnl).limit_denominator(100) == Fraction(trade.pnl) for trade in trades())
    assert all(trade.left - trade.entered >= timedelta(hours=1) for trade in trades())


@pytest.mark.docs
def test_what_is_said_never_to_be_null_is_not(found: example.Example) -> None:
    """Among the rows of the example is a bot that is not ranked."""
    assert any(row["rank_score"] is None for row in found.rows["bot_rankings"])
    empty = {
        (table, figure.name)
        for table, figures in definitions.FIGURES.items()
        for figure in figures
        if not definitions.rule_of_null(figure)[1].startswith("NULL")
        and any(row[figure.name] is None for row in found.rows[table])
    }
    assert empty == set()


@pytest.mark.docs
def test_points_that_differ_from_the_contributions_worked_through_stop_the_build(found: example.Example) -> None:
    row = definitions.chosen_row("bot_rankings", found)
    moved = row | {
        "one_day_performance_points": row["one_day_performance_points"] + 0.01,
        "one_week_performance_points": row["one_week_performance_points"] - 0.01,
    }
    rows = [moved if of == row else of for of in found.rows["bot_rankings"]]
    with pytest.raises(
        definitions.Disagreement, match=r"bot_rankings: .*'one_day_performance'.*'one_week_performance'"
    ):
        definitions.pages(replace(found, rows={**found.rows, "bot_rankings": rows}))


def test_contributions_by_hand() -> None:
    """Three of a group lose 2/6 of its mean of 2, two lose 1/5 of theirs of 8; places 1, 2.5, 2.5 and 4 of four."""
    values = contributions.net([1.0, 3.0, None, 10.0, 6.0], ["a", "a", "a", "b", "b"])
    assert values == [pytest.approx(1 / 3), pytest.approx(7 / 3), None, pytest.approx(8.4), pytest.approx(4.4)]
    assert contributions.ranks([5.0, 7.0, None, 7.0, 9.0]) == [-0.5, 0.0, 0.0, 0.0, 0.5]
    assert contributions.ranks([5.0, 6.0, 7.0]) == [-0.5, 0.0, 0.5]
    assert contributions.ranks([5.0, None]) == [0.0, 0.0]


def test_workings_of_streaks_hold_for_a_bot_with_fewer_trades_than_the_streak_has() -> None:
    """Of three trades, 10, 20 and -10, no seven can follow one another; of a bot that only won no run is a loss."""
    three = workings.quantities(trades()[:3], 1000.0)
    lines = workings.streaks(7)
    assert {name: workings.evaluated(line, three) for name, line in lines.items()} == {
        "streak_length": 7, "hits": 0, "frequency": 0, "runs": 0, "expected_frequency": 0,
    }  # fmt: skip
    two = workings.quantities(trades()[:2], 1000.0)
    assert workings.evaluated(workings.SUMMARY["longest_win_streak"], two) == 2
    assert workings.evaluated(workings.SUMMARY["longest_loss_streak"], two) == 0
