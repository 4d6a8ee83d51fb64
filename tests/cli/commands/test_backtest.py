"""`knowdefeat backtest`: any weights over a file's history or the database's own, and nothing is changed by it."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from knowdefeat_pipeline.core.learning.backtest import backtest, contestants
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, VARIABLE_NAMES
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.learning import add_version
from knowdefeat_pipeline.store.trades import load_trades
from knowdefeat_pipeline.store.weight_panel import read_history
from tests.cli.conftest import Shell
from tests.core.panels import plain

END = datetime(2025, 3, 1, tzinfo=UTC)
ONE_VARIABLE = {name: 100.0 * (name == "avg_win_rate") for name in VARIABLE_NAMES}


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    path = tmp_path / "panel.parquet"
    plain(60, 10, seed=3).to_parquet(path)
    return path


def test_a_files_history_is_compared_as_the_core_does(shell: Shell, panel: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mine.json"
    weights.write_text(json.dumps({"avg_win_rate": 5}))
    found = shell.json("backtest", "--panel", panel, "--weights-file", weights)
    history = Panel.of(plain(60, 10, seed=3))
    expected = backtest(history, contestants(history, {"mine": ONE_VARIABLE}))
    assert list(found["sets"]) == [
        "default",
        "recommended",
        "equal",
        "know_defeat",
        "know_defeat_fallback",
        "ai",
        "mine",
    ]
    for name, row in found["sets"].items():
        assert row == pytest.approx({k: float(v) for k, v in expected.loc[name].items()}, rel=1e-12)
    # 2025-01-02 is the first as_of: the end of the day before.
    assert (found["from"], found["to"], found["days"], found["bots"]) == ("2025-01-01", "2025-03-01", 60, 10)
    assert found["null_standard_error"] == pytest.approx(1 / (9 * 60) ** 0.5)
    assert found["statement"].startswith("mine is ahead of the default weights by +0.")
    assert found["statement"].endswith("more than chance.")


def test_days_are_those_whose_end_the_scores_are_true_at(shell: Shell, panel: Path) -> None:
    found = shell.json("backtest", "--panel", panel, "--from", "2025-01-11", "--to", "2025-02-09", "--sets", "equal")
    history = Panel.of(plain(60, 10, seed=3).query("as_of <= '2025-02-10 00:00Z'"))
    expected = backtest(history, {name: contestants(history)[name] for name in ("default", "equal")}, since=10)
    assert (found["from"], found["to"], found["days"]) == ("2025-01-11", "2025-02-09", 30)
    assert found["sets"]["equal"]["gain"] == pytest.approx(expected.loc["equal", "gain"], rel=1e-12)
    assert "two bots whose next day is known" in shell("backtest", "--panel", panel, "--from", "2026-01-01", status=1)
    assert "no day to look at" in shell("backtest", "--panel", panel, "--to", "2020-01-01", status=1)


def test_the_report_is_one_page_that_any_browser_shows(shell: Shell, panel: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    shown = shell("backtest", "--panel", panel, "--report", path)
    page = path.read_text(encoding="utf-8")
    found = shell.json("backtest", "--panel", panel)
    assert found["statement"] in " ".join(shown.split())
    assert found["statement"] in page
    assert len(re.findall(r"<tr>", page)) == 1 + 6
    pictures = re.findall(r"<svg.*?</svg>", page)
    assert len(pictures) == 3
    for picture in pictures:
        drawn = ElementTree.fromstring(picture)
        assert {"default", "equal", "ai"} - {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")} <= {
            "default"
        }
    assert re.findall(r"(?:src|href)=", page) == []
    assert "an .html file" in shell("backtest", "--panel", panel, "--report", tmp_path / "r.pdf", status=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1, 2]", 'write {"variable"'),
        ('{"win_rate": 1}', "unknown: win_rate"),
        ('{"a": {"avg_win_rate": "much"}}', 'write {"variable"'),
        ('{"avg_win_rate": 0}', "at least one weight"),
    ],
)
def test_a_file_of_weights_that_cannot_be_read(
    shell: Shell, panel: Path, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "weights.json"
    path.write_text(content)
    told = shell("backtest", "--panel", panel, "--weights-file", path, status=1)
    assert message in " ".join(told.split())


@pytest.mark.long
def test_the_databases_own_history_and_versions(shell: Shell, database: str) -> None:
    assert "no day to look at" in shell("backtest", status=1)
    load_trades(
        database, read_frame(simulate("base", bots=6, days=20, seed=4, end=END).trades, "simulator", END), "fleet"
    )
    shell("run", "--all")
    with connect(database) as connection:
        half = END - timedelta(days=10)
        add_version(connection, ONE_VARIABLE, based_on=1, author="manual", reason="x", in_force_from=half)
        before = connection.execute("SELECT max(xmin::text::bigint) FROM weight_versions").fetchone()
    found = shell.json("backtest", "--sets", "in_force, version:2,version:1, equal")
    assert list(found["sets"]) == ["default", "in_force", "version:2", "version:1", "equal"]
    history = Panel.of(read_history(database, END.date()))
    expected = backtest(history, contestants(history, {"two": ONE_VARIABLE}))
    assert found["sets"]["version:2"]["rank_ic"] == pytest.approx(expected.loc["two", "rank_ic"])
    assert found["sets"]["version:1"]["gain"] == 0
    first_half = shell.json("backtest", "--sets", "in_force", "--to", (half - timedelta(days=2)).date())
    assert first_half["sets"]["in_force"]["gain"] == 0
    second_half = shell.json("backtest", "--sets", "in_force,version:2", "--from", half.date())
    assert second_half["sets"]["in_force"]["rank_ic"] == second_half["sets"]["version:2"]["rank_ic"]
    assert "in_force" in shell("backtest")
    assert "There is no version 3" in shell("backtest", "--sets", "version:3", status=1)
    assert "There is no set 'best'" in shell("backtest", "--sets", "best", status=1)
    with connect(database) as connection:
        assert connection.execute("SELECT max(xmin::text::bigint) FROM weight_versions").fetchone() == before
    assert shell.json("weights", "show", 1)["weights"] == DEFAULT_WEIGHTS
