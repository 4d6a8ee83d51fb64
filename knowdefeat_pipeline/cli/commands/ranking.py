"""`rankings`: the bots in order, for a day."""

from __future__ import annotations

from knowdefeat_pipeline.cli.database import database, day_or_latest, require_rows
from knowdefeat_pipeline.cli.options import Day, Json
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.cli.views.ranking import show_ranking
from knowdefeat_pipeline.store.reads import last_ranked_day, ranking


def rankings(day: Day = None, json: Json = False) -> None:
    """The bots in order, with what moved each."""
    with database() as connection:
        day = day_or_latest(connection, day, "bot_rankings")
        rows = ranking(connection, day)
        ranked = any(row["eligible"] for row in rows)
        last = None if ranked else last_ranked_day(connection)
    if json:
        print_json(rows)
        return
    require_rows(rows, f"No ranking on {day}.")
    show_ranking(rows, rows[0]["as_of"])
    if last and last != day:
        out.print(f"The last day with a ranking is {last}. See it: knowdefeat rankings --day {last}")
