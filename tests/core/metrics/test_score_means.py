"""Means of scores over windows: by hand, against a plain calculation, and the same whatever else is asked for."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics import engine as metrics
from knowdefeat_pipeline.core.metrics.engine import bot_metrics
from knowdefeat_pipeline.core.metrics.score_means import TradeScores
from knowdefeat_pipeline.core.schema import SCORE_NAMES
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import micros

END = datetime(2025, 3, 1, tzinfo=UTC)
DAY, TICK = timedelta(days=1), timedelta(microseconds=1)


def history(seed: int, count: int = 300) -> pd.DataFrame:
    """Trades of six bots in three tickers over 60 days with scores, some unknown and some of no trade at all."""
    rng = np.random.default_rng(seed)
    # Whole hours: ties are common, and exits fall on the edges of windows.
    exit_ = END - pd.to_timedelta(rng.integers(0, 60 * 24, count), unit="h")
    frame = pd.DataFrame(
        {
            "trade_id": rng.permutation(count), "bot_id": rng.integers(1, 7, count).astype(np.int32),
            "ticker": rng.choice(["ETH", "BTC", "SOL"], count), "direction": "LONG", "pnl": rng.normal(size=count),
            "entry_time": exit_ - pd.to_timedelta(rng.integers(0, 5, count), unit="h"), "exit_time": exit_,
        }
    )  # fmt: skip
    frame.loc[frame["bot_id"] == 3, "ticker"] = "SOL"
    for name in SCORE_NAMES:
        frame[name] = np.where(rng.random(count) < 0.7, rng.uniform(0, 100, count), np.nan)
    return frame.assign(**{name: frame[name].mask(frame["bot_id"] == 5) for name in SCORE_NAMES})


def scored(frame: pd.DataFrame) -> TradeScores:
    columns = ["trade_id", "bot_id", "ticker", "entry_time", "exit_time", *SCORE_NAMES]
    known = frame.loc[frame[[*SCORE_NAMES]].notna().any(axis=1), columns]
    return TradeScores.from_arrow(pa.Table.from_pandas(known, preserve_index=False))


def computed(frame: pd.DataFrame, *instants: datetime) -> pd.DataFrame:
    rows = bot_metrics(Trades.from_frame(frame), micros(instants), trade_scores=scored(frame))
    return rows.set_index(["as_of", "bot_id", "ticker"])[[*SCORE_NAMES]]


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_means_agree_with_a_plain_calculation(seed: int) -> None:
    frame = history(seed)
    instants = [END - 20 * DAY, END - timedelta(hours=7), END]
    found = computed(frame, *instants)
    for at in instants:
        inside = frame[(frame["exit_time"] >= at - 30 * DAY) & (frame["exit_time"] < at)]
        both = pd.concat([inside, inside.assign(ticker="*")])
        plain = both.groupby(["bot_id", "ticker"])[[*SCORE_NAMES]].mean()
        rows = found.loc[pd.Timestamp(at)]
        pd.testing.assert_frame_equal(rows, plain.reindex(rows.index), rtol=1e-12, check_index_type=False)


def test_one_instant_or_many_and_any_blocks_are_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = history(1)
    instants = [END - n * DAY for n in range(20)]
    many = computed(frame, *instants)
    for at in instants:
        alone = computed(frame[frame["exit_time"] >= at - 30 * DAY], at)
        pd.testing.assert_frame_equal(alone, many.loc[[pd.Timestamp(at)]].reindex(alone.index), check_exact=True)
    monkeypatch.setattr(metrics, "BLOCK_TRADES", 40)
    pd.testing.assert_frame_equal(computed(frame.sample(frac=1, random_state=1), *instants), many, check_exact=True)


def test_by_hand_and_scores_of_trades_that_are_not_there() -> None:
    frame = history(2)[:4].assign(
        trade_id=[1, 2, 3, 4], bot_id=np.array([1, 1, 2, 2], np.int32), ticker=["BTC", "ETH", "BTC", "BTC"],
        exit_time=[END - 30 * DAY, END - DAY, END - 30 * DAY - TICK, END - 2 * DAY], price_model_score=[10.0, 30.0, 70.0, np.nan],
        volume_model_score=np.nan, price_wall_score=[np.nan, 5.0, 6.0, 0.0],
    )  # fmt: skip
    found = computed(frame, END)
    nothing = np.nan
    expected = [
        [20, nothing, 5],
        [10, nothing, nothing],
        [30, nothing, 5],
        [nothing, nothing, 0],
        [nothing, nothing, 0],
    ]
    assert [key[1:] for key in found.index] == [(1, "*"), (1, "BTC"), (1, "ETH"), (2, "*"), (2, "BTC")]
    assert found.to_numpy() == pytest.approx(np.array(expected), nan_ok=True)
    # Scores that arrive before their trades are read belong to no row yet.
    strangers = scored(frame.assign(bot_id=np.array([1, 8, 0, 2], np.int32), ticker=["BTC", "ETH", "BTC", "NEW"]))
    rows = bot_metrics(Trades.from_frame(frame), micros([END]), trade_scores=strangers)
    assert rows["price_model_score"].to_numpy() == pytest.approx([10, 10, nothing, nothing, nothing], nan_ok=True)


def test_without_scores_there_are_no_means() -> None:
    frame = history(3)
    trades = Trades.from_frame(frame)
    assert bot_metrics(trades, micros([END]))[[*SCORE_NAMES]].isna().all(axis=None)
    empty = scored(frame.assign(**dict.fromkeys(SCORE_NAMES, np.nan)))
    assert bot_metrics(trades, micros([END]), trade_scores=empty)[[*SCORE_NAMES]].isna().all(axis=None)
