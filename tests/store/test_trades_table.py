"""The tables themselves, as bots see them that INSERT directly: constraints and triggers."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql

from knowdefeat_pipeline.core.trades.net_pnl import gross_pnl, net_pnl, notional_of, quantity_of, sizes_agree
from knowdefeat_pipeline.postgres.connection import connect

ENTRY = datetime(2025, 2, 11, 20, tzinfo=UTC)
OPEN = {"bot_id": 1, "ticker": "TSLA", "direction": "LONG", "entry_time": ENTRY, "entry_price": 200.0, "notional": 1e4}
CLOSED = {**OPEN, "status": "closed", "exit_time": ENTRY + timedelta(hours=1), "exit_price": 210.0, "fees": 3.0}


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with connect(database) as connection:
        yield connection


def insert(connection: psycopg.Connection, row: dict[str, Any]) -> int:
    statement = sql.SQL("INSERT INTO trades ({}) VALUES ({}) RETURNING trade_id").format(
        sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
    )
    row_id = connection.execute(statement, row).fetchone()
    assert row_id is not None
    return row_id[0]


def update(connection: psycopg.Connection, trade_id: int, **changes: Any) -> None:
    assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in changes]
    statement = sql.SQL("UPDATE trades SET {} WHERE trade_id = %(trade_id)s").format(sql.SQL(", ").join(assignments))
    connection.execute(statement, {**changes, "trade_id": trade_id})


def figures(connection: psycopg.Connection, trade_id: int) -> tuple[float | None, float | None]:
    row = connection.execute("SELECT pnl, reported_pnl FROM trades WHERE trade_id = %s", [trade_id]).fetchone()
    assert row is not None
    return row


def test_the_database_computes_the_net_pnl(connection: psycopg.Connection):
    assert figures(connection, insert(connection, CLOSED)) == (497.0, None)
    short = {**CLOSED, "direction": "SHORT"}
    assert figures(connection, insert(connection, short)) == (-503.0, None)
    assert figures(connection, insert(connection, OPEN)) == (None, None)


def test_a_wrong_pnl_becomes_the_reported_one(connection: psycopg.Connection):
    assert figures(connection, insert(connection, {**CLOSED, "pnl": 0.62})) == (497.0, 0.62)
    stated = {**CLOSED, "bot_id": 2, "pnl": 0.62, "reported_pnl": 0.5}
    assert figures(connection, insert(connection, stated)) == (497.0, 0.5)
    assert figures(connection, insert(connection, {**OPEN, "bot_id": 3, "pnl": 5.0})) == (None, 5.0)


def test_without_a_size_the_stated_pnl_is_taken(connection: psycopg.Connection):
    assert figures(connection, insert(connection, {**CLOSED, "notional": None, "pnl": 12.5})) == (12.5, 12.5)
    with pytest.raises(psycopg.errors.CheckViolation, match="a closed trade needs a size or its net pnl") as refusal:
        insert(connection, {**CLOSED, "bot_id": 2, "notional": None})
    assert refusal.value.diag.constraint_name == "trades_size_or_pnl"


COMPUTED = "direction, contract_type, pnl_basis, notional, quantity, contract_multiplier, entry_price, exit_price, fees, funding, reported_pnl, pnl"


def random_trades(number: int) -> dict[str, Any]:
    """Closed trades of all kinds, with the net pnl that the code computes."""
    random = np.random.default_rng(1)
    entry, leave, size, multiplier = np.exp(random.normal(0, 4, (4, number)))
    fees, funding, stated = random.normal(0, 10, (3, number))
    long, inverse, is_stated = random.random((3, number)) < [[0.5], [0.4], [0.1]]
    by_quantity = random.random(number) < 0.5
    notional = np.where(by_quantity, notional_of(size, multiplier, entry, inverse), size)
    quantity = np.where(by_quantity, size, np.where(inverse, quantity_of(size, multiplier, entry), np.nan))
    computed = net_pnl(gross_pnl(notional, quantity, multiplier, inverse, long, entry, leave), fees, funding)
    return {
        "direction": np.where(long, "LONG", "SHORT"),
        "contract_type": np.where(inverse, "inverse", "linear"),
        "pnl_basis": np.where(is_stated, "stated", "computed"),
        "notional": notional,
        "quantity": quantity.astype(object),
        "contract_multiplier": multiplier,
        "entry_price": entry,
        "exit_price": leave,
        "fees": fees,
        "funding": funding,
        "reported_pnl": np.where(is_stated, stated, None),
        "pnl": np.where(is_stated, stated, computed),
    }


def test_python_and_the_database_compute_the_same_bits(connection: psycopg.Connection):
    trades = random_trades(5000)
    trades["quantity"][[value != value for value in trades["quantity"]]] = None
    kinds = ["text"] * 3 + ["float8"] * 9
    arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
    inserted = connection.execute(
        f"INSERT INTO trades (bot_id, ticker, status, entry_time, exit_time, {COMPUTED}) "
        f"SELECT 1, 'X', 'closed', '2025-01-01', '2025-01-02', {COMPUTED} FROM unnest({arrays}) AS t({COMPUTED})",
        [trades[name].tolist() for name in COMPUTED.split(", ")],
    )
    assert inserted.rowcount == 5000
    # A pnl that differed in one bit would have been recomputed, and have become the reported one.
    counts = "count(*) FILTER (WHERE pnl_basis = 'computed' AND reported_pnl IS NOT NULL), count(pnl), count(notional)"
    assert connection.execute(f"SELECT {counts} FROM trades").fetchone() == (0, 5000, 5000)
    assert {name for name, *_ in connection.execute("SELECT DISTINCT contract_type, pnl_basis FROM trades")} == {
        "linear",
        "inverse",
    }


def written(connection: psycopg.Connection, trade_id: int, *columns: str) -> tuple[Any, ...]:
    row = connection.execute(f"SELECT {', '.join(columns)} FROM trades WHERE trade_id = %s", [trade_id]).fetchone()
    assert row is not None
    return row


def test_the_size_follows_from_units(connection: psycopg.Connection):
    future = {**CLOSED, "notional": None, "quantity": 2.0, "contract_multiplier": 50.0}
    # 2 contracts of 50 units, each 10 up, less 3 of fees.
    assert written(connection, insert(connection, future), "notional", "pnl") == (20_000.0, 997.0)
    coin = {
        **CLOSED,
        "bot_id": 2,
        "contract_type": "inverse",
        "entry_price": 50_000.0,
        "exit_price": 40_000.0,
        "fees": 0.001,
    }
    by_units = {**coin, "notional": None, "quantity": 10_000.0}
    by_size = {**coin, "source_trade_id": "s", "notional": 0.2, "exit_time": ENTRY + timedelta(hours=2)}
    for row in (by_units, by_size):
        # 10,000 dollars were 0.2 bitcoin and are 0.25 of them: a long loses 0.05.
        notional, quantity, pnl = written(connection, insert(connection, row), "notional", "quantity", "pnl")
        assert (notional, quantity) == (pytest.approx(0.2, rel=1e-15), pytest.approx(10_000, rel=1e-15))
        assert pnl == pytest.approx(0.2 - 0.25 - 0.001, rel=1e-12)


def test_funding_that_was_received_is_added(connection: psycopg.Connection):
    assert figures(connection, insert(connection, {**CLOSED, "funding": -9.0})) == (488.0, None)
    received = {**CLOSED, "bot_id": 2, "funding": 9.0}
    assert figures(connection, insert(connection, received)) == (506.0, None)


@pytest.mark.parametrize(
    ("given", "fees"),
    [
        ({"entry_fee": 1.0, "exit_fee": 2.0}, 3.0),
        ({"entry_fee": 1.0}, 1.0),
        ({"exit_fee": 2.0}, 2.0),
        ({"entry_fee": 0.1, "exit_fee": 0.2, "fees": 0.3}, 0.1 + 0.2),  # the same but for rounding
        ({"fees": 4.0}, 4.0),
    ],
)
def test_fees_are_the_sum_of_both_ends(connection: psycopg.Connection, given: dict, fees: float):
    row = {**{name: value for name, value in CLOSED.items() if name != "fees"}, **given}
    assert written(connection, insert(connection, row), "fees", "pnl") == (fees, 500.0 - fees)


@pytest.mark.parametrize("ends", [{"entry_fee": 1.0}, {"entry_fee": 1.0, "exit_fee": 1.0}])
def test_fees_that_are_not_the_sum_of_both_ends_are_refused(connection: psycopg.Connection, ends: dict):
    with pytest.raises(
        psycopg.errors.CheckViolation, match=r"trade \(bot, .+\): fees 3 are not the sum of entry_fee and exit_fee, \d"
    ):
        insert(connection, {**CLOSED, "fees": 3.0, **ends})


def test_a_bot_closes_its_trade_by_an_update(connection: psycopg.Connection):
    opened = {**OPEN, "notional": None, "quantity": 50.0, "entry_fee": 1.0}
    trade_id = insert(connection, opened)
    assert written(connection, trade_id, "notional", "fees", "pnl") == (10_000.0, 1.0, None)
    update(connection, trade_id, funding=-4.0)
    close = {"status": "closed", "exit_time": ENTRY, "exit_price": 210.0}
    update(connection, trade_id, **close, exit_fee=2.0, exits=2)
    assert written(connection, trade_id, "fees", "funding", "pnl", "pnl_basis", "exits") == (
        3.0,
        -4.0,
        493.0,
        "computed",
        2,
    )
    # The fees of the whole, of which it never said what the entry cost: not to be guessed.
    other = insert(connection, {**OPEN, "bot_id": 2, "fees": 1.0})
    with pytest.raises(psycopg.errors.CheckViolation, match="fees 1 are not the sum of entry_fee and exit_fee, 2"):
        update(connection, other, **close, exit_fee=2.0)
    update(connection, other, **close, fees=3.0)
    assert written(connection, other, "fees", "pnl") == (3.0, 497.0)


def test_the_path_of_who_writes_does_not_matter(connection: psycopg.Connection):
    connection.execute("SET search_path = pg_catalog")
    row = connection.execute(
        "INSERT INTO public.trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, "
        "quantity) VALUES (1, 'A', 'SHORT', 'closed', '2025-01-01', '2025-01-02', 100, 90, 2) RETURNING notional, pnl"
    ).fetchone()
    assert row == (200.0, 20.0)


def test_what_is_stated_counts_where_it_is_said_to(connection: psycopg.Connection):
    stated = {**CLOSED, "pnl_basis": "stated", "reported_pnl": 12.5}
    assert written(connection, insert(connection, stated), "pnl", "reported_pnl", "pnl_basis") == (12.5, 12.5, "stated")
    sized = {**CLOSED, "bot_id": 2, "reported_pnl": 12.5}
    assert written(connection, insert(connection, sized), "pnl", "pnl_basis") == (497.0, "computed")
    unsized = {**CLOSED, "bot_id": 3, "notional": None, "reported_pnl": 12.5}
    assert written(connection, insert(connection, unsized), "pnl", "pnl_basis") == (12.5, "stated")
    with pytest.raises(psycopg.errors.CheckViolation, match="a closed trade needs a size or its net pnl"):
        insert(connection, {**CLOSED, "bot_id": 4, "pnl_basis": "stated"})


@pytest.mark.parametrize(
    "instant", ["-infinity", "0044-03-15 BC", "1969-12-31 23:59:59.999999Z", "9999-01-01Z", "infinity"]
)
@pytest.mark.parametrize("column", ["entry_time", "exit_time", "entry_trigger_time", "exit_trigger_time"])
def test_a_time_that_no_trade_has_is_refused(connection: psycopg.Connection, column: str, instant: str):
    with pytest.raises(psycopg.errors.CheckViolation):
        insert(connection, {**CLOSED, column: instant})
    assert connection.execute("SELECT count(*) FROM trades").fetchone() == (0,)


def test_the_first_instant_of_1970_is_a_time_of_a_trade(connection: psycopg.Connection):
    insert(connection, {**CLOSED, "entry_time": "1970-01-01Z", "exit_time": "1970-01-01Z"})
    assert connection.execute("SELECT day FROM closed_trades").fetchone() == (date(1970, 1, 1),)


def test_closing_a_trade(connection: psycopg.Connection):
    trade_id = insert(connection, OPEN)
    update(connection, trade_id, status="pending_exit")
    with pytest.raises(psycopg.errors.CheckViolation, match="cannot go back from pending_exit to open"):
        update(connection, trade_id, status="open")
    update(connection, trade_id, status="closed", exit_time=ENTRY, exit_price=210.0)
    assert figures(connection, trade_id) == (500.0, None)
    with pytest.raises(psycopg.errors.CheckViolation, match=rf"trade {trade_id} \(bot, .+\) is closed and cannot be"):
        update(connection, trade_id, fees=1.0)


@pytest.mark.parametrize("change", [{"bot_id": 2}, {"source": "file"}, {"source_trade_id": "x"}])
def test_the_identity_of_a_trade_stays(connection: psycopg.Connection, change: dict):
    trade_id = insert(connection, OPEN)
    with pytest.raises(psycopg.errors.CheckViolation, match=f"the identity of trade {trade_id} cannot be changed"):
        update(connection, trade_id, **change)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"direction": "UP"}, "trades_direction_check"),
        ({"status": "gone", "exit_time": None, "exit_price": None}, "trades_status_check"),
        ({"ticker": "*"}, "trades_ticker_check"),
        ({"entry_price": -1.0}, "trades_possible_amounts"),
        ({"entry_price": float("nan")}, "trades_possible_amounts"),
        ({"exit_price": float("inf")}, "trades_possible_amounts"),
        ({"notional": -1.0}, "trades_possible_amounts"),
        ({"fees": float("nan")}, "trades_possible_amounts"),
        ({"contract_type": "perpetual"}, "trades_contract_type_check"),
        ({"pnl_basis": "claimed"}, "trades_pnl_basis_check"),
        ({"exits": 0}, "trades_exits_check"),
        ({"fee_currency": ""}, "trades_fee_currency_check"),
        ({"fee_currency": "B\nNB"}, "trades_fee_currency_check"),
        ({"quantity": 0.0}, "trades_possible_terms"),
        ({"leverage": -1.0}, "trades_possible_terms"),
        ({"contract_multiplier": float("inf")}, "trades_possible_terms"),
        ({"margin": 1e15}, "trades_possible_terms"),
        ({"signal_confidence": 55.0}, "trades_signal_confidence_check"),
        ({"exit_price": None}, "trades_closed_has_exit"),
        ({"status": "open"}, "trades_open_has_no_exit"),
        ({"exit_time": ENTRY - timedelta(seconds=1)}, "trades_exit_after_entry"),
    ],
)
def test_bad_values_are_refused_with_a_remedy(connection: psycopg.Connection, change: dict, constraint: str):
    with pytest.raises(psycopg.errors.CheckViolation, match=r"trade \(bot, 7\): .+ \(.+ = .+\)") as refusal:
        insert(connection, {**CLOSED, "source_trade_id": "7", **change})
    assert refusal.value.diag.constraint_name == constraint
    assert refusal.value.diag.message_hint
    assert connection.execute("SELECT count(*) FROM bots").fetchone() == (0,)


def test_every_rule_of_a_trade_is_said_in_words(connection: psycopg.Connection):
    rules = connection.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'trades'::regclass AND contype = 'c'"
        " AND pg_get_expr(conbin, conrelid) NOT LIKE '%refuse_trade%'"
    ).fetchall()
    # What the database completes before it looks, or says in words itself, cannot be broken by a writer.
    assert {name for (name,) in rules} == {"trades_pnl_agrees", "trades_fees_add_up", "trades_bot_by_key"}


@pytest.mark.parametrize(
    ("size", "agrees"),
    [
        ({"notional": 10_000.0, "quantity": 50.0}, True),
        ({"notional": 10_000.0, "quantity": 50.00004}, True),  # 8e-7 of it
        ({"notional": 10_000.0, "quantity": 50.0001}, False),  # 2e-6
        ({"notional": 10_000.0, "quantity": 5.0}, False),
        ({"notional": 10_000.0, "quantity": 5.0, "contract_multiplier": 10.0}, True),
        ({"notional": 50.0, "quantity": 10_000.0, "contract_type": "inverse"}, True),
        ({"notional": 10_000.0, "quantity": 50.0, "contract_type": "inverse"}, False),
    ],
)
def test_two_sizes_that_contradict_each_other_are_refused(connection: psycopg.Connection, size: dict, agrees: bool):
    if agrees:
        assert insert(connection, {**OPEN, **size})
        return
    with pytest.raises(psycopg.errors.CheckViolation, match=r"notional .+ and quantity .+ are two sizes") as refusal:
        insert(connection, {**OPEN, **size})
    assert "Write one of the two" in str(refusal.value.diag.message_hint)


def test_two_sizes_agree_in_python_as_in_the_database(connection: psycopg.Connection):
    random = np.random.default_rng(2)
    entry, multiplier, quantity = np.exp(random.normal(0, 2, (3, 200)))
    inverse = random.random(200) < 0.5
    off = 1 + random.choice([0.0, 9e-7, -9e-7, 1.1e-6, -1.1e-6, 0.5], 200)
    notional = notional_of(quantity, multiplier, entry, inverse) * off
    expected = sizes_agree(notional, quantity, multiplier, entry, inverse)
    assert expected.tolist() == (np.abs(1 - 1 / off) < 1e-6).tolist()
    for row in range(200):
        terms = {"contract_type": "inverse" if inverse[row] else "linear", "contract_multiplier": multiplier[row]}
        terms |= {"notional": notional[row], "quantity": quantity[row], "entry_price": entry[row]}
        try:
            with connection.transaction(force_rollback=True):
                insert(connection, {**OPEN, **terms})
            agrees = True
        except psycopg.errors.CheckViolation:
            agrees = False
        assert agrees == expected[row], terms


RECORDED = {
    "trades": "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, {}) VALUES (1, 'A', 'LONG', now(), 1, {})",
    "price_bars": "INSERT INTO price_bars (ticker, timeframe, open_time, open, high, low, close, volume, {})"
    " VALUES ('A', '1h', now(), 1, 1, 1, 1, 1, {})",
    "order_book_levels": "INSERT INTO order_book_levels (ticker, observed_at, side, price, size, {})"
    " VALUES ('A', now(), 'BID', 1, 1, {})",
    "bot_events": "INSERT INTO bot_events (bot_id, kind, author, reason, {}) VALUES (1, 'resumed', 'me', 'why', {})",
    "belief_ledger": "INSERT INTO belief_ledger (kind, reason, in_force_from, {}) VALUES ('reset', 'why', now(), {})",
    "input_changes": "INSERT INTO input_changes (input, since, {}) VALUES ('ledger', now(), {})",
}


@pytest.mark.parametrize("table", RECORDED)
@pytest.mark.parametrize("given", ["recorded_at", "recorded_xid"])
def test_when_a_row_was_recorded_is_the_databases_to_say(connection: psycopg.Connection, table: str, given: str):
    if (table, given) == ("belief_ledger", "recorded_xid"):
        return
    said: list[str] = []
    connection.add_notice_handler(lambda notice: said.append(str(notice.message_primary)))
    if table != "trades":
        insert(connection, OPEN)
    value = {"recorded_at": "'2020-01-01Z'", "recorded_xid": "'3'"}[given]
    connection.execute(RECORDED[table].format(given, value))
    true = {"recorded_at": "recorded_at > now() - interval '1 hour'", "recorded_xid": "recorded_xid > '3'"}[given]
    assert connection.execute(f"SELECT bool_and({true}) FROM {table}").fetchone() == (True,)
    assert said == [f"recorded_at and recorded_xid of {table} are the database's to say: what was given is replaced"]


def test_every_table_that_says_when_it_was_recorded_is_guarded(connection: psycopg.Connection):
    unguarded = connection.execute(
        "SELECT DISTINCT attrelid::regclass::text FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = attrelid"
        " WHERE attname = 'recorded_at' AND relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = attrelid AND tgenabled = 'A'"
        " AND tgfoid = 'recorded_here_and_now'::regproc)"
    ).fetchall()
    assert unguarded == [("cluster_identity",)]  # which nobody but the owner may write


def test_an_id_is_one_trade_of_its_source_and_bot(connection: psycopg.Connection):
    first, second = insert(connection, CLOSED), insert(connection, CLOSED)  # alike, and two trades
    assert first != second
    insert(connection, {**OPEN, "source_trade_id": "1"})
    insert(connection, {**OPEN, "source_trade_id": "1", "bot_id": 2})
    with pytest.raises(psycopg.errors.UniqueViolation, match="trades_source_key"):
        insert(connection, {**OPEN, "source_trade_id": "1", "ticker": "COIN"})


def test_the_future_is_refused_beyond_five_minutes(connection: psycopg.Connection):
    (now,) = connection.execute("SELECT now()").fetchone() or ()
    insert(connection, {**OPEN, "entry_time": now + timedelta(minutes=4)})
    with pytest.raises(
        psycopg.errors.CheckViolation, match=r"trade \(bot, .+\) lies in the future: .+ is later than now"
    ):
        insert(connection, {**OPEN, "entry_time": now + timedelta(minutes=6)})
    with pytest.raises(psycopg.errors.CheckViolation, match="lies in the future"):
        insert(connection, {**CLOSED, "exit_time": now + timedelta(minutes=6)})


def test_bots_register_themselves_with_their_first_trade(connection: psycopg.Connection):
    insert(connection, {**OPEN, "strategy_id": "ma", "quote_currency": "USDT"})
    rows = connection.execute("SELECT bot_id, strategy_id, quote_currency, capital, is_active FROM bots").fetchall()
    assert rows == [(1, "ma", "USDT", None, True)]
    insert(connection, {**CLOSED, "strategy_id": "rsi", "quote_currency": "USDT"})
    assert connection.execute("SELECT strategy_id FROM bots").fetchall() == [("ma",)]


def test_a_bot_trades_in_one_currency(connection: psycopg.Connection):
    insert(connection, OPEN)
    with pytest.raises(psycopg.errors.CheckViolation, match="is in EUR, but bot 1 accounts in USD: sums never mix"):
        insert(connection, {**CLOSED, "quote_currency": "EUR"})
    assert connection.execute("SELECT count(*) FROM trades").fetchone() == (1,)


def test_new_trades_are_announced(database: str, connection: psycopg.Connection):
    with connect(database) as listener:
        listener.execute("LISTEN knowdefeat_trades")
        insert(connection, OPEN)
        heard = list(listener.notifies(timeout=5, stop_after=1))
    assert [message.channel for message in heard] == ["knowdefeat_trades"]
