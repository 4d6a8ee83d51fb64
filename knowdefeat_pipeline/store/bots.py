"""Bots and their names: a name is turned into the key of a bot here, and a key into its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from shlex import quote
from typing import Any

import psycopg
import psycopg.rows
import psycopg.sql

from knowdefeat_pipeline.core.escaping import PLAIN_NAME, is_plain_name, printable, shortened
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import query


class BotError(KnowDefeatError):
    """A bot that is not there, or of which something cannot be said; the message says why and what to do."""

    page = "guides/importing.md#bots"


def bot_keys(connection: psycopg.Connection, names: Iterable[str]) -> list[int]:
    """The keys of the bots that answer to these names (present or former ones), in their order. The key of a bot that
    was given one by its name (a negative number) means it, too, unless a bot is called so.

    Raises BotError for a name that no bot has.
    """
    names = list(names)
    found: dict[str, int] = dict(
        connection.execute(
            "SELECT asked, b.bot_id FROM unnest(%s::text[]) AS asked "
            "LEFT JOIN bot_names AS k ON k.name = bot_name(asked) JOIN bots AS b ON b.bot_id = "
            "coalesce(k.bot_id, CASE WHEN asked ~ '^-[1-9][0-9]{0,8}$' THEN asked::integer END)",
            (names,),
        ).fetchall()
    )
    for name in names:
        if name not in found:
            raise BotError(
                f"There is no bot {shortened(printable(name))}.{_alike(connection, name)} List bots: knowdefeat bots"
            )
    return [found[name] for name in names]


def _alike(connection: psycopg.Connection, name: str) -> str:
    known = [known for (known,) in connection.execute("SELECT name FROM bots ORDER BY name").fetchall()]
    near = get_close_matches(name, known, n=3)
    return f" Did you mean {' or '.join(map(printable, near))}?" if near else ""


def count_bots(connection: psycopg.Connection) -> int:
    """How many bots there are."""
    ((found,),) = connection.execute("SELECT count(*) FROM bots").fetchall()
    return int(found)


def bot_names(connection: psycopg.Connection) -> dict[int, str]:
    """The name of each bot."""
    return dict(connection.execute("SELECT bot_id, name FROM bots").fetchall())


def inactive_bots(connection: psycopg.Connection) -> set[int]:
    """The bots that may receive no funds, as was decided last."""
    return {bot for (bot,) in connection.execute("SELECT bot_id FROM bots WHERE NOT is_active")}


def bot_currencies(connection: psycopg.Connection) -> dict[int, str]:
    """The currency in which each bot accounts."""
    return dict(connection.execute("SELECT bot_id, quote_currency FROM bots").fetchall())


def bot_strategies(connection: psycopg.Connection) -> dict[int, str]:
    """The strategy of every bot; one without is a strategy of its own."""
    columns = "SELECT coalesce(array_agg(bot_id), '{}'), coalesce(array_agg(strategy_id), '{}') FROM bot_strategies"
    ((bots, strategies),) = connection.execute(columns, binary=True).fetchall()
    return dict(zip(bots, strategies, strict=True))


def asking_leaders(connection: psycopg.Connection) -> psycopg.Cursor[tuple[list[int], list[int]]]:
    """The bots, ascending, and the first bot of each one's strategy, in one row: in a pipeline, what is asked of the
    server while the program goes on. One without a strategy is a strategy of its own."""
    return connection.execute(query("bots/strategies_led"), binary=True)


def named(rows: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Records with `bot`, the name of the bot, behind their `bot_id`; the key itself for a bot that has gone."""
    return [{key: value for name, held in row.items() for key, value in _named(name, held, names)} for row in rows]


def _named(name: str, value: Any, names: Mapping[int, str]) -> list[tuple[str, Any]]:
    return [(name, value), ("bot", names.get(value, str(value)))] if name == "bot_id" else [(name, value)]


def arriving_keys(
    connection: psycopg.Connection, names: Sequence[str], capital: Mapping[str, float]
) -> tuple[list[int], list[str]]:
    """The keys of the bots of a file, by their names in its order, inside the transaction that writes its trades; and
    notes.

    Bots that nobody knew get theirs in this order; they and their `capital` come with their trades. Of a bot that is
    known and of which nobody has stated the capital, it is stated by this; another one that was stated before stays.
    """
    amounts = [capital.get(name) for name in names]
    (keys,) = connection.execute(
        "SELECT arriving_keys(%s::text[], %s::double precision[])", (list(names), amounts)
    ).fetchone() or ([],)
    stated = [(key, amount) for key, amount in zip(keys, amounts, strict=True) if amount is not None]
    if not stated:
        return keys, []
    kept = connection.execute(
        query("bots/state_capital"), [list(part) for part in zip(*stated, strict=True)]
    ).fetchall()
    return keys, [
        f"bot {name} keeps the capital of {there:,.10g} {currency} that was stated before (the file says "
        f"{told:,.10g}); to change it: knowdefeat bots set {quote(name)} --capital {told:.10g}"
        for name, there, told, currency in kept
    ]


def set_bot(
    connection: psycopg.Connection,
    bot: str,
    *,
    name: str | None = None,
    capital: float | None = None,
    estimated: bool = False,
    currency: str | None = None,
    strategy: str | None = None,
    account: str | None = None,
) -> dict[str, Any]:
    """Change what is said of a bot; what is None stays. The bot as it is then.

    `estimated`: nobody states its capital any more. Raises BotError for a bot that is not there, a name that another
    bot has or had, and a currency other than that of its trades.
    """
    with connection.transaction():
        (key,) = bot_keys(connection, [bot])
        said: dict[str, Any] = {
            "name": name,
            "quote_currency": currency.upper() if currency else None,
            "strategy_id": strategy,
            "account": account,
            "capital": capital,
        }
        said = {column: value for column, value in said.items() if value is not None}
        if estimated:
            said["capital"] = None
        _check(connection, key, bot, said)
        try:
            for column, value in said.items():  # the columns are named above
                statement = psycopg.sql.SQL(
                    "UPDATE bots SET {column} = %s WHERE bot_id = %s AND {column} IS DISTINCT FROM %s"
                )
                connection.execute(statement.format(column=psycopg.sql.Identifier(column)), (value, key, value))
        except (psycopg.errors.UniqueViolation, psycopg.errors.CheckViolation) as error:
            raise BotError(_refusal(error, name)) from error
        return _bot(connection, key)


def _check(connection: psycopg.Connection, key: int, bot: str, said: Mapping[str, Any]) -> None:
    for column in ("name", "quote_currency", "strategy_id", "account"):
        text = said.get(column)
        if text is not None and not (text.strip() and is_plain_name(text)):
            raise BotError(f"'{shortened(printable(text))}' is no plain name; {PLAIN_NAME}.")
    if "quote_currency" in said:
        row = connection.execute(
            "SELECT quote_currency FROM trades WHERE bot_id = %s AND quote_currency <> %s LIMIT 1",
            (key, said["quote_currency"]),
        ).fetchone()
        if row:
            raise BotError(
                f"Bot {bot} has trades in {row[0]}, and sums never mix currencies. "
                f"Trades in {said['quote_currency']} need a bot of their own."
            )


def _refusal(error: psycopg.Error, name: str | None) -> str:
    if error.diag.constraint_name == "bots_own_number":
        return f"{name} is a number, and a number names the bot whose key it is. Choose a name that is no number."
    if isinstance(error, psycopg.errors.UniqueViolation):
        return f"Another bot has or had the name {name}, and still answers to it. Choose another one."
    return f"{error.diag.message_primary}"


def _bot(connection: psycopg.Connection, key: int) -> dict[str, Any]:
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        (row,) = cursor.execute(query("bots/bot"), (key,)).fetchall()
    return row
