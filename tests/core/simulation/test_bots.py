"""The simulated worlds obey their stated law: skill, noise, scores and trades, over fixed seeds."""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.simulation import bots as module
from knowdefeat_pipeline.core.simulation.bots import BOT_WORLDS, Simulation, simulate

END = datetime(2025, 7, 1, tzinfo=UTC)
COLUMNS = [
    "source_trade_id", "bot_id", "strategy_id", "ticker", "direction", "status", "entry_time", "exit_time",
    "entry_price", "exit_price", "notional", "fees", "reported_pnl", "quote_currency", "signal_confidence",
    "exit_reason",
]  # fmt: skip
SCORES = ["price_model_score", "volume_model_score", "price_wall_score"]


@cache
def year(world: str) -> Simulation:
    return simulate(world, bots=200, days=365, seed=7, end=END)


@cache
def standardised(world: str) -> pd.DataFrame:
    """Closed trades with day, group and the noise left when the true skill is taken from the standardised result."""
    simulation = year(world)
    trades = simulation.trades[simulation.trades.status == "closed"].copy()
    trades["day"] = trades.exit_time.dt.floor("D")
    trades["group"] = trades.ticker + trades.direction
    skill = simulation.skill.to_numpy()[(trades.day - simulation.skill.index[0]).dt.days, trades.bot_id - 1]
    trades["result"] = trades.reported_pnl / (trades.notional * 0.006)
    trades["noise"] = trades.result - skill
    return trades


def mean_rank_correlation(simulation: Simulation, score: str, days: slice = slice(None)) -> tuple[float, float]:
    """Mean over days of the rank correlation across bots between a day's score and the next day's skill, and its SE."""
    scores = simulation.scores.pivot(index="day", columns="bot_id", values=score).iloc[:-1][days]
    ahead = simulation.skill.shift(-1).loc[scores.index].where(scores.notna())
    daily = scores.rank(axis=1).corrwith(ahead.rank(axis=1), axis=1)
    return daily.mean(), daily.std() / sqrt(len(daily))


def fingerprint(simulation: Simulation) -> str:
    digest = hashlib.sha256()
    for frame in (simulation.trades, simulation.skill, simulation.scores):
        digest.update(pd.util.hash_pandas_object(frame).to_numpy().tobytes())
    return digest.hexdigest()


# --- reproducibility -------------------------------------------------------------------------------------------------


def test_same_seed_gives_identical_frames_and_another_seed_does_not() -> None:
    first, again, other = (simulate("adverse", bots=12, days=30, seed=seed, end=END) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first.trades, again.trades, check_exact=True)
    pd.testing.assert_frame_equal(first.skill, again.skill, check_exact=True)
    pd.testing.assert_frame_equal(first.scores, again.scores, check_exact=True)
    assert not np.any(first.skill.to_numpy() == other.skill.to_numpy())
    assert not first.trades.reported_pnl.dropna().isin(other.trades.reported_pnl).any()
    assert (first.world, first.seed, other.seed) == ("adverse", 3, 4)


def test_another_process_simulates_the_same() -> None:
    code = (
        "from tests.core.simulation.test_bots import *;"
        "print(fingerprint(simulate('switch', bots=9, days=20, seed=11, end=END)))"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == fingerprint(simulate("switch", bots=9, days=20, seed=11, end=END))


@pytest.mark.long
def test_worlds_of_one_seed_differ_only_in_what_they_name() -> None:
    base, informative, switch, adverse = (year(world) for world in ("base", "informative", "switch", "adverse"))
    pd.testing.assert_frame_equal(base.trades[COLUMNS[1:]], informative.trades[COLUMNS[1:]], check_exact=True)
    for other in (informative, switch, adverse):
        pd.testing.assert_frame_equal(base.skill, other.skill, check_exact=True)
        pd.testing.assert_frame_equal(base.scores[SCORES[1:]], other.scores[SCORES[1:]], check_exact=True)
        assert base.trades.entry_time.equals(other.trades.entry_time)
    half = 182 * 200  # days before the switch x bots
    assert switch.scores[:half].equals(informative.scores[:half])
    assert switch.scores[half:].equals(adverse.scores[half:])


# --- trades ----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    world=st.sampled_from(list(BOT_WORLDS)),
    bots=st.integers(1, 30),
    days=st.integers(1, 20),
    seed=st.integers(0, 2**63),
    end=st.dates(min_value=datetime(1990, 1, 1).date(), max_value=datetime(2100, 1, 1).date()),  # noqa: DTZ001
)
def test_every_trade_passes_the_domain_rules(world: str, bots: int, days: int, seed: int, end: datetime) -> None:
    end = datetime(end.year, end.month, end.day, tzinfo=UTC)
    simulation = simulate(world, bots=bots, days=days, seed=seed, end=end)
    trades = simulation.trades
    assert list(trades.columns) == COLUMNS
    assert trades.source_trade_id.is_unique
    assert trades.bot_id.between(1, bots).all()
    assert set(trades.direction) <= {"LONG", "SHORT"}
    assert set(trades.quote_currency) == {"USD"}
    assert trades.signal_confidence.between(0, 1).all()
    money = trades[["entry_price", "notional", "fees"]].to_numpy()
    assert np.isfinite(money).all()
    assert (money > 0).all()
    for name in ("entry_time", "exit_time"):
        assert str(trades[name].dtype) == "datetime64[us, UTC]"

    is_open = trades.status == "open"
    assert is_open.sum() == min(bots, 5)
    assert trades[is_open].bot_id.is_unique
    assert trades.loc[is_open, ["exit_time", "exit_price", "reported_pnl", "exit_reason"]].isna().all(axis=None)
    assert trades.loc[is_open, "entry_time"].between(end - timedelta(days=1), end, inclusive="left").all()

    closed = trades[~is_open]
    assert (closed.status == "closed").all()
    assert closed.notna().all(axis=None)
    assert (closed.exit_price > 0).all()
    assert closed.exit_time.is_monotonic_increasing
    assert not is_open[: len(closed)].any()
    held = (closed.exit_time - closed.entry_time).dt.total_seconds()
    assert held.between(2, 57_600).all()
    assert (closed.entry_time.dt.floor("D") == closed.exit_time.dt.floor("D")).all()
    assert (closed.entry_time >= end - timedelta(days=days)).all()
    assert (closed.exit_time < end).all()
    per_bot = trades.groupby("bot_id")
    assert per_bot[["strategy_id", "direction", "notional"]].nunique().eq(1).all(axis=None)
    assert per_bot.ticker.nunique().le(2).all()


@pytest.mark.long
@pytest.mark.parametrize("world", BOT_WORLDS)
def test_recomputed_pnl_equals_reported(world: str) -> None:
    closed = year(world).trades.query("status == 'closed'")
    side = closed.direction.map({"LONG": 1, "SHORT": -1})
    pnl = closed.notional * side * (closed.exit_price - closed.entry_price) / closed.entry_price - closed.fees
    assert (pnl - closed.reported_pnl).abs().max() < 1e-9
    assert (closed.fees / closed.notional).to_numpy() == pytest.approx(0.0005)
    assert set(closed[closed.exit_reason == "tp"].reported_pnl > 0) == {True}
    assert set(closed[closed.exit_reason == "sl"].reported_pnl < 0) == {True}


def test_trades_of_a_ticker_enter_on_one_shared_path() -> None:
    trades = year("base").trades.sort_values("entry_time")
    for ticker, own in trades.groupby("ticker"):
        first, daily_sd = module.TICKERS[ticker]
        assert own.entry_price.iloc[0] == pytest.approx(first, rel=4 * daily_sd / sqrt(96))
        neighbours = own.entry_time.diff() <= pd.Timedelta(minutes=1)
        assert neighbours.sum() > 1_000
        moves = np.log(own.entry_price).diff()[neighbours].abs()
        assert moves.max() < 6 * daily_sd / sqrt(96) * (1 / 15)  # a minute is 1/15 of the path's step
        daily = np.log(own.groupby(own.entry_time.dt.floor("D")).entry_price.first()).diff()
        assert daily.std() == pytest.approx(daily_sd, rel=0.15)


def test_population_has_the_stated_rates_sizes_and_second_tickers() -> None:
    closed = year("base").trades.query("status == 'closed'")
    per_bot = closed.groupby("bot_id")
    rate = per_bot.size() / 365
    assert len(rate) == 200
    assert np.log(rate).mean() == pytest.approx(np.log(6), abs=3 * 0.4 / sqrt(200))
    assert np.log(rate).std() == pytest.approx(0.4, abs=3 * 0.4 / sqrt(400))
    scale = np.log(per_bot.notional.first())
    assert scale.mean() == pytest.approx(np.log(2_000), abs=3 * 0.6 / sqrt(200))
    assert scale.std() == pytest.approx(0.6, abs=3 * 0.6 / sqrt(400))
    counts = closed.groupby([closed.bot_id, closed.exit_time.dt.floor("D")]).size().unstack(fill_value=0)
    dispersion = (counts.var(axis=1) / counts.mean(axis=1)).mean()
    assert dispersion == pytest.approx(1, abs=0.02)  # Poisson; SE sqrt(2 / 365 / 200) = 0.005

    share = per_bot.ticker.agg(lambda tickers: tickers.value_counts(normalize=True).iloc[0])
    assert (share < 1).mean() == pytest.approx(0.3, abs=3 * sqrt(0.21 / 200))
    assert share[share < 1].mean() == pytest.approx(0.8, abs=0.01)
    assert set(closed.ticker) == set(module.TICKERS)
    assert set(closed.strategy_id) == set(module.STRATEGIES)
    held = (closed.exit_time - closed.entry_time).dt.total_seconds().groupby(closed.strategy_id).median()
    assert held["scalper"] == pytest.approx(45, rel=0.03)
    assert held["trend"] == pytest.approx(14_400, rel=0.03)


# --- skill and noise -------------------------------------------------------------------------------------------------


def test_skill_has_the_stated_spread_and_memory() -> None:
    skill = module._draw_skill(np.random.default_rng(5), bots=300, days=6_000)
    assert skill.std() == pytest.approx(sqrt(0.05**2 + 0.06**2 + 0.05**2), rel=0.04)

    def half_mean_square_change(lag: int) -> float:
        return float(np.mean((skill[lag:] - skill[:-lag]) ** 2) / 2)

    # By hand: .0036 (1 - .5^(k/15)) + .0025 (2/3) (1 - .875^k), as three regimes left with probability 1/12 a day
    # agree k days apart with probability 1/3 + 2/3 .875^k.
    assert half_mean_square_change(1) == pytest.approx(0.00016257 + 0.00020833, rel=0.08)
    assert half_mean_square_change(15) == pytest.approx(0.00180000 + 0.00144180, rel=0.06)
    assert half_mean_square_change(200) == pytest.approx(0.00359965 + 0.00166667, rel=0.06)


def test_trades_earn_their_skill() -> None:
    trades = standardised("base")
    true = trades.result - trades.noise
    slope = np.cov(true, trades.result)[0, 1] / true.var()
    assert slope == pytest.approx(1, abs=0.1)  # SE 1 / (.0927 sqrt(450,000)) = .016, more by the shared factor


def test_noise_is_student_t5_of_unit_variance() -> None:
    noise = standardised("base").noise
    daily_mean = standardised("base").groupby("day").noise.mean()
    assert abs(noise.mean()) < 3 * daily_mean.std() / sqrt(365)
    assert noise.var() == pytest.approx(1, abs=0.03)
    assert standardised("adverse").noise.var() == pytest.approx(1, abs=0.03)
    # Table of Student's t with 5 degrees of freedom: two-sided tails 10 %, 1 %, 0.1 % (SE of the last 5 %).
    for quantile, tail in [(2.015, 0.1), (4.032, 0.01), (6.869, 0.001)]:
        assert (noise.abs() > quantile * sqrt(3 / 5)).mean() == pytest.approx(tail, rel=0.15)
    kurtosis = (noise**4).mean() / noise.var() ** 2
    assert 6 < kurtosis < 20  # 9 for t(5), whose fourth moment converges slowly; 3 for a normal


def test_trades_of_one_group_and_day_share_a_third_of_the_noise() -> None:
    cells = standardised("base").groupby(["day", "group"]).noise
    total, square, count = cells.sum(), cells.agg(lambda x: (x**2).sum()), cells.size()
    busy = count > 1
    pairs = ((total**2 - square) / (count * (count - 1)))[busy]
    standard_error = pairs.std() / sqrt(len(pairs))
    assert standard_error < 0.015
    assert pairs.mean() == pytest.approx(0.35, abs=3 * standard_error)
    between = cells.mean().unstack().corr().to_numpy()[np.triu_indices(12, 1)]
    assert abs(between.mean()) < 3 / sqrt(365 * 66)
    assert np.abs(between).max() < 4 / sqrt(365)
    tomorrow = cells.mean().unstack().apply(lambda column: column.autocorr(1))
    assert abs(tomorrow.mean()) < 3 / sqrt(364 * 12)


def test_null_world_has_no_skill_and_gross_results_only_pay_the_fees() -> None:
    simulation, trades = year("null"), standardised("null")
    assert simulation.skill.shape == (365, 200)
    assert (simulation.skill.to_numpy() == 0).all()
    gross = trades.reported_pnl + trades.fees
    standard_error = trades.reported_pnl.groupby(trades.day).sum().std() * sqrt(365) / len(trades)
    assert standard_error < 0.15 * trades.fees.mean()
    assert gross.mean() == pytest.approx(trades.fees.mean(), abs=3 * standard_error)
    for score in SCORES:
        assert simulation.scores[score].std() == pytest.approx(15, rel=0.02)


# --- scores ----------------------------------------------------------------------------------------------------------


def test_scores_cover_every_day_and_bot_with_a_tenth_missing() -> None:
    scores = year("informative").scores
    assert list(scores.columns) == ["day", "bot_id", *SCORES]
    assert len(scores) == 365 * 200
    assert not scores.duplicated(["day", "bot_id"]).any()
    assert (scores.day.iloc[0], scores.day.iloc[-1]) == (END - timedelta(days=365), END - timedelta(days=1))
    for score in SCORES:
        assert scores[score].dropna().between(0, 100).all()
        assert scores[score].isna().mean() == pytest.approx(0.1, abs=3 * sqrt(0.09 / 73_000))
        assert scores[score].mean() == pytest.approx(50, abs=1.5)


@pytest.mark.parametrize(("world", "sign"), [("informative", 1), ("adverse", -1)])
def test_informative_score_tells_tomorrows_skill(world: str, sign: int) -> None:
    correlation, _ = mean_rank_correlation(year(world), "price_model_score")
    assert 0.5 < sign * correlation < 0.65  # a normal correlation of .6 is a rank correlation of .582


def test_informative_score_knows_tomorrow_and_nothing_more_of_today() -> None:
    simulation = year("informative")
    score = simulation.scores.price_model_score.to_numpy().reshape(365, 200)[:-1]
    skill, seen = simulation.skill.to_numpy(), ~np.isnan(score)
    today, tomorrow = skill[:-1][seen], skill[1:][seen]
    design = np.column_stack([np.ones(today.size), today, tomorrow])
    (mean, on_today, on_tomorrow), (rest,), *_ = np.linalg.lstsq(design, score[seen])
    assert mean == pytest.approx(50, abs=0.2)
    assert abs(on_today) < 10  # SE 2: two days' skills correlate by .96
    assert on_tomorrow == pytest.approx(15 * 0.6 / 0.0927, abs=10)
    assert rest / today.size == pytest.approx(15**2 * (1 - 0.6**2), rel=0.02)


def test_switch_world_flips_the_sign_half_way() -> None:
    early, _ = mean_rank_correlation(year("switch"), "price_model_score", slice(0, 182))
    late, _ = mean_rank_correlation(year("switch"), "price_model_score", slice(182, 364))
    assert 0.5 < early < 0.65
    assert -0.65 < late < -0.5


@pytest.mark.parametrize("world", ["base", "informative", "adverse", "switch"])
def test_other_scores_tell_nothing(world: str) -> None:
    for score in SCORES if world == "base" else SCORES[1:]:
        correlation, standard_error = mean_rank_correlation(year(world), score)
        assert abs(correlation) < 3 * standard_error
        assert standard_error == pytest.approx(1 / sqrt(179 * 364), rel=0.2)


# --- reversal --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("world", "slope"), [("base", 0.0), ("adverse", -0.1)])
def test_luck_reverses_in_the_adverse_world_only(world: str, slope: float) -> None:
    cells = standardised(world).groupby(["day", "bot_id"]).noise
    total, count = cells.sum().unstack(), cells.size().unstack()
    luck = total / np.sqrt(count * (1 + 0.35 * (count - 1)))
    before, after = luck.shift(1), total / count
    daily_slope = (before * after).mean(axis=1)[1:] / (before**2).mean(axis=None)
    standard_error = daily_slope.std() / sqrt(364)
    assert standard_error < 0.012
    assert daily_slope.mean() == pytest.approx(slope, abs=3 * standard_error)
    assert abs(daily_slope.mean()) > 5 * standard_error or world == "base"


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"world": "benign"}, "unknown world 'benign': choose one of base, informative, adverse, switch, null"),
        ({"bots": 0}, "bots=0"),
        ({"days": 0}, "days=0"),
        ({"seed": -1}, "seed=-1"),
        ({"end": END + timedelta(hours=1)}, "midnight in UTC, got 2025-07-01T01:00"),
        ({"end": END.replace(tzinfo=None)}, "midnight in UTC"),
        ({"end": END.astimezone(timezone(timedelta(hours=2)))}, "midnight in UTC"),
    ],
)
def test_impossible_arguments_are_refused(change: dict, message: str) -> None:
    arguments = {"world": "base", "bots": 2, "days": 2, "seed": 1, "end": END} | change
    with pytest.raises(ValueError, match=message):
        simulate(**arguments)
