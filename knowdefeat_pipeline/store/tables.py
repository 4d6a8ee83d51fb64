"""Which table holds the rows of a result."""

from __future__ import annotations

# Results whose as_of, with what follows from it alone, stands in the mark of the day: a view of each, and the table of
# what a batch has to write.
ROWS = {
    "bot_metrics": "bot_metrics_rows",
    "win_streaks": "win_streaks_rows",
    "win_streak_summary": "win_streaks_rows",
    "bot_rankings": "bot_rankings_rows",
    "bot_skill": "bot_skill_rows",
    "variable_weights": "variable_weights_rows",
}


def stored(table: str) -> str:
    """The table that holds a result's rows."""
    return ROWS.get(table, table)
