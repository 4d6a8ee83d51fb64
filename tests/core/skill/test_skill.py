"""Skill: exact values, an independent plain computation, what must not change it, and what it must never say."""

from math import erf, log, sqrt

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.evidence import Evidence, Said, evidence, renewed, said_by
from knowdefeat_pipeline.core.skill.judgement import judge, judged, strategy_numbers
from knowdefeat_pipeline.core.skill.luck import Luck
from knowdefeat_pipeline.core.skill.posterior import Skill, _mixture, skill
from knowdefeat_pipeline.core.skill.verdicts import WINDOWS, WORDS, false_share, verdict_codes

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
    assert WORDS[verdict_codes(of, found.p_skill)].tolist() == [
        *words,
        "cannot be told from luck",
        "likely losing",
        "losing",
    ]


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
    assert found.p_skill.tolist() == [0.5, 0.5]
    assert found.edge.tolist() == [0.0, 0.0]
    assert found.edge_low == pytest.approx(-found.edge_high)
    assert WORDS[verdict_codes(of, found.p_skill)].tolist() == [
        "cannot be judged: 0 closed losses",
        "cannot be judged: 1 closed loss",
    ]


def test_a_bot_that_never_won_lacks_wins() -> None:
    of = evidence(DailyResults.of_columns(np.zeros(30, int), np.arange(30), -1.0 - np.arange(30) % 3))
    assert WORDS[verdict_codes(of, np.array([0.5]))].tolist() == ["cannot be judged: 0 closed wins"]


def test_whether_bots_can_be_told_apart() -> None:
    """Six bots whose edges lie far apart have no one edge; six that do the same, each on days of its own, may have."""
    days = [TRADE[:60] // 2] * 6
    assert skill(six(), TWO).p_same_edge == pytest.approx(7.266947e-08, rel=1e-6)
    assert plain([*PNL.reshape(6, 60)], days, TWO.tolist())[2] == pytest.approx(7.266947e-08, rel=1e-6)
    results = np.tile(np.sin(1 + 3 * TRADE[:60]), 6)
    alike = skill(evidence(DailyResults.of_columns(BOT, BOT + 6 * TRADE, results)), TWO)
    assert alike.p_same_edge == pytest.approx(0.188528, abs=1e-6)
    assert alike.p_skill == pytest.approx(0.597366, abs=1e-6)


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


def plain(pnl: list[np.ndarray], day: list[np.ndarray], strategy: list[int]) -> tuple[list[float], list[float], float]:
    """P(edge > 0) and the edge of each bot, and the weight of no spread, by plain loops over the definition."""
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
    return [float(x) for x in p], [float(x) for x in edge], float(weights[0] / total)


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
        assert found.p_skill.tolist() == [0.5] * bots
        assert found.p_same_edge == pytest.approx(0.3 * 0.4)
        return
    p, edge, same = plain(pnl, day, strategy)
    assert found.p_same_edge == pytest.approx(same, abs=1e-7)
    assert found.p_skill == pytest.approx(np.array(p)[of.bot], abs=1e-7)
    assert found.edge == pytest.approx(np.array(edge)[of.bot], abs=1e-7)


def test_days_put_together_are_the_days_of_all_trades() -> None:
    whole, early = DailyResults.of_columns(BOT, TRADE // 2, PNL), TRADE // 2 < 10
    parts = [DailyResults.of_columns(BOT[of], TRADE[of] // 2, PNL[of]) for of in (early, ~early)]
    again = DailyResults.concat(parts[::-1])
    for name in DailyResults.__dataclass_fields__:
        assert getattr(again, name).tolist() == getattr(whole, name).tolist()


def drawn(seed: int, bots: int, days: int) -> DailyResults:
    """Bots that begin and stop somewhere, and change their scale by a factor of up to a million on the way."""
    rng = np.random.default_rng(seed)
    parts = []
    for bot in range(bots):
        first, last = np.sort(rng.integers(0, days, 2))
        day = np.sort(rng.integers(first, last + 1, rng.integers(1, 300)))
        scale = np.where(day < rng.integers(0, days), 10.0 ** rng.integers(-3, 7), 1.0)
        parts.append((np.full(len(day), bot), day, scale * rng.standard_t(5, len(day))))
    return DailyResults.of_columns(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def until(results: DailyResults, last_day: int, bots: np.ndarray | None = None) -> DailyResults:
    """What had closed by that day, of these bots."""
    kept = (results.day <= last_day) & (np.isin(results.bot, bots) if bots is not None else True)
    return DailyResults(**{name: getattr(results, name)[kept] for name in DailyResults.__dataclass_fields__})


def bits(said: Said[str], strategies: int = 3) -> list[bytes]:
    """All that is judged by this, to the bit."""
    number = strategy_numbers(said.panel.bot, {bot: f"s{bot % strategies}" for bot in range(0, 100, 2)})
    rows = [judged(of, number[: len(of)], said.luck.setdefault(window, Luck())) for window, of in said.of.items()]
    return [repr(values.tolist()).encode() for of in rows for values in of.values()]


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bots=st.integers(1, 20))
def test_a_day_has_the_same_bits_in_every_range_and_whatever_comes_later(seed: int, bots: int) -> None:
    results = drawn(seed, bots, 250)
    at = np.arange(results.day.min(), 250)
    ranged = [bits(said) for said in said_by(results, at, WINDOWS)]
    assert len(ranged) == len(at)
    for place in np.random.default_rng(seed).integers(0, len(at), 8).tolist():
        (alone,) = said_by(until(results, at[place]), at[place : place + 1], WINDOWS)
        assert bits(alone) == ranged[place]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bots=st.integers(2, 20))
def test_bots_that_are_renewed_are_as_all_computed_anew(seed: int, bots: int) -> None:
    """A bot's last result changes; a bot that nobody knew is not renewed but computed."""
    results = drawn(seed, bots, 200)
    at, moved = results.day[-1:], results.bot[-1:]
    now = until(results, at[0])
    changed = (now.bot == moved) & (now.day == at[0])
    before = DailyResults(**{**vars(now), "pnl": np.where(changed, 0.5, now.pnl)})
    (known,), (fresh,), (whole,) = (said_by(of, at, WINDOWS) for of in (before, until(now, at[0], moved), now))
    bits(known)  # what bots share is known from here on, and is added up again for the bot's strategy alone
    found = renewed(known, fresh)
    assert found is not None
    assert all(of.moved.size == 1 for of in found.luck.values())
    assert bits(found) == bits(whole)
    assert bits(found) == bits(whole)
    whole.luck.clear()
    assert bits(found, strategies=2) == bits(whole, strategies=2)  # where bots change hands all is
    (without,) = said_by(until(now, at[0], np.setdiff1d(now.bot, moved)), at, WINDOWS)
    assert renewed(without, fresh) is None


def test_windows_end_with_their_day_and_a_large_past_leaves_nothing_behind() -> None:
    rng = np.random.default_rng(2)
    bot, day = np.repeat([3, 8], 400), np.tile(np.arange(400), 2)
    pnl = rng.integers(-9, 9, 800) * np.where(day < 200, 1e9, 1.0)
    at = np.array([250, 289, 290, 359, 360, 399])
    for last, said in zip(at, said_by(DailyResults.of_columns(bot, day, pnl), at, WINDOWS), strict=True):
        for window, first in (("lifetime", 0), ("90 days", last - 89)):
            inside = (first <= day) & (day <= last)
            alone = evidence(DailyResults.of_columns(bot[inside], day[inside], pnl[inside]))
            assert said.of[window].trades.tolist() == [last - first + 1] * 2
            assert said.of[window].edge == pytest.approx(alone.edge, rel=1e-12)
            assert said.of[window].error == pytest.approx(alone.error, rel=1e-12)


@pytest.mark.parametrize("lost", [10, 200])
def test_evidence_is_that_of_all_trades(lost: int) -> None:
    """Also of a bot that wins nearly always, whose sums of powers are far larger than its spread."""
    rng = np.random.default_rng(lost)
    pnl = np.concatenate([1 + 0.01 * rng.random(2000), np.full(lost, -0.5)])[rng.permutation(2000 + lost)]
    day, n = np.sort(rng.integers(0, 90, len(pnl))), len(pnl)
    of = evidence(DailyResults.of_columns(np.zeros(n, int), day, pnl))
    off = (pnl - pnl.mean()) / pnl.std(ddof=1)
    daily = np.bincount(day, off)
    error = sqrt(max(n - 1, (daily**2).sum() * 90 / 89)) / n
    raw = pnl.mean() / pnl.std(ddof=1)
    shift = (off**3).mean() * (error**2 / 6 + raw**2 / 3)
    assert of.error == pytest.approx(error, rel=1e-10)
    assert of.edge == pytest.approx(raw + np.clip(shift, -3 * error, 3 * error), rel=1e-10)
    assert of.variance == pytest.approx((daily**2).sum() / n**2, rel=1e-10)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
@example(seed=122368)  # level between two parts that lie far apart, where steps crawl
def test_ends_of_the_interval_are_quantiles_of_the_mixture(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = int(rng.integers(1, 9))
    weight = rng.dirichlet(np.full(parts, 0.5))
    mean, sd = rng.normal(0, 0.1, (parts, 40)), np.exp(rng.normal(-3, 1.5, (parts, 40)))
    _, _, low, high = _mixture(weight, mean, sd)
    for ends, tail in ((low, 0.05), (high, 0.95)):
        assert weight @ ndtr((ends - mean) / sd) == pytest.approx(tail, abs=1e-7)


@pytest.mark.parametrize("bots", range(1, 9))
def test_a_fleet_of_which_nothing_is_known_is_at_the_middle_exactly(bots: int) -> None:
    """More than .5 is what the least caution asks for."""
    bot, day = np.repeat(np.arange(bots), 20), np.tile(np.arange(20), bots)
    of = evidence(DailyResults.of_columns(bot, day, np.ones(20 * bots)))
    assert skill(of, np.arange(bots)).p_skill.tolist() == [0.5] * bots


def test_certainty_is_a_probability() -> None:
    bot, trade = np.repeat(np.arange(8), 200), np.tile(np.arange(200), 8)
    pnl = np.where(trade % 5 == 0, -1.0, 2.0) + 0.01 * np.sin(3 * bot + trade)
    p_skill = judge(DailyResults.of_columns(bot, trade // 2, pnl), {})["p_skill"]
    assert p_skill.between(1 - 1e-9, 1).all()
    assert false_share(p_skill.tolist()) >= 0


def test_the_expected_share_of_false_ones() -> None:
    assert false_share([0.99, 0.97, 0.95]) == pytest.approx(0.03)
