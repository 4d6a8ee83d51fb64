"""No look-ahead through the whole chain: what was computed at an instant stays as it is, whatever comes after it."""

import random
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.learning.learner import WeightHistory, learn_weights
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.simulation.bots import CAPITAL
from knowdefeat_pipeline.core.simulation.fleet import Fleet, simulate_fleet
from knowdefeat_pipeline.postgres.connection import connect, copy_arrow
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.market import compute_regimes, compute_scores
from knowdefeat_pipeline.store.funds import save_settings
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.trades import load_trades
from knowdefeat_pipeline.store.weight_panel import read_history
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS, BOTS = 32, 8
FIRST, LAST = (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date()
ADJUSTED = 23  # days after which the weights may move
BAR = timedelta(hours=1)
COMPUTED = [name for name in TABLES if name not in ("fund_settings", "bot_events")]
WRITTEN = "{created_at,recorded_at,recorded_xid}"
CLOSING = ["exit_time", "exit_price", "reported_pnl"]


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """Bots that hold for days, and bars that mark what they hold."""
    return simulate_fleet("realistic", bots=BOTS, days=DAYS, seed=4, end=END)


@pytest.fixture
def funded(database: str) -> str:
    with connect(database) as connection:
        save_settings(connection, FundSettings("USD", 1_000_00, caution=0.5), "test", "a test")
    return database


def known(fleet: Fleet, since: datetime, until: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trades as they stood at an instant, those that had not closed by then as open; and what bars had closed since."""
    trades = fleet.trades[fleet.trades["entry_time"] < until].copy()
    closed = trades["exit_time"] < until
    trades[CLOSING] = trades[CLOSING].where(closed)
    trades["status"] = np.where(closed, "closed", "open")
    ends = fleet.bars["open_time"] + BAR
    return trades, fleet.bars[(ends > since) & (ends <= until)]


def arrive(url: str, fleet: Fleet, since: datetime, until: datetime) -> None:
    trades, bars = known(fleet, since, until)
    load_trades(url, read_frame(trades, "paper", until, CAPITAL), "bots")
    with connect(url) as connection:
        copy_arrow(connection, "price_bars", pa.Table.from_pandas(bars, preserve_index=False))


def compute(url: str, last: date, now: datetime) -> None:
    """All days up to one, whether they are stale or not."""
    with open_session(url) as session:
        compute_regimes(session, FIRST, last, now)
        compute_scores(session, FIRST, last, now)
    days.refresh(url, FIRST, last, now)
    days.learn(url, FIRST, last)
    days.adjust(url, FIRST, last, now)
    days.refresh(url, FIRST, last, now)
    days.learn(url, FIRST, last)


def tables(url: str, last: date) -> dict[str, list[str]]:
    """What is said of the days up to one, to the last bit, without the times of writing."""
    with connect(url) as connection:
        found = {
            name: connection.execute(
                f"SELECT (to_jsonb(t) - %s::text[])::text FROM {name} AS t WHERE day <= %s ORDER BY 1", (WRITTEN, last)
            ).fetchall()
            for name in (*COMPUTED, "weight_adjustments", "open_positions")
        }
    return {name: [row for (row,) in rows] for name, rows in found.items()}


def labelled(url: str, last: date) -> tuple[pd.DataFrame, WeightHistory]:
    history = read_history(url, last)
    return history, learn_weights(Panel.of(history))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_what_comes_after_an_instant_changes_no_bit_of_what_was_known_at_it(
    funded: str, fleet: Fleet, seed: int
) -> None:
    instant = END - timedelta(days=random.Random(seed).uniform(1, DAYS - ADJUSTED))
    last = instant.date() - timedelta(days=1)  # the last day that had ended
    arrive(funded, fleet, datetime.min.replace(tzinfo=UTC), instant)
    compute(funded, last, instant)
    before, (panel, learned) = tables(funded, last), labelled(funded, last)
    assert all(before.values())
    assert panel["label"].notna().sum() > 50

    arrive(funded, fleet, instant, END)
    compute(funded, LAST, END)
    after, (later_panel, later) = tables(funded, last), labelled(funded, LAST)
    for name, rows in before.items():
        assert after[name] == rows, name
    ended = panel["as_of"] < panel["as_of"].max()  # of the last day nothing had been earned yet
    same = later_panel["as_of"] < panel["as_of"].max()
    pd.testing.assert_frame_equal(
        panel[ended].reset_index(drop=True), later_panel[same].reset_index(drop=True), check_exact=True
    )
    then = later.up_to(len(learned.as_of) - 1)
    assert np.array_equal(then.weights, learned.weights)
    assert then.reason == learned.reason
    assert len(later.as_of) > len(learned.as_of)
