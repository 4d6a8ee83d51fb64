"""The ceiling of the benchmarks: the filter, day by day, knows what all results together say, solved at once."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from benchmarks.ceiling import EXACT, expected_results
from knowdefeat_pipeline.core.simulation.bots import INFORMATIVE_SCORE, RETURN_SD, simulate

BOTS, DAYS = 4, 9
CORRELATION, REVERSAL, LOADING = 0.35, 0.10, -0.6
SKILL_VARIANCE = 0.05**2 + 0.06**2 + 0.05**2


@pytest.mark.parametrize("scores", [False, True])
def test_the_filter_equals_one_regression_on_everything_seen(scores: bool) -> None:
    world = simulate("adverse", bots=BOTS, days=DAYS, seed=3, end=datetime(2025, 3, 1, tzinfo=UTC))
    closed = world.trades[world.trades["status"] == "closed"]
    day = closed["exit_time"].dt.floor("D")
    result = closed["reported_pnl"] / closed["notional"] / RETURN_SD
    mean = result.groupby([day, closed["bot_id"]]).mean()
    trades = result.groupby([day, closed["bot_id"]]).size()
    side = (closed["ticker"] + closed["direction"]).groupby(closed["bot_id"]).agg(lambda of: of.mode()[0])
    days = list(world.skill.index)
    place = {(when, bot): (number, bot) for number, when in enumerate(days) for bot in range(1, BOTS + 1)}

    def skill(a: tuple[int, int], b: tuple[int, int]) -> float:
        apart = abs(a[0] - b[0])
        lasting, fading = 0.05**2 * (1 + 1 / 3), 0.06**2 * 0.5 ** (apart / 15)
        return (a[1] == b[1]) * (lasting + fading + 0.05**2 * 2 / 3 * (1 - 1.5 / 12) ** apart)

    def count(of: tuple[int, int]) -> int:
        return int(trades.get((days[of[0]], of[1]), 0)) if of[0] >= 0 else 0

    def spread(of: tuple[int, int]) -> float:
        return np.sqrt(count(of) * (1 + (count(of) - 1) * CORRELATION))

    def luck(a: tuple[int, int], b: tuple[int, int]) -> float:
        if a[0] != b[0] or not count(a) or not count(b):
            return 0.0
        shared = side[a[1]] == side[b[1]]
        return 1.0 if a == b else shared * CORRELATION * count(a) * count(b) / spread(a) / spread(b)

    def noise(of: tuple[int, int]) -> dict[tuple[int, int], float]:
        """The parts of luck in the mean result of a day."""
        return {of: np.sqrt(1 - REVERSAL**2) * spread(of) / count(of), (of[0] - 1, of[1]): -REVERSAL}

    told = world.scores.set_index(["day", "bot_id"])[INFORMATIVE_SCORE].dropna()
    # Each thing seen or asked for: the day of its skill, its parts of luck, the variance of its own error, its value.
    seen = [(place[key], noise(place[key]), EXACT, value) for key, value in mean.items()]
    if scores:
        own = SKILL_VARIANCE * (1 - LOADING**2) / LOADING**2
        worth = (told - 50) / 15 * np.sqrt(SKILL_VARIANCE) / LOADING
        seen += [((place[key][0] + 1, key[1]), {}, own, value) for key, value in worth.items()]

    def covariance(a: tuple, b: tuple) -> float:
        return skill(a[0], b[0]) + sum(x * y * luck(p, q) for p, x in a[1].items() for q, y in b[1].items())

    last = DAYS - 1
    asked = [((last + 1, bot), {(last, bot): -REVERSAL}) for bot in range(1, BOTS + 1)]
    all_seen = np.array([[covariance(a, b) for b in seen] for a in seen]) + np.diag([of[2] for of in seen])
    across = np.array([[covariance(a, b) for b in seen] for a in asked])
    expected = across @ np.linalg.solve(all_seen, [of[3] for of in seen])
    found = expected_results(world, scores=scores)[last]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)
    assert pd.Series(expected).abs().max() > 0.01
