"""`skill`: which bots are good, and which cannot be told from luck."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from knowdefeat_pipeline.cli.database import database, day_or_latest, require_rows
from knowdefeat_pipeline.cli.options import Bot, CommandError, Day, Json
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.cli.views.skill import show_bot_skill, show_skill
from knowdefeat_pipeline.core.skill.verdicts import WINDOWS, Window, false_share
from knowdefeat_pipeline.store.bots import bot_keys
from knowdefeat_pipeline.store.reads import Record, skill_rows


def skill(
    day: Day = None,
    bot: Bot = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Also draw what is known of each bot's edge, as an .svg file.")
    ] = None,
    json: Json = False,
) -> None:
    """Good, or lucky: what each bot's results, its strategy's and the fleet's say of its edge."""
    if picture is not None:
        _check_picture(picture)
    with database() as connection:
        day = day_or_latest(connection, day, "bot_skill_rows")
        key = None if bot is None else bot_keys(connection, [bot])[0]
        rows = {window: skill_rows(connection, day, window, bot_id=key) for window in WINDOWS}
    lifetime = rows["lifetime"]
    if json:
        print_json({"day": day, "expected_false_share": _false_share(rows), "bots": [*lifetime, *rows["90 days"]]})
    else:
        require_rows(lifetime, f"No skill on {day}{f' for bot {bot}' if bot is not None else ''}.")
        show_skill(rows, day) if bot is None else show_bot_skill(rows)
    if picture is not None:
        _draw(lifetime, picture)
        if not json:
            out.print(f"{picture}: what is known of each bot's edge", style="dim")


def _false_share(rows: dict[Window, list[Record]]) -> dict[Window, float | None]:
    return {window: false_share([row["p_skill"] for row in good_bots(of)]) for window, of in rows.items()}


def good_bots(rows: list[Record]) -> list[Record]:
    """Those that are shown as good."""
    return [row for row in rows if row["verdict"] == "good"]


def _check_picture(path: Path) -> None:
    if path.suffix != ".svg":
        raise CommandError(f"{path}: write .svg")
    if not path.parent.is_dir():
        raise CommandError(f"{path}: there is no folder {path.parent}; make it first")


def _draw(rows: list[Record], path: Path) -> None:
    from knowdefeat_pipeline.assets.pictures import draw_skill  # with Dagster, which other uses can do without

    svg = draw_skill(pd.DataFrame(rows, columns=["bot", "edge", "edge_low", "edge_high", "p_skill"]))
    if svg is None:
        raise CommandError("There is no bot to draw on that day. See which days are there: knowdefeat db status")
    path.write_text(svg, encoding="utf-8")
