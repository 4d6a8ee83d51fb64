"""`knowdefeat` alone: how things stand and the next step; and `--plain`."""

import re
from pathlib import Path

import pytest
from rich.text import Text
from typer import rich_utils
from typer.main import get_command

from knowdefeat_pipeline.cli.app import app
from knowdefeat_pipeline.cli.commands.state import state
from knowdefeat_pipeline.cli.views import output
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.settings import Settings
from tests.cli.conftest import Shell

TRADES = """source_trade_id,bot_id,ticker,direction,entry_time,exit_time,entry_price,exit_price,notional,fees
1,7,BTC-USD,LONG,2026-03-02 09:00,2026-03-02 11:00,100,101,1000,1
2,8,BTC-USD,up,2026-03-02 09:00,2026-03-02 11:00,100,101,1000,1
"""


def steps(database: str, home: Path) -> list[str]:
    return [command for command, _ in state(Settings(home=home, database_url=database))[1]]


def test_where_nothing_is_yet_the_first_step_is_a_fleet_to_look_at(tmp_path: Path) -> None:
    lines, then = state(Settings(home=tmp_path / "home"))
    assert lines == [("database", "none yet; the first command makes it")]
    assert [command for command, _ in then] == ["knowdefeat run", "knowdefeat run --trades FILE"]
    assert list(tmp_path.iterdir()) == []  # it began nothing


def test_a_server_that_is_stopped_is_not_started_for_it(tmp_path: Path) -> None:
    data = EmbeddedPostgres(tmp_path).data
    data.mkdir(parents=True)
    lines, then = state(Settings(home=tmp_path))
    assert lines == [("database", f"stopped; its data is in {data}")]
    assert [command for command, _ in then] == ["knowdefeat up", "knowdefeat run"]
    assert list(data.iterdir()) == []


def test_a_database_without_tables_and_one_without_trades_begin_with_a_run(
    empty_database: str, database: str, tmp_path: Path
) -> None:
    for place in (empty_database, database):
        assert steps(place, tmp_path) == ["knowdefeat run", "knowdefeat run --trades FILE"]


def test_an_older_schema_is_backed_up_and_upgraded(database: str, tmp_path: Path) -> None:
    with connect(database) as connection:
        connection.execute("UPDATE knowdefeat_version SET version_num = '0041'")
    assert steps(database, tmp_path) == ["knowdefeat db backup FILE", "knowdefeat db migrate"]


@pytest.mark.long
def test_what_is_not_ranked_is_computed_first_and_refused_rows_come_next(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "trades.csv").write_text(TRADES)
    shell("ingest", tmp_path / "trades.csv")
    shown = shell()
    assert re.search(r"^  trades +1 of 1 bot, 0 open$", shown, re.MULTILINE)
    assert re.search(r"^  ranked +nothing yet$", shown, re.MULTILINE)
    assert re.search(r"^  held +1 row refused, kept with the reason$", shown, re.MULTILINE)
    assert re.findall(r"^(?:Next:|  or:) (knowdefeat[\w -]*?)  ", shown, re.MULTILINE) == [
        "knowdefeat run", "knowdefeat quarantine list", "knowdefeat up",
    ]  # fmt: skip
    days = shell("days")
    assert "Nothing has been computed yet, and trades closed from 2026-03-02 to 2026-03-02" in days
    assert "knowdefeat run" in days
    shell("run")
    assert "Nothing has been computed" not in shell("days")
    assert "2026-03-02, true at 2026-03-03 00:00 UTC; up to date" in shell()
    (tmp_path / "later.csv").write_text(TRADES.replace("-02 ", "-05 ").replace("\n1,", "\n3,").replace("\n2,", "\n4,"))
    shell("ingest", tmp_path / "later.csv")
    shown = shell()
    assert "2026-03-02, true at 2026-03-03 00:00 UTC; 3 days to compute" in shown
    assert "Next: knowdefeat run  computes what is missing" in shown


def test_a_simulated_fleet_leads_to_ones_own_trades(shell: Shell) -> None:
    shell("simulate", "--bots", 3, "--days", 3, "--end", "2026-03-05")
    shown = shell()
    assert ", simulated" in shown
    assert "knowdefeat run --trades FILE  ranks your own trades in the place of the simulated ones" in shown


def test_help_stands_under_what_one_wants() -> None:
    commands = get_command(app).commands
    panels = [getattr(command, "rich_help_panel", None) for command in commands.values()]
    assert None not in panels
    assert 5 <= len(set(panels)) <= 8


@pytest.mark.parametrize("chosen", [True, False])
def test_plain_prints_nothing_but_text(chosen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    console = output._Console(force_terminal=True, color_system="standard", width=60)
    monkeypatch.setattr(output, "out", console)
    if chosen:
        output.make_plain()
    with console.capture() as told:
        console.print(Text("ranked", "bold red"))
    assert ("\x1b" in told.get()) is not chosen
    assert (console.is_terminal, console.width) == ((False, output.PIPED_WIDTH) if chosen else (True, 60))


@pytest.mark.parametrize("asked", [("rankings", "--help"), ("rankings", "--day", "x")])
def test_help_and_errors_of_usage_are_plain_too(
    asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for console in ("out", "err"):
        monkeypatch.setattr(output, console, output._Console())
    monkeypatch.setattr(rich_utils, "COLOR_SYSTEM", "standard")
    monkeypatch.setattr(rich_utils, "FORCE_TERMINAL", True)

    def told(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            app(list(arguments))
        return "".join(capsys.readouterr())

    coloured, plain = told(*asked), told("--plain", *asked)
    assert "\x1b" in coloured
    assert "\x1b" not in plain
    assert "rankings [OPTIONS]" in plain
    assert "\x1b" not in told("--plain", "--help")


def test_no_color_leaves_colours_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = output._Console(force_terminal=True, color_system="standard")
    with console.capture() as told:
        console.print(Text("ranked", "red"))
    assert told.get() == "ranked\n"
