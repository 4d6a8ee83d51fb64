"""A bot that has trades cannot be deleted; of one that was all the same, the others' days are computed as before."""

from datetime import UTC, datetime, timedelta

import psycopg
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


OPEN = """
    INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional) VALUES (2, 'X', 'LONG', %s, 100, 100)
"""


def delete_all_the_same(connection: psycopg.Connection, bot: int) -> None:
    """As the owner could before migration 0019."""
    with connection.transaction():
        connection.execute("ALTER TABLE bots DISABLE TRIGGER bots_with_trades_stay")
        connection.execute("DELETE FROM bots WHERE bot_id = %s", (bot,))
        connection.execute("ALTER TABLE bots ENABLE TRIGGER bots_with_trades_stay")


def figures(url: str, bots: tuple[int, ...]) -> list[tuple]:
    statement = "SELECT * FROM bot_metrics WHERE bot_id = ANY(%s) ORDER BY day, bot_id, ticker"
    with connect(url) as connection:
        return connection.execute(statement, (list(bots),)).fetchall()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM bots WHERE bot_id = 2",
        "DELETE FROM bots",
        "UPDATE bots SET bot_id = 9, name = '9' WHERE bot_id = 2",
        "TRUNCATE bots",
    ],
)
def test_a_bot_that_has_trades_stays(fleet: str, statement: str) -> None:
    with connect(fleet) as connection:
        with pytest.raises(psycopg.errors.ForeignKeyViolation) as refusal:
            connection.execute(statement)
        assert "knowdefeat bots deactivate " in str(refusal.value.diag.message_hint)
        assert connection.execute("SELECT bot_id FROM bots ORDER BY 1").fetchall() == [(1,), (2,), (3,), (4,)]


@pytest.mark.long
def test_a_bot_without_trades_may_go_and_trades_go_with_their_bots(fleet: str) -> None:
    with connect(fleet) as connection:
        connection.execute("INSERT INTO bots (bot_id) VALUES (9)")
        connection.execute("UPDATE bots SET bot_id = 10, name = '10' WHERE bot_id = 9")
        assert connection.execute("DELETE FROM bots WHERE bot_id = 10").rowcount == 1
        with connection.transaction():
            connection.execute("DELETE FROM trades WHERE bot_id = 2")
            connection.execute("DELETE FROM bots WHERE bot_id = 2")
    days.compute_stale(fleet, END)
    assert figures(fleet, (2,)) == []
    with connect(fleet) as connection:
        connection.execute("TRUNCATE trade_ranges, trade_scores, trades, bots")


def test_a_trade_that_is_on_its_way_keeps_its_bot(database: str) -> None:
    with connect(database) as writer, connect(database) as owner:
        owner.execute("INSERT INTO bots (bot_id) VALUES (2)")
        owner.execute("SET lock_timeout = '100ms'")
        with writer.transaction():
            writer.execute(OPEN, (END - timedelta(hours=3),))
            with pytest.raises(psycopg.errors.LockNotAvailable):
                owner.execute("DELETE FROM bots WHERE bot_id = 2")
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="bot 2 has trades"):
            owner.execute("DELETE FROM bots WHERE bot_id = 2")


@pytest.mark.long
def test_the_other_bots_are_computed_as_before(fleet: str) -> None:
    before = figures(fleet, (1, 3, 4))
    with connect(fleet) as connection:
        delete_all_the_same(connection, 2)
    days.refresh(fleet, END.date() - timedelta(days=20), LAST, END)
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
