"""`report`: one page about one bot, whose figures are those of the tables, and in which foreign names do nothing."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from knowdefeat_pipeline.core.money import shown
from knowdefeat_pipeline.postgres.connection import connect
from tests.cli.conftest import Shell

EVIL = "<script>alert('1')</script>&\"x"
START = datetime(2026, 1, 30, 12, tzinfo=UTC)
PNL = (100.0, -50.0, 30.0, -120.0, 200.0)


@pytest.fixture
def ranked(shell: Shell) -> Shell:
    """Five trades of 1,000 over a turn of the month of a bot with a name that would be a script, one open, and a second
    bot; computed."""
    with connect(shell.database) as connection:
        for bot, sign in ((EVIL, 1), ("other", -1)):
            for n, pnl in enumerate(PNL):
                entry = START + timedelta(days=n)
                connection.execute(
                    "INSERT INTO trades (bot_name, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, "
                    "notional, strategy_id) VALUES (%s, 'BTC', 'LONG', 'closed', %s, %s, 100, %s, 1000, '<b>s</b>')",
                    (bot, entry, entry + timedelta(hours=1), 100 + sign * pnl / 10),
                )
        connection.execute(
            "INSERT INTO trades (bot_name, ticker, direction, status, entry_time, entry_price, notional, mark_price) "
            "VALUES (%s, '<i>ETH</i>', 'SHORT', 'open', %s, 50, 500, 45)",
            (EVIL, START),
        )
    shell("bots", "set", EVIL, "--capital", "1000")
    shell("run", "--all")
    return shell


def test_a_tear_sheet(ranked: Shell, tmp_path: Path) -> None:
    path = tmp_path / "sheet.html"
    told = ranked("report", EVIL, "--out", path, "--day", "2026-02-03")
    assert "as of 2026-02-04 00:00 UTC" in " ".join(told.split())
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&amp;&quot;x</h1>" in page
    assert "<b>" not in page
    assert re.findall(r"(?:src|href)=|url\(|@import", page) == []

    tiles = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))
    assert (tiles["net pnl"], tiles["return"], tiles["win rate"]) == ("+160.00", "16.0 %", "60.0 %")
    # The peak is 1,000 + 100; from there 140 down.
    assert tiles["max drawdown"] == "12.7 %"
    assert "-12.7 % at most" in page
    assert tiles["open pnl"] == "–"  # the mark came later than that day
    (row,) = (row for row in ranked.json("rankings", "--day", "2026-02-03") if row["bot"] == EVIL)
    assert tiles["rank"] == f"{row['rank']} of 2"
    assert tiles["score"] == f"{row['rank_score']:.1f}"

    months = re.search(r"<h2>Net pnl by month</h2>.*?</table>", page)
    assert months is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", months[0])
    assert cells == ["2026", "+50.00", "+110.00", *[""] * 10, "+160.00"]

    moved = re.search(r"<h2>What moved the score</h2>.*?</table>", page)
    assert moved is not None
    *points, total = (float(value.replace(",", "")) for value in re.findall(r"<td>([-+][\d.,]+)</td>", moved[0]))
    assert sum(points) == pytest.approx(total, abs=0.01 * len(points))
    assert total == pytest.approx(row["rank_score"] - 50, abs=0.005)
    assert "&lt;i&gt;ETH&lt;/i&gt;</td><td>SHORT</td><td>2026-01-30 12:00</td><td>50</td><td>500.00</td>" in page
    for picture in re.findall(r"<svg.*?</svg>", page):
        ElementTree.fromstring(picture)
    assert len(re.findall(r"<svg", page)) == 2
    assert shown(160, "USD") in page


def test_what_cannot_be_reported_is_told(ranked: Shell, tmp_path: Path) -> None:
    path = tmp_path / "sheet.html"
    assert "an .html file" in ranked("report", "other", "--out", tmp_path / "sheet.pdf", status=1)
    assert "There is no bot nobody" in ranked("report", "nobody", "--out", path, status=1)
    assert "Nothing was computed" in ranked("report", "other", "--out", path, "--day", "2020-01-01", status=1)
    assert not path.exists()
