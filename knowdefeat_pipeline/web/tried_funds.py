"""Funds as other settings would divide them: python -m knowdefeat_pipeline.web.tried_funds, asked by `aside`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.store.funds import allocation, settings_record
from knowdefeat_pipeline.store.reads import Record
from knowdefeat_pipeline.web.aside import found_aside
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Site

NOTHING = "There is no ranking on {day}. Compute it: knowdefeat run --from {day} --to {day}"


@dataclass(frozen=True)
class Tried:
    """A day's funds of one currency as they would be divided: the totals, and of each bot its amount and why, the
    largest first, beside what it was allocated that day (`amount_before`, None where it was none; `change`)."""

    day: date
    summary: Record
    rows: list[Record]

    @property
    def changed(self) -> int:
        """How many bots would get another amount."""
        return sum(row["amount"] != (row["amount_before"] or 0.0) for row in self.rows)


def tried(site: Site, settings: FundSettings, day: date) -> Tried:
    """The funds of a ranked day by these settings; nothing is written. Raises Problem: 404 for a day without ranking,
    429 while another is under way."""
    asked = {"day": day, "settings": settings_record(settings)}
    found = found_aside(__name__, site.live.url, asked)
    if not found["days"]:
        raise Problem(404, NOTHING.format(day=day))
    with site.connection() as connection:
        before = _amounts(connection, day, settings.quote_currency)
    rows = [
        row | {"amount_before": before.get(row["bot_id"]), "change": row["amount"] - before.get(row["bot_id"], 0.0)}
        for row in found["rows"]
    ]
    return Tried(day, found["days"][0], rows)


def _amounts(connection: psycopg.Connection, day: date, currency: str) -> dict[int, float]:
    _, rows = allocation(connection, day)
    return {row["bot_id"]: float(row["amount"]) for row in rows if row["quote_currency"] == currency}


def main() -> None:
    """Read a day and settings from standard input, write what they come to to standard output; JSON both."""
    from knowdefeat_pipeline.core.funds.daily import divide_days
    from knowdefeat_pipeline.postgres.connection import connect
    from knowdefeat_pipeline.store.bots import bot_names, bot_strategies, named
    from knowdefeat_pipeline.store.fund_division import as_records, fund_inputs
    from knowdefeat_pipeline.store.funds import settings_of
    from knowdefeat_pipeline.store.session import Session
    from knowdefeat_pipeline.web.answers import as_json

    asked, url = json.load(sys.stdin), os.environ["KNOWDEFEAT_DATABASE_URL"]
    day, settings = date.fromisoformat(asked["day"]), settings_of(asked["settings"])
    with connect(url) as connection:
        inputs, _ = fund_inputs(Session(url, connection), day, day, [settings])
        names, strategies = bot_names(connection), bot_strategies(connection)
    division = divide_days(inputs)
    rows = [row | {"strategy": strategies.get(row["bot_id"], "")} for row in named(as_records(division.rows), names)]
    found = {"days": as_records(division.days), "rows": sorted(rows, key=_place)}
    sys.stdout.write(as_json(found).body.decode())


def _place(row: Record) -> tuple[Any, ...]:
    """The largest amounts first, as `store.funds.allocation` has them."""
    return -row["amount"], row["rank"] is None, row["rank"] or 0, row["bot_id"]


def differing(settings: Sequence[str], was: Record | None, latest: Record | None, yours: Record) -> list[Record]:
    """In which settings the latest version is not what the second editor wants: what it was, is, and would be."""
    was, latest = was or {}, latest or {}
    return [
        {"setting": name, "was": was.get(name), "latest": latest.get(name), "yours": yours[name]}
        for name in settings
        if latest.get(name) != yours[name]
    ]


if __name__ == "__main__":
    main()
