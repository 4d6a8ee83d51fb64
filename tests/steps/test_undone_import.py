"""An import that is undone leaves every result as if it had never been."""

from datetime import UTC, datetime

from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.imports import undo_import
from knowdefeat_pipeline.store.results import stored
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
COMPUTED = [name for name in TABLES if name not in ("fund_settings", "bot_events", "market_regimes")]
REMEMBERED = ("refreshed_days", "settled_changes", "input_changes", "bot_months", "bot_months_state",
              "belief_checkpoints", "belief_checkpoints_state")  # fmt: skip


def results(url: str) -> dict[str, list[str]]:
    with connect(url) as connection:
        return {
            table: [row for (row,) in connection.execute(f"SELECT r::text FROM {table} r ORDER BY 1").fetchall()]
            for table in COMPUTED
        }


def test_results_after_an_undone_import_are_those_of_a_clean_computation_without_it(database: str) -> None:
    trades = simulate("base", bots=6, days=12, seed=3, end=END).trades
    load_trades(database, read_frame(trades[trades["bot_id"] <= 4], "fleet", END), "first")  # bots 3 and 4 in both
    second = load_trades(database, read_frame(trades[trades["bot_id"] >= 3], "fleet", END), "second")
    days.compute_stale(database, END)
    before = results(database)
    undone = undo_import(database, second.import_id, "test", END)
    assert (undone.removed, undone.kept) == (int((trades["bot_id"] > 4).sum()), 0)
    days.compute_stale(database, END)
    found = results(database)
    assert 0 < len(found["bot_rankings"]) < len(before["bot_rankings"])
    with connect(database) as connection:
        connection.execute(f"TRUNCATE {', '.join({*map(stored, COMPUTED), *REMEMBERED})}")
    days.compute_stale(database, END)
    assert found == results(database)
