"""Fund settings, decisions about bots and allocations: what they are computed from, and what was decided.

Amounts are whole smallest units of their currency in the program and numeric in the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import pandas as pd
import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from knowdefeat_pipeline.core.funds.daily import Division, FundInputs
from knowdefeat_pipeline.core.funds.events import BotEvent
from knowdefeat_pipeline.core.funds.projection import AllocationRules
from knowdefeat_pipeline.core.funds.risk import RiskRules
from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.money import amount_of, smallest_units
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import WINDOW_DAYS
from knowdefeat_pipeline.postgres.connection import one_transaction, query
from knowdefeat_pipeline.store.bots import BotError, bot_keys, bot_names, named
from knowdefeat_pipeline.store.open_positions import read_positions
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


def fund_settings(connection: psycopg.Connection) -> list[FundSettings]:
    """All versions in the order in which they were recorded."""
    return [
        FundSettings(
            version=row["version"],
            in_force_from=row["in_force_from"],
            quote_currency=row["quote_currency"],
            funds=smallest_units(row["funds"], row["quote_currency"]),
            method=row["method"],
            allocation=AllocationRules(
                row["bot_cap"], row["ticker_cap"], smallest_units(row["minimum_ticket"], row["quote_currency"])
            ),
            risk=RiskRules(row["drawdown_limit"], row["daily_loss_limit"], timedelta(hours=row["cool_down_hours"])),
            caution=row["caution"],
            same_edge_limit=row["same_edge_limit"],
        )
        for row in reversed(settings_history(connection))
    ]


def save_settings(
    connection: psycopg.Connection, settings: FundSettings, author: str, reason: str, since: datetime | None = None
) -> int:
    """Record a new version; its number. It counts from `since`, by default from the last ranking's as_of; the first of
    a currency counts for every day."""
    with connection.transaction():
        first = not _one(
            connection, "SELECT EXISTS (SELECT FROM fund_settings WHERE quote_currency = %s)", settings.quote_currency
        )
        values = {
            "quote_currency": settings.quote_currency,
            "funds": amount_of(settings.funds, settings.quote_currency),
            "method": settings.method,
            "bot_cap": settings.allocation.bot_cap,
            "ticker_cap": settings.allocation.ticker_cap,
            "minimum_ticket": amount_of(settings.allocation.minimum, settings.quote_currency),
            "caution": settings.caution,
            "same_edge_limit": settings.same_edge_limit,
            "drawdown_limit": settings.risk.drawdown,
            "daily_loss_limit": settings.risk.daily_loss,
            "cool_down_hours": settings.risk.cool_down / timedelta(hours=1),
            "author": author,
            "reason": reason,
        } | ({"in_force_from": since or "-infinity"} if since or first else {})
        statement = sql.SQL("INSERT INTO fund_settings ({}) VALUES ({}) RETURNING version").format(
            sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
        )
        (version,) = _row(connection, statement, values)
    return int(version)


def bot_events(connection: psycopg.Connection) -> list[BotEvent]:
    """All decisions in the order in which they were recorded."""
    rows = connection.execute(
        "SELECT bot_id, kind, nullif(in_force_from, '-infinity'), author, reason, figures FROM bot_events "
        "ORDER BY event_id"
    ).fetchall()
    return [BotEvent(*row) for row in rows]


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


def set_active(
    connection: psycopg.Connection,
    bots: Sequence[str],
    active: bool,
    author: str,
    reason: str,
    since: datetime | None = None,
) -> list[str]:
    """Activate or deactivate bots, and record who decided it and why; the names of those that were not so before.

    It counts from `since`, by default from the last ranking's as_of. Raises BotError for a bot that is not there.
    """
    with connection.transaction():
        keys = bot_keys(connection, bots)
        _say(connection, author, reason, since)
        rows = connection.execute(
            "UPDATE bots SET is_active = %(active)s WHERE bot_id = ANY(%(bots)s) AND is_active <> %(active)s "
            "RETURNING bot_id",
            {"active": active, "bots": keys},
        ).fetchall()
    changed = {bot for (bot,) in rows}
    return [bot for bot, key in zip(bots, keys, strict=True) if key in changed]


def resume(
    connection: psycopg.Connection, bots: Sequence[str], author: str, reason: str, since: datetime | None = None
) -> None:
    """Let halted bots go on: their risk counts from `since`, by default from the last ranking's as_of.

    Raises BotError for a bot that is not there or not halted.
    """
    with connection.transaction():
        keys = bot_keys(connection, bots)
        halted = {row["bot_id"] for row in bots_table(connection) if row["halted"]}
        for bot, key in zip(bots, keys, strict=True):
            if key not in halted:
                raise BotError(f"Bot {bot} is not halted. See: knowdefeat bots")
        _say(connection, author, reason, since)
        connection.execute(
            "INSERT INTO bot_events (bot_id, kind, author, reason) "
            "SELECT bot, 'resumed', %s, %s FROM unnest(%s::integer[]) AS bot",
            (author, reason, sorted(set(keys))),
        )


def bots_table(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Every bot with its state, last place and last allocation."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("funds/bots_table")).fetchall()


def history(connection: psycopg.Connection, bot: str | None, limit: int) -> list[dict[str, Any]]:
    """The last decisions about all bots or one, the latest first; in_force_from None: always. Raises BotError."""
    key = None if bot is None else bot_keys(connection, [bot])[0]
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT event_id, bot_id, kind, nullif(in_force_from, '-infinity') AS in_force_from, author, reason, "
            "figures, recorded_at FROM bot_events WHERE %(bot)s::int IS NULL OR bot_id = %(bot)s "
            "ORDER BY event_id DESC LIMIT %(limit)s",
            {"bot": key, "limit": limit},
        ).fetchall()
    return named(rows, bot_names(connection))


def settings_history(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """All versions as records, the latest first; in_force_from None: always."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT version, quote_currency, nullif(in_force_from, '-infinity') AS in_force_from, funds, method, "
            "bot_cap, ticker_cap, minimum_ticket, caution, same_edge_limit, drawdown_limit, daily_loss_limit, "
            "cool_down_hours, author, reason, recorded_at FROM fund_settings ORDER BY version DESC"
        ).fetchall()


def latest_settings(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """The last version of each currency, by currency; in_force_from None: always."""
    latest = {row["quote_currency"]: row for row in reversed(settings_history(connection))}
    return [latest[currency] for currency in sorted(latest)]


def currencies(connection: psycopg.Connection) -> list[str]:
    """The currencies in which bots account."""
    return [row[0] for row in connection.execute("SELECT DISTINCT quote_currency FROM bots ORDER BY 1").fetchall()]


def allocation(connection: psycopg.Connection, day: date) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of `fund_allocation_days` and `fund_allocations` of a day: by currency, the largest amounts first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        days = cursor.execute("SELECT * FROM fund_allocation_days WHERE day = %s ORDER BY quote_currency", (day,))
        summaries = days.fetchall()
        rows = cursor.execute(
            "SELECT * FROM fund_allocations WHERE day = %s ORDER BY quote_currency, amount DESC, rank, bot_id", (day,)
        )
        return summaries, named(rows.fetchall(), bot_names(connection))


def allocation_days(connection: psycopg.Connection, currency: str, first: date, last: date) -> list[dict[str, Any]]:
    """The rows of `fund_allocation_days` of a currency on the days first..last, in order."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT * FROM fund_allocation_days WHERE quote_currency = %s AND day BETWEEN %s AND %s ORDER BY day",
            (currency, first, last),
        ).fetchall()


def unfunded(connection: psycopg.Connection) -> list[str]:
    """The currencies in which bots account and for which no funds are set."""
    return [
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT quote_currency FROM bots EXCEPT SELECT quote_currency FROM fund_settings ORDER BY 1"
        ).fetchall()
    ]


def _say(connection: psycopg.Connection, author: str, reason: str, since: datetime | None) -> None:
    """What the database records with the decisions of this transaction."""
    connection.execute(
        "SELECT set_config('knowdefeat.author', %s, true), set_config('knowdefeat.reason', %s, true), "
        "set_config('knowdefeat.in_force_from', %s, true)",
        (author, reason, since.isoformat() if since else ""),
    )


def _row(connection: psycopg.Connection, statement: Any, parameters: Any = ()) -> Sequence[Any]:
    (row,) = connection.execute(statement, parameters).fetchall()
    return row


def _one(connection: psycopg.Connection, statement: str, *parameters: Any) -> Any:
    return _row(connection, statement, parameters)[0]
