"""A walk over the pages: every figure of every table is that of the database, and files hold what a page shows."""

import csv
import io
import re
from datetime import date, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest

from knowdefeat_pipeline.core.escaping import for_csv
from knowdefeat_pipeline.postgres.connection import connect
from tests.web.conftest import LAST, Web
from tests.web.test_pages import Figures, shown, value

RANKED = """
    SELECT r.bot_id, r.rank, d.rank - r.rank AS moved_1d, r.rank_score, k.p_skill, m.one_day_performance AS pnl_1d,
           m.total_pnl AS pnl, m.avg_win_rate AS win_rate, m.max_drawdown
    FROM bot_rankings AS r JOIN bot_metrics AS m USING (day, bot_id)
    LEFT JOIN bot_skill AS k ON (k.day, k.bot_id, k.time_window) = (r.day, r.bot_id, 'lifetime')
    LEFT JOIN bot_rankings AS d ON (d.day, d.bot_id) = (r.day - 1, r.bot_id)
    WHERE r.day = %s AND m.ticker = '*' ORDER BY r.rank NULLS LAST, r.bot_id
"""
NAMES = ("bot_id", "rank", "moved_1d", "rank_score", "p_skill", "pnl_1d", "pnl", "win_rate", "max_drawdown")
DECIMALS = {"rank": 0, "moved_1d": 0, "rank_score": 1, "p_skill": 2, "pnl_1d": 2, "pnl": 2, "win_rate": 1, "max_drawdown": 1}  # fmt: skip


def compare(found: Figures, place: str, names: Any, row: dict[str, Any]) -> None:
    """The figures of these names that stand at a place are those of the row, rounded as they are shown."""
    for name in names:
        assert value(found.found[place, name]) == shown(row[name], DECIMALS[name]), (place, name)


@pytest.fixture
def ranked(web: Web) -> list[dict[str, Any]]:
    return [dict(zip(NAMES, row, strict=True)) for row in web.rows(RANKED, LAST)]


def test_the_lists_of_the_fleet_are_those_of_the_tables(web: Web, ranked: list[dict[str, Any]]) -> None:
    found = Figures(web.get("/").text)
    for row in ranked[:10]:
        compare(found, f"top-{row['bot_id']}", ("rank", "moved_1d", "rank_score", "p_skill", "pnl_1d"), row)
    movers = sorted((row for row in ranked if row["moved_1d"]), key=lambda row: -abs(row["moved_1d"]))[:8]
    for row in movers:
        compare(found, f"mover-{row['bot_id']}", ("moved_1d", "rank", "pnl_1d"), row)
    assert len({place for place, _ in found.found if place.startswith("mover-")}) == len(movers)
    groups = web.rows(
        "SELECT s.strategy_id, count(*), 100.0 * sum(m.wins) / nullif(sum(m.trades), 0), sum(m.total_pnl), max(w.weight) "
        "FROM bot_metrics AS m JOIN bot_strategies AS s USING (bot_id) "
        "LEFT JOIN strategy_weights AS w ON (w.day, w.strategy_id) = (m.day, s.strategy_id) "
        "WHERE m.day = %s AND m.ticker = '*' GROUP BY 1 ORDER BY 4 DESC NULLS LAST, 1",
        LAST,
    )
    ((currency,),) = web.rows("SELECT DISTINCT quote_currency FROM bots")
    for number, (_, bots, win_rate, pnl, weight) in enumerate(groups, 1):
        told = {
            name: value(text) for (place, name), text in found.found.items() if place == f"group-{currency}-{number}"
        }
        weight = None if weight is None else 100 * weight
        assert told == {"bots": bots, "win_rate": shown(win_rate, 1), "weight": shown(weight, 1), "pnl_30d": shown(pnl, 2)}  # fmt: skip
    closed = web.rows("SELECT trade_id, pnl FROM trades WHERE status = 'closed' ORDER BY exit_time DESC, trade_id DESC LIMIT 12")  # fmt: skip
    for trade, pnl in closed:
        assert value(found.found[f"trade-{trade}", "pnl"]) == shown(pnl, 2)


@pytest.mark.parametrize("bot", [1, 3, 4])
def test_every_figure_of_a_bot_is_that_of_the_table(web: Web, bot: int) -> None:
    found = Figures(web.get(f"/bots/{bot}").text).found
    tiles = {"total_pnl": 2, "lifetime_pnl": 2, "open_pnl": 2, "trades": 0, "avg_win_rate": 1, "profit_factor": 2, "sharpe": 2, "sqn": 2, "max_drawdown": 1}  # fmt: skip
    ((*figures,),) = web.rows(f"SELECT {', '.join(tiles)} FROM bot_metrics WHERE day = %s AND bot_id = %s AND ticker = '*'", LAST, bot)  # fmt: skip
    for (name, decimals), number in zip(tiles.items(), figures, strict=True):
        assert value(found["", name]) == shown(number, decimals), name
    rows = web.rows(
        "SELECT trades, avg_win_rate, profit_factor, total_pnl, open_pnl FROM bot_metrics "
        "WHERE day = %s AND bot_id = %s ORDER BY ticker <> '*', ticker",
        LAST,
        bot,
    )
    told = sorted({place for place, _ in found if place.startswith("ticker-")})
    assert len(told) == (len(rows) if len(rows) > 2 else 1)  # of a bot of one ticker once
    for place in told:
        row = rows[int(place.removeprefix("ticker-")) - 1]
        for (name, decimals), number in zip(
            (("trades", 0), ("avg_win_rate", 1), ("profit_factor", 2), ("total_pnl", 2), ("open_pnl", 2)), row, strict=True
        ):  # fmt: skip
            assert value(found[place, name]) == shown(number, decimals), (place, name)
    for length, frequency, expected, runs in web.rows(
        "SELECT streak_length, frequency, expected_frequency, runs FROM win_streaks WHERE day = %s AND bot_id = %s", LAST, bot
    ):  # fmt: skip
        assert value(found[f"streak-{length}", "frequency"]) == shown(frequency, 1)
        assert value(found[f"streak-{length}", "expected_frequency"]) == shown(expected, 1)
        assert value(found[f"streak-{length}", "runs"]) == runs
    trades = web.rows(
        "SELECT trade_id, fees, pnl FROM trades WHERE bot_id = %s AND status = 'closed' ORDER BY exit_time DESC, trade_id DESC LIMIT 20",
        bot,
    )  # fmt: skip
    for trade, fees, pnl in trades:
        assert value(found[f"trade-{trade}", "fees"]) == shown(fees, 2)
        assert value(found[f"trade-{trade}", "pnl"]) == shown(pnl, 2)


def test_bots_side_by_side_are_those_of_the_tables(web: Web, ranked: list[dict[str, Any]]) -> None:
    found = Figures(web.get("/compare?days=30").text)
    chosen = [row for row in ranked if row["rank"] is not None][:12]
    for row in chosen:
        compare(found, f"bot-{row['bot_id']}", ("rank", "p_skill", "pnl", "win_rate", "max_drawdown"), row)
    query = "&".join(f"bots={row['bot_id']}" for row in chosen)
    told = web.json(f"/correlations?{query}&days=30")
    assert value(found.found["", "effective_bets"]) == shown(told["effective_bets"], 1)
    for own, line in enumerate(told["correlation"]):
        for other, number in enumerate(line):
            if own != other:
                assert value(found.found[f"line-{own + 1}", str(other + 1)]) == shown(number, 1)


# Of each page that has rows: by which id of its rows a row of its files is found again, None where they have none.
FILES = {
    "/": None,
    "/ranking?sort=-pnl&limit=4": ("bot", "bot_id"),
    "/bots/1": None,
    "/compare?bots=1&bots=4&bots=7": ("bot", "bot_id"),
    "/weights?avg_win_rate=30": ("bot", "bot_id"),
    "/learning": None,
    "/regimes?ticker=DOGE-USD&days=7": None,
    "/funds?decision=inactive": ("bot", "bot_id"),
    "/data": ("row", "quarantine_id"),
    "/operations": ("asset", "asset"),
}


@pytest.mark.parametrize("path", FILES)
def test_the_three_files_of_a_page_hold_the_rows_that_it_shows(web: Web, path: str) -> None:
    join = "&" if "?" in path else "?"
    told = web.get(f"{path}{join}format=json").json()
    assert told
    lines = list(csv.DictReader(io.StringIO(web.get(f"{path}{join}format=csv").text)))
    table = pq.read_table(io.BytesIO(web.get(f"{path}{join}format=parquet").content)).to_pylist()
    assert len(told) == len(lines) == len(table)
    for row, line, stored in zip(told, lines, table, strict=True):
        assert list(row) == list(line) == list(stored)
        for name, cell in row.items():
            assert _as_json(stored[name]) == cell, (name, stored[name])
            assert _same(line[name], cell), (name, line[name], cell)
    if FILES[path]:
        prefix, key = FILES[path]
        ids = re.findall(rf'<tr id="{prefix}-([^"]+)"', web.get(path).text)
        assert [str(row[key]) for row in told] == ids


def _as_json(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return cell.isoformat().replace("+00:00", "Z")
    return cell.isoformat() if isinstance(cell, date) else cell


def _same(text: str, cell: Any) -> bool:
    """Whether a cell of CSV says what one of JSON says."""
    if cell is None:
        return text == ""
    if isinstance(cell, bool):
        return text == str(cell)
    if isinstance(cell, int | float):
        return float(text) == cell
    return text == for_csv(cell)


def test_what_does_not_fit_together_is_counted(own_web: Web) -> None:
    with connect(own_web.url) as connection:
        connection.execute(
            "INSERT INTO trades (source, source_trade_id, bot_id, ticker, direction, entry_time, entry_price, notional, status, exit_time, exit_price, reported_pnl) "
            "SELECT 'mine', n::text, 1, 'BTC-USD', 'LONG', %s::date + time '09:00', 100, 100, 'closed', %s::date + time '10:00', 101, 5 FROM generate_series(1, 2) AS n",
            (LAST, LAST),
        )
    found = Figures(own_web.get("/data").text).found
    told = {name: text for (_, name), text in found.items() if name in ("disagreeing", "twins")}
    ((reported,),) = own_web.rows(
        "SELECT count(reported_pnl) FROM trades WHERE status = 'closed' AND day_of(exit_time) > %s::date - 7 AND day_of(exit_time) <= %s",
        LAST,
        LAST,
    )  # fmt: skip
    assert told == {"disagreeing": f"2of {reported}", "twins": "2"}  # each gains 1 and states 5
