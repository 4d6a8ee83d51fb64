"""The sensor of market data tick by tick, on an instance in PostgreSQL, up to the ranking that follows."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.runs import market_days, refresh_days
from knowdefeat_pipeline.automation.sensors import market_data, new_trades
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.core.simulation.bars import simulate_regimes
from knowdefeat_pipeline.postgres.connection import connect, copy_arrow
from knowdefeat_pipeline.store.locks import days_locked

NOW = datetime(2025, 3, 20, 15, 30, tzinfo=UTC)
MARKET_DATA, NEW_TRADES = market_data.build(Calendar()), new_trades.build(Calendar())
RESOURCES = {"clock": StoppedClock(at=NOW.isoformat())}


@pytest.fixture
def instance(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setattr(new_trades, "LISTENING", 0.0)
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    with open_instance() as instance:
        yield instance


def tick(instance: dg.DagsterInstance, url: str, sensor: dg.SensorDefinition = MARKET_DATA) -> tuple[date, ...] | str:
    """The days that a tick asks for; the reason if it asks for nothing."""
    with dg.build_sensor_context(
        instance=instance, resources={"database": DatabaseAt(url=url), **RESOURCES}
    ) as context:
        result = sensor(context)
    if isinstance(result, dg.SkipReason):
        return str(result.skip_message)
    return tuple(date.fromisoformat(result.tags[f"dagster/asset_partition_range_{end}"]) for end in ("start", "end"))


@pytest.mark.long
def test_bars_lead_to_scores_and_scores_to_a_ranking(instance: dg.DagsterInstance, database: str) -> None:
    definitions = build_defs({"database": DatabaseAt(url=database), **RESOURCES})
    exits = [NOW - timedelta(hours=20 * n + 1) for n in range(4)]
    with connect(database) as connection:
        for at in exits:
            connection.execute(
                "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
                " notional) VALUES (1, 'BTC', 'LONG', 'closed', %s, %s, 100, 101, 100)",
                (at - timedelta(hours=2), at),
            )
    refresh_days(definitions, instance, exits[-1].date(), NOW.date())
    assert tick(instance, database).startswith("Up to date")
    assert tick(instance, database, NEW_TRADES).startswith("Up to date")

    bars, _ = simulate_regimes("plain", bars=480, seed=1)
    times = pd.date_range(end=pd.Timestamp(NOW).floor("h") - pd.Timedelta(hours=1), periods=480, freq="h")
    with connect(database) as connection:
        rows = bars.assign(open_time=times, ticker="BTC", timeframe="1h")
        copy_arrow(connection, "price_bars", pa.Table.from_pandas(rows, preserve_index=False))
    days = tick(instance, database)
    assert days == (date(2025, 2, 28), date(2025, 3, 20))
    with connect(database) as holder, days_locked(holder, *days):
        assert "is under way" in tick(instance, database)
    market_days(definitions, instance, *days)
    assert tick(instance, database).startswith("Up to date")

    again = tick(instance, database, NEW_TRADES)
    assert again == (exits[-1].date(), NOW.date())
    refresh_days(definitions, instance, *again)
    assert tick(instance, database, NEW_TRADES).startswith("Up to date")
    with connect(database) as connection:
        found = connection.execute(
            "SELECT price_model_score, (SELECT avg(price_model_score) FROM trade_scores) FROM bot_metrics "
            "WHERE day = %s AND ticker = '*'",
            (NOW.date(),),
        ).fetchone()
    assert found[0] == pytest.approx(found[1])
