"""Connections, their errors, and bulk reads and writes against a real server."""

import os
import re
import socket
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from knowdefeat_pipeline.postgres import connection as db
from knowdefeat_pipeline.postgres.address import administrator_url, database_url, owner_url
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.settings import ROOT, Settings

# One column of each supported type: PostgreSQL's type, the Arrow type that arrives, and what it may hold.
INT = st.integers
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bool": (pa.bool_(), st.booleans()),
    "int2": (pa.int16(), INT(-(2**15), 2**15 - 1)),
    "int4": (pa.int32(), INT(-(2**31), 2**31 - 1)),
    "int8": (pa.int64(), INT(-(2**63), 2**63 - 1)),
    "float4": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "float8": (pa.float64(), st.floats(allow_nan=False)),
    "text": (pa.string(), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    "varchar": (pa.string(), st.text("aé€😀'\"\\\n")),
    "date": (pa.date32(), st.dates(date(1700, 1, 1), date(2250, 1, 1))),
    "timestamp": (pa.timestamp("us"), st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1))),  # noqa: DTZ001
    "timestamptz": (
        pa.timestamp("us", tz="UTC"),
        st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    ),
}
ROWS = st.lists(st.tuples(*(st.none() | values for _, values in COLUMNS.values())), max_size=5)


def settings_with(url: str | None, home: Path = ROOT) -> Settings:
    return Settings(home=home, database_url=url, root=ROOT)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_the_given_url_is_used_in_its_plain_form(scheme: str) -> None:
    assert database_url(settings_with(f" {scheme}://u:p@h:1/d?a=b\n")) == "postgresql://u:p@h:1/d?a=b"


def test_without_a_url_the_embedded_server_is_used_with_the_rights_that_the_work_needs(
    server: EmbeddedPostgres,
) -> None:
    settings = settings_with(None, home=server.folder.parent)
    assert administrator_url(settings) == server.find()
    for url, expected in (
        (administrator_url(settings), ("knowdefeat", True)),
        (owner_url(settings), ("knowdefeat_owner", False)),
        (database_url(settings), ("knowdefeat_pipeline", False)),
    ):
        with db.connect(url) as connection:
            who = "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
            assert connection.execute(who).fetchone() == expected


def test_a_session_is_in_utc_and_autocommit_and_carries_our_name(database: str) -> None:
    with db.connect(database) as connection:
        shown = "SELECT current_setting('TimeZone'), current_setting('application_name')"
        assert connection.execute(shown).fetchone() == ("UTC", f"knowdefeat {os.getpid()} on {socket.gethostname()}")
        connection.execute("CREATE TABLE kept (n integer)")
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO kept VALUES (1)")
        with connection.transaction():
            connection.execute("INSERT INTO kept VALUES (2)")
        with db.connect(database) as other:
            assert other.execute("SELECT * FROM kept").fetchall() == [(2,)]


def test_both_ends_notice_a_host_that_vanished_and_the_urls_own_limits_hold(database: str) -> None:
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    shown = f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}"
    with db.connect(database) as connection:
        assert connection.execute(shown).fetchone() == ("10", "5", "3", "20000")
        with socket.socket(fileno=os.dup(connection.fileno())) as end:
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            assert [end.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [10, 5, 3, 20_000]
    with db.connect(f"{database}?keepalives_idle=60&options=-c%20tcp_keepalives_idle%3D90") as connection:
        assert connection.execute(shown).fetchone() == ("90", "5", "3", "20000")
        with socket.socket(fileno=os.dup(connection.fileno())) as end:
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


def test_the_urls_own_settings_are_respected(database: str) -> None:
    url = f"{database}?application_name=mine&options=-c%20work_mem%3D5MB%20-c%20TimeZone%3DAsia/Tokyo"
    statement = "SELECT current_setting('TimeZone'), current_setting('application_name'), current_setting('work_mem')"
    with db.connect(url) as connection:
        assert connection.execute(statement).fetchone() == ("UTC", "mine", "5MB")


@pytest.mark.parametrize("open_connection", [db.connect, db.connect_arrow])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3cret@127.0.0.1:1/trades",
        "postgresql:///trades?user=user&password=s3cret&host=127.0.0.1&port=1",
    ],
)
def test_an_unreachable_server_is_named_without_the_password(open_connection: Any, url: str) -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        open_connection(url)
    message = str(caught.value)
    assert "127.0.0.1:1/trades" in message
    assert "Connection refused" in message
    assert "KNOWDEFEAT_DATABASE_URL" in message
    assert "s3cret" not in message


@pytest.mark.parametrize("open_connection", [db.connect, db.connect_arrow])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:s3@cret@127.0.0.1:1/trades",
        "postgresql://user:s3/cret@127.0.0.1:1/trades",
        "postgresql://user:s3?cret@127.0.0.1:1/trades",
        "postgresql://user:s3#cret@127.0.0.1:1/trades",
        "postgresql://user:s3%cret@127.0.0.1:1/trades",
        "postgresql://user:cret/trades",
        "postgresql://user:cret@127.0.0.1:1/trades?cret=1",
        "host=127.0.0.1 password=cret",
        "mysql://user:cret@127.0.0.1/trades",
        "",
    ],
)
def test_a_malformed_url_is_refused_without_showing_any_of_it(open_connection: Any, url: str) -> None:
    with pytest.raises(DatabaseUnreachable, match="malformed") as caught:
        open_connection(url)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://[::1]:1/d", "postgresql://u@127.0.0.1:1,localhost:1/d", "postgresql://"])
def test_unusual_but_valid_urls_reach_the_driver(url: str) -> None:
    assert isinstance(conninfo_to_dict(db._conninfo(url)), dict)


@pytest.mark.parametrize("open_connection", [db.connect, db.connect_arrow])
def test_a_missing_database_is_named(open_connection: Any, database: str) -> None:
    with pytest.raises(DatabaseUnreachable, match='database "nowhere" does not exist'):
        open_connection(re.sub(r"/\w+$", "/nowhere", database))


def test_an_old_server_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "OLDEST_SERVER", 99)
    with pytest.raises(DatabaseUnreachable, match=r"runs PostgreSQL \d\d; 99 or newer is needed"):
        db.connect(database)


def everything(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[] for _ in COLUMNS]
    return pa.table(
        {
            f'a "{name}"': pa.array(values, arrow_type)
            for (name, (arrow_type, _)), values in zip(COLUMNS.items(), columns, strict=True)
        }
    )


@pytest.fixture(scope="module")
def roomy(server_url: str) -> Any:
    """A connection to a temporary table with a column of each supported type."""
    with db.connect(server_url) as connection:
        columns = ", ".join(f'"a ""{name}""" {name}' for name in COLUMNS)
        connection.execute(f'CREATE TEMP TABLE "every thing" ({columns}, number serial)')
        yield connection


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, extra=INT(0, 3))
def test_every_type_arrives_as_it_was(roomy: psycopg.Connection, rows: list[tuple[Any, ...]], extra: int) -> None:
    """Also for tables in several chunks that are slices of larger ones, with offsets that are no multiple of 8."""
    table = pa.concat_tables([everything(rows + rows).slice(extra % (len(rows) + 1), len(rows)), everything(rows)])
    roomy.execute('TRUNCATE "every thing"')
    assert db.copy_arrow(roomy, "every thing", table) == table.num_rows
    names = ", ".join(f'"a ""{name}"""' for name in COLUMNS)
    read = roomy.execute(f'SELECT {names} FROM "every thing" ORDER BY number', binary=True).fetchall()
    assert read == [tuple(row.values()) for row in table.to_pylist()]


def test_copy_and_read_are_inverse(database: str) -> None:
    columns = ", ".join(f'"a ""{name}""" {name}' for name in COLUMNS)
    table = everything([tuple(None for _ in COLUMNS)] * 3)
    with db.connect(database) as connection:
        connection.execute(f"CREATE TABLE round_trip ({columns})")
        db.copy_arrow(connection, "round_trip", table)
    assert db.read_arrow(database, "SELECT * FROM round_trip").equals(table)


@pytest.fixture
def target(database: str) -> Any:
    with db.connect(database) as connection:
        connection.execute(
            "CREATE TABLE target (i int4, f float8, t text, ts timestamptz, naive timestamp, j jsonb, n numeric,"
            " d date, made text DEFAULT 'by default')"
        )
        yield connection


def rows_of(connection: psycopg.Connection, columns: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT {columns} FROM target").fetchall()  # type: ignore[arg-type]


def test_values_are_fitted_to_the_columns(target: psycopg.Connection) -> None:
    noon = datetime(2025, 2, 11, 12, tzinfo=UTC)
    table = pa.table(
        {
            "unused": [object.__name__] * 2,
            "f": pa.array([1, None], pa.int64()),
            "i": pa.array([7, None], pa.float64()),
            "t": pa.array(["x", None]).dictionary_encode(),
            "ts": pa.array([noon, None], pa.timestamp("ns", tz="America/New_York")),
            "j": pa.array(['{"a": [1, null]}', None], pa.large_string()),
        }
    )
    assert db.copy_arrow(target, "target", table, ["t", "i", "f", "ts", "j"]) == 2
    assert rows_of(target, "i, f, t, ts, j, made") == [
        (7, 1.0, "x", noon, {"a": [1, None]}, "by default"),
        (None, None, None, None, None, "by default"),
    ]


def test_an_all_null_column_without_a_type_is_taken(target: psycopg.Connection) -> None:
    db.copy_arrow(target, "target", pa.table({"i": pa.nulls(2), "ts": pa.nulls(2), "j": pa.nulls(2)}))
    assert rows_of(target, "i, ts, j") == [(None, None, None)] * 2


def test_more_rows_than_one_message_holds(target: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "ROWS_PER_MESSAGE", 1000)
    assert db.copy_arrow(target, "target", pa.table({"i": range(4321)})) == 4321
    assert rows_of(target, "count(*), sum(i), max(i)") == [(4321, 4321 * 4320 // 2, 4320)]


def test_an_empty_table_writes_nothing(target: psycopg.Connection) -> None:
    assert db.copy_arrow(target, "target", pa.table({"i": pa.array([], pa.int32())})) == 0


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("i", pa.array([2**31])),
        ("i", pa.array([1.5])),
        ("i", pa.array(["seven"])),
        ("ts", pa.array([datetime(2025, 1, 1)])),  # noqa: DTZ001
        ("ts", pa.array([1], pa.timestamp("ns", tz="UTC"))),
        ("naive", pa.array([datetime(2025, 1, 1, tzinfo=UTC)])),
        ("d", pa.array([datetime(2025, 1, 1, 12)])),  # noqa: DTZ001
        ("j", pa.array([[1, 2]])),
        ("n", pa.array([1.0])),
    ],
)
def test_a_value_that_would_change_is_refused_by_column(
    target: psycopg.Connection, column: str, values: pa.Array
) -> None:
    with pytest.raises(ValueError, match=rf"^target\.{column}"):
        db.copy_arrow(target, "target", pa.table({"f": pa.nulls(1), column: values}))
    assert rows_of(target, "count(*)") == [(0,)]


def test_a_row_that_the_server_refuses_leaves_nothing_of_the_table(target: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="json"):
        db.copy_arrow(target, "target", pa.table({"j": ["{}", "{nope"]}))
    assert rows_of(target, "count(*)") == [(0,)]


def test_names_are_names_and_never_sql(target: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        db.copy_arrow(target, "target; DROP TABLE target", pa.table({"i": [1]}))
    with pytest.raises(psycopg.errors.UndefinedColumn):
        db.copy_arrow(target, "target", pa.table({'i", "f': [1]}))


def test_reading_with_parameters(target: psycopg.Connection, database: str) -> None:
    moments = [datetime(2025, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    written = pa.table({"i": pa.array([1, 2, None], pa.int32()), "t": ["a", "b%s", None], "ts": moments})
    written = written.set_column(2, "ts", written["ts"].cast(pa.timestamp("us", tz="UTC")))
    db.copy_arrow(target, "target", written)
    statement = "SELECT i, t, ts FROM target WHERE ts >= $1 AND (t = $2 OR $2 IS NULL) ORDER BY ts"
    with db.connect_arrow(database) as source:
        assert db.read_arrow(source, "SELECT i, t, ts FROM target ORDER BY ts").equals(written)
        assert db.read_arrow(source, statement, [moments[1], "b%s"]).equals(written.slice(1, 1))
        assert db.read_arrow(source, "SELECT i FROM target WHERE i = ANY($1)", [[2, 3]]).to_pylist() == [{"i": 2}]
        assert db.read_arrow(source, "SELECT i FROM target WHERE i = $1", [None]).num_rows == 0
        days = "SELECT ts::date AS day FROM target WHERE ts::date = $1"  # the session's zone is UTC
        assert db.read_arrow(source, days, [date(2025, 1, 3)]).to_pylist() == [{"day": date(2025, 1, 3)}]
    assert db.read_arrow(database, statement, [moments[2], None])["ts"].to_pylist() == [moments[2]]


def test_queries_are_read_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "QUERIES", tmp_path)
    (tmp_path / "a_test_of_queries.sql").write_text("SELECT 'é';\n", encoding="utf-8")
    assert db.query("a_test_of_queries") == "SELECT 'é';\n"
    with pytest.raises(FileNotFoundError, match=r"no_such_query\.sql"):
        db.query("no_such_query")


def test_settings_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_environment({}) == Settings(home=ROOT / ".knowdefeat", root=ROOT)
    assert Settings.from_environment({"KNOWDEFEAT_HOME": "", "KNOWDEFEAT_DATABASE_URL": ""}).database_url is None
    monkeypatch.chdir(tmp_path)
    given = Settings.from_environment({"KNOWDEFEAT_HOME": "here", "KNOWDEFEAT_DATABASE_URL": "postgresql://h/d"})
    assert given == Settings(home=tmp_path / "here", database_url="postgresql://h/d", root=ROOT)
    assert (ROOT / "knowdefeat_pipeline").is_dir()


class Interrupted(BaseException):
    """As Dagster's for a signal."""


@pytest.mark.parametrize("kind", [Interrupted, KeyboardInterrupt])
def test_a_statement_is_over_once_an_interrupt_has_passed(database: str, kind: type[BaseException]) -> None:
    """Also where the signal comes while the driver's generator runs, which ends that, and not while it waits."""

    class Cursor(psycopg.Cursor[Any]):
        def _execute_gen(self, *of: Any, **how: Any) -> Any:
            for asked in super()._execute_gen(*of, **how):
                yield asked
                if connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                    raise kind

    with db.connect(database) as connection:
        connection.cursor_factory = Cursor
        with pytest.raises(kind), connection.transaction():
            connection.execute("SELECT pg_sleep(600)")
        assert connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
        connection.cursor_factory = psycopg.Cursor
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
