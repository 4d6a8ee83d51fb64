"""bot_skill in the database: figures of real trades, look-ahead, what it rests on, and one way to every figure."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.core.skill.replay import judge_trades
from knowdefeat_pipeline.core.skill.verdicts import WORDS
from knowdefeat_pipeline.postgres.connection import close_idle, connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.skill import compute_skill
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.staleness import RANKING, stale_days
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 130
FIRST, LAST = (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date()
STATEMENT = "SELECT day, as_of, bot_id, time_window, trades, edge, edge_low, edge_high, p_skill, verdict FROM bot_skill"


@pytest.fixture(scope="module")
def computed(cloned: Callable[[str], AbstractContextManager[str]], template: str) -> Iterator[str]:
    """Ten bots' trades over 130 days, all of them computed."""
    with cloned(template) as url:
        trades = simulate("base", bots=10, days=DAYS, seed=7, end=END).trades
        load_trades(url, read_frame(trades, "simulator", END), "fleet")
        days.refresh(url, FIRST, LAST, END)
        days.learn(url, FIRST, LAST)
        close_idle()
        yield url


@pytest.fixture
def fleet(cloned: Callable[[str], AbstractContextManager[str]], computed: str) -> Iterator[str]:
    with cloned(computed) as url:
        yield url


def rows(url: str, first: date = date.min, last: date = date.max) -> list[tuple]:
    with connect(url) as connection:
        statement = f"{STATEMENT} WHERE day BETWEEN %s AND %s ORDER BY day, bot_id, time_window"
        return connection.execute(statement, (first, last)).fetchall()


def closed(url: str, since: datetime, until: datetime) -> pd.DataFrame:
    with connect(url) as connection:
        found = connection.execute(
            "SELECT t.exit_time, t.bot_id, t.pnl, s.strategy_id FROM closed_trades AS t "
            "JOIN bot_strategies AS s USING (bot_id) WHERE t.exit_time >= %s AND t.exit_time < %s",
            (since, until),
        ).fetchall()
    frame = pd.DataFrame(found, columns=["exit_time", "bot_id", "pnl", "strategy_id"])
    return frame.assign(pnl=frame["pnl"].astype(float), exit_time=pd.to_datetime(frame["exit_time"], utc=True))


@pytest.mark.parametrize("back", [0, 17, 59])
def test_days_say_what_their_trades_say(computed: str, back: int) -> None:
    day, end = LAST - timedelta(days=back), END - timedelta(days=back)
    for window, since in (("lifetime", datetime(2000, 1, 1, tzinfo=UTC)), ("90 days", end - timedelta(days=90))):
        trades = closed(computed, since, end)
        found = {row[2]: row for row in rows(computed, day, day) if row[3] == window}
        judged = judge_trades(trades)
        assert list(found) == judged["bot_id"].tolist()
        assert [found[bot][4] for bot in found] == trades.groupby("bot_id").size().tolist()
        for place, name in enumerate(("edge", "edge_low", "edge_high", "p_skill"), start=5):
            assert [found[bot][place] for bot in found] == pytest.approx(judged[name].tolist(), abs=1e-9)
        assert [found[bot][9] for bot in found] == judged["verdict"].tolist()


def test_windows_in_which_the_same_days_lie_say_the_same(computed: str) -> None:
    """As long as no result is older than 90 days, to the bit; from then on each says what its own days say."""
    for age, alike in ((45, True), (89, True), (90, False)):  # whole days before the day that is looked at
        found = rows(computed, day := FIRST + timedelta(days=age), day)
        by_window = [[row[4:] for row in found if row[3] == window] for window in ("lifetime", "90 days")]
        assert len(by_window[0]) == 10
        assert (by_window[0] == by_window[1]) is alike


def test_deleting_what_came_later_changes_no_bit(fleet: str) -> None:
    rng = np.random.default_rng(11)
    for back in sorted(rng.integers(5, 55, 3).tolist()):
        day, end = LAST - timedelta(days=back), END - timedelta(days=back)
        before = rows(fleet, LAST - timedelta(days=59), day)
        with connect(fleet) as connection:
            connection.execute("SET knowdefeat.simulated_fleet_leaves = 'yes'")
            connection.execute("DELETE FROM trades WHERE exit_time >= %s OR status <> 'closed'", (end,))
        days.refresh(fleet, LAST - timedelta(days=59), day, END)
        assert rows(fleet, LAST - timedelta(days=59), day) == before


def test_a_day_alone_is_as_a_range_has_it(fleet: str) -> None:
    day = LAST - timedelta(days=20)
    before = rows(fleet, day, day)
    days.refresh(fleet, day, day, END)
    assert rows(fleet, day, day) == before


def test_the_running_day_takes_what_has_closed_by_then(fleet: str) -> None:
    noon = END - timedelta(hours=12)
    days.refresh(fleet, LAST, LAST, noon)
    trades = closed(fleet, datetime(2000, 1, 1, tzinfo=UTC), noon)
    found = [row for row in rows(fleet, LAST, LAST) if row[3] == "lifetime"]
    assert {row[1] for row in found} == {noon}
    assert [row[4] for row in found] == trades.groupby("bot_id").size().tolist()
    assert [row[8] for row in found] == pytest.approx(judge_trades(trades)["p_skill"].tolist(), abs=1e-9)


@pytest.mark.long
def test_late_trades_and_strategies_make_days_stale(fleet: str) -> None:
    with connect(fleet) as connection:
        connection.execute("UPDATE bots SET strategy_id = 'other' WHERE bot_id = 1")
        found = stale_days(connection, RANKING, END)
        assert (len(found.days), found.last) == (DAYS, LAST)
    days.compute_stale(fleet, END)
    trades = closed(fleet, datetime(2000, 1, 1, tzinfo=UTC), END)
    assert set(trades["strategy_id"][trades["bot_id"] == 1]) == {"other"}
    found = [row[8] for row in rows(fleet, LAST, LAST) if row[3] == "lifetime"]
    assert found == pytest.approx(judge_trades(trades)["p_skill"].tolist(), abs=1e-9)
    with connect(fleet) as connection:
        late = END - timedelta(days=DAYS - 5)
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, "
            "notional) VALUES (2, 'COIN', 'LONG', 'closed', %s, %s, 100, 150, 5000)",
            (late - timedelta(hours=1), late),
        )
    days.compute_stale(fleet, END)
    trades = closed(fleet, datetime(2000, 1, 1, tzinfo=UTC), END)
    found = [row[8] for row in rows(fleet, LAST, LAST) if row[3] == "lifetime"]
    assert found == pytest.approx(judge_trades(trades)["p_skill"].tolist(), abs=1e-9)


def test_the_step_alone_looks_at_every_month(fleet: str) -> None:
    """Without another step before it, months that nobody folded yet are folded."""
    before = rows(fleet, LAST, LAST)
    with connect(fleet) as connection:
        connection.execute("DELETE FROM bot_months")
        connection.execute("DELETE FROM bot_months_state")
    with open_session(fleet) as session:
        compute_skill(session, LAST, LAST)
    assert rows(fleet, LAST, LAST) == before


def test_verdicts_are_written_as_codes_of_which_the_database_has_the_words(fleet: str) -> None:
    with open_session(fleet) as session:
        written = compute_skill(session, LAST - timedelta(days=1), LAST)
    for found in (written.rows, written.last_rows):
        by_bot = found[found["day"] == LAST].sort_values(["bot_id", "time_window"])
        assert by_bot["verdict"].tolist() == [row[9] for row in rows(fleet, LAST, LAST)]
    with connect(fleet) as connection:
        words = connection.execute("SELECT code, verdict FROM skill_verdicts ORDER BY code").fetchall()
    assert words == [*enumerate(WORDS.tolist())]


def test_days_without_metrics_have_no_skill(fleet: str) -> None:
    with open_session(fleet) as session:
        result = compute_skill(session, END.date() + timedelta(days=9), END.date() + timedelta(days=9))
    assert result.rows.empty
