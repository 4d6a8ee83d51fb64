"""Skill as a table, with each bot's interval drawn beside its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from rich.text import Text

from knowdefeat_pipeline.cli.views.output import Record, out
from knowdefeat_pipeline.cli.views.tables import Justify, instant, number, table, text
from knowdefeat_pipeline.core.skill.verdicts import Window, false_share

COLOURS = {"good": "green", "likely good": "green", "losing": "red", "likely losing": "red"}
WIDTH, NARROW = 33, 17  # of the drawn intervals, in terminals of at least 100 columns and in others
COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("bot", "left"),
    ("strategy", "left"),
    ("trades", "right"),
    ("edge (R)", "right"),
    ("P(edge > 0)", "right"),
    ("90 days", "right"),
    ("90 % interval", "drawn"),
    ("good, or lucky", "left"),
)


def verdict(row: Record) -> Text:
    """The word for a bot's skill, in its colour; a dash where it was not judged."""
    return Text(text(row["verdict"]), COLOURS.get(row["verdict"], ""))


def chance(p: float | None) -> str:
    """A probability in percent that is never shown as certain."""
    if p is None:
        return number(None)
    return "> 99.9 %" if p > 0.999 else "< 0.1 %" if p < 0.001 else f"{100 * p:.1f} %"


def show_skill(rows: Mapping[Window, Sequence[Record]], day: date) -> None:
    """The fleet's posteriors, the best first, and what share of the good ones is expected to be none."""
    lifetime, recent = rows["lifetime"], {row["bot_id"]: row for row in rows["90 days"]}
    scale = Scale.of(lifetime)
    table(
        f"Skill as of {instant(lifetime[0]['as_of'])} (lifetime; the picture runs from {scale.low:+.2f} to "
        f"{scale.high:+.2f} R)",
        COLUMNS,
        [
            (
                row["bot"],
                text(row["strategy_id"]),
                number(row["trades"]),
                number(row["edge"], 3, sign=True),
                chance(row["p_skill"]),
                chance(recent[row["bot_id"]]["p_skill"]) if row["bot_id"] in recent else number(None),
                scale.draw(row),
                verdict(row),
            )
            for row in lifetime
        ],
        spare=("strategy", "trades", "90 days", "90 % interval"),
    )
    explain_good([row for row in lifetime if row["verdict"] == "good"])
    same = lifetime[0]["p_same_edge"]
    if same is not None:
        out.print(f"P(all bots have one edge) is {chance(same)}; if they have, their order is luck.")
    out.print(
        "R: a bot's mean net result per trade in its own standard deviation. The probability is shrunk to the bot's "
        "strategy and the fleet; luck that bots share on the same days counts once.",
        style="dim",
    )


def explain_good(good: Sequence[Record]) -> None:
    """Below a list of bots: how many of the good ones are expected to be none."""
    share = false_share([row["p_skill"] for row in good])
    if share is None:
        out.print("No bot can be called good yet (P(edge > 0) of at least 95 %).")
    else:
        are = "bot is" if len(good) == 1 else "bots are"
        out.print(f"{len(good):,} {are} good; expected share of false ones among them: {share:.1%}.")


def show_bot_skill(rows: Mapping[Window, Sequence[Record]]) -> None:
    """One bot, a window a row."""
    found = [row for of in rows.values() for row in of]
    scale = Scale.of(found)
    table(
        f"Skill of bot {found[0]['bot']} as of {instant(found[0]['as_of'])}",
        (
            ("window", "left"),
            ("trades", "right"),
            ("edge (R)", "right"),
            ("from", "right"),
            ("to", "right"),
            ("P(edge > 0)", "right"),
            ("90 % interval", "drawn"),
            ("good, or lucky", "left"),
        ),
        [
            (
                row["time_window"],
                number(row["trades"]),
                number(row["edge"], 3, sign=True),
                number(row["edge_low"], 3, sign=True),
                number(row["edge_high"], 3, sign=True),
                chance(row["p_skill"]),
                scale.draw(row),
                verdict(row),
            )
            for row in found
        ],
        spare=("90 % interval",),
    )


class Scale:
    """Where edges stand in a line of characters that runs from `low` to `high` (R), 0 among them."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.width = WIDTH if out.width >= 100 else NARROW

    @classmethod
    def of(cls, rows: Sequence[Record]) -> Scale:
        """One that has room for every interval."""
        low, high = min(row["edge_low"] for row in rows), max(row["edge_high"] for row in rows)
        return cls(min(low, 0.0), max(high, 0.0))

    def draw(self, row: Record) -> str:
        """The interval, its mean as ●, and 0 as │.

        >>> Scale(-1.0, 1.0).draw({"edge_low": 0.25, "edge": 0.5, "edge_high": 0.75}).strip()
        '│   ────●────'
        """
        line = [" "] * self.width
        line[self._place(0.0)] = "│"
        for at in range(self._place(row["edge_low"]), self._place(row["edge_high"]) + 1):
            line[at] = "─" if line[at] == " " else "┼"
        line[self._place(row["edge"])] = "●"
        return "".join(line)

    def _place(self, edge: float) -> int:
        span = self.high - self.low
        return round((edge - self.low) / span * (self.width - 1)) if span > 0 else 0
