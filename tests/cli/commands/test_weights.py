"""`knowdefeat weights`: what a person sees of the weights and changes about them."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from knowdefeat_pipeline.cli.views.weights import show_attempts
from knowdefeat_pipeline.core.ranking.weight_set import WeightVersion
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, VARIABLE_NAMES
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.learning import weight_versions
from knowdefeat_pipeline.store.trades import load_trades
from tests.cli.conftest import Shell

MORE_WIN_RATE = ("avg_win_rate=14", "one_hour_performance=11")


def versions(url: str) -> list[WeightVersion]:
    with connect(url) as connection:
        return weight_versions(connection)


def close(url: str, bots: int = 6, trades: int = 6) -> None:
    """Trades of today, of different success."""
    with connect(url) as connection:
        for bot in range(1, bots + 1):
            connection.execute(
                "INSERT INTO trades"
                " (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
                " SELECT %s, 'COIN', 'LONG', 'closed', at - interval '1 hour', at, 100, 100 + %s * (n %% 3 - 1), 100 + n"
                " FROM generate_series(1, %s) AS n, LATERAL (SELECT now() - interval '1 ms' * n AS at) AS t",
                (bot, bot, trades),
            )


def test_what_is_in_force_and_what_it_rests_on(shell: Shell) -> None:
    for command in (("weights",), ("weights", "show"), ("weights", "show", 1)):
        shown = shell(*command)
        assert all(name in shown for name in VARIABLE_NAMES)
        assert "The daily adjustment is on" in shown
        found = shell.json(*command)
        assert (found["version"], found["author"], found["in_force_from"]) == (1, "default", None)
        assert (found["weights"], found["evidence"], found["ai_enabled"]) == (DEFAULT_WEIGHTS, {}, True)
    assert "There is no version 9" in shell("weights", "show", 9, status=1)


def test_a_change_is_a_version_in_force_from_now(shell: Shell, database: str) -> None:
    begun = datetime.now(UTC)
    done = shell.json("weights", "set", *MORE_WIN_RATE, "--reason", " steadier ")
    assert (done["version"], done["based_on"], done["ranked_again"]) == (2, 1, [])
    expected = DEFAULT_WEIGHTS | {"avg_win_rate": 14.0, "one_hour_performance": 11.0}
    assert done["weights"] == expected
    newest = versions(database)[-1]
    assert (newest.author, newest.reason, newest.weights) == ("manual", "steadier", expected)
    assert begun <= newest.in_force_from <= datetime.now(UTC)
    assert shell.json("weights", "diff", 1) == {
        "from": 1, "to": 2, "change": {"one_hour_performance": -4.0, "avg_win_rate": 4.0}
    }  # fmt: skip
    shown = shell("weights", "diff", 1, 2)
    assert "From version 1 to 2: 8.0 points" in shown
    assert "+4.0" in shown
    assert "the same weights" in shell("weights", "diff", 2)


def test_rollback_and_reset_are_new_versions(shell: Shell, database: str) -> None:
    shell("weights", "set", *MORE_WIN_RATE, "--reason", "steadier")
    shell("weights", "reset")
    shell("weights", "rollback", 2)
    found = versions(database)
    assert [v.reason for v in found[1:]] == ["steadier", "Back to the default weights", "Rollback to version 2"]
    assert found[2].weights == DEFAULT_WEIGHTS
    assert found[3].weights == found[1].weights
    history = shell.json("weights", "history", "--limit", 2)
    assert [(row["version"], row["moved"]) for row in history] == [(4, 8.0), (3, 8.0)]
    lines = shell("weights", "history").splitlines()
    assert [line.split()[0] for line in lines if line.strip()][2:] == ["4", "3", "2", "1"]
    assert "There is no version 12" in shell("weights", "rollback", 12, status=1)
    assert "nothing to change" in shell("weights", "rollback", 4, status=1)
    assert len(versions(database)) == 4


def test_a_set_from_a_file_and_scaled(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_text(json.dumps(dict.fromkeys(VARIABLE_NAMES, 1)))
    equal = shell.json("weights", "set", "--file", path, "--normalise", "--reason", "no opinion")["weights"]
    assert sorted(equal.values()) == [5.2] * 7 + [5.3] * 12
    path.write_text("[1]")
    assert "one JSON object of numbers" in shell("weights", "set", "--file", path, "--reason", "x", status=1)
    path.write_text("{")
    assert "is not JSON" in shell("weights", "set", "--file", path, "--reason", "x", status=1)
    assert "cannot be read" in shell("weights", "set", "--file", tmp_path / "none", "--reason", "x", status=1)


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["avg_win_rate=14", "--reason", "x"], "sum to 104.0, not 100.0 (--normalise to scale them)", 1),
        (["win_rate=14", "--reason", "x"], "unknown: win_rate", 1),
        (["avg_win_rate=10.05", "--reason", "x"], "one decimal", 1),
        (["avg_win_rate=nan", "--reason", "x"], "finite", 1),
        (["avg_win_rate", "--reason", "x"], "VARIABLE=WEIGHT", 2),
        (["avg_win_rate=14"], "A reason is required: --reason TEXT", 1),
        (["--reason", "x"], "Say what to change", 1),
        ([*MORE_WIN_RATE, "--reason", "x", "--based-on", "7"], "There is no version 7", 1),
    ],
)
def test_what_cannot_be_is_a_message_and_no_version(
    shell: Shell, database: str, arguments: list[str], message: str, status: int
) -> None:
    assert message in " ".join(shell("weights", "set", *arguments, status=status).split())
    assert len(versions(database)) == 1


def test_who_looked_at_an_older_version_is_told(shell: Shell, database: str) -> None:
    shell("weights", "set", *MORE_WIN_RATE, "--reason", "mine", "--based-on", 1)
    told = " ".join(shell("weights", "reset", "--based-on", 1, status=1).split())
    assert "Version 2 (manual: mine) is the latest, and this change builds on version 1: nothing was written." in told
    assert "--based-on 2" in told
    assert len(versions(database)) == 2
    shell("weights", "reset", "--based-on", 2)
    assert len(versions(database)) == 3


def test_a_named_set_comes_into_force(shell: Shell, database: str) -> None:
    done = shell.json("weights", "set", "--set", "recommended", "--reason", "half of it is slow")
    assert (done["weights"]["quarter_result"], done["weights"]["lifetime_result"]) == (25.0, 25.0)
    assert versions(database)[-1].weights == done["weights"]
    assert shell.json("weights", "set", "--set", "know_defeat", "--reason", "back")["weights"] == DEFAULT_WEIGHTS
    assert "Choose one of: recommended, know_defeat" in shell("weights", "set", "--set", "x", "--reason", "x", status=1)


@pytest.mark.long
def test_what_was_stale_before_a_change_is_no_ranking_of_the_running_day(shell: Shell, database: str) -> None:
    ended = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    trades = simulate("base", bots=3, days=4, seed=1, end=ended).trades
    load_trades(database, read_frame(trades, "simulator", datetime.now(UTC)), "fleet")
    shown = shell("weights", "set", *MORE_WIN_RATE, "--reason", "steadier")
    assert "It applies to days that end from now on." in shown
    assert "The running day is ranked with it." not in shown
    assert shell.json("rankings")


@pytest.mark.long
def test_the_running_day_is_ranked_with_the_new_weights(shell: Shell, database: str) -> None:
    close(database)
    today = datetime.now(UTC).date()
    shell("run", "--from", today, "--to", today)
    before = shell.json("rankings")
    done = shell.json("weights", "set", "avg_win_rate=-100", *(f"{n}=0" for n in VARIABLE_NAMES if n != "avg_win_rate"), "--reason", "x")  # fmt: skip
    assert done["ranked_again"] == [str(today)]
    after = shell.json("rankings")
    assert {row["weight_version"] for row in before} == {1}
    assert {row["weight_version"] for row in after} == {2}
    assert all(row["one_hour_performance_points"] == 0 for row in after)


def test_the_switch_of_the_daily_adjustment(shell: Shell) -> None:
    assert "The daily adjustment is off (holidays" in shell("weights", "disable-ai", "--reason", "holidays")
    assert shell.json("weights")["ai_enabled"] is False
    assert shell.json("weights", "enable-ai")["ai_enabled"] is True
    assert "A reason is required: --reason TEXT" in shell("weights", "disable-ai", "--reason", " ", status=1)


@pytest.mark.long
def test_adjusting_prints_what_became_of_each_day(shell: Shell, database: str) -> None:
    assert "knowdefeat run" in shell("weights", "adjust", status=1)
    end = datetime(2025, 3, 1, tzinfo=UTC)
    load_trades(
        database, read_frame(simulate("base", bots=6, days=30, seed=8, end=end).trades, "simulator", end), "fleet"
    )
    shell("run", "--all")
    done = shell.json("weights", "adjust")
    assert (done["from"], done["to"], len(done["days"])) == ("2025-01-30", "2025-02-28", 30)
    outcomes = [row["outcome"] for row in done["days"]]
    assert set(outcomes[:20]) == {"frozen"}
    assert outcomes.count("published") == len(versions(database)) - 1 > 3
    assert "There is nothing to adjust" in shell("weights", "adjust", "--from", "2025-03-01", status=1)
    shell("weights", "disable-ai", "--reason", "enough")
    shown = shell("weights", "adjust", "--from", "2025-02-01", "--to", "2025-02-28")
    assert f"{outcomes.count('published')} of 28 days published a version." in shown
    published = next(line for line in shown.splitlines() if line.split()[1:2] == ["published"])
    assert published.split()[2] == "2"
    assert end - timedelta(days=30) <= versions(database)[1].in_force_from < end


def test_a_day_of_which_no_gain_is_known_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    day = date(2024, 3, 1)
    row = {"day": day, "outcome": "kept", "version": None, "reason": "Too few bots"}
    show_attempts(
        [{**row, "evidence": {"gain": {"mean": None}}}, {**row, "evidence": {"gain": {"mean": 0.25}}}], day, day
    )
    unknown, known = (line for line in capsys.readouterr().out.splitlines() if "Too few bots" in line)
    assert "+0.250" in known
    assert "+0.250" not in unknown
