"""What the README says is so: its examples run, its commands and targets exist, its pictures are there and small."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.main import get_command

from knowdefeat_pipeline.cli.app import app
from knowdefeat_pipeline.postgres import roles
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.sources.canonical import FIELDS
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import SourceError

README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURE_BYTES = 300_000


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_the_sql_that_bots_may_write_works(database: str, tmp_path: Path) -> None:
    (script,) = examples("sql")
    with connect(roles.rotate(database, roles.BOT, roles.Passwords(tmp_path))) as connection:
        for statement in filter(str.strip, script.partition("--")[0].split(";")):
            cursor = connection.execute(statement)
        bot, status, pnl = cursor.fetchone()
    assert (bot, status, round(pnl, 9)) == (7, "closed", 18.8)


def test_the_file_is_read_as_described(tmp_path: Path) -> None:
    (trades,) = examples("csv")
    path = tmp_path / "trades.csv"
    path.write_text(trades)
    reading = read_trades(path, mapping={"order": "source_trade_id"}, now=datetime(2026, 3, 3, tzinfo=UTC))
    assert list(reading.valid["source_trade_id"]) == ["A-1", "A-2", "A-4"]
    assert list(reading.valid["notional"]) == pytest.approx([3100, 3125, 4665])
    assert list(reading.refused["message"]) == [
        "side 'up' is not a direction; write LONG or SHORT (buy and sell are read too)."
    ]


def test_a_file_that_no_reading_explains_is_refused_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = examples("text")
    header = "id,bot,symbol,side,status,open_time,close_time,open_price,close_price,qty,fee,pnl\n"
    rows = [f"{number},12,ESZ6,{side},closed,2026-03-02,2026-03-03,5800,5802,1,4.5,{pnl}\n"
            for number, side, pnl in ((1, "buy", 95.5), (2, "sell", -104.5))]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("futures.csv").write_text(header + "".join(rows))
    with pytest.raises(SourceError) as refusal:
        read_trades(Path("futures.csv"), now=datetime(2026, 3, 3, tzinfo=UTC))
    assert f"{refusal.value}\n" == shown


def test_it_names_every_required_field_and_what_else_its_column_may_be_called() -> None:
    for field in FIELDS.values():
        if field.required:
            for name in (field.name, *field.aliases):
                assert f"`{name}`" in README


def test_its_commands_and_targets_exist() -> None:
    commands = get_command(app).commands
    for name, sub in re.findall(r"(?:^|`|\| )knowdefeat (\w[\w-]*) ?(\w[\w-]*)?", README, flags=re.MULTILINE):
        assert name in commands
        if hasattr(commands[name], "commands"):
            assert sub in commands[name].commands or (not sub and commands[name].invoke_without_command)
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([\w-]+)", README, flags=re.MULTILINE)) <= targets


def test_its_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 4
    for picture in pictures:
        assert 0 < (ROOT / picture).stat().st_size < PICTURE_BYTES


def test_the_recording_of_first_minutes_is_of_less_than_five_and_ends_with_a_ranking() -> None:
    (place,) = re.findall(r"\[a freqtrade user's first minutes\]\(([^)]+)\)", README)
    text = (ROOT / place).read_text(encoding="utf-8")
    lines = re.findall(r"^(\d+):(\d\d)  ?(.*)$", text, flags=re.MULTILINE)
    seconds = [60 * int(minute) + int(second) for minute, second, _ in lines]
    assert seconds == sorted(seconds)
    assert seconds[-1] < 300
    assert [line for *_, line in lines if line.startswith("$ ")] == [
        "$ git clone REPOSITORY knowdefeat-pipeline",
        "$ make install",
        "$ make run TRADES=../freqtrade/user_data/tradesv3.sqlite",
    ]
    said = "\n".join(line for *_, line in lines)
    assert "5,739 new" in said
    assert re.search(r"^ +1  freqtrade ", said, flags=re.MULTILINE)  # the bot of rank 1
    assert int(re.search(r"(\d+) s of CPU", text)[1]) <= 30
    assert not re.search(r"/tmp|https?:|WARNING", text)  # of the machine that it was recorded on
