"""The forward filter against published and enumerated values; the labels against worlds whose regimes are known."""

from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.regime_switching.markov_autoregression import MarkovAutoregression

from knowdefeat_pipeline.core.market.bars import average_true_range
from knowdefeat_pipeline.core.market.labels import NEUTRAL, PROBABILITIES, REGIMES
from knowdefeat_pipeline.core.market.regimes import (
    CALM_SPREAD,
    FIRST_FIT,
    STRETCH_MEAN,
    STRETCH_SD,
    UNKNOWN,
    VOLATILE,
    HeldLabelUnknown,
    bars_from,
    forward_filter,
    hold_labels,
    label_regimes,
    learn_range,
    regime_features,
)
from knowdefeat_pipeline.core.market.timeframes import BarError
from knowdefeat_pipeline.core.market.walk_forward import EVERY, SeriesError, needed_from
from knowdefeat_pipeline.core.simulation.bars import REGIME_WORLDS, judge, simulate_regimes

GNP = pd.read_csv(Path(__file__).parents[1] / "golden" / "gnp_growth.csv")["growth"].to_numpy()
HAMILTON = {
    "stay": (0.754673, 1 - 0.095915),
    "mean": (-0.358811, 1.163516),
    "sd": np.exp(-0.262658),
    "ar": (0.013486, -0.057521, -0.246983, -0.212923),
}


def hamilton(growth: np.ndarray, stay: tuple, mean: tuple, sd: float, ar: tuple) -> tuple[np.ndarray, float]:
    """Hamilton's model of GNP: an autoregression around a mean that switches between recession (0) and expansion (1).

    A state of the filter is the regime of a quarter and of the `len(ar)` before it. Answers P(recession) and the
    log-likelihood.
    """
    step = np.array([[stay[0], 1 - stay[0]], [1 - stay[1], stay[1]]])
    steady = np.array([1 - stay[1], 1 - stay[0]]) / (2 - sum(stay))
    histories = list(product((0, 1), repeat=len(ar) + 1))  # newest first
    transition = np.array([[step[old[0], new[0]] * (new[1:] == old[:-1]) for new in histories] for old in histories])
    initial = [steady[h[-1]] * np.prod([step[before, after] for after, before in pairwise(h)]) for h in histories]
    deviation = growth[:, None] - np.array(mean)
    likelihood = np.empty((len(growth) - len(ar), len(histories)))
    for t, (k, history) in product(range(len(likelihood)), enumerate(histories)):
        recent = [deviation[t + len(ar) - lag, regime] for lag, regime in enumerate(history)]
        residual = recent[0] - np.dot(ar, recent[1:])
        likelihood[t, k] = -0.5 * (residual / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))
    probability, total = forward_filter(likelihood, transition, np.array(initial))
    return probability[:, [h[0] == 0 for h in histories]].sum(axis=1), total


def test_hamilton_s_model_of_gnp_has_its_published_likelihood() -> None:
    recession, total = hamilton(GNP, **HAMILTON)
    assert total == pytest.approx(-181.26339, abs=1e-5)
    # The recessions that he dates, 1957Q3 and 1981Q4 among them, and the expansion of the sixties.
    quarter = pd.period_range("1952Q2", periods=len(recession), freq="Q").astype(str)
    dated = dict(zip(quarter, recession, strict=True))
    assert min(dated["1957Q4"], dated["1974Q4"], dated["1981Q4"]) > 0.9
    assert max(dated["1964Q1"], dated["1965Q4"]) < 0.05


@settings(max_examples=20)
@given(
    stay=st.tuples(st.floats(0.2, 0.99), st.floats(0.2, 0.99)),
    mean=st.tuples(st.floats(-2, 0.5), st.floats(0.5, 3)),
    sd=st.floats(0.3, 2),
    ar=st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4)),
)
def test_the_filter_agrees_with_statsmodels(stay: tuple, mean: tuple, sd: float, ar: tuple) -> None:
    model = MarkovAutoregression(GNP, k_regimes=2, order=2, switching_ar=False)
    peer = model.filter(np.array([stay[0], 1 - stay[1], *mean, sd**2, *ar]))
    recession, total = hamilton(GNP, stay, mean, sd, ar)
    assert total == pytest.approx(peer.llf, rel=1e-9)
    assert recession == pytest.approx(peer.filtered_marginal_probabilities[:, 0], abs=1e-9)


def test_two_steps_of_the_filter_by_hand() -> None:
    transition = np.array([[0.9, 0.1], [0.2, 0.8]])
    likelihood = np.array([[0.5, 0.1], [0.2, 0.4]])
    # First .5·.6 = .30 and .1·.4 = .04; then (.30·.9 + .04·.2)·.2 = .0556 and (.30·.1 + .04·.8)·.4 = .0248.
    probability, total = forward_filter(np.log(likelihood), transition, np.array([0.6, 0.4]))
    assert probability == pytest.approx(np.array([[0.30 / 0.34, 0.04 / 0.34], [0.0556 / 0.0804, 0.0248 / 0.0804]]))
    assert total == pytest.approx(np.log(0.0804))


@given(
    scores=st.lists(st.tuples(*[st.floats(-30, 5)] * 3), min_size=1, max_size=5),
    unseen=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_the_filter_sums_over_all_paths(scores: list, unseen: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    transition, initial = rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(3))
    evidence = np.array(scores)
    likelihood = np.exp(evidence)
    if unseen < len(evidence):
        evidence[unseen, 1] = np.nan
        likelihood[unseen] = 1.0
    ends = np.zeros(3)
    for path in product(range(3), repeat=len(scores)):
        moves = np.prod([transition[a, b] for a, b in pairwise(path)])
        ends[path[-1]] += initial[path[0]] * moves * np.prod([likelihood[t, k] for t, k in enumerate(path)])
    probability, total = forward_filter(evidence, transition, initial)
    assert total == pytest.approx(np.log(ends.sum()))
    assert probability[-1] == pytest.approx(ends / ends.sum())


def bars_of(closes: np.ndarray, width: float = 0.01) -> pd.DataFrame:
    """Bars that open at the close before and reach `width` (log) beyond both."""
    opens = np.append(closes[0], closes[:-1])
    return pd.DataFrame(
        {
            "open_time": pd.date_range("2025-01-01", periods=len(closes), freq="h", tz="UTC"),
            "open": opens,
            "high": np.maximum(opens, closes) * np.exp(width),
            "low": np.minimum(opens, closes) * np.exp(-width),
            "close": closes,
            "volume": 1.0,
        }
    )


def test_features_by_hand() -> None:
    # A straight line: 48 moves of 1 % span 48 of them, against √48 of a random walk; each bar is 3 % wide.
    line = regime_features(bars_of(np.exp(0.01 * np.arange(100))))
    assert np.isnan(line[:24]).all()
    assert line[48:] == pytest.approx(np.tile([np.log(0.03), np.log(np.sqrt(48))], (52, 1)), abs=1e-4)
    assert line[24, 1] == pytest.approx(np.log(np.sqrt(24)))
    # To and fro: 48 moves span one of them.
    swing = regime_features(bars_of(np.exp(0.01 * (np.arange(100) % 2))))
    assert swing[48:, 1] == pytest.approx(np.full(52, -np.log(np.sqrt(48))))


@pytest.mark.long
def test_figures_on_simulated_worlds_are_the_required_ones() -> None:
    found = []
    for world in REGIME_WORLDS:
        bars, truth = simulate_regimes(world, bars=5000, seed=7)
        verdict = judge(label_regimes(bars)["label"].to_numpy(), truth)
        found.append((verdict.balanced_accuracy, verdict.median_delay, verdict.flips))
    accuracy, delay, flips = np.array(found).T
    assert accuracy.mean() >= 0.75
    assert accuracy.min() >= 0.68
    assert delay.max() <= 20
    assert flips.max() <= 20


def test_the_law_of_stretch_is_that_of_the_worlds() -> None:
    moments = []
    for world in REGIME_WORLDS:
        bars, truth = simulate_regimes(world, bars=6000, seed=1)
        stretch = regime_features(bars)[:, 1]
        moments.append([[f(stretch[truth == name]) for name in REGIMES] for f in (np.nanmean, np.nanstd)])
    mean, sd = np.mean(moments, axis=0)
    assert mean == pytest.approx(STRETCH_MEAN, abs=0.06)
    assert sd == pytest.approx(STRETCH_SD, abs=0.06)


SERIES, TRUTH = simulate_regimes("plain", bars=2500, seed=5)
LABELS = label_regimes(SERIES)


def held_one_by_one(probability: np.ndarray, held: str = NEUTRAL) -> list[str]:
    labels = []
    for row in probability:
        if row.max() >= 0.70:
            held = REGIMES[row.argmax()]
        elif held != NEUTRAL and row[REGIMES.index(held)] < 0.15:
            held = NEUTRAL
        labels.append(held)
    return labels


def test_a_label_is_entered_held_and_given_up() -> None:
    rows = [(0.55, 0.25, 0.20), (0.72, 0.20, 0.08), (0.40, 0.55, 0.05), (0.14, 0.60, 0.26), (0.10, 0.75, 0.15)]
    assert list(hold_labels(np.array(rows))) == [NEUTRAL, "TRENDING", "TRENDING", NEUTRAL, "RANGING"]
    assert hold_labels(np.array(rows), "VOLATILE")[0] == "VOLATILE"
    assert list(hold_labels(np.array(rows), None)) == [UNKNOWN, "TRENDING", "TRENDING", NEUTRAL, "RANGING"]
    assert list(hold_labels(np.array([(0.70, 0.15, 0.15), (0.15, 0.69, 0.16)]))) == ["TRENDING", "TRENDING"]
    assert len(hold_labels(np.empty((0, 3)))) == 0


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 60),
    cut=st.integers(0, 59),
    held=st.sampled_from([*REGIMES, NEUTRAL]),
)
def test_labels_are_held_from_part_to_part(seed: int, count: int, cut: int, held: str) -> None:
    probability = np.random.default_rng(seed).dirichlet([0.7] * 3, count)
    whole = hold_labels(probability, held)
    assert list(whole) == held_one_by_one(probability, held)
    first = hold_labels(probability[:cut], held)
    assert [*first, *hold_labels(probability[cut:], ([held, *first])[-1])] == list(whole)
    unknown = hold_labels(probability, None)
    begun = [hold_labels(probability, name) for name in (*REGIMES, NEUTRAL)]
    agree = np.all([of == begun[0] for of in begun], axis=0)
    assert list(unknown) == list(np.where(agree, begun[0], UNKNOWN))


def test_rows_hold_a_label_and_its_probabilities() -> None:
    assert list(LABELS) == ["open_time", "label", *PROBABILITIES, "average_true_range"]
    assert LABELS["open_time"].equals(SERIES["open_time"])
    probability = LABELS[list(PROBABILITIES)].to_numpy()
    assert probability.sum(axis=1) == pytest.approx(np.ones(len(SERIES)))
    assert list(LABELS["label"]) == held_one_by_one(probability)
    assert LABELS["average_true_range"].to_numpy() == pytest.approx(average_true_range(SERIES), nan_ok=True)
    assert set(LABELS["label"]) == {*REGIMES, NEUTRAL}
    assert (probability[:FIRST_FIT] == 1 / 3).all()
    assert (LABELS["label"][:FIRST_FIT] == NEUTRAL).all()


@settings(max_examples=15)
@given(end=st.integers(1, 2499))
def test_later_bars_change_no_row(end: int) -> None:
    pd.testing.assert_frame_equal(label_regimes(SERIES[:end]), LABELS[:end], check_exact=True)


def test_later_bars_of_another_market_change_no_row() -> None:
    wild = SERIES.copy()
    wild.loc[1500:, ["open", "high", "low", "close"]] *= np.random.default_rng(1).uniform(0.1, 10, 1000)[:, None]
    pd.testing.assert_frame_equal(label_regimes(wild)[:1500], LABELS[:1500], check_exact=True)


@settings(max_examples=5)
@given(price=st.floats(1e-6, 1e6), minutes=st.integers(1, 10_000))
def test_price_level_and_length_of_a_bar_change_no_label(price: float, minutes: int) -> None:
    prices = ["open", "high", "low", "close"]
    scaled = SERIES.assign(**{name: SERIES[name] * price for name in prices})
    scaled["open_time"] = pd.date_range("2000-01-01", periods=len(scaled), freq=f"{minutes}min", tz="UTC")
    found = label_regimes(scaled)
    assert found[list(PROBABILITIES)].to_numpy() == pytest.approx(LABELS[list(PROBABILITIES)].to_numpy(), abs=1e-6)


@pytest.mark.long
def test_a_tail_of_the_series_is_labelled_as_the_whole() -> None:
    bars, _ = simulate_regimes("tails", bars=12_500, seed=2)
    whole = label_regimes(bars)
    since = 12_400
    first = bars_from(since)
    assert first == needed_from(since - 256, FIRST_FIT) == 5 * EVERY - 8192 - 256
    tail = label_regimes(bars[first:], position=first, since=since)
    pd.testing.assert_frame_equal(tail, whole[since:], check_exact=True)
    with pytest.raises(SeriesError, match="need its bars from"):
        label_regimes(bars[first + 1 :], position=first + 1, since=since)


def test_a_label_that_was_entered_long_ago_is_found_with_a_longer_run_in() -> None:
    halted = bars_of(np.append(SERIES["close"][:1000], np.full(1500, SERIES["close"][999])), width=0.0)
    whole = label_regimes(halted)
    held = whole["label"].iloc[-1]
    assert held != NEUTRAL
    assert held == whole["label"].iloc[1100]
    with pytest.raises(HeldLabelUnknown, match=r"held before bar 2400 of the series .* 256 bars before it"):
        label_regimes(halted, since=2400)
    for run_in in (1600, 2400, 9999):
        pd.testing.assert_frame_equal(label_regimes(halted, since=2400, run_in=run_in), whole[2400:], check_exact=True)


@pytest.mark.long
@pytest.mark.parametrize("size", [1, 24, 700])
def test_labels_come_out_the_same_part_by_part(size: int) -> None:
    """Over every fit: what was held before a part follows from the bars before it."""
    starts = range(0, len(SERIES), size) if size > 1 else (63, 64, 65, 320, 1024, 2047, 2048, 2049)
    for since in starts:
        found = label_regimes(SERIES[: since + size], since=since)
        pd.testing.assert_frame_equal(found, LABELS[since : since + size], check_exact=True)


@pytest.mark.long
def test_regimes_keep_their_meaning_through_every_fit() -> None:
    for world in REGIME_WORLDS:
        features = regime_features(simulate_regimes(world, bars=4096, seed=3)[0])
        for end in (64, 256, 1024, 4096):
            law = learn_range(features[:end])
            assert law.mean.argmax() == VOLATILE
            assert abs(law.mean[0] - law.mean[1]) <= CALM_SPREAD + 1e-12
            assert (law.sd > 0).all()


def test_a_fit_finds_the_ranges_of_the_world() -> None:
    bars, truth = simulate_regimes("quiet", bars=8192, seed=4)
    features = regime_features(bars)
    known = np.isfinite(features[:, 0])
    true = [features[known & (truth == name), 0].mean() for name in REGIMES]
    assert learn_range(features).mean == pytest.approx(np.array(true), abs=0.15)


def test_a_flat_price_is_neutral() -> None:
    flat = label_regimes(bars_of(np.full(300, 5.0), width=0.0))
    assert (flat["label"] == NEUTRAL).all()
    assert flat[list(PROBABILITIES)].to_numpy() == pytest.approx(np.full((300, 3), 1 / 3))
    # Where a price stands still, the probabilities level out, and the label stays that was held: nothing speaks against it.
    halted = label_regimes(bars_of(np.append(SERIES["close"][:1000], np.full(1000, SERIES["close"][999])), width=0.0))
    assert halted[list(PROBABILITIES)].iloc[-1].to_numpy() == pytest.approx([1 / 3] * 3, abs=0.02)
    assert set(halted["label"][1100:]) == {halted["label"][1100]} != {NEUTRAL}


@pytest.mark.parametrize("count", [0, 1, 2, 24, 25, 64, 65])
def test_short_series_are_labelled(count: int) -> None:
    found = label_regimes(SERIES[:count])
    assert len(found) == count
    assert list(found["label"][:FIRST_FIT]) == [NEUTRAL] * min(count, FIRST_FIT)


def test_bars_that_are_none_are_refused() -> None:
    with pytest.raises(BarError, match=r"row 7, column 'low': -1.0"):
        label_regimes(SERIES.assign(low=SERIES["low"].where(SERIES.index != 7, -1.0)))


@pytest.mark.long
@pytest.mark.parametrize("ticker", ["BTCUSDT", "ETHUSDT"])
def test_every_regime_occurs_on_real_bars(shared_data: Path, ticker: str) -> None:
    bars = pd.read_csv(shared_data / "ohlcv" / f"{ticker}_1h.csv.gz", parse_dates=["open_time"])
    labels = label_regimes(bars)["label"]
    for part in (labels[:4380], labels[4380:]):
        shares = part.value_counts(normalize=True)
        assert shares[list(REGIMES)].min() >= 0.1
        assert shares.get(NEUTRAL, 0.0) <= 0.05
    flips = 1000 * (labels != labels.shift()).iloc[1:].mean()
    assert flips <= {"BTCUSDT": 19, "ETHUSDT": 23}[ticker]
    runs = labels.groupby((labels != labels.shift()).cumsum()).size()
    assert (runs < 6).mean() <= 0.10
    move = np.log(bars["close"]).diff()
    deviation = move.groupby(labels).std()
    assert deviation["VOLATILE"] > max(deviation["TRENDING"], deviation["RANGING"])
