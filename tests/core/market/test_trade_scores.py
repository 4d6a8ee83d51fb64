"""Forecasts that know nothing of the future, and the scores that trades earn from them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from knowdefeat_pipeline.core.market.forecasts import FIRST_FIT, FORECASTS, model_forecasts
from knowdefeat_pipeline.core.market.trade_scores import (
    book_walls,
    forecasts_at,
    price_model_score,
    price_wall_score,
    trade_scores,
    walls_at,
)
from knowdefeat_pipeline.core.market.walk_forward import EVERY, SeriesError, needed_from
from knowdefeat_pipeline.core.simulation.bars import simulate_regimes
from knowdefeat_pipeline.settings import ROOT

HOUR = pd.Timedelta(hours=1)
SERIES, _ = simulate_regimes("plain", bars=2500, seed=5)
FOUND = model_forecasts(SERIES)


def walk(moves: np.ndarray, volume: np.ndarray | float = 1.0) -> pd.DataFrame:
    """Hourly bars with these log moves."""
    close = 100 * np.exp(np.cumsum(moves))
    opens = np.append(100.0, close[:-1])
    return pd.DataFrame(
        {
            "open_time": pd.date_range("2025-01-01", periods=len(moves), freq="h", tz="UTC"),
            "open": opens,
            "high": np.maximum(opens, close) * 1.001,
            "low": np.minimum(opens, close) / 1.001,
            "close": close,
            "volume": volume,
        }
    )


def test_rows_hold_forecasts_from_the_first_fit_on() -> None:
    assert list(FOUND) == ["open_time", *FORECASTS]
    assert FOUND["open_time"].equals(SERIES["open_time"])
    assert FOUND[list(FORECASTS)][:FIRST_FIT].isna().all(axis=None)
    later = FOUND[FIRST_FIT:]
    assert later["p_up"].between(0, 1, inclusive="neither").all()
    assert later["volume_percentile"].between(0, 100).all()


@pytest.mark.long
@settings(max_examples=15)
@given(end=st.integers(1, 2499))
def test_later_bars_change_no_forecast(end: int) -> None:
    pd.testing.assert_frame_equal(model_forecasts(SERIES[:end]), FOUND[:end], check_exact=True)


def test_a_fit_never_sees_the_bars_that_it_forecasts() -> None:
    # From the fit at bar 1024 on everything turns; the forecast at that bar rests on the bars up to it.
    turned = SERIES.copy()
    turned.loc[1025:, ["open", "high", "low", "close"]] = SERIES.loc[1025:, ["open", "low", "high", "close"]].rpow(1e6)
    turned.loc[1025:, ["high", "low"]] = np.sort(turned.loc[1025:, ["high", "low"]].to_numpy())[:, ::-1]
    turned = turned.assign(**{name: turned[name].clip(1e-300, 1e300) for name in ("open", "high", "low", "close")})
    pd.testing.assert_frame_equal(model_forecasts(turned)[:1025], FOUND[:1025], check_exact=True)


@pytest.mark.long
@settings(max_examples=5)
@given(price=st.floats(1e-6, 1e6), volume=st.floats(1e-3, 1e9))
def test_price_level_and_unit_of_volume_change_no_forecast(price: float, volume: float) -> None:
    scale = {name: SERIES[name] * price for name in ("open", "high", "low", "close")}
    found = model_forecasts(SERIES.assign(volume=SERIES["volume"] * volume, **scale))
    assert found["p_up"].to_numpy() == pytest.approx(FOUND["p_up"].to_numpy(), abs=1e-6, nan_ok=True)
    assert found["volume_percentile"].to_numpy() == pytest.approx(
        FOUND["volume_percentile"].to_numpy(), abs=0.5, nan_ok=True
    )


def test_a_tail_of_the_series_is_forecast_as_the_whole() -> None:
    bars, _ = simulate_regimes("weak", bars=12_500, seed=2)
    whole = model_forecasts(bars)
    since = 12_400
    first = needed_from(since, FIRST_FIT)
    assert first == 6 * EVERY - 8192 - 256
    tail = model_forecasts(bars[first:], position=first, since=since)
    pd.testing.assert_frame_equal(tail, whole[since:], check_exact=True)
    with pytest.raises(SeriesError, match="need its bars from"):
        model_forecasts(bars[first + 1 :], position=first + 1, since=since)


def test_a_market_that_alternates_is_learned_and_one_without_memory_is_not() -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(6000)
    swinging = walk(0.01 * (noise + 2 * (-1.0) ** np.arange(6000)))
    found = model_forecasts(swinging)
    rises = (swinging["close"].shift(-1) > swinging["close"])[FIRST_FIT:-1]
    assert ((found["p_up"][FIRST_FIT:-1] > 0.5) == rises).mean() > 0.95
    aimless = walk(0.01 * noise)
    found = model_forecasts(aimless)["p_up"][FIRST_FIT:-1]
    rises = (aimless["close"].shift(-1) > aimless["close"])[FIRST_FIT:-1]
    # Rank correlation within three standard errors of none, and forecasts that do not pretend otherwise.
    assert abs(spearmanr(found, rises).statistic) < 3 / np.sqrt(len(rises))
    assert found.std() < 0.1


def test_volumes_that_follow_the_clock_are_forecast() -> None:
    rng = np.random.default_rng(2)
    hour = np.arange(4000) % 24
    bars = walk(
        0.01 * rng.standard_normal(4000), np.exp(np.sin(2 * np.pi * hour / 24) + 0.2 * rng.standard_normal(4000))
    )
    percentile = model_forecasts(bars)["volume_percentile"][FIRST_FIT:-1]
    assert spearmanr(percentile, bars["volume"].shift(-1)[FIRST_FIT:-1]).statistic > 0.9
    # The percentile is one of the forecasts, spread evenly from 0 to 100.
    assert np.quantile(percentile, [0.1, 0.5, 0.9]) == pytest.approx([10, 50, 90], abs=5)
    busy, calm = percentile[hour[FIRST_FIT:-1] == 4], percentile[hour[FIRST_FIT:-1] == 16]
    assert busy.mean() > 75
    assert calm.mean() < 25


def test_without_market_data_there_is_no_forecast() -> None:
    rng = np.random.default_rng(3)
    moves = 0.01 * rng.standard_normal(600)
    mute = model_forecasts(walk(moves, np.nan))
    assert mute["volume_percentile"].isna().all()
    assert mute["p_up"][FIRST_FIT:].notna().all()
    assert model_forecasts(walk(moves, 0.0))["volume_percentile"].isna().all()
    assert model_forecasts(walk(np.zeros(600)))["p_up"].isna().all()  # a flat price
    assert model_forecasts(walk(np.full(600, 0.01)))["p_up"].isna().all()  # only rises: nothing to tell apart


def test_an_entry_meets_the_last_bar_that_had_closed() -> None:
    forecasts = pd.DataFrame(
        {
            "open_time": pd.to_datetime(["2025-01-01 00:00", "2025-01-01 01:00", "2025-01-01 05:00"], utc=True),
            "p_up": [0.1, 0.2, 0.3],
            "volume_percentile": [10.0, 20.0, np.nan],
        }
    )
    entries = {
        "2025-01-01 00:59:59.999999": np.nan,  # nothing has closed yet
        "2025-01-01 01:00": 0.1,  # closing at the very instant counts
        "2025-01-01 01:59:59": 0.1,
        "2025-01-01 02:00": 0.2,
        "2025-01-01 05:30": 0.2,  # that bar is still open
        "2025-01-05 05:59:59": 0.3,
        "2025-01-05 06:00": np.nan,  # four days old
        "1969-01-01 00:00": np.nan,
    }
    asked = pd.Series(pd.to_datetime(list(entries), utc=True, format="mixed"), index=range(10, 18))
    found = forecasts_at(forecasts, HOUR, asked)
    assert list(found.index) == list(range(10, 18))
    assert list(found["p_up"]) == pytest.approx(list(entries.values()), nan_ok=True)
    assert list(found["volume_percentile"]) == pytest.approx(
        [np.nan, 10, 10, 20, 20, np.nan, np.nan, np.nan], nan_ok=True
    )
    assert forecasts_at(forecasts[:0], HOUR, asked)["p_up"].isna().all()
    assert forecasts_at(forecasts, HOUR, asked[:0]).empty


def test_the_forecast_of_the_bar_that_closes_later_is_never_met() -> None:
    entries = SERIES["open_time"] + pd.Timedelta(minutes=30)
    met = forecasts_at(FOUND, HOUR, entries)
    assert met["p_up"][1:].to_numpy() == pytest.approx(FOUND["p_up"][:-1].to_numpy(), nan_ok=True)


def test_scores_by_hand() -> None:
    long, short = np.array([1.0]), np.array([-1.0])
    assert price_model_score(np.array([0.7]), long) == pytest.approx([70])
    assert price_model_score(np.array([0.7]), short) == pytest.approx([30])
    assert price_wall_score(np.array([30.0]), np.array([10.0]), long) == pytest.approx([75])
    assert price_wall_score(np.array([30.0]), np.array([10.0]), short) == pytest.approx([25])
    assert np.isnan(price_wall_score(np.array([0.0, np.nan]), np.array([0.0, 1.0]), np.ones(2))).all()
    assert price_wall_score(np.array([0.0]), np.array([4.0]), long) == pytest.approx([0])


def book(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["time", "side", "price", "size"])
    return frame.assign(time=pd.to_datetime("2025-01-01 " + frame["time"], utc=True))


LEVELS = book(
    ("10:00", "bid", 99.9, 2.0),
    ("10:00", "bid", 99.1, 6.0),
    ("10:00", "bid", 98.9, 50.0),  # beyond 1 % of the middle, 100
    ("10:00", "ask", 100.1, 1.0),
    ("10:00", "ask", 101.0, 3.0),
    ("10:00", "ask", 101.1, 70.0),
    ("10:10", "bid", 99.0, 5.0),  # no asks: no middle
    ("10:20", "bid", 90.0, 5.0),  # nothing within 1 %
    ("10:20", "ask", 110.0, 5.0),
)


def test_walls_are_the_largest_orders_near_the_middle() -> None:
    walls = book_walls(LEVELS.sample(frac=1, random_state=1))
    assert list(walls["time"].dt.minute) == [0, 10, 20]
    assert walls[["bid", "ask"]].to_numpy() == pytest.approx(np.array([[6, 3], [np.nan, np.nan], [0, 0]]), nan_ok=True)


def test_a_book_counts_for_five_minutes() -> None:
    asked = pd.Series(
        pd.to_datetime("2025-01-01 " + pd.Series(["09:59:59", "10:00:00", "10:04:59", "10:05:00"]), utc=True)
    )
    assert list(walls_at(book_walls(LEVELS), asked)["bid"]) == pytest.approx([np.nan, 6, 6, np.nan], nan_ok=True)


def test_trades_of_a_bot_by_hand() -> None:
    forecasts = pd.DataFrame(
        {
            "open_time": pd.to_datetime(["2025-01-01 08:00", "2025-01-01 09:00"], utc=True),
            "p_up": [0.5, 0.8],
            "volume_percentile": [40.0, 90.0],
        }
    )
    entries = pd.to_datetime(["2025-01-01 10:01", "2025-01-01 09:30", "2025-01-01 10:02", "2025-01-01 08:00"], utc=True)
    trades = pd.DataFrame({"entry_time": entries, "direction": ["LONG", "LONG", "SHORT", "LONG"]}, index=[4, 3, 2, 1])
    found = trade_scores(trades, forecasts, HOUR, book_walls(LEVELS))
    assert list(found.index) == [4, 3, 2, 1]
    # Walls of 6 and 3: a third to the bid.
    expected = {
        "price_model_score": [80, 50, 20, np.nan],
        "volume_model_score": [90, 40, 90, np.nan],
        "price_wall_score": [50 + 50 / 3, np.nan, 50 - 50 / 3, np.nan],
    }
    for name, values in expected.items():
        assert list(found[name]) == pytest.approx(values, nan_ok=True)
    assert found.mean().to_dict() == pytest.approx(
        {"price_model_score": 50.0, "volume_model_score": 220 / 3, "price_wall_score": 50.0}
    )
    assert trade_scores(trades, forecasts, HOUR)["price_wall_score"].isna().all()


def random_levels(rng: np.random.Generator, end: pd.Timestamp) -> pd.DataFrame:
    """A book of one bid and one ask every five minutes of the 200 hours before `end`."""
    times = pd.date_range(end=end, periods=2400, freq="5min")
    sides = [pd.DataFrame({"time": times, "side": side, "price": at}) for side, at in (("bid", 99.9), ("ask", 100.1))]
    return pd.concat(sides).assign(size=rng.uniform(1, 9, 4800))


@pytest.mark.long
@settings(max_examples=10)
@given(minutes=st.integers(0, 199 * 60), seed=st.integers(0, 100))
def test_nothing_after_an_instant_changes_a_score_before_it(minutes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    end = SERIES["open_time"].iloc[-1]
    instant = end - pd.Timedelta(minutes=minutes)
    levels = random_levels(rng, end)
    trades = pd.DataFrame(
        {
            "entry_time": end - pd.to_timedelta(rng.uniform(0, 199 * 3600, 300), unit="s"),
            "direction": rng.choice(["LONG", "SHORT"], 300),
        }
    )
    whole = trade_scores(trades, FOUND, HOUR, book_walls(levels))
    assert whole.notna().all(axis=None)
    known = trades[trades["entry_time"] <= instant]
    forecasts = model_forecasts(SERIES[SERIES["open_time"] + HOUR <= instant])
    found = trade_scores(known, forecasts, HOUR, book_walls(levels[levels["time"] <= instant]))
    pd.testing.assert_frame_equal(found, whole.loc[known.index], check_exact=True)


def test_scikit_learn_is_loaded_by_a_fit_alone() -> None:
    program = (
        "import sys, knowdefeat_pipeline.core.market.trade_scores, knowdefeat_pipeline.core.market.regimes; "
        "print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("ticker", ["BTCUSDT", "ETHUSDT"])
def test_real_volumes_are_forecast_and_directions_not_overstated(shared_data: Path, ticker: str) -> None:
    bars = pd.read_csv(shared_data / "ohlcv" / f"{ticker}_1h.csv.gz", parse_dates=["open_time"])
    found = model_forecasts(bars)[FIRST_FIT:-1]
    ahead = bars.shift(-1)[FIRST_FIT:-1]
    rises = ahead["close"] > bars["close"][FIRST_FIT:-1]
    assert ((found["p_up"] - rises) ** 2).mean() <= 0.251  # Brier score; 0.25 is a coin's
    trailing = bars["volume"].rolling(48).mean()[FIRST_FIT:-1]
    assert spearmanr(found["volume_percentile"], ahead["volume"] / trailing).statistic > 0.6
