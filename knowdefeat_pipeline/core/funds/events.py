"""Decisions about bots, by people and by the risk rules, and what they make of a bot at an as_of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class BotEvent:
    """A decision about a bot: kind is activated, deactivated, halted, released or resumed. `in_force_from`: None =
    always."""

    bot_id: int
    kind: str
    in_force_from: datetime | None
    author: str
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)


def inactive_bots(events: Sequence[BotEvent], at: datetime) -> dict[int, BotEvent]:
    """The deactivation of every bot that is inactive at that instant: the last decision recorded counts."""
    last = {e.bot_id: e for e in events_in_force(events, at) if e.kind in ("activated", "deactivated")}
    return {bot: event for bot, event in last.items() if event.kind == "deactivated"}


def halted_bots(events: Sequence[BotEvent], at: datetime) -> dict[int, BotEvent]:
    """The halt of every bot that is on record as halted at that instant."""
    known = [e for e in events_in_force(events, at) if e.kind in ("halted", "released", "resumed")]
    known.sort(key=lambda e: (e.in_force_from is not None, e.in_force_from))
    last = {e.bot_id: e for e in known}
    return {bot: event for bot, event in last.items() if event.kind == "halted"}


def events_in_force(events: Sequence[BotEvent], at: datetime) -> list[BotEvent]:
    return [e for e in events if e.in_force_from is None or e.in_force_from <= at]
