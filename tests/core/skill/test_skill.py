"""Skill: exact values, an independent plain computation, what must not change it, and what it must never say."""

from math import erf, log, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.evidence import Evidence, evidence
from knowdefeat_pipeline.core.skill.judgement import false_share, judge, verdicts
from knowdefeat_pipeline.core.skill.posterior import Skill, skill

EFFECTS = np.array([0.5, 0.3, 0.1, 0.0, -0.1, -0.3])
BOT, TRADE = np.repeat(np.arange(6), 60), np.tile(np.arange(60), 6)
PNL = EFFECTS[BOT] + np.sin(1 + 7 * BOT + 3 * TRADE)
TWO, SIX = np.array([0, 0, 0, 1, 1, 1]), np.arange(6)


def six(pnl: np.ndarray = PNL) -> Evidence:
    """The six bots of 60 trades, two a day."""
    return evidence(DailyResults.of_columns(BOT, TRADE // 2, pnl))


def test_six_bots_of_two_strategies() -> None:
    of = six()
    assert of.error.round(6).tolist() == [0.128019] * 6
    assert of.edge.round(6).tolist() == [0.753812, 0.439702, 0.137772, -0.010566, -0.166457, -0.453162]
    found = skill(of, TWO)
    assert found.p_skill.round(6).tolist() == [0.999999, 0.999074, 0.921749, 0.376315, 0.119107, 0.003206]
    assert found.edge.round(6).tolist() == [0.504450, 0.326067, 0.154600, -0.032315, -0.120845, -0.283666]


def test_six_strategies() -> None:
    expected = [0.999998, 0.997507, 0.829705, 0.514593, 0.177690, 0.003883]
    assert skill(six(), SIX).p_skill.round(6).tolist() == expected


def test_a_bot_that_never_lost_is_not_proven() -> None:
    of = six(np.where(BOT == 0, np.abs(PNL), PNL))
    assert of.proven.tolist() == [False, *[True] * 5]
    found = skill(of, TWO)
    assert found.p_skill.round(6).tolist() == [0.680831, 0.987978, 0.855964, 0.320573, 0.114189, 0.010621]
    words = ["cannot be judged: 0 closed losses", "good", "likely good"]
    assert verdicts(of, found.p_skill).tolist() == [*words, "cannot be told from luck", "likely losing", "losing"]


def test_a_constant_changes_nothing() -> None:
    found, scaled = skill(six(), TWO), skill(six(np.where(BOT == 2, 1000 * PNL, PNL)), TWO)
    for name in Skill.__dataclass_fields__:
        assert getattr(scaled, name) == pytest.approx(getattr(found, name), abs=1e-9)


def test_numbers_of_strategies_and_order_of_bots_change_nothing() -> None:
    found, renamed = skill(six(), TWO), skill(six(), 9 - 5 * TWO)
    assert renamed.p_skill == pytest.approx(found.p_skill, abs=1e-12)
    order = np.array([3, 0, 5, 1, 4, 2])
    place = np.argsort(order)
    turned = DailyResults.of_columns(BOT, TRADE // 2, PNL.reshape(6, 60)[order].ravel())
    assert skill(evidence(turned), TWO[order]).p_skill[place] == pytest.approx(found.p_skill, abs=1e-12)


def test_without_a_proven_bot_there_is_only_the_prior() -> None:
    of = evidence(DailyResults.of_columns(np.array([1, 1, 2]), np.array([0, 1, 1]), np.array([5.0, 3.0, -1.0])))
    found = skill(of, np.array([0, 0]))
    assert found.p_skill == pytest.approx(0.5)
    assert found.edge.tolist() == [0.0, 0.0]
    assert found.edge_low == pytest.approx(-found.edge_high)
    assert verdicts(of, found.p_skill).tolist() == [
        "cannot be judged: 0 closed losses",
        "cannot be judged: 1 closed loss",
    ]


def test_a_bot_that_never_won_lacks_wins() -> None:
    of = evidence(DailyResults.of_columns(np.zeros(30, int), np.arange(30), -1.0 - np.arange(30) % 3))
    assert verdicts(of, np.array([0.5])).tolist() == ["cannot be judged: 0 closed wins"]


def test_no_bots() -> None:
    none = DailyResults.of_columns(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    assert judge(none, {}).empty
    assert false_share([]) is None


def test_the_interval_says_the_same_as_p_skill() -> None:
    """The lower end is the 5 % quantile: above 0 where P(edge > 0) is more than .95."""
    found = skill(six(), TWO)
    assert ((found.edge_low > 0) == (found.p_skill > 0.95)).all()
    assert ((found.edge_high < 0) == (found.p_skill < 0.05)).all()
    assert (found.edge_low < found.edge).all()
    assert (found.edge < found.edge_high).all()


def test_luck_that_bots_share_is_no_skill() -> None:
    """Ten bots with the same results on the same days prove less than ten with these results on other days."""
    rng = np.random.default_rng(3)
    daily = rng.normal(0.2, 1, 80)
    bot, day = np.repeat(np.arange(10), 80), np.tile(np.arange(80), 10)
    same = judge(DailyResults.of_columns(bot, day, np.tile(daily, 10)), dict.fromkeys(range(10), "a"))
    shuffled = np.concatenate([rng.permutation(daily) for _ in range(10)])
    independent = judge(DailyResults.of_columns(bot, day, shuffled), dict.fromkeys(range(10), "a"))
    assert same.p_skill.max() < independent.p_skill.min()


def plain(pnl: list[np.ndarray], day: list[np.ndarray], strategy: list[int]) -> tuple[list[float], list[float]]:
    """P(edge > 0) and the edge of each bot by plain loops over the definition."""
    bots = range(len(pnl))
    e, se, proven, y = {}, {}, {}, {}
    for i in bots:
        x, n = pnl[i], len(pnl[i])
        m, s = x.mean(), x.std(ddof=1)
        g = float(((x - m) ** 3).mean() / s**3)
        y[i] = {d: float(((x[day[i] == d] - m) / s).sum()) for d in set(day[i].tolist())}
        count = len(y[i])
        clustered = sum(v * v for v in y[i].values()) * count / (count - 1) if count > 1 else 0.0
        se[i] = sqrt(max(n - 1, clustered)) / n
        e[i] = m / s + min(max(g * se[i] ** 2 / 6 + g * (m / s) ** 2 / 3, -3 * se[i]), 3 * se[i])
        proven[i] = min((x > 0).sum(), (x < 0).sum()) >= 10
    those = [i for i in bots if proven[i]]
    groups = {s: [i for i in those if strategy[i] == s] for s in set(strategy)}
    days = sorted({d for i in those for d in y[i]})
    parts = []
    for tb, pb in zip([0, 0.01, 0.02, 0.035, 0.06, 0.1, 0.16], [0.3, 0.1, 0.1, 0.15, 0.15, 0.12, 0.08], strict=True):
        for ts, ps in zip([0, 0.02, 0.05, 0.1], [0.4, 0.25, 0.2, 0.15], strict=True):
            w = {i: 1 / (se[i] ** 2 + tb**2) for i in those}
            A = {s: sum(w[i] for i in g) for s, g in groups.items() if g}
            ms = {s: sum(w[i] * e[i] for i in groups[s]) / A[s] for s in A}
            Y = {s: {d: sum(w[i] * y[i].get(d, 0) / len(pnl[i]) for i in groups[s]) / A[s] for d in days} for s in A}
            vs = {s: max(1 / A[s], sum(v * v for v in Y[s].values())) for s in A}
            u = {s: 1 / (vs[s] + ts**2) for s in A}
            U = sum(u.values())
            mean = sum(u[s] * ms[s] for s in A) / U
            daily = sum((sum(u[s] * Y[s][d] for s in A) / U) ** 2 for d in days)
            v = max(1 / U, daily + ts**2 * sum(x * x for x in u.values()) / U**2)
            ll = sum(0.5 * log(w[i]) - 0.5 * w[i] * (e[i] - ms[strategy[i]]) ** 2 for i in those)
            ll += sum(0.5 * log(u[s]) - 0.5 * log(A[s]) - 0.5 * u[s] * (ms[s] - mean) ** 2 for s in A)
            ll -= 0.5 * log(U) + 0.5 * log(0.0025 + v) + 0.5 * mean**2 / (0.0025 + v)
            mu, V = 0.0025 / (0.0025 + v) * mean, 0.0025 * v / (0.0025 + v)
            theta, spread = [], []
            for i in bots:
                known = strategy[i] in A
                q = ts**2 / (ts**2 + vs[strategy[i]]) if known else 0.0
                M = mu + q * (ms[strategy[i]] - mu) if known else mu
                W = (1 - q) * ts**2 + (1 - q) ** 2 * V
                h = tb**2 / (tb**2 + se[i] ** 2) if proven[i] else 0.0
                theta.append(M + h * (e[i] - M))
                spread.append(sqrt((1 - h) * tb**2 + (1 - h) ** 2 * W))
            parts.append((ll + log(pb) + log(ps), theta, spread))
    top = max(ll for ll, _, _ in parts)
    weights = [np.exp(ll - top) for ll, _, _ in parts]
    total = sum(weights)
    p = [
        sum(w * 0.5 * (1 + erf(t[i] / s[i] / sqrt(2))) for w, (_, t, s) in zip(weights, parts, strict=True)) / total
        for i in bots
    ]
    edge = [sum(w * t[i] for w, (_, t, _) in zip(weights, parts, strict=True)) / total for i in bots]
    return [float(x) for x in p], [float(x) for x in edge]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bots=st.integers(1, 7), strategies=st.integers(1, 4))
def test_any_fleet_is_as_plain_loops_have_it(seed: int, bots: int, strategies: int) -> None:
    rng = np.random.default_rng(seed)
    count = rng.integers(3, 90, bots)
    day = [np.sort(rng.integers(0, rng.integers(1, 40), n)) for n in count]
    pnl = [rng.choice([1.0, 50.0]) * (rng.normal(0.1, 1, n) + rng.exponential(0.3, n)) for n in count]
    strategy = rng.integers(0, strategies, bots).tolist()
    of = evidence(DailyResults.of_columns(np.repeat(np.arange(bots), count), np.concatenate(day), np.concatenate(pnl)))
    found = skill(of, np.array(strategy)[of.bot])
    if not of.proven.any():
        assert found.p_skill == pytest.approx(0.5)
        return
    p, edge = plain(pnl, day, strategy)
    assert found.p_skill == pytest.approx(np.array(p)[of.bot], abs=1e-7)
    assert found.edge == pytest.approx(np.array(edge)[of.bot], abs=1e-7)


def test_the_expected_share_of_false_ones() -> None:
    assert false_share([0.99, 0.97, 0.95]) == pytest.approx(0.03)
