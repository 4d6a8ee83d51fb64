"""What the guides show of files, of INSERTs and of views is so."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowdefeat_pipeline.postgres import roles
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.sources.canonical import FIELDS
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import SourceError

IMPORTING = (ROOT / "docs" / "guides" / "importing.md").read_text(encoding="utf-8")
BOTS = (ROOT / "docs" / "start" / "bots.md").read_text(encoding="utf-8")
DASHBOARDS = (ROOT / "docs" / "guides" / "dashboards.md").read_text(encoding="utf-8")


def example(page: str, language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_sql_that_bots_may_write_works(database: str, tmp_path: Path) -> None:
    script = example(BOTS, "sql")
    with connect(roles.rotate(database, roles.BOT, roles.Passwords(tmp_path))) as connection:
        for statement in filter(str.strip, script.partition("--")[0].split(";")):
            cursor = connection.execute(statement)
        bot, status, pnl = cursor.fetchone()
    assert (bot, status, round(pnl, 9)) == (7, "closed", 18.8)


def test_the_file_is_read_as_described(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text(example(IMPORTING, "csv"))
    reading = read_trades(path, mapping={"order": "source_trade_id"}, now=datetime(2026, 3, 3, tzinfo=UTC))
    assert list(reading.valid["source_trade_id"]) == ["A-1", "A-2", "A-4"]
    assert list(reading.valid["notional"]) == pytest.approx([3100, 3125, 4665])
    assert list(reading.refused["message"]) == [
        "side 'up' is not a direction; write LONG or SHORT (buy and sell are read too)."
    ]


def test_a_file_that_no_reading_explains_is_refused_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = "id,bot,symbol,side,status,open_time,close_time,open_price,close_price,qty,fee,pnl\n"
    rows = [f"{number},12,ESZ6,{side},closed,2026-03-02,2026-03-03,5800,5802,1,4.5,{pnl}\n"
            for number, side, pnl in ((1, "buy", 95.5), (2, "sell", -104.5))]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("futures.csv").write_text(header + "".join(rows))
    with pytest.raises(SourceError) as refusal:
        read_trades(Path("futures.csv"), now=datetime(2026, 3, 3, tzinfo=UTC))
    assert f"{refusal.value}\n" == example(IMPORTING, "text")


def test_every_required_field_is_named_with_what_else_its_column_may_be_called() -> None:
    for field in FIELDS.values():
        if field.required:
            for name in (field.name, *field.aliases):
                assert f"`{name}`" in IMPORTING


def test_the_views_for_dashboards_are_those_of_the_schema_report(database: str) -> None:
    named = set(re.findall(r"`(\w+)`", DASHBOARDS.partition("Each has")[0])) - {"report"}
    with connect(database) as connection:
        views = connection.execute("SELECT viewname FROM pg_views WHERE schemaname = 'report'").fetchall()
    assert named == {name for (name,) in views}
