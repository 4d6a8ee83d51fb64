"""The division of the funds: what it is computed from, and writing it.

Amounts are whole smallest units of their currency in the program and numeric in the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache

import pandas as pd
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from knowdefeat_pipeline.core.funds.daily import Division, FundInputs
from knowdefeat_pipeline.core.funds.events import BotEvent
from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.money import amount_of
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import WINDOW_DAYS
from knowdefeat_pipeline.postgres.connection import one_transaction, query
from knowdefeat_pipeline.store.funds import bot_events, fund_settings
from knowdefeat_pipeline.store.open_positions import read_positions
from knowdefeat_pipeline.store.reads import Record
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark, basis, mark, marks

MONEY = ("amount", "funds", "allocated", "cash")
BOT_COLUMNS = (
    "day", "bot_id", "quote_currency", "capital", "capital_is_estimated", "ticker", "rank", "rank_score", "unranked",
    "p_skill", "p_same_edge", "bot", "edge",
)  # fmt: skip


def fund_inputs(
    session: Session,
    first: date,
    last: date,
    settings: Sequence[FundSettings] | None = None,
    *,
    ranked: Sequence[Mark] | None = None,
    judged: Sequence[Mark] | None = None,
) -> tuple[FundInputs, list[Mark]]:
    """What the ranked days first..last are allocated from, and the marks of days that are.

    `settings` to try in place of those that are recorded. `ranked`, `judged`: the marks of their rankings and of their
    skill, by whoever has just written these; they are read by default.
    """
    connection = session.connection
    seen, ranked = basis(connection, "bot_rankings", first, last, ranked)
    settings = fund_settings(connection) if settings is None else settings
    days = [(of.day, of.as_of) for of in ranked]
    trades, positions = Trades.none(), None
    if days and settings:
        positions = read_positions(connection, days)
        known = session.trades(days[0][1] - timedelta(days=WINDOW_DAYS), days[-1][1])
        trades, seen = known.trades, known.seen
    believing = any(version.method == "belief_edge" for version in settings)
    believed = {of.day: of.number for of in marks(connection, "strategy_beliefs", first, last)} if believing else {}
    judged = marks(connection, "bot_skill", first, last) if judged is None else judged
    skill = {of.day: of.number for of in judged}
    # Where no funds are set, as for most fleets, there is nothing to divide.
    bots = _ranked_bots(connection, first, last, believing) if settings else _no_bots()
    events = bot_events(connection) if settings else []
    own = [
        Mark(
            of.day,
            of.as_of,
            seen,
            {"bot_rankings": of.number, "bot_skill": skill.get(of.day)}
            | ({"strategy_beliefs": believed.get(of.day)} if believing else {}),
        )
        for of in ranked
    ]
    return FundInputs(days, bots, trades, settings, events, positions), own


@cache
def _no_bots() -> pd.DataFrame:
    return pd.DataFrame(columns=list(BOT_COLUMNS))


def _ranked_bots(connection: psycopg.Connection, first: date, last: date, believing: bool) -> pd.DataFrame:
    days = {"first": first, "last": last}
    rows = connection.execute(query("funds/fund_bots"), days).fetchall()
    beliefs = connection.execute(query("funds/fund_edges"), days).fetchall() if believing else []
    edges = {(day, bot): edge for day, bot, edge in beliefs}
    bots = pd.DataFrame([(*row, edges.get(row[:2])) for row in rows], columns=list(BOT_COLUMNS))
    numbers = dict.fromkeys(("capital", "rank_score", "p_skill", "p_same_edge", "edge"), "float64")
    return bots.astype({**numbers, "rank": "Int32"})


def write_division(
    connection: psycopg.Connection, first: date, last: date, division: Division, days: list[Mark]
) -> list[Mark]:
    """Replace the allocations of the days first..last and record the rules' new decisions, in one transaction; the
    marks as they are recorded."""
    with one_transaction(connection):
        with connection.pipeline():  # none waits for another's answer
            for table in ("fund_allocations", "fund_allocation_days"):
                connection.execute(f"DELETE FROM {table} WHERE day BETWEEN %s AND %s", (first, last))  # noqa: S608 (fixed names)
            recorded = mark(connection, "fund_allocations", first, last, days)
        _copy(connection, "fund_allocations", division.rows)
        _copy(connection, "fund_allocation_days", division.days)
        if division.events:
            _record(connection, division.events)
    return recorded


def _record(connection: psycopg.Connection, events: Sequence[BotEvent]) -> None:
    rows = [(e.bot_id, e.kind, e.in_force_from, e.author, e.reason, Jsonb(dict(e.figures))) for e in events]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO bot_events (bot_id, kind, in_force_from, author, reason, figures) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            rows,
        )


def _copy(connection: psycopg.Connection, table: str, rows: pd.DataFrame) -> None:
    """Append the rows, smallest units as amounts and what is missing as NULL (bulk writing knows no numeric)."""
    if rows.empty:
        return
    plain = as_amounts(rows).astype(object)
    plain = plain.where(plain.notna(), None)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in plain.itertuples(index=False, name=None):
            copy.write_row(row)


def as_amounts(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with their money, in smallest units of their quote_currency, as amounts."""
    currency = rows["quote_currency"].tolist()
    money = {name: list(map(amount_of, rows[name].tolist(), currency)) for name in MONEY if name in rows}
    return rows.assign(**{name: pd.Series(amounts, rows.index, dtype=object) for name, amounts in money.items()})


def as_records(rows: pd.DataFrame) -> list[Record]:
    """The rows as the database would hold them: smallest units as amounts, what is missing as None."""
    plain = as_amounts(rows).astype(object)
    found: list[Record] = plain.where(plain.notna(), None).to_dict("records")  # type: ignore[assignment]
    return [row | {"as_of": row["as_of"].to_pydatetime()} for row in found]
