"""What imports say of bots, their strategy and their capital, in the order of the imports. What a person says holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg

from knowdefeat_pipeline.postgres.connection import query


class About(NamedTuple):
    """What is said of a bot; None: nothing."""

    strategy: str | None
    capital: float | None


@contextmanager
def as_imports_say(connection: psycopg.Connection, names: Iterable[str], undone: int | None = None) -> Iterator[None]:
    """Let what is recorded or taken away within leave bots as the imports say that are left then, in the caller's
    transaction.

    `names`: of the bots, known or not. Where a bot was not as imports said (`undone`: with this one), a person had said
    otherwise, and it stays so. New bots enter the table of bots at the end.
    """
    names = [*names]
    before = _as_they_say(connection, names, undone)
    yield
    let_bots_arrive(connection)
    stands, holds = {}, {}
    for bot, (said, stands[bot]) in _as_they_say(connection, names).items():
        said_before, stood = before.get(bot, (said, said))
        holds[bot] = About(
            said.strategy if stood.strategy == said_before.strategy else stood.strategy,
            said.capital if stood.capital == said_before.capital else stood.capital,
        )
    changed = [bot for bot in holds if holds[bot] != stands[bot]]
    told = {"bots": changed} | {name: [getattr(holds[bot], name) for bot in changed] for name in About._fields}
    connection.execute(query("bots/set_strategies"), told)
    connection.execute(query("bots/set_capitals"), told)


def let_bots_arrive(connection: psycopg.Connection) -> None:
    """Let the new bots of this transaction enter the table of bots now, not at its commit."""
    connection.execute("SET CONSTRAINTS names_arrive, bots_arrive IMMEDIATE")
    connection.execute("SET CONSTRAINTS names_arrive, bots_arrive DEFERRED")


def _as_they_say(
    connection: psycopg.Connection, names: list[str], undone: int | None = None
) -> dict[int, tuple[About, About]]:
    """Of each bot that is known, what imports say and what stands."""
    found = connection.execute(query("bots/imports_say"), {"names": names, "undone": undone}).fetchall()
    return {bot: (About(*said[:2]), About(*said[2:])) for bot, *said in found}
