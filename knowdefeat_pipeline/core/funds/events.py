"""Decisions about bots, by people and by the risk rules, and what they make of a bot at an as_of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

EventKind = Literal["activated", "deactivated", "halted", "released", "resumed", "corrected"]
ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class BotEvent:
    """A decision about a bot, by a person or by the risk rules. `in_force_from`: None = always."""

    bot_id: int
    kind: EventKind
    in_force_from: datetime | None
    author: str
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)


def inactive_bots(events: Sequence[BotEvent], as_of: datetime) -> dict[int, BotEvent]:
    """The deactivation of every bot that is inactive at as_of: the last decision recorded counts."""
    last = {e.bot_id: e for e in events_in_force(events, as_of) if e.kind in ("activated", "deactivated")}
    return {bot: event for bot, event in last.items() if event.kind == "deactivated"}


def halted_bots(events: Sequence[BotEvent], as_of: datetime) -> dict[int, BotEvent]:
    """The halt of every bot that is on record as halted at as_of."""
    known = [e for e in events_in_force(events, as_of) if e.kind in ("halted", "released", "resumed")]
    known.sort(key=lambda event: event.in_force_from or ALWAYS)
    last = {e.bot_id: e for e in known}
    return {bot: event for bot, event in last.items() if event.kind == "halted"}


def events_in_force(events: Sequence[BotEvent], as_of: datetime) -> list[BotEvent]:
    """Those that count at as_of, in the order in which they were recorded."""
    return [e for e in events if e.in_force_from is None or e.in_force_from <= as_of]
