"""The two slow variables: by hand, against the definition written down plainly, and the same however they are computed."""

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.ranking.slow_results import Lifetime, follow_days, net_results, slow_results
from knowdefeat_pipeline.core.units import DAY


def test_a_lone_bot_by_hand() -> None:
    """1 - 1 + 2 + .5 over four days: 2.5 / √4 = 1.25. After 91 days the first has left the quarter: 1.5 / √3."""
    end, bot = np.arange(1, 5) * DAY, np.zeros(4, np.int64)
    found = slow_results(end, bot, np.array([1, -1, 2, 0.5]), np.array([4, 91, 95]) * DAY, bot[:1])
    assert found.lifetime.ravel().tolist() == [1.25] * 3
    np.testing.assert_array_equal(found.quarter.ravel(), [1.25, 1.5 / np.sqrt(3), np.nan])


def test_a_group_of_three_of_which_two_trade() -> None:
    """k = 2: a fifth of the mean of the two is taken off, (2 - 1) / (2 + 3)."""
    net = net_results(np.array([1, 1, 1, 2]), np.array([0, 0, 0, 0]), np.array([3.0, 1.0, np.nan, 5.0]))
    np.testing.assert_allclose(net, [3 - 0.4, 1 - 0.4, np.nan, 5])


def history(seed: int, days: int = 130, bots: int = 5) -> pd.DataFrame:
    """Rows of metrics at each day's end."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"day": np.arange(days).repeat(bots), "bot_id": np.tile(np.arange(1, bots + 1), days)})
    frame["one_day_performance"] = np.where(rng.random(len(frame)) < 0.7, rng.standard_normal(len(frame)), np.nan)
    frame["volatility"] = np.where(rng.random(len(frame)) < 0.9, rng.uniform(0.5, 2, len(frame)), np.nan)
    frame["main_ticker"] = rng.choice(["A", "B"], len(frame))
    return frame.assign(main_direction="LONG", ended=True)


NO_PAST = pd.DataFrame(
    {
        "day": [],
        "bot_id": [],
        "net_result": [],
        "is_last": pd.Series([], dtype=bool),
        "lifetime_total": [],
        "lifetime_days": [],
    }
)


def plainly(frame: pd.DataFrame) -> dict[tuple[int, int], list[float]]:
    """The net results of each bot by day, one after another."""
    rows = {(r.day, r.bot_id): r for r in frame.itertuples()}
    out: dict[tuple[int, int], float] = {}
    for day in sorted(set(frame["day"])):
        groups: dict[str, list[tuple[int, float]]] = {}
        for bot in sorted(set(frame["bot_id"])):
            before, now = rows.get((day - 1, bot)), rows[day, bot]
            if before and before.volatility > 0 and not np.isnan(now.one_day_performance):
                groups.setdefault(before.main_ticker, []).append((bot, now.one_day_performance / before.volatility))
        for members in groups.values():
            k, mean = len(members), sum(r for _, r in members) / len(members)
            out |= {(day, bot): r - (k - 1) / (k + 3) * mean for bot, r in members}
    return out


@pytest.mark.parametrize("seed", range(3))
def test_as_the_definition_says(seed: int) -> None:
    frame = history(seed)
    found = follow_days(frame.iloc[:0], frame, NO_PAST)
    net = plainly(frame)
    for row in found.iloc[::7].itertuples():
        own = [(day, n) for (day, bot), n in net.items() if bot == row.bot_id and day <= row.day]
        lifetime, quarter = ([n for day, n in own if day > row.day - length] for length in (10**9, 90))
        for value, of in ((row.lifetime_result, lifetime), (row.quarter_result, quarter)):
            assert value == pytest.approx(sum(of) / np.sqrt(len(of)), abs=1e-12) if of else np.isnan(value)
        assert row.lifetime_days == len(lifetime)


@pytest.mark.parametrize("cut", [1, 60, 100])
def test_going_on_from_a_day_is_bit_for_bit_to_compute_all(cut: int) -> None:
    """And so a later day changes nothing of an earlier one."""
    frame = history(4)
    whole = follow_days(frame.iloc[:0], frame, NO_PAST)
    begun = follow_days(frame.iloc[:0], frame[frame["day"] < cut], NO_PAST)
    past = begun[begun["day"] >= cut - 90].assign(is_last=lambda rows: rows["day"] == cut - 1)
    later = follow_days(frame[frame["day"] == cut - 1], frame[frame["day"] >= cut], past)
    pd.testing.assert_frame_equal(pd.concat([begun, later], ignore_index=True), whole, check_exact=True)


def test_a_running_day_has_the_figures_of_the_day_before() -> None:
    frame = history(5, days=6)
    running = frame.assign(ended=frame["day"] < 5)
    found = follow_days(frame.iloc[:0], running, NO_PAST)
    names = ["bot_id", "quarter_result", "lifetime_total", "lifetime_days", "lifetime_result"]
    before, now = (found[found["day"] == day] for day in (4, 5))
    pd.testing.assert_frame_equal(now[names].reset_index(drop=True), before[names].reset_index(drop=True))
    assert now["net_result"].isna().all()


def test_what_is_known_of_a_lifetime_counts_once() -> None:
    end, bot, net = np.array([1, 2, 3]) * DAY, np.zeros(3, np.int64), np.array([1.0, 2.0, 4.0])
    known = Lifetime(2 * DAY, np.array([103.0]), np.array([12.0]))
    found = slow_results(end, bot, net, end, bot[:1], known)
    assert found.total.ravel().tolist() == [103, 103, 107]
    assert found.days.ravel().tolist() == [12, 12, 13]
    np.testing.assert_allclose(found.quarter.ravel(), [1, 3 / np.sqrt(2), 7 / np.sqrt(3)])
