"""An import that is undone leaves every result as if it had never been."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import permutations
from threading import Event

import pytest

from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps import chain
from knowdefeat_pipeline.store.imports import undo_import
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.staleness import BELIEFS, RANKING, settle, stale_days
from knowdefeat_pipeline.store.tables import stored
from knowdefeat_pipeline.store.trades import load_trades
from tests.conftest import temporary_database
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


@pytest.mark.long
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


def keep_fresh(url: str, begun: Event, ended: Event) -> int:
    """What a listener does until it is told to end: whatever is stale is computed. How many refreshes it made."""
    refreshes = 0
    with open_session(url) as session:
        while not ended.is_set():
            for family in (RANKING, BELIEFS):
                if found := stale_days(session.connection, family, END):
                    if family is RANKING:
                        chain.refresh(session, found.first, found.last, END)
                    else:
                        days.learn(url, found.first, found.last)
                    refreshes += 1
                settle(session.connection, found)
            begun.set()
    return refreshes


@pytest.mark.long
@pytest.mark.parametrize("order", [*permutations(range(3), 2)], ids=lambda order: "".join(map(str, order)))
def test_results_are_those_of_the_rest_when_imports_are_undone_under_refreshes(
    server_url: str, template: str, database: str, order: Sequence[int]
) -> None:
    """Three files that share bots and trades; any two are undone, in either order, while two listeners compute."""
    trades = simulate("base", bots=6, days=12, seed=4, end=END).trades
    bots = trades["bot_id"]
    files = [trades[bots <= 3], trades[(bots >= 2) & (bots <= 5)], trades[bots >= 3]]
    imports = [load_trades(database, read_frame(file, "fleet", END), f"{number}").import_id
               for number, file in enumerate(files)]  # fmt: skip
    begun, ended = [Event(), Event()], Event()
    with ThreadPoolExecutor(2) as pool:
        listeners = [pool.submit(keep_fresh, database, event, ended) for event in begun]
        try:
            assert all(event.wait(120) for event in begun)
            for number in order:
                undo_import(database, imports[number], "test", END)
        finally:
            ended.set()
        assert sum(listener.result(timeout=300) for listener in listeners) >= 1
    days.compute_stale(database, END)
    ((left,),) = ({0, 1, 2} - {*order},)
    with temporary_database(server_url, template) as alone:
        load_trades(alone, read_frame(files[left], "fleet", END), "alone")
        days.compute_stale(alone, END)
        assert results(database) == results(alone)
        with connect(alone) as connection:
            assert connection.execute("SELECT count(DISTINCT bot_id) FROM bot_metrics").fetchone() == (
                files[left]["bot_id"].nunique(),
            )
