"""Which results are stale, and the marks by which that is known: one mechanism for all assets.

Each computed day of an asset notes its as_of, the snapshot in which its inputs were read, and the marks of the asset
days that it read. It is stale once one of these is no longer so. That is read from the database at every question and
never remembered by a process: whoever asks next finds it again until the results that follow are committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.reads import has_market_data

CHANNEL = "knowdefeat_trades"  # on which the database notifies of new trades
HORIZON_DAYS = 90  # days that were never computed count if they are no older than this


@dataclass(frozen=True)
class Family:
    """Assets that are computed together, each from the family's own and from `base`.

    `inputs`: of each asset the inputs of the view `changes` that it rests on. `base`: the asset whose computed days the
    family has to have too. `opening`: the inputs for whose sake a day is computed that never was. `chained`: assets of
    which each day moves on from the one before: later days are stale once an earlier one was computed after them.
    """

    name: str
    inputs: Mapping[str, Sequence[str]]
    base: str
    opening: Sequence[str] = ()
    chained: Sequence[str] = ()

    @property
    def assets(self) -> tuple[str, ...]:
        """The family's assets in the order in which they are computed."""
        return tuple(self.inputs)


OPEN = ("positions", "marks", "marking_bars")
"""What open positions rest on."""
RANKING = Family(
    "ranking",
    {
        "bot_metrics": ("trades", "capital", "scores", "results", *OPEN, "formulas"),
        "win_streaks": ("trades",),
        "bot_rankings": ("weights", "activity"),
        "bot_skill": ("trades", "strategies", "skill_formulas"),
        "variable_weights": ("next_weights",),
        "fund_allocations": (
            "trades",
            "capital",
            "activity",
            "resumption",
            "funds",
            "strategies",
            *OPEN,
            "lasting_halts",
        ),
    },
    base="bot_metrics",
    opening=("trades", "scores", "positions", "marks"),
)
# New trades reach the beliefs by way of the metrics, whose mark says at which instant a day is true. Allocations belong
# to both families: whoever computes what they may rest on computes them after it, so that neither waits for the other.
BELIEFS = Family(
    "beliefs",
    {
        "strategy_beliefs": ("ledger", "regimes", "strategies", "belief_formulas"),
        "strategy_weights": ("regimes",),
        "fund_allocations": (),
    },
    base="bot_metrics",
    chained=("strategy_weights",),
)
MARKET = Family("market", {"market_regimes": ("bars",), "trade_scores": ("bars", "books", "trades")}, base="")
FAMILIES = (MARKET, RANKING, BELIEFS)


@dataclass(frozen=True)
class Staleness:
    """What is stale of a family; nothing where `days` is empty.

    `days`: the stale days, in order, at `as_of`. `trades`: how many new trades made them so (0: something else did).
    `since`: the earliest recording of what they lack. `newest`: the last transaction among it, None where a day merely
    ended: the same days with the same `newest` are the same work. `computed_days`: how many days the family has.
    `settled`: the snapshot whose changes have all been followed, where there is a newer one (see `settle`).
    """

    family: Family
    days: tuple[date, ...]
    trades: int = 0
    since: datetime | None = None
    newest: int | None = None
    computed_days: int = 0
    settled: str | None = None
    as_of: datetime = field(kw_only=True)

    def __bool__(self) -> bool:
        return bool(self.days)

    @property
    def first(self) -> date:
        """The first stale day."""
        return self.days[0]

    @property
    def last(self) -> date:
        """The last stale day."""
        return self.days[-1]

    @property
    def batch(self) -> str:
        """A name that is the same while the work is the same."""
        return f"{self.family.name}/{self.first}/{self.last}/{self.newest or 'end of day'}"

    def part(self, days: int) -> tuple[date, date]:
        """The first and the last day of the next piece of work of at most so many days: the rest stays stale."""
        return self.first, min(self.last, self.first + timedelta(days=days - 1))


def stale_days(
    connection: psycopg.Connection, family: Family, as_of: datetime, first_day: date = date.min
) -> Staleness:
    """What is stale of a family at `as_of` (now); one indexed query that writes nothing.

    `first_day`: the first day that can be computed; market data of earlier ones count for nothing.
    """
    if family is MARKET:
        return _stale_market(connection, as_of, first_day)
    pairs = [(asset, name) for asset, inputs in family.inputs.items() for name in inputs]
    parameters = {
        "assets": list(family.assets),
        "resting": [asset for asset, _ in pairs],
        "inputs": [name for _, name in pairs],
        "base": family.base,
        "opening": list(family.opening),
        "chained": list(family.chained),
        "as_of": as_of,
        "horizon": max(first_day, as_of.date() - timedelta(days=HORIZON_DAYS)),
    }
    return _staleness(connection, family, "staleness/stale_days", parameters)


def _stale_market(connection: psycopg.Connection, as_of: datetime, first_day: date) -> Staleness:
    if not has_market_data(connection):
        return Staleness(MARKET, (), as_of=as_of)
    parameters = {"assets": list(MARKET.assets), "first": first_day, "as_of": as_of}
    return _staleness(connection, MARKET, "staleness/stale_market", parameters)


def _staleness(connection: psycopg.Connection, family: Family, name: str, parameters: Mapping[str, Any]) -> Staleness:
    # Both questions in one snapshot: what commits between them would be settled and never looked at.
    with connection.pipeline(), connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        followed = "SELECT followed_changes(%s, %s::text[])::text AS settled"
        (settled,) = cursor.execute(followed, (family.name, list(family.assets))).fetchall()
        (row,) = cursor.execute(query(name), {**parameters, **settled}).fetchall()
    return Staleness(family, **(row | {"days": tuple(row["days"]), "as_of": parameters["as_of"]}))


def settle(connection: psycopg.Connection, found: Staleness) -> None:
    """Note down which changes every day has followed, so that the next question need not look at them."""
    if found.settled is None:
        return
    others = [family.name for family in FAMILIES if family not in (found.family, MARKET)]
    connection.execute(
        query("staleness/settle"), {"family": found.family.name, "seen": found.settled, "others": others}
    )


@dataclass(frozen=True)
class Mark:
    """A computed day of an asset: when its figures are true, and what they rest on.

    `seen`: the snapshot in which inputs were read. `rests_on`: the marks of the asset days that were read, by asset,
    None where there was none. `number`: names this computation, `replaced` the one in whose place it was recorded; None
    until then.
    """

    day: date
    as_of: datetime
    seen: str
    rests_on: Mapping[str, int | None] = field(default_factory=dict)
    number: int | None = None
    replaced: int | None = None


def current_snapshot(connection: psycopg.Connection) -> str:
    """The transactions whose rows a read that begins now will see, at least. Take it before anything is read."""
    ((snapshot,),) = connection.execute("SELECT pg_current_snapshot()::text").fetchall()
    return str(snapshot)


def marks(connection: psycopg.Connection, asset: str, first: date, last: date) -> list[Mark]:
    """The marks of the asset's days first..last, in order: read them before what they describe."""
    rows = connection.execute(
        "SELECT day, as_of, seen::text, rests_on, mark FROM refreshed_days "
        "WHERE asset = %s AND day BETWEEN %s AND %s ORDER BY day",
        (asset, first, last),
    ).fetchall()
    return [Mark(*row) for row in rows]


def computed_days(connection: psycopg.Connection) -> dict[str, set[date]]:
    """The computed days of each asset of a family, stale ones among them."""
    rows = connection.execute("SELECT asset, array_agg(day) FROM refreshed_days GROUP BY asset").fetchall()
    none: dict[str, list[date]] = {asset: [] for family in FAMILIES for asset in family.assets}
    return {asset: set(days) for asset, days in (none | dict(rows)).items()}


def basis(
    connection: psycopg.Connection, asset: str, first: date, last: date, computed: Sequence[Mark] | None
) -> tuple[str, Sequence[Mark]]:
    """What a step rests on that reads the asset's days first..last: a snapshot taken before it reads, and their marks.

    `computed`: their marks, by the step of the same transaction that has just computed them, whose snapshot holds for
    what rests on them too. None: they are read.
    """
    if computed is None:
        return current_snapshot(connection), marks(connection, asset, first, last)
    return computed[0].seen if computed else "", computed


def mark(connection: psycopg.Connection, asset: str, first: date, last: date, days: Sequence[Mark]) -> list[Mark]:
    """Note what the asset's days first..last rest on, in the transaction that writes their rows; the marks as they are
    recorded, in order."""
    return marked(marking(connection, asset, first, last, days), days)


def marking(
    connection: psycopg.Connection, asset: str, first: date, last: date, days: Sequence[Mark]
) -> psycopg.Cursor[tuple[int, int | None]]:
    """As `mark`, of which the result is asked for by `marked`: in a pipeline the server works on it meanwhile."""
    noted = [
        {"day": f"{of.day}", "as_of": of.as_of.isoformat(), "seen": of.seen, "rests_on": dict(of.rests_on)}
        for of in days
    ]
    parameters = {"asset": asset, "first": first, "last": last, "days": Jsonb(noted)}
    return connection.execute(query("staleness/mark"), parameters)


def marked(marking: psycopg.Cursor[tuple[int, int | None]], days: Sequence[Mark]) -> list[Mark]:
    """These marks as they are recorded."""
    return [
        replace(of, number=number, replaced=replaced)
        for of, (number, replaced) in zip(days, marking.fetchall(), strict=True)
    ]
