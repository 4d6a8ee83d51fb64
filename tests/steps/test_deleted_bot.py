"""A bot that is deleted by hand: the others' days are computed as before, and the next trade brings it back."""

from datetime import UTC, datetime, timedelta

import pytest

from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.funds import save_settings
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
LAST = (END - timedelta(days=1)).date()


@pytest.fixture
def fleet(database: str) -> str:
    load_trades(database, read_frame(simulate("base", bots=4, days=20, seed=3, end=END).trades, "table", END), "f")
    with connect(database) as connection:
        save_settings(connection, FundSettings("USD", 1000_00), "test", "a test")
    days.compute_stale(database, END)
    return database


def figures(url: str, bots: tuple[int, ...]) -> list[tuple]:
    statement = "SELECT * FROM bot_metrics WHERE bot_id = ANY(%s) ORDER BY day, bot_id, ticker"
    with connect(url) as connection:
        return connection.execute(statement, (list(bots),)).fetchall()


def test_the_other_bots_are_computed_as_before(fleet: str) -> None:
    before = figures(fleet, (1, 3, 4))
    with connect(fleet) as connection:
        connection.execute("DELETE FROM bots WHERE bot_id = 2")
    days.compute_stale(fleet, END)
    assert figures(fleet, (1, 3, 4)) == before
    with connect(fleet) as connection:
        ranked = connection.execute("SELECT bot_id FROM bot_rankings WHERE day = %s ORDER BY 1", (LAST,)).fetchall()
        assert {(1,), (3,), (4,)} <= {*ranked}
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
            " VALUES (2, 'X', 'LONG', 'closed', %s, %s, 100, 101, 100)",
            (END - timedelta(hours=3), END - timedelta(hours=2)),
        )
    days.compute_stale(fleet, END)
    assert figures(fleet, (1, 3, 4)) == before
    assert {row[2] for row in figures(fleet, (2,))} == {2}
