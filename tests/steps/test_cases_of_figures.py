"""Small files of real situations that figures went wrong on: results that are all equal, and ratios of few days."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.cli.trade_files import FileOptions
from knowdefeat_pipeline.core.units import day_end
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def ranked(url: str, file: Path, last: date) -> dict[int, tuple[int, float]]:
    load_trades(url, *FileOptions().read(file, NOW), file.name)
    days.refresh(url, last, last, day_end(last))
    with connect(url) as connection:
        rows = connection.execute(
            "SELECT bot_id, rank, rank_score FROM bot_rankings WHERE day = %s", (last,)
        ).fetchall()
    return {bot: (rank, score) for bot, rank, score in rows}


def last_day(file: Path) -> date:
    return pd.to_datetime(pd.read_csv(file)["close_time"]).max().date()


def jittered(file: Path, folder: Path) -> Path:
    """The same file where bot 1 makes a little more or less each time."""
    rows = pd.read_csv(file)
    own = rows["bot"] == 1
    rows.loc[own, "close_price"] += np.tile([0.02, -0.02], own.sum() // 2)
    twin = folder / "twin.csv"
    rows.to_csv(twin, index=False)
    return twin


def test_a_winner_of_equal_results_ranks_as_its_jittered_twin(
    database: str, shared_data: Path, tmp_path: Path, cloned
) -> None:
    file = shared_data / "cases/flat.csv"
    with cloned(database) as other:
        twin = ranked(other, jittered(file, tmp_path), last_day(file))
    found = ranked(database, file, last_day(file))
    assert found[1][0] == twin[1][0] == 1
    assert found[1][1] == pytest.approx(twin[1][1], abs=1.0)


def test_a_loser_of_equal_results_ranks_last(database: str, shared_data: Path) -> None:
    file = shared_data / "cases/flatloss.csv"
    found = ranked(database, file, last_day(file))
    assert found[1][0] == len(found) == 6
    with connect(database) as connection:
        volatility, frequency, sqn = connection.execute(
            "SELECT volatility, trade_frequency, sqn FROM bot_metrics WHERE bot_id = 1 AND ticker = '*'"
        ).fetchall()[0]
    assert volatility == pytest.approx(0.1 * np.sqrt(frequency), rel=1e-12)
    assert sqn is None


def test_a_year_s_ratio_of_a_few_days_is_none(database: str, shared_data: Path) -> None:
    file = shared_data / "cases/sharpe.csv"
    last = last_day(file)
    ranked(database, file, last)
    with connect(database) as connection:
        ratios = "SELECT count(*), count(sharpe), count(sortino), count(calmar), count(sharpe_low), count(sharpe_high)"
        assert connection.execute(f"{ratios} FROM bot_metrics").fetchone() == (6, 0, 0, 0, 0, 0)
        # Bot 1 goes on for three days and has ten.
        for ahead, price in ((1, 99.0), (2, 101.5), (3, 100.7)):
            at = datetime(last.year, last.month, last.day, 10, tzinfo=UTC) + timedelta(days=ahead)
            load = "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional) VALUES (1, 'BTC', 'LONG', 'closed', %s, %s, 100, %s, 1000)"
            connection.execute(load, (at, at + timedelta(hours=1), price))
        tenth = last + timedelta(days=3)
        days.refresh(database, tenth, tenth, day_end(tenth))
        row = connection.execute(
            "SELECT sharpe, sharpe_low, sharpe_high FROM bot_metrics WHERE day = %s AND bot_id = 1 AND ticker = '*'",
            (tenth,),
        ).fetchone()
    daily = np.array([10, 10.1, 10, 10.1, 10, 10.1, 10, -10, 15, 7]) / 10_000
    ratio, off = daily.mean() / daily.std(ddof=1), daily - daily.mean()
    skewness, kurtosis = (off**3).mean() / (off**2).mean() ** 1.5, (off**4).mean() / (off**2).mean() ** 2
    error = np.sqrt((1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2) / 9)
    assert row == pytest.approx(np.sqrt(365) * (ratio + np.array([0, -1, 1]) * 1.6448536269514722 * error), rel=1e-9)
