"""Fund settings, decisions about bots and allocations: what was set, what was decided, and what came of it.

Amounts are whole smallest units of their currency in the program and numeric in the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from knowdefeat_pipeline.core.funds.events import BotEvent
from knowdefeat_pipeline.core.funds.settings import AllocationRules, FundSettings, RiskRules
from knowdefeat_pipeline.core.money import amount_of, smallest_units
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.bots import BotError, bot_keys, bot_names, named

_LOCK = int.from_bytes(b"kdfunds", "big")  # the advisory lock of whoever records settings, for the transaction


def fund_settings(connection: psycopg.Connection) -> list[FundSettings]:
    """All versions in the order in which they were recorded."""
    return [settings_of(row) for row in reversed(settings_history(connection))]


def settings_of(row: Mapping[str, Any]) -> FundSettings:
    """The settings that a record of `fund_settings` says; amounts may be numbers of any kind."""
    currency = row["quote_currency"]
    return FundSettings(
        version=row.get("version", 0),
        in_force_from=row.get("in_force_from"),
        quote_currency=currency,
        funds=smallest_units(Decimal(str(row["funds"])), currency),
        method=row["method"],
        allocation=AllocationRules(
            row["bot_cap"], row["ticker_cap"], smallest_units(Decimal(str(row["minimum_ticket"])), currency)
        ),
        risk=RiskRules(row["drawdown_limit"], row["daily_loss_limit"], timedelta(hours=row["cool_down_hours"])),
        caution=row["caution"],
        same_edge_limit=row["same_edge_limit"],
    )


def settings_record(settings: FundSettings) -> dict[str, Any]:
    """What of a record of `fund_settings` people set."""
    currency = settings.quote_currency
    return {
        "quote_currency": currency,
        "funds": amount_of(settings.funds, currency),
        "method": settings.method,
        "bot_cap": settings.allocation.bot_cap,
        "ticker_cap": settings.allocation.ticker_cap,
        "minimum_ticket": amount_of(settings.allocation.minimum, currency),
        "caution": settings.caution,
        "same_edge_limit": settings.same_edge_limit,
        "drawdown_limit": settings.risk.drawdown,
        "daily_loss_limit": settings.risk.daily_loss,
        "cool_down_hours": settings.risk.cool_down / timedelta(hours=1),
    }


class FundsChanged(KnowDefeatError):
    """Other settings than those that a change builds on, `based_on` (0: none), are the `latest` by now (None: there
    are none); nothing was written."""

    def __init__(self, currency: str, latest: dict[str, Any] | None, based_on: int) -> None:
        self.latest, self.based_on = latest, based_on
        now = (
            f"Version {latest['version']} ({latest['author']}: {latest['reason']}) is the latest"
            if latest
            else ("There are no settings yet")
        )
        super().__init__(
            f"{now} of the funds in {currency}, and this change builds on "
            f"{f'version {based_on}' if based_on > 0 else 'none'}: nothing was written."
        )


def save_settings(
    connection: psycopg.Connection,
    settings: FundSettings,
    author: str,
    reason: str,
    since: datetime | None = None,
    based_on: int | None = None,
    simulated: bool = False,
) -> int:
    """Record a new version; its number. It counts from `since`, by default from the last ranking's as_of; the first of
    a currency counts for every day.

    `based_on`: the version that whoever decides looked at, 0 for none. `simulated`: it leaves with the simulated fleet.
    Raises FundsChanged where another one of the currency is the latest by now.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        latest = latest_of(connection, settings.quote_currency)
        first = latest is None
        if based_on is not None and based_on != (latest["version"] if latest else 0):
            raise FundsChanged(settings.quote_currency, latest, based_on)
        values = {
            **settings_record(settings),
            "author": author,
            "reason": reason,
            "simulated": simulated,
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


def bots_table(connection: psycopg.Connection, bot_id: int | None = None) -> list[dict[str, Any]]:
    """Every bot, or one, with its state, last place and last allocation."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("funds/bots_table"), {"bot": bot_id}).fetchall()


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


def latest_of(connection: psycopg.Connection, currency: str) -> dict[str, Any] | None:
    """The last version of a currency; None without one."""
    return next((row for row in latest_settings(connection) if row["quote_currency"] == currency), None)


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
