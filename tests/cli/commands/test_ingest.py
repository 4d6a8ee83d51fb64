"""`ingest`: how a file is read, shown before anything is written, and the options that answer what it leaves open."""

import re
from pathlib import Path

import pytest

from knowdefeat_pipeline.cli.views import output
from knowdefeat_pipeline.postgres.connection import connect
from tests.cli.conftest import Shell

EURO = (
    "id;bot;pair;side;opened_at;closed_at;open_price;close_price;units;fee\n"
    "A1;7;BTC-EUR;buy;02.11.2025 09:00;02.11.2025 11:30;62.000,5;62.400,25;0,05;1,2\n"
    "A2;7;BTC-EUR;up;03.11.2025 09:00;;62.000,5;;0,05;\n"
    "A3;7;BTC-EUR;sell;03.11.2025 09:00;;62.000,5;;0,05;\n"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "euro.csv"
    path.write_text(EURO)
    return path


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output.out, "_width", 80)


def test_a_dry_run_needs_no_database_and_writes_nothing(shell: Shell, file: Path, narrow: None, monkeypatch):
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", "postgresql://nobody@localhost:1/none")
    shown = shell("ingest", "--dry-run", file, "--timezone", "Europe/Zurich")
    assert max(map(len, shown.splitlines())) <= 80
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines[0] == "euro.csv (CSV, UTF-8, separated by semicolon): 3 rows: 2 trades, 1 held"
    assert "open_price entry_price 62.000,5 number, decimal comma" in lines
    assert "closed_at exit_time 02.11.2025 11:30 time, Europe/Zurich" in lines
    assert "numbers of open_price, close_price, units, fee are read with a decimal comma" in lines
    assert "entry_time 2025-11-02 08:00:00 2025-11-03 08:00:00" in lines
    assert "notional 3,100.025 3,100.025" in lines
    assert "status closed open" in lines
    assert "pnl 18.7875 –" in lines
    assert "2 side 'up' is not a direction; write LONG or SHORT (buy and sell are read" in lines
    assert lines[-1] == "Nothing was written. To load the trades, run the command without --dry-run."


def test_a_dry_run_for_programs(shell: Shell, file: Path):
    (found,) = shell.json("ingest", "--dry-run", file, "--currency", "EUR")
    assert (found["format"], found["separator"], found["valid"], found["held"]) == ("CSV", ";", 2, 1)
    assert found["columns"][4] == {
        "column": "opened_at",
        "field": "entry_time",
        "first": "02.11.2025 09:00",
        "read_as": "time, UTC",
    }
    assert (found["trades"][0]["entry_price"], found["trades"][0]["quote_currency"]) == (62000.5, "EUR")
    assert found["trades"][0]["entry_time"] == "2025-11-02T09:00:00+00:00"
    assert found["held_rows"][0]["row_number"] == 2
    with connect(shell.database) as connection:
        assert connection.execute("SELECT (SELECT count(*) FROM trades) + (SELECT count(*) FROM trade_quarantine)").fetchone() == (0,)  # fmt: skip


def test_a_held_row_is_released_as_its_file_is_read(shell: Shell, file: Path):
    report = shell.json("ingest", file)[0]
    assert (report["inserted"], report["quarantined"]) == (2, {"unknown_direction": 1})
    shell("quarantine", "release", 1, "--set", "side=buy")
    with connect(shell.database) as connection:
        found = connection.execute(
            "SELECT source_trade_id, status, entry_price::float8, entry_time::text, notional::float8 FROM trades "
            "WHERE source_trade_id = 'A2'"
        ).fetchall()
    assert found == [("A2", "open", 62000.5, "2025-11-03 09:00:00+00", pytest.approx(3100.025))]


def test_a_row_that_was_released_is_not_said_to_be_held(shell: Shell, file: Path):
    shell("ingest", file)
    shell("quarantine", "release", 1, "--set", "side=buy")
    said = " ".join(shell("ingest", file).split())
    assert "3 rows: 0 new, 0 updated, 2 known, 0 quarantined, 1 settled in quarantine before" in said
    assert "unknown_direction" not in said
    (again,) = shell.json("ingest", file)
    assert (again["quarantined"], again["already_quarantined"], again["settled"]) == ({}, 0, 1)


def test_options_answer_what_a_file_leaves_open(shell: Shell, tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text('id,open time,open price,qty\n1,03/04/2025 9:00,"1,234",2\n')
    constants = ("--bot", "7", "--ticker", "X", "--direction", "short", "--status", "open")
    asked = shell("ingest", path, *constants, status=1)
    assert "--decimal point or --decimal comma" in asked
    assert "--dates day-first or --dates month-first" in " ".join(asked.split())
    options = (*constants, "--decimal", "comma", "--dates", "day-first", "--timezone", "UTC+2 with New York DST")
    (found,) = shell.json("ingest", "--dry-run", path, *options)
    trade = found["trades"][0]
    assert (trade["entry_price"], trade["entry_time"]) == (1.234, "2025-04-03T06:00:00+00:00")
    assert (trade["bot_id"], trade["ticker"], trade["direction"], trade["status"]) == ("7", "X", "SHORT", "open")
    assert found["constants"] == {"bot_id": "7", "ticker": "X", "direction": "short", "status": "open"}
    assert shell.json("ingest", path, *options)[0]["inserted"] == 1
    assert "'both' is not one of" in shell("ingest", path, "--dates", "both", status=2)


BACKTEST = (
    "Size,EntryBar,ExitBar,EntryPrice,ExitPrice,PnL,EntryTime,ExitTime\n"
    "5,1,2,100,110,50,2025-11-02 09:00,2025-11-02 10:00\n"
)


@pytest.mark.long
def test_a_folder_of_bots_with_a_file_that_is_not_read(shell: Shell, tmp_path: Path):
    for name in ("alpha", "beta"):
        (tmp_path / "bots" / name).mkdir(parents=True)
        (tmp_path / "bots" / name / "trades.csv").write_text(BACKTEST)
    (tmp_path / "bots" / "alpha" / "orders.csv").write_text("id,pair,side,price\n1,BTC-USD,buy,3\n")
    for options in ([], ["--json"], ["--dry-run"], ["--dry-run", "--json"]):
        said = " ".join(shell("ingest", tmp_path / "bots", *options, status=1).split())
        assert said.startswith("Not read: ")
        assert "orders.csv: no column for bot_id" in said
        assert "name the right ones with --map COLUMN=bot_id" in said
        assert said.endswith("1 file was not read, as said above.")
    with connect(shell.database) as connection:
        bots = connection.execute("SELECT name FROM bots ORDER BY name").fetchall()
    assert bots == [("alpha",), ("beta",)]
    (tmp_path / "bots" / "alpha" / "orders.csv").unlink()
    shown = " ".join(shell("ingest", tmp_path / "bots").split())
    for name in ("alpha", "beta"):
        assert f"bots/{name}/trades.csv (backtesting_py): 1 row: 0 new" in shown
    assert "not read" not in shown


BESIDE_TRADES = {
    "README.md": b'# Alpha\n\nIt trades, a lot, of "things", and "more.\n',
    "settings.txt": b"speed = 3",
    "config.json": b'{"max_open_trades": 3, "bot_name": "alpha", "stake_amount": 10, "exchange": {"pairs": ["A"]}}',
    "broken.json": b'{"max_open_trades": 3, // as many as that\n "bot_name": "alpha"}',
    "bot.log": b"2026-11-02 09:00:00,123 - bot - INFO - started, with 3 pairs\n" * 3,
    "candles.csv": b"date,open,high,low,close,volume\n2026-11-02,1,2,1,2,5\n2026-11-03,1,2,1,2,5\n",
    "klines.csv": b"Open time,Open,High,Low,Close,Volume,Close time\n1793610000000,1,2,1,2,5,1793613600000\n",
    "chart.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100),
    "state.bin": bytes(range(256)),
    "empty.csv": b"",
    "no_trades_yet.csv": b"id,bot,pair,side,opened_at,open_price,units\n",
    "notes.html": b"<html><body><p>Nothing.</p></body></html>",
    ".DS_Store": b"\0\0\0\x01Bud1",
}


def test_files_of_a_folder_that_plainly_hold_no_trades_are_skipped(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "alpha"
    folder.mkdir()
    (folder / "trades.csv").write_text(BACKTEST)
    for name, content in BESIDE_TRADES.items():
        (folder / name).write_bytes(content)
    monkeypatch.setattr(output.err, "_width", 400)
    shown, said = shell("ingest", folder), shell.errors
    named = re.findall(r"^Skipped, as it holds no trades: .*/(\S+)$", said, re.MULTILINE)
    assert sorted(named) == sorted({*BESIDE_TRADES} - {".DS_Store"})
    assert "Not read" not in said
    assert "1 row: 1 new" in shown
    for name in ("settings.txt", "chart.png"):  # named by itself, it was meant
        assert name in shell("ingest", folder / name, status=1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("trades.csv.gz", b"\x1f\x8b cut"),
        ("trades.csv", BACKTEST.encode() + bytes(50)),
        ("trades.json", b'[{"id": 1, "pair": "BTC-USD", "side": "buy", "open_price": 3}, {"id'),
        ("trades.sqlite", b"SQLite format 3\0 and no more"),
        ("handel.csv", b"Nr;Markt;Richtung;Beginn;Ende;von;bis\n1;A;Kauf;2026-11-02;2026-11-03;1,5;1,6\n"),
    ],
)
def test_a_file_of_a_folder_that_looks_like_trades_and_cannot_be_read_fails(
    shell: Shell, tmp_path: Path, name: str, content: bytes
):
    folder = tmp_path / "alpha"
    folder.mkdir()
    (folder / "good.csv").write_text(BACKTEST)
    (folder / name).write_bytes(content)
    said = " ".join(shell("ingest", folder, "--dry-run", status=1).split())
    assert "Not read: " in said
    assert f"alpha/{name}: " in said
