"""What bots earned on each day, by hand: the parts of a trade's life, fees where they fall, and what cannot be marked."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.ranking.earnings import ClosedDays, HeldNights, earned, labelled

OPEN = 2**31 - 1
NAN = np.nan


def closed(*rows: tuple[int, int, float, float]) -> ClosedDays:
    """Rows of bot, day, pnl, Σ |pnl|."""
    bot, day, pnl, absolute = np.array(rows, float).reshape(-1, 4).T
    return ClosedDays(bot.astype(int), day.astype(int), pnl, absolute)


def held(*rows: tuple[int, int, int, int, int, float, float]) -> HeldNights:
    """Rows of trade, bot, day, entry day, exit day, worth, pnl."""
    columns = np.array(rows, float).reshape(-1, 7).T
    return HeldNights(*columns[:5].astype(int), *columns[5:])


def figures(found, name: str = "pnl") -> dict[tuple[int, int], float]:
    return {
        (b, d): v for b, d, v in zip(found.bot.tolist(), found.day.tolist(), getattr(found, name).tolist(), strict=True)
    }


def test_a_trade_over_three_nights_with_fees_where_they_fall() -> None:
    """A LONG of two units at 100, 1 paid at entry and 3 at exit; closes 110, 90, 95; sold at 104: 8 - 4 = 4 in all.

    Worth less the entry fee: 19, -21, -11. Days: +19, -40, +10, and 4 + 11 = 15 on the day of its exit.
    """
    nights = held((1, 7, 10, 10, 13, 19, 4), (1, 7, 11, 10, 13, -21, 4), (1, 7, 12, 10, 13, -11, 4))
    found = earned(closed((7, 13, 4, 4)), nights)
    assert figures(found) == {(7, 10): 19, (7, 11): -40, (7, 12): 10, (7, 13): 15}
    assert sum(figures(found).values()) == 4
    assert not found.carried.any()
    assert figures(found, "absolute") == {(7, 10): 0, (7, 11): 0, (7, 12): 0, (7, 13): 4}


def test_without_marks_only_what_closes_counts_and_it_was_carried() -> None:
    """Beside it a trade of the day itself: half of the |pnl| was earned before. The days between tell nothing."""
    nights = held((1, 7, 10, 10, 12, NAN, -6), (1, 7, 11, 10, 12, NAN, -6))
    found = earned(closed((7, 12, 0, 12)), nights)
    assert figures(found) == {(7, 12): 0}
    assert figures(found, "carried") == {(7, 12): 6}
    assert figures(found, "absolute") == {(7, 12): 12}


def test_bars_that_begin_while_a_trade_is_held() -> None:
    """What it gained before the first mark is told by no day; from then on each day has its part."""
    nights = held((1, 7, 10, 10, 13, NAN, 9), (1, 7, 11, 10, 13, 5, 9), (1, 7, 12, 10, 13, 6, 9))
    found = earned(closed((7, 13, 9, 9)), nights)
    assert figures(found) == {(7, 12): 1, (7, 13): 3}
    assert not found.carried.any()


def test_an_open_trade_earns_before_it_closes_and_bots_are_apart() -> None:
    nights = held((1, 7, 10, 10, OPEN, 5, NAN), (1, 7, 11, 10, OPEN, 2, NAN), (2, 8, 11, 11, OPEN, -1, NAN))
    found = earned(closed((8, 10, 3, 3)), nights)
    assert figures(found) == {(7, 10): 5, (7, 11): -3, (8, 10): 3, (8, 11): -1}


def test_nothing_at_all() -> None:
    assert len(earned(closed(), held()).pnl) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 5), st.integers(-99, 99)), max_size=12))
def test_the_days_of_each_bot_sum_to_its_net_pnl(trades: list[tuple[int, int, int, int]]) -> None:
    """Trades that close after some nights, marked at anything: whole numbers, so sums are exact."""
    rng = np.random.default_rng(len(trades))
    rows, ends, expected = [], [], {}
    for number, (bot, first, nights, pnl) in enumerate(trades):
        rows += [
            (number, bot, day, first, first + nights, float(rng.integers(-50, 50)), pnl)
            for day in range(first, first + nights)
        ]
        ends.append((bot, first + nights, pnl, abs(pnl)))
        expected[bot] = expected.get(bot, 0) + pnl
    days = pd.DataFrame(ends, columns=["bot", "day", "pnl", "absolute"]).groupby(["bot", "day"], as_index=False).sum()
    found = earned(closed(*days.itertuples(index=False, name=None)), held(*rows))
    assert pd.Series(found.pnl).groupby(found.bot).sum().to_dict() == expected


def test_labels_of_a_panel_wait_for_their_day_and_flat_days_have_none() -> None:
    history = pd.DataFrame(
        {
            "day": [9, 10, 11, 12],
            "bot_id": 7,
            "volatility": 2.0,
            "closed_pnl": [NAN, NAN, NAN, 4],
            "absolute_pnl": [NAN, NAN, NAN, 4],
            "label_ended": [True, True, True, False],
        }
    )
    rows = labelled(history, held((1, 7, 10, 10, OPEN, 19, NAN)))
    np.testing.assert_array_equal(rows["label"], [19, NAN, NAN, NAN])
    assert list(rows) == ["day", "bot_id", "volatility", "label", "carried", "absolute_pnl"]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_and_later_ones_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [(t, t % 3, d, t, t + 4, rng.standard_normal(), 1.5) for t in range(20) for d in range(t, t + 4)]
    ends = closed(*((t % 3, t + 4, 1.5, 1.5) for t in range(20)))
    whole, shuffled = (figures(earned(ends, held(*of))) for of in (rows, rng.permutation(rows).tolist()))
    assert shuffled == pytest.approx(whole, abs=1e-12)
    cut = figures(
        earned(
            ClosedDays(*(getattr(ends, n)[ends.day <= 12] for n in ("bot", "day", "pnl", "absolute"))),
            held(*(r for r in rows if r[2] <= 12)),
        )
    )
    assert {key: value for key, value in cut.items() if key[1] <= 12} == {
        key: value for key, value in whole.items() if key[1] <= 12
    }
