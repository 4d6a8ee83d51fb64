"""Labels of the weight learner on a real database: marked to market where there are bars or marks, else carried."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.weight_panel import read_history
from tests.steps import days

DAY = timedelta(days=1)
START = datetime(2025, 2, 1, tzinfo=UTC)
HELD = START + 3 * DAY + timedelta(hours=18)  # entered on 4 February, left on the 7th
TRADE = (
    "INSERT INTO trades (source, source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time, entry_price,"
    " exit_price, quantity, entry_fee, exit_fee) VALUES ('test', %s, %s, %s, %s, 'closed', %s, %s, %s, %s, %s, %s, %s)"
)
BAR = "INSERT INTO price_bars (ticker, timeframe, open_time, open, high, low, close, volume) VALUES (%s, '1h', %s, %s, %s, %s, %s, 1)"


@pytest.fixture
def held(database: str) -> str:
    """Bots 1 (AAA, with bars) and 2 (BBB, without): three trades a day for two days, then one held over three nights.

    LONG, 2 units from 100 to 104, fees 1 and 3. AAA closes the days at 110, 90, 95.
    """
    with connect(database) as connection:
        for bot, ticker in ((1, "AAA"), (2, "BBB")):
            for number in range(6):
                begin = START + timedelta(hours=8 * number + 1)
                price = 101 + number % 2 * -3
                connection.execute(
                    TRADE,
                    (f"{bot}.{number}", bot, ticker, "LONG", begin, begin + timedelta(hours=1), 100, price, 1, 0, 0),
                )
            leave = HELD + 3 * DAY - timedelta(hours=8)
            connection.execute(TRADE, (f"{bot}.held", bot, ticker, "LONG", HELD, leave, 100, 104, 2, 1, 3))
        for number, close in ((3, 110), (4, 90), (5, 95)):
            connection.execute(BAR, ("AAA", START + number * DAY + timedelta(hours=23), close, close, close, close))
    days.refresh(database, date(2025, 2, 1), date(2025, 2, 8), START + 8 * DAY)
    return database


def labels(url: str, last: date = date(2025, 2, 8)) -> dict[int, list[tuple]]:
    """By bot, of each as_of from the end of 3 February on: label, carried, absolute."""
    rows = read_history(url, last)
    rows = rows[rows["as_of"] >= START + 3 * DAY].replace({np.nan: None})
    return {
        bot: list(of[["label", "carried", "absolute_pnl"]].itertuples(index=False, name=None))
        for bot, of in rows.groupby("bot_id")
    }


def test_a_trade_over_three_nights_earns_on_each_of_its_days(held: str) -> None:
    """Entry 100, fee 1: 2 · 10 - 1 = 19; 2 · -20 = -40; 2 · 5 = 10; 2 · 9 - 3 = 15. Flat on the 8th; the 9th is not known."""
    found = labels(held)
    assert [label for label, *_ in found[1]] == pytest.approx([19, -40, 10, 15, None, None])
    assert [of[1:] for of in found[1][:4]] == [(0, 0), (0, 0), (0, 0), (0, 4)]


def test_without_bars_it_counts_when_it_closes_and_was_carried(held: str) -> None:
    found = labels(held)
    assert [label for label, *_ in found[2]] == pytest.approx([None, None, None, 4, None, None])
    assert found[2][3] == (4, 4, 4)


def test_a_mark_price_goes_before_the_bar(held: str) -> None:
    """As of a position that was recorded while it was open, and marked on the 4th."""
    with connect(held) as connection:
        ((trade,),) = connection.execute("SELECT trade_id FROM trades WHERE source_trade_id = '2.held'").fetchall()
        connection.execute(
            "INSERT INTO positions (trade_id, ticker, entry_time, import_id) VALUES (%s, 'BBB', %s, 0)", (trade, HELD)
        )
        connection.execute(
            "INSERT INTO position_marks (trade_id, day, import_id, price, marked_at) VALUES (%s, '2025-02-04', 0, 107, %s)",
            (trade, HELD + timedelta(hours=1)),
        )
    found = labels(held)
    assert [label for label, *_ in found[2]] == pytest.approx([13, 0, 0, -9, None, None])
    assert found[2][3][1] == 0


@pytest.mark.parametrize("last", [4, 5, 6])
def test_deleting_all_that_comes_after_leaves_the_labels(held: str, last: int) -> None:
    """Trades that had not closed by then are open; bars and results of later days are gone."""
    day = date(2025, 2, last)
    before, end = labels(held, day), datetime(2025, 2, last, tzinfo=UTC) + DAY
    with connect(held) as connection:
        connection.execute(
            "DELETE FROM price_bars WHERE open_time >= %s", (end - timedelta(hours=1) + timedelta(seconds=1),)
        )
        for trade in connection.execute(
            "DELETE FROM trades WHERE exit_time >= %s RETURNING bot_id, ticker", (end,)
        ).fetchall():
            connection.execute(
                "INSERT INTO trades (source, source_trade_id, bot_id, ticker, direction, status, entry_time, entry_price,"
                " quantity, entry_fee) VALUES ('test', 'still ' || %s, %s, %s, 'LONG', 'open', %s, 100, 2, 1)",
                (trade[0], *trade, HELD),
            )
    days.compute_stale(held, end)
    assert labels(held, day) == before
