"""Amounts that can be computed with: the code and the database mean the same, and within them every figure is a number."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import isfinite

import numpy as np
import psycopg
import pytest

from knowdefeat_pipeline.core.amounts import BOUND, LEAST_MONEY, LEAST_SIZE, is_impossible
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.canonical import COLUMNS, FIELDS, LEAST, Reason, validate
from knowdefeat_pipeline.store.results import bot_capital
from tests.sources.test_canonical import CLOSED, NOW, frame
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
AMOUNTS = [name for name in COLUMNS if FIELDS[name].kind in LEAST]
PRICES = ("entry", "exit", "mark", "entry_trigger", "exit_trigger")
PLAIN = {"entry_price": 100.0, "exit_price": 101.0, "notional": 1000.0, "fees": 0.0}
EDGES = [edge for bound in (LEAST_SIZE, LEAST_MONEY, BOUND) for edge in (np.nextafter(bound, 0), bound)]


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with connect(database) as connection:
        yield connection


def insert(
    connection: psycopg.Connection, number: int, bot: int = 1, at: datetime = END, **amounts: float | None
) -> None:
    row = {**PLAIN, "exit_time": at - timedelta(hours=1), "entry_time": at - timedelta(hours=2), **amounts}
    row |= {"source_trade_id": str(number), "bot_id": bot, "ticker": "A", "status": "closed"}
    row = {"direction": "LONG", **row}
    names = ", ".join(row)
    connection.execute(f"INSERT INTO trades ({names}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values()))


def takes(connection: psycopg.Connection, **amounts: float | None) -> bool:
    """Whether the table takes such a trade; it is gone again then."""
    try:
        with connection.transaction(force_rollback=True):
            insert(connection, 1, **amounts)
    except psycopg.errors.CheckViolation as error:
        return error.diag.constraint_name != "trades_possible_amounts"
    return True


@pytest.mark.parametrize("name", AMOUNTS)
def test_the_database_and_the_code_agree_on_every_bound(connection: psycopg.Connection, name: str) -> None:
    signs = (1.0, -1.0) if FIELDS[name].kind == "amount" else (1.0,)
    found = set()
    for value in [sign * float(edge) for edge in EDGES for sign in signs]:
        # No size where the amount would make the pnl itself impossible.
        trade = {**PLAIN, "notional": None, "reported_pnl": 5.0, name: value}
        valid, refused = validate(frame({**CLOSED, **trade}), NOW)
        possible = not is_impossible(np.array([value]), LEAST[FIELDS[name].kind])[0]
        assert len(valid) == possible, value
        assert refused[["reason", "field"]].to_numpy().tolist() == [[Reason.POISON, name]] * (not possible)
        assert takes(connection, **trade) == possible, value
        found.add(possible)
    assert found == {True, False}


def test_a_pnl_that_follows_from_possible_amounts_may_be_impossible_itself(connection: psycopg.Connection) -> None:
    trade = {**PLAIN, "entry_price": 1e-9, "notional": 1e10}
    valid, refused = validate(frame({**CLOSED, **trade}), NOW)
    assert valid.empty
    assert refused[["reason", "field"]].to_numpy().tolist() == [[Reason.POISON, "notional"]]
    assert not takes(connection, **trade)


@pytest.mark.parametrize(
    "amounts",
    [
        {"entry_price": 2e-9, "exit_price": 2.1e-9, "exit_trigger_price": 2e-9},
        {"entry_price": 1e-14, "exit_price": 1.1e-14, "notional": 1e-8},
        {"entry_price": 2.5e9, "exit_price": 2.6e9, "notional": 9e14, "fees": 1e9},
        {"notional": None, "reported_pnl": 2.7e-17},
        {"exit_price": 100.0, "fees": -0.0},
    ],
    ids=["memecoin", "in bitcoin", "in rupiah", "rounding", "nothing"],
)
def test_what_markets_know_is_possible(connection: psycopg.Connection, amounts: dict[str, float | None]) -> None:
    valid, refused = validate(frame({**CLOSED, **PLAIN, **amounts}), NOW)
    assert (len(valid), len(refused)) == (1, 0)
    assert takes(connection, **amounts)


def figures(connection: psycopg.Connection) -> list[tuple[str, str, float]]:
    """Every number of every table and view of results."""
    found = []
    for table in TABLES:
        cursor = connection.execute(f"SELECT * FROM {table}")
        names = [column.name for column in cursor.description or ()]
        for row in cursor.fetchall():
            found += [(table, name, value) for name, value in zip(names, row, strict=True) if isinstance(value, float)]
    return found


def extremes(rng: np.random.Generator) -> dict[str, float | None]:
    """Amounts anywhere within the bounds, most of them near one, whose pnl is possible too."""
    while True:
        size, money = (float(10.0 ** rng.choice([low, low / 2, 0, 7, 14.99])) for low in (-18, -100))
        fees, reported = (float(rng.choice([-1, 0, 1])) * money for _ in range(2))
        prices = {f"{name}_price": float(10.0 ** rng.choice([-18, -9, 0, 2, 14.99])) for name in PRICES}
        trade = {**prices, "fees": fees, "reported_pnl": reported, "notional": rng.choice([size, None])}
        trade["exit_price"] = float(rng.choice([prices["exit_price"], prices["entry_price"] * 1.01]))
        if len(validate(frame({**CLOSED, **trade}), NOW)[0]):
            return trade


def test_within_the_bounds_every_figure_is_a_number(connection: psycopg.Connection, database: str) -> None:
    """Bots of any possible capital, and days of trades of any possible amounts, beside a bot of everyday amounts."""
    rng = np.random.default_rng(7)
    capitals = [1e-18, 1e-9, 1.0, 1e4, 9.99e14]
    for number, capital in enumerate(capitals * 6, start=2):
        connection.execute("INSERT INTO bots (bot_id, capital) VALUES (%s, %s)", (number, capital))
        sort = extremes(rng)
        for trade in range(12):
            amounts = sort if number % 3 == 0 else extremes(rng)
            direction = "LONG" if trade % 3 else "SHORT"
            at = END - timedelta(hours=7 * trade)
            insert(connection, 100 * number + trade, number, at, **{"direction": direction, **amounts})
    insert(connection, 1)
    days.compute_stale(database, END)
    found = figures(connection)
    assert {table for table, *_ in found} >= {"bot_metrics", "bot_rankings", "variable_weights"}
    assert {name for name in found if not isfinite(name[2])} == set()


@pytest.mark.parametrize("capital", [5e-324, 1e300])
def test_a_capital_from_before_the_rule_stays_and_breaks_nothing(
    connection: psycopg.Connection, database: str, capital: float
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="bots_possible_capital"):
        connection.execute("INSERT INTO bots (bot_id, capital) VALUES (1, %s)", (capital,))
    connection.execute("ALTER TABLE bots DROP CONSTRAINT bots_possible_capital")
    connection.execute("INSERT INTO bots (bot_id, capital) VALUES (1, %s)", (capital,))
    for number in range(10):
        at = END - timedelta(hours=3 * number)
        insert(connection, number, 1, at, exit_price=101.0 if number % 3 else 98.0)
        insert(connection, 100 + number, 2, at)
    assert bot_capital(connection) == {1: min(max(capital, LEAST_SIZE), BOUND), 2: 10_000}
    days.compute_stale(database, END)
    assert {name for name in figures(connection) if not isfinite(name[2])} == set()
    ranked = connection.execute("SELECT DISTINCT bot_id FROM bot_rankings ORDER BY 1").fetchall()
    assert ranked == [(1,), (2,)]
    assert len(connection.execute("SELECT * FROM closed_trades").fetchall()) == 20
