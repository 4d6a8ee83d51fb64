"""`knowdefeat skill`, and skill beside the ranking and the bots."""

from pathlib import Path

import pytest

from tests.cli.conftest import Shell


def file(folder: Path) -> Path:
    """A bot that wins more than it loses, one that does not, and one that never lost, over 40 days."""
    path = folder / "trades.csv"
    rows = ["trade_id,bot,strategy,symbol,side,status,open_time,close_time,open_price,close_price,notional,fee"]
    for bot, prices in (("grid", (103, 102, 98)), ("trend", (103, 97, 98)), ("lucky", (101, 102, 103))):
        for n in range(90):
            when = f"2025-{1 + n // 3 // 28:02}-{1 + n // 3 % 28:02}"
            hour = 9 + n % 3
            rows.append(
                f"{bot}-{n},{bot},{bot}s,BTC-X,buy,closed,{when} {hour:02}:00,{when} {hour:02}:30,100,{prices[n % 3]},1000,0"
            )
    path.write_text("\n".join(rows))
    return path


@pytest.mark.long
def test_who_is_good_and_who_was_lucky(shell: Shell, tmp_path: Path) -> None:
    assert "Nothing has been computed yet. Run: knowdefeat run" in shell("skill", status=1)
    shell("run", "--trades", file(tmp_path), "--capital", "10000")
    answer = shell.json("skill")
    by_bot = {(row["bot"], row["time_window"]): row for row in answer["bots"]}
    assert {bot for bot, _ in by_bot} == {"grid", "trend", "lucky"}
    assert by_bot["grid", "lifetime"]["verdict"] == "good"
    assert by_bot["trend", "lifetime"]["verdict"] in ("losing", "likely losing")
    lucky = by_bot["lucky", "lifetime"]
    assert (lucky["verdict"], lucky["trades"]) == ("cannot be judged: 0 closed losses", 90)
    assert answer["expected_false_share"]["lifetime"] == 1 - by_bot["grid", "lifetime"]["p_skill"]

    shown = shell("skill")
    assert "cannot be judged: 0 closed losses" in shown
    assert "1 bot is good; expected share of false ones among them:" in shown
    assert "●" in shown
    alone = shell("skill", "--bot", "lucky")
    assert "Skill of bot lucky as of" in alone
    assert "90 days" in alone

    for command in ("rankings", "bots"):
        (row,) = [row for row in shell.json(command) if row["bot"] == "grid"]
        assert row["p_skill"] == by_bot["grid", "lifetime"]["p_skill"]
        assert (row["verdict"], row["edge_low"] > 0) == ("good", True)
        assert "P(edge > 0)" in shell(command)
    assert "expected share of false ones" in shell("rankings")


@pytest.mark.long
def test_a_picture_of_the_fleet(shell: Shell, tmp_path: Path) -> None:
    shell("run", "--trades", file(tmp_path), "--capital", "10000")
    picture = tmp_path / "skill.svg"
    assert "what is known of each bot's edge" in " ".join(shell("skill", "--picture", picture).split())
    drawn = picture.read_text()
    assert drawn.startswith("<svg")
    assert "(3 bots)" in drawn
    assert "write .svg" in shell("skill", "--picture", tmp_path / "skill.png", status=1)
    assert "No skill on 2001-01-01" in shell("skill", "--day", "2001-01-01", status=1)
