"""Amounts that can be computed with: the code and the database mean the same, and within them every figure is a number."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.amounts import BOUND, LEAST_MONEY, LEAST_SIZE, UNITS_BOUND, is_impossible
from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.postgres.connection import close_idle, connect
from knowdefeat_pipeline.sources.canonical import POSSIBLE_SIZES, validate
from knowdefeat_pipeline.sources.fields import COLUMNS, FIELDS, Reason
from knowdefeat_pipeline.store.funds import save_settings
from tests.conftest import temporary_database
from tests.sources.test_canonical import CLOSED, NOW, frame
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
AMOUNTS = [name for name in COLUMNS if FIELDS[name].kind in POSSIBLE_SIZES]
PLAIN = {"entry_price": 100.0, "exit_price": 101.0, "notional": 1000.0, "fees": 0.0}
EDGES = [edge for bound in (LEAST_SIZE, LEAST_MONEY, BOUND) for edge in (float(np.nextafter(bound, 0)), bound)]
UNITS_EDGES = [float(np.nextafter(UNITS_BOUND, 0)), UNITS_BOUND]


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


def take(connection: psycopg.Connection, **amounts: float | None) -> None:
    """The table takes such a trade; it is gone again then."""
    with connection.transaction(force_rollback=True):
        insert(connection, 1, **amounts)


def refuse(connection: psycopg.Connection, **amounts: float | None) -> None:
    """The table refuses such a trade for its amounts, and for nothing else."""
    with pytest.raises(psycopg.errors.CheckViolation) as refusal, connection.transaction():
        insert(connection, 1, **amounts)
    assert refusal.value.diag.constraint_name in ("trades_possible_amounts", "trades_possible_terms")


@pytest.mark.parametrize("name", AMOUNTS)
def test_the_database_and_the_code_agree_on_every_bound(connection: psycopg.Connection, name: str) -> None:
    signs = (1.0, -1.0) if FIELDS[name].kind == "amount" else (1.0,)
    found = set()
    for value in [sign * edge for edge in [*EDGES, *UNITS_EDGES] for sign in signs]:
        # No size where the amount would make the pnl itself impossible; units at a price at which their size is possible.
        trade: dict[str, float | None] = {**PLAIN, "notional": None, "reported_pnl": 5.0, name: value}
        if name == "quantity":
            price = 100.0 if value < 1 else 1e-17
            trade |= {"entry_price": price, "exit_price": price}
        if name in ("entry_fee", "exit_fee"):
            del trade["fees"]
        valid, refused = validate(frame({**CLOSED, **trade}), NOW)
        possible = not is_impossible(np.array([value]), *POSSIBLE_SIZES[FIELDS[name].kind])[0]
        assert len(valid) == possible, value
        assert refused[["reason", "field"]].to_numpy().tolist() == [[Reason.POISON, name]] * (not possible)
        (take if possible else refuse)(connection, **trade)
        found.add(possible)
    assert found == {True, False}


def test_a_pnl_that_follows_from_possible_amounts_may_be_impossible_itself(connection: psycopg.Connection) -> None:
    trade = {**PLAIN, "entry_price": 1e-9, "notional": 1e10}
    valid, refused = validate(frame({**CLOSED, **trade}), NOW)
    assert valid.empty
    assert refused[["reason", "field"]].to_numpy().tolist() == [[Reason.POISON, "notional"]]
    refuse(connection, **trade)


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
    take(connection, **amounts)


def figures(connection: psycopg.Connection) -> list[tuple[str, str, float]]:
    """Every number of every table and view of results, and of what SQL makes of trades."""
    found = []
    for table in (*TABLES, "closed_trades", "report.fleet_daily"):
        cursor = connection.execute(f"SELECT * FROM {table}")
        names = [column.name for column in cursor.description or ()]
        for row in cursor.fetchall():
            found += [(table, name, value) for name, value in zip(names, row, strict=True) if isinstance(value, float)]
    return found


TIMES = 12  # that each trade is made, so that its bot is ranked
SIGNS = st.sampled_from([-1, 1])
WITHIN = st.one_of(st.sampled_from([LEAST_SIZE, EDGES[-2]]), st.integers(-18, 14).map(lambda power: 10.0**power))
MONEY_WITHIN = st.one_of(st.just(0.0), st.builds(lambda sign, power: sign * 10.0**power, SIGNS, st.integers(-100, 14)))
ANY = st.one_of(st.sampled_from(EDGES), st.floats(min_value=5e-324, allow_infinity=False))
ANY_MONEY = st.one_of(st.just(0.0), st.builds(lambda sign, size: sign * size, SIGNS, ANY))


@st.composite
def trades_of_any_amounts(draw: st.DrawFn) -> dict[str, Any]:
    """Most are within the bounds and exit near their entry, as otherwise nearly every pnl is impossible."""
    sizes, money = draw(st.sampled_from([(WITHIN, MONEY_WITHIN)] * 3 + [(ANY, ANY_MONEY)]))
    entry = draw(sizes)
    near = st.sampled_from([0.5, 0.999, 1.0, 1.001, 2.0]).map(lambda factor: min(max(entry * factor, 5e-324), 1e308))
    return {
        "direction": draw(st.sampled_from(["LONG", "SHORT"])),
        "entry_price": entry,
        "exit_price": draw(st.sampled_from([near, near, near, sizes]).flatmap(lambda prices: prices)),
        "notional": draw(st.one_of(st.none(), sizes)),
        "fees": draw(st.one_of(st.just(0.0), money)),
        "reported_pnl": draw(money),
        "entry_trigger_price": draw(st.one_of(st.none(), sizes)),
        "exit_trigger_price": draw(st.one_of(st.none(), sizes)),
    }


@pytest.mark.long
@settings(
    max_examples=int(os.environ.get("KNOWDEFEAT_HISTORIES", "15")),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink a history of runs takes minutes
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    trades=st.lists(trades_of_any_amounts(), min_size=8, max_size=30),
    capitals=st.lists(st.one_of(ANY, WITHIN), min_size=4, max_size=4),
)
def test_whatever_amounts_the_tables_accept_a_run_goes_through_and_every_figure_is_a_number(
    server_url: str, template: str, trades: list[dict[str, Any]], capitals: list[float]
) -> None:
    """Beside a bot of everyday amounts; and the reader accepts the same trades as the table."""
    with temporary_database(server_url, template) as url, connect(url) as connection:
        save_settings(connection, FundSettings("USD", 1000_00), "test", "a test", END - timedelta(days=30))
        for bot, capital in enumerate(capitals, start=2):
            with suppress(psycopg.errors.CheckViolation), connection.transaction():
                connection.execute("INSERT INTO bots (bot_id, capital) VALUES (%s, %s)", (bot, capital))
        accepted = []
        for number, amounts in enumerate(trades):
            valid, _ = validate(frame({**CLOSED, **amounts}), NOW)
            try:
                with connection.transaction():
                    insert(connection, number, 2 + number % len(capitals), END - timedelta(minutes=number), **amounts)
            except (psycopg.errors.CheckViolation, psycopg.errors.NumericValueOutOfRange):
                assert valid.empty, amounts
            else:
                assert len(valid) == 1, amounts
                accepted.append((number, amounts))
        event(f"accepted: {10 * (10 * len(accepted) // len(trades))} %")
        for again in range(1, TIMES):
            for number, amounts in accepted:
                at = END - timedelta(hours=9 * again, minutes=number)
                insert(connection, 1000 * again + number, 2 + number % len(capitals), at, **amounts)
            everyday = (101.0, 98.0, 100.0)[again % 3]
            insert(connection, 1000 * again + 999, 1, END - timedelta(hours=9 * again), exit_price=everyday)
        days.compute_stale(url, END)
        found = figures(connection)
        assert {table for table, *_ in found} >= {"bot_metrics", "bot_rankings", "variable_weights", "closed_trades"}
        assert [figure for figure in found if not isfinite(figure[2])] == []
        close_idle()


@pytest.mark.parametrize("capital", [5e-324, 9.9e-19, 1e15, 1e300])
def test_a_capital_that_cannot_be_computed_with_is_refused(connection: psycopg.Connection, capital: float) -> None:
    for statement in (
        "INSERT INTO bots (bot_id, capital) VALUES (1, %s)",
        "UPDATE bots SET capital = %s WHERE bot_id = 2",
    ):
        connection.execute("INSERT INTO bots (bot_id) VALUES (2) ON CONFLICT DO NOTHING")
        with pytest.raises(psycopg.errors.CheckViolation) as refusal:
            connection.execute(statement, (capital,))
        assert refusal.value.diag.constraint_name == "bots_possible_capital"
