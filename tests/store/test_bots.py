"""Names of bots: any text, one bot each, whoever writes it and in whatever order."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.escaping import is_plain_name
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.store.bots import BotError, bot_keys, bot_names, named, set_bot
from knowdefeat_pipeline.store.trades import LoadReport, load_trades
from tests.store.test_writers import AT, rows

NOW = datetime(2026, 12, 1, tzinfo=UTC)
CASES = Path("cases")
INSERT = (
    "INSERT INTO trades (bot_name, ticker, direction, entry_time, entry_price, notional, quote_currency)"
    " VALUES (%s, 'X', 'LONG', %s, 1, 1, %s) RETURNING bot_id"
)
HEADER = "trade_id,bot,symbol,side,status,open_time,close_time,open_price,close_price,notional"
HOUR = "2026-11-02 09:00,2026-11-02 10:00,100,101,1000"


def write(connection: psycopg.Connection, name: str, currency: str = "USD") -> int:
    at = AT + timedelta(seconds=random.random())
    ((key,),) = connection.execute(INSERT, (name, at, currency)).fetchall()
    return key


def ingest(
    url: str, folder: Path, *bots: str, header: str = HEADER, tails: list[str] | None = None, **options
) -> LoadReport:
    lines = [f"{number},{bot},X{number},buy,closed,{HOUR}" for number, bot in enumerate(bots)]
    lines = [line + tail for line, tail in zip(lines, tails or [""] * len(lines), strict=True)]
    path = folder / "trades.csv"
    path.write_text("\n".join([header, *lines]))
    return load_trades(url, read_trades(path, now=NOW, **options), path.name)


def of_case(url: str, shared_data: Path, name: str) -> LoadReport:
    path = shared_data / "cases" / name
    return load_trades(url, read_trades(path, now=NOW), path.name)


def test_bots_of_any_name_load(database: str, shared_data: Path) -> None:
    for name, trades in (("bybitbots.csv", 3), ("uuid.csv", 2)):
        report = of_case(database, shared_data, name)
        assert (report.inserted, sum(report.quarantined.values())) == (trades, 0)
    # A number below 2^31 is its own key; the other names got theirs in the order of the files.
    assert rows(database, "SELECT bot_id, name FROM bots ORDER BY 1 DESC") == [
        (8800001, "8800001"),
        (-1, "635138577566547135"),
        (-2, "550e8400-e29b-41d4-a716-446655440000"),
        (-3, "grid-eth-01"),
    ]
    assert rows(database, "SELECT bot_id, count(*) FROM trades GROUP BY 1 ORDER BY 1") == [
        (-3, 1), (-2, 1), (-1, 2), (8800001, 1)
    ]  # fmt: skip
    assert sum(of_case(database, shared_data, name).unchanged for name in ("bybitbots.csv", "uuid.csv")) == 5


def test_ids_of_trades_are_texts(database: str, shared_data: Path) -> None:
    assert of_case(database, shared_data, "bigids.csv").inserted >= 6
    ids = {found for (found,) in rows(database, "SELECT source_trade_id FROM trades")}
    assert {"9223372036854775808", "9223372036854775809", "0xabc…def"} <= ids


def test_a_number_is_one_name_however_it_is_written(database: str, tmp_path: Path) -> None:
    ingest(database, tmp_path, "7", "007", "7.0", "+7", "7a", "-7", "2147483648", "9223372036854775807")
    found = [("-7", -2), ("2147483648", -3), ("7", 7), ("7a", -1), ("9223372036854775807", -4)]
    assert rows(database, 'SELECT name, bot_id FROM bots ORDER BY name COLLATE "C"') == found
    assert rows(database, "SELECT count(*) FROM trades WHERE bot_id = 7") == [(4,)]


def test_direct_writers_may_name_their_bot(database: str) -> None:
    with connect(database) as connection:
        keys = [write(connection, name) for name in ("grid-eth-01", "7", "grid-eth-01", " 007 ")]
        assert keys == [-1, 7, -1, 7]
        with connection.transaction():  # before the bot has arrived too
            assert [write(connection, "new"), write(connection, "new")] == [-2, -2]
        assert bot_names(connection) == {-1: "grid-eth-01", 7: "7", -2: "new"}
        assert rows(database, "SELECT count(*) FROM trades WHERE bot_name IS NOT NULL") == [(0,)]
        assert rows(database, "SELECT count(*) FROM arriving_names") == [(0,)]


@pytest.mark.parametrize(
    ("columns", "values", "error", "message"),
    [
        ("ticker", "'X'", psycopg.errors.NotNullViolation, "names no bot"),
        ("bot_name, ticker", "' ', 'X'", psycopg.errors.NotNullViolation, "names no bot"),
        ("bot_name, ticker", "E'a\\nb', 'X'", psycopg.errors.CheckViolation, "no plain name"),
        ("bot_id, bot_name, ticker", "8, '7', 'X'", psycopg.errors.CheckViolation, "bot_id 8 is not the bot"),
        ("bot_id, ticker", "-8, 'X'", psycopg.errors.ForeignKeyViolation, "no bot with the key -8"),
    ],
)
def test_a_trade_of_no_bot_is_refused(database: str, columns: str, values: str, error: type, message: str) -> None:
    with connect(database) as connection, pytest.raises(error, match=message) as found:
        connection.execute(
            f"INSERT INTO trades ({columns}, direction, entry_time, entry_price) VALUES ({values}, 'LONG', '2025-01-01', 1)"
        )
    assert found.value.diag.message_hint
    assert rows(database, "SELECT count(*) FROM trades") == rows(database, "SELECT count(*) FROM bots") == [(0,)]


def test_a_trade_keeps_its_bot(database: str) -> None:
    with connect(database) as connection:
        write(connection, "a"), write(connection, "b")
        for change in ("bot_id = -2", "bot_name = 'b'"):
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(f"UPDATE trades SET {change} WHERE bot_id = -1")


def test_writers_that_name_the_same_new_bots_in_any_order_all_commit(database: str) -> None:
    writers, bots = 20, 15
    together = threading.Barrier(writers)

    def work(number: int) -> None:
        names = [f"bot {n}" for n in random.Random(number).sample(range(bots), bots)]
        with connect(database) as connection, connection.transaction():
            together.wait(60)
            for name in names:
                connection.execute(INSERT, (name, AT + timedelta(seconds=number), "USD"))

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(work, range(writers)))
    counted = rows(database, "SELECT name, count(*) FROM trades JOIN bots USING (bot_id) GROUP BY 1 ORDER BY 1")
    assert counted == sorted((f"bot {n}", writers) for n in range(bots))
    assert rows(database, "SELECT (SELECT count(*) FROM arriving_names), (SELECT count(*) FROM arriving_bots)") == [
        (0, 0)
    ]


def test_a_transaction_that_stays_open_keeps_nobody_waiting(database: str) -> None:
    with psycopg.connect(database) as slow, connect(database) as other:
        other.execute("SET lock_timeout = '2s'")
        first = write(slow, "grid")
        slow.execute(
            "UPDATE trades SET status = 'closed', exit_time = entry_time, exit_price = 1 WHERE bot_id = %s", (first,)
        )
        second = write(other, "grid")
        slow.commit()
        assert first != second
        # The other's key holds, and the closed trade of the slow one has followed.
        assert rows(database, "SELECT bot_id, name FROM bots") == [(second, "grid")]
        assert rows(database, "SELECT DISTINCT bot_id FROM trades") == [(second,)]


def test_currencies_never_mix_where_two_name_a_bot(database: str) -> None:
    with psycopg.connect(database) as slow, connect(database) as other:
        write(slow, "grid", "EUR")
        write(other, "grid", "USD")
        with pytest.raises(psycopg.errors.CheckViolation, match=r"in EUR, but bot .* accounts in USD"):
            slow.commit()
    assert rows(database, "SELECT count(*) FROM trades") == [(1,)]


def test_a_renamed_bot_answers_to_all_its_names(database: str, tmp_path: Path) -> None:
    ingest(database, tmp_path, "7", "grid")
    with connect(database) as connection:
        assert set_bot(connection, "7", name="Trend ETH")["bot"] == "Trend ETH"
        assert set_bot(connection, "Trend ETH", name="Trend BTC")["bot_id"] == 7
        assert bot_keys(connection, ["7", "Trend ETH", "Trend BTC", "grid"]) == [7, 7, 7, -1]
        assert write(connection, "7") == write(connection, "Trend ETH") == 7
        for name, message in (("Trend ETH", "Another bot has or had"), ("8", "8 is a number"), (" ", "no plain name")):
            with pytest.raises(BotError, match=message):
                set_bot(connection, "grid", name=name)
        set_bot(connection, "7", name="7")
        assert bot_names(connection) == {7: "7", -1: "grid"}
    assert ingest(database, tmp_path, "7", "grid").unchanged == 2


def test_a_bot_that_is_not_there_is_named_with_those_alike(database: str) -> None:
    with connect(database) as connection:
        write(connection, "grid-eth-01")
        with pytest.raises(BotError, match=r"There is no bot grid-eth-1\. Did you mean grid-eth-01\? List bots"):
            bot_keys(connection, ["grid-eth-01", "grid-eth-1"])
        with pytest.raises(BotError, match="There is no bot 8"):
            set_bot(connection, "8", capital=1.0)


def test_a_bot_that_goes_leaves_its_names(database: str) -> None:
    with connect(database) as connection:
        connection.execute("INSERT INTO bots (name) VALUES ('grid')")
        set_bot(connection, "grid", name="other")
        connection.execute("DELETE FROM bots")
        assert rows(database, "SELECT count(*) FROM bot_names") == [(0,)]


def test_records_are_named() -> None:
    records = named([{"rank": 1, "bot_id": -1, "pnl": 2.0}, {"bot_id": 9}], {-1: "grid"})
    assert [*records[0].items()] == [("rank", 1), ("bot_id", -1), ("bot", "grid"), ("pnl", 2.0)]
    assert records[1]["bot"] == "9"


def test_strategies_of_bots_without_one_are_called_by_the_bot(database: str, tmp_path: Path) -> None:
    ingest(database, tmp_path, "7", "grid")
    told = "SELECT DISTINCT bot_id, strategy_id FROM closed_trades ORDER BY 1"
    assert rows(database, told) == [(-1, "bot grid"), (7, "bot 7")]
    assert rows(database, "SELECT bot, strategy_id FROM report.trades ORDER BY 1") == [
        ("7", "bot 7"),
        ("grid", "bot grid"),
    ]
    with connect(database) as connection:
        set_bot(connection, "grid", name="scalper")
    assert rows(database, told) == [(-1, "bot scalper"), (7, "bot 7")]
    assert rows(database, "SELECT since FROM input_changes WHERE input = 'strategies'") == [
        (datetime(2026, 11, 2, 10, tzinfo=UTC),)
    ]


def test_capital_is_stated_by_file_option_or_command(database: str, tmp_path: Path) -> None:
    with_capital = HEADER + ",capital"
    assert ingest(database, tmp_path, "1", "2", "1", header=with_capital, tails=[",300", ",", ",300.0"]).notes
    assert rows(database, "SELECT name, capital FROM bots ORDER BY 1") == [("1", 300.0), ("2", None)]
    report = ingest(database, tmp_path, "1", "2", "1", "3", capital=500.0)
    assert [note for note in report.notes if "capital" in note] == [
        "bot 1 keeps the capital of 300 USD that was stated before (the file says 500); "
        "to change it: knowdefeat bots set 1 --capital 500"
    ]
    assert rows(database, "SELECT name, capital FROM bots ORDER BY 1") == [("1", 300.0), ("2", 500.0), ("3", 500.0)]
    with connect(database) as connection:
        assert set_bot(connection, "1", capital=400.0)["capital"] == 400
        assert set_bot(connection, "2", estimated=True)["capital_is_estimated"]


@pytest.mark.parametrize(
    ("tails", "message"),
    [
        ([",300", ",400"], r"column 'capital': bot 1 has 300 in row 1 and 400 in row 2, and a bot has one capital"),
        ([",300", ",-1"], r"row 2, column 'capital': -1 is no capital; write a number above 0"),
    ],
)
def test_a_capital_that_is_none_is_refused(database: str, tmp_path: Path, tails: list[str], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        ingest(database, tmp_path, "1", "1", header=HEADER + ",capital", tails=tails)


def test_the_currency_of_a_bot_is_that_of_its_trades(database: str, tmp_path: Path) -> None:
    ingest(database, tmp_path, "1")
    with connect(database) as connection:
        connection.execute("INSERT INTO bots (name) VALUES ('new')")
        assert set_bot(connection, "new", currency="eur", strategy="trend", account="main")["quote_currency"] == "EUR"
        with pytest.raises(BotError, match="Bot 1 has trades in USD, and sums never mix currencies"):
            set_bot(connection, "1", currency="EUR")


PLAIN = st.text(max_size=30).filter(lambda name: "\0" not in name and name.strip(" ") and is_plain_name(name))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(PLAIN | st.integers(0, 2**64).map(str) | st.from_regex(r"\A\+?0*[0-9]{1,4}(\.0*)?\Z"), max_size=6)
)
def test_every_name_is_one_bot(database: str, names: list[str]) -> None:
    """A file and a direct writer that use the same names mean the same bots, twice over."""
    with connect(database) as connection, connection.transaction(force_rollback=True):
        ask = "SELECT arriving_keys(%s::text[])"
        (keys,) = connection.execute(ask, (names,)).fetchone()
        assert [write(connection, name) for name in names] == keys
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert connection.execute(ask, (names,)).fetchone() == (keys,)
        assert bot_keys(connection, names) == keys
        shown = bot_names(connection)
        assert [
            int(name) if name.isascii() and name.isdigit() and int(name) < 2**31 else None for name in shown.values()
        ] == [key if key >= 0 else None for key in shown]
