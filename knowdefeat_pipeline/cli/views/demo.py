"""The demo: each bot with what is planted in it, what was found, and whether that is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from knowdefeat_pipeline.cli.views.output import out
from knowdefeat_pipeline.cli.views.skill import chance
from knowdefeat_pipeline.cli.views.tables import Justify, instant, number, table
from knowdefeat_pipeline.core.simulation.demo import DAMAGED
from knowdefeat_pipeline.core.simulation.findings import Found, Judged, Ordinary
from knowdefeat_pipeline.core.wording import counted

COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("planted", "left"),
    ("truth", "left"),
    ("found", "left"),
    ("right?", "left"),
)
R = "R: a bot's mean net result per trade in its own standard deviation. What is right of each: docs/start/demo.md"


def show_demo(bots: Sequence[Judged], ordinary: Ordinary, regimes: Mapping[str, float], as_of: datetime) -> None:
    """The planted bots, a row each, and below them what was found of the others and of the market."""
    planted = [bot for bot in bots if bot.is_right is not None]
    table(
        f"The demo as of {instant(as_of)}",
        COLUMNS,
        [
            (f"{bot.truth['role']}\n{bot.found.bot}", planted_in(bot.truth), found_of(bot.found), _mark(bot.is_right))
            for bot in planted
        ],
    )
    right = sum(bool(bot.is_right) for bot in planted)
    out.print(f"\n{right} of {len(planted)} are found.\n")
    out.print(
        f"The other {ordinary.bots} bots are ordinary: edges from {ordinary.least:+.2f} to {ordinary.largest:+.2f} R. "
        f"The rank correlation of the true edge with the place in the ranking is {number(ordinary.of_rank, 2, True)}, "
        f"with P(edge > 0) {number(ordinary.of_skill, 2, True)}. "
        f"{counted(ordinary.preferred, 'of them is', 'of them are')} called good or funded, "
        f"{ordinary.wrongly} without an edge above 0."
    )
    if regimes:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in regimes.items())
        out.print(f"The market is a random walk, and its order books tell nothing. Its bars are called: {shares}.")
    out.print(R, style="dim")


def planted_in(truth: Mapping[str, Any]) -> str:
    """What is true of a bot, in a few words; `truth`: a row of `Demo.truth`."""
    edge = f"edge {truth['edge']:+.2f} R" if abs(truth["edge"]) >= 0.005 else "no edge"
    match truth["role"]:
        case "duplicate":
            return f"{edge}: the trades of {truth['copies']} in another size"
        case "lucky":
            return f"{edge}: a few trades, and luck"
        case "survivor":
            return f"{edge}: the best of {truth['drawn']} such bots; no other is shown"
        case "turned":
            return f"{edge}, {truth['edge_after']:+.2f} R since {truth['since']:%Y-%m-%d}"
        case "grid":
            return f"{edge}: small wins, rare large losses"
        case "bag holder":
            return f"{edge}: never closes a loss"
        case "martingale":
            return f"{edge}: doubles its size after a loss"
        case "lottery":
            return f"{edge}: small losses, rare large wins"
        case "newcomer":
            return f"{edge}, for two days"
        case "broken feed":
            return f"{edge}; damaged: {_by_reason(DAMAGED)}"
    return edge


def found_of(found: Found) -> str:
    """What was found of a bot: its place, its skill, what is flagged, its money and its held rows."""
    parts = [f"rank {found.rank}" if found.rank is not None else f"not ranked: {found.unranked}"]
    if found.verdict:
        told = found.decision == "doubtful"  # with its P(edge > 0)
        parts.append(found.verdict if told else f"{found.verdict} (P(edge > 0) {chance(found.p_skill)})")
    if found.flag:
        parts.append("flagged" if found.decision == "halted" else found.flag)  # what halts it says the same
    if found.decision == "unranked":
        parts.append("gets nothing")
    elif found.amount is not None:
        given = f"gets {number(found.amount, 0)}" if found.amount else "gets nothing"
        parts.append(f"{given}: {found.reason}")
    if found.held:
        parts.append(f"held: {_by_reason(found.held)}")
    return "; ".join(parts)


def _by_reason(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(rows.items()))


def _mark(is_right: bool | None) -> Text:
    return Text("yes", "green") if is_right else Text("no", "red")
