"""Who may do what in a real database: each role has exactly its rights, and its triggers' deeds are done all the same."""

import re
import stat
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres import migrations, roles
from knowdefeat_pipeline.postgres.backup import backup, restore
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect, hidden_password
from knowdefeat_pipeline.postgres.needs import require_needs
from knowdefeat_pipeline.postgres.roles import Passwords, RoleError
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.chain import refresh
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import RANKING, stale_days
from knowdefeat_pipeline.store.trades import load_trades

OPEN = """
    INSERT INTO trades (source, source_trade_id, bot_id, strategy_id, ticker, direction, entry_time, entry_price, notional)
    VALUES ('mine', %s, %s, 'momentum', 'BTC-USD', 'LONG', '2026-03-02 09:00Z', 100, 1000)
"""
CLOSE = """
    UPDATE trades SET status = 'closed', exit_time = '2026-03-02 10:00Z', exit_price = 102, fees = 1
    WHERE source_trade_id = %s
"""
FIRST_DAY = date(2015, 1, 1)

# What a bot's role reaches outside PostgreSQL's own catalogue, spelled out.
INSERTED = {
    "source", "source_trade_id", "bot_id", "bot_name", "strategy_id", "ticker", "direction", "status", "entry_time", "exit_time",
    "entry_price", "exit_price", "mark_price", "notional", "fees", "reported_pnl", "quote_currency", "signal_confidence",
    "entry_quality", "exit_reason", "entry_trigger_price", "entry_trigger_time", "exit_trigger_price",
    "exit_trigger_time",
    "quantity", "contract_multiplier", "contract_type", "funding", "entry_fee", "exit_fee", "fee_currency", "leverage",
    "margin", "exits", "pnl_basis",
}  # fmt: skip
UPDATED = {
    "status", "exit_time", "exit_price", "mark_price", "fees", "reported_pnl", "exit_reason", "exit_trigger_price",
    "exit_trigger_time", "funding", "exit_fee", "exits",
}  # fmt: skip
HARMLESS = {
    "pnl_agrees",
    "refuse_trade",
    "arriving_content",
    "net_pnl",
    "day_of",
    "day_start",
    "day_end",
    "timeframe_length",
    "time_in_drawdown",
    "trade_frequency",
    "own_bots",
    "is_blank",
    "own_bot_key",
    "bot_name",
    "currency_digits",
    "follows_its_bot",
    "is_plain_name",
    "is_visible_name",
    "is_possible_time",
    "max_drawdown_with_open",
    "open_loss_exceeds_gain",
}
REPORT = {"allocations", "beliefs", "bot_daily", "fleet_daily", "freshness", "rankings", "regimes", "skill", "trades"}

RELATIONS = """
    SELECT n.nspname, c.relname, privilege
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace,
         unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
      AND (has_table_privilege(c.oid, privilege)
           OR privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(c.oid, privilege))
"""
FUNCTIONS = """
    SELECT n.nspname, p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND has_function_privilege(p.oid, 'EXECUTE')
"""
SEQUENCES = """
    SELECT relname FROM pg_class
    WHERE CASE WHEN relkind = 'S' THEN has_sequence_privilege(oid, 'USAGE, SELECT, UPDATE') END
"""

As = Callable[[str], psycopg.Connection]


@pytest.fixture
def granted(database: str) -> str:
    """The URL of a database in which every role has its rights; rights on a database are not copied with it."""
    with connect(database) as connection:
        roles.establish(connection)
        connection.execute("CREATE SCHEMA dagster CREATE TABLE runs (run_id text)")
    return database


@pytest.fixture
def passwords(tmp_path: Path) -> Passwords:
    return Passwords(tmp_path / "roles")


@pytest.fixture
def url_as(granted: str, passwords: Passwords) -> Callable[[str], str]:
    """The URL for a role; with a new password, as the server's roles outlive each test."""
    return lambda role: roles.rotate(granted, f"knowdefeat_{role}", passwords)


def reached(url: str) -> tuple[set[tuple[str, str, str]], set[tuple[str, str]], list[tuple[str]]]:
    with connect(url) as connection:
        relations, functions, sequences = (
            connection.execute(query).fetchall() for query in (RELATIONS, FUNCTIONS, SEQUENCES)
        )
    return set(relations), set(functions), sequences


def columns(connection: psycopg.Connection, privilege: str) -> set[str]:
    """Of the table trades, as information_schema tells them to the role itself."""
    rows = connection.execute(
        "SELECT column_name FROM information_schema.column_privileges WHERE table_name = 'trades' "
        "AND table_schema = 'public' AND privilege_type = %s",
        [privilege],
    )
    return {name for (name,) in rows}


def test_a_bot_reaches_its_trades_and_nothing_else(url_as: Callable[[str], str]) -> None:
    relations, functions, sequences = reached(url_as("bot"))
    assert relations == {("public", "trades", privilege) for privilege in ("SELECT", "INSERT", "UPDATE")}
    assert functions == {("public", name) for name in HARMLESS}
    assert sequences == []
    with connect(url_as("bot")) as connection:
        places = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE') "
            "UNION ALL SELECT datname FROM pg_database WHERE datname = current_database() "
            "AND has_database_privilege(oid, 'CREATE, TEMPORARY')"
        )
        assert places.fetchall() == []
        assert columns(connection, "INSERT") == INSERTED
        assert columns(connection, "UPDATE") == UPDATED
        tables = connection.execute("SELECT DISTINCT table_schema, table_name FROM information_schema.tables")
        assert {row for row in tables if row[0] not in ("pg_catalog", "information_schema")} == {("public", "trades")}


@pytest.mark.parametrize(
    "statement",
    [
        "COPY trades (source) FROM PROGRAM 'id'",
        "COPY trades TO PROGRAM 'cat'",
        "COPY trades TO '/tmp/knowdefeat-trades'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM bots",
        "SELECT * FROM bot_writers",
        "SELECT * FROM report.rankings",
        "SELECT note_change('trades', now())",
        "DELETE FROM trades",
        "TRUNCATE trades",
        "UPDATE trades SET bot_id = 9",
        "UPDATE trades SET pnl = 1e6",
        "INSERT INTO trades (recorded_xid) VALUES ('1')",
        "INSERT INTO trades (pnl) VALUES (1)",
        "ALTER TABLE trades DISABLE TRIGGER ALL",
        "ALTER TABLE trades DISABLE ROW LEVEL SECURITY",
        "CREATE TEMP TABLE bots (bot_id integer)",
        "CREATE TABLE mine (n integer)",
        "CREATE FUNCTION day_of(text) RETURNS date LANGUAGE sql AS 'SELECT now()::date'",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine SUPERUSER",
        "SET ROLE knowdefeat_owner",
        "SET session_replication_role = replica",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_xact_lock_shared(1, 1)",
        "SELECT lo_create(0)",
    ],
)
def test_what_a_bot_is_refused(url_as: Callable[[str], str], statement: str) -> None:
    with connect(url_as("bot")) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_a_bots_trade_is_counted(granted: str, url_as: Callable[[str], str]) -> None:
    with connect(granted) as owner:
        owner.execute(
            "INSERT INTO refreshed_days (asset, day, as_of, seen) SELECT asset, '2026-03-02', '2026-03-03Z', "
            "pg_current_snapshot() FROM unnest(%s::text[]) AS asset",
            [list(RANKING.assets)],
        )
        owner.execute("LISTEN knowdefeat_trades")
        now = datetime(2026, 3, 4, tzinfo=UTC)
        with connect(url_as("bot")) as bot:
            bot.execute(OPEN, ["a", 7])
            bot.execute(CLOSE, ["a"])
            assert bot.execute("SELECT status, round(pnl::numeric, 9) FROM trades").fetchone() == ("closed", 19)
        assert [n.channel for n in owner.notifies(timeout=2, stop_after=2)] == ["knowdefeat_trades"] * 2
        assert owner.execute("SELECT bot_id, strategy_id FROM bots").fetchall() == [(7, "momentum")]
        found = stale_days(owner, RANKING, now, FIRST_DAY)
        assert found is not None
        assert date(2026, 3, 2) in found.days


def test_a_bot_may_send_a_trade_twice_and_ask_for_what_was_made_of_it(url_as: Callable[[str], str]) -> None:
    with connect(url_as("bot")) as bot:
        added = OPEN + "ON CONFLICT (source, source_trade_id, bot_id) DO NOTHING RETURNING bot_id, status"
        assert bot.execute(added, ["a", 7]).fetchall() == [(7, "open")]
        assert bot.execute(added, ["a", 7]).fetchall() == []


def test_a_schema_of_another_name_is_guarded_alike(empty_database: str, passwords: Passwords) -> None:
    with connect(empty_database) as connection:
        connection.execute("CREATE SCHEMA elsewhere")
    url = f"{empty_database}?options=-csearch_path%3Delsewhere"
    migrations.upgrade(url)
    with connect(url) as owner, connect(roles.rotate(url, "knowdefeat_bot", passwords)) as bot:
        assert roles.lacking(owner) is None
        bot.execute(OPEN, ["a", 7])
        assert owner.execute("SELECT bot_id FROM elsewhere.bots").fetchall() == [(7,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bot.execute("SELECT * FROM bots")
        paths = owner.execute(
            "SELECT DISTINCT proconfig FROM pg_proc WHERE prosecdef AND proname ~ '^trades_'"
        ).fetchall()
        assert paths == [(["search_path=pg_catalog, elsewhere, pg_temp"],)]


def test_a_table_of_ones_own_takes_the_place_of_none_of_ours(granted: str, url_as: Callable[[str], str]) -> None:
    with connect(url_as("pipeline")) as connection:
        connection.execute("CREATE TEMP TABLE bots (LIKE public.bots INCLUDING ALL)")
        connection.execute(OPEN, ["a", 7])
        assert connection.execute("SELECT count(*) FROM pg_temp.bots").fetchone() == (0,)
        assert connection.execute("SELECT bot_id FROM public.bots").fetchall() == [(7,)]


def test_nobody_is_let_into_the_servers_other_databases(url_as: Callable[[str], str]) -> None:
    url = url_as("bot")
    for name in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match=f'permission denied for database "{name}"'):
            psycopg.connect(urlsplit(url)._replace(path=f"/{name}").geturl())


def test_closed_trades_stay_and_a_bot_is_told_why(url_as: Callable[[str], str]) -> None:
    with connect(url_as("bot")) as bot:
        bot.execute(OPEN, ["a", 7])
        bot.execute(CLOSE, ["a"])
        with pytest.raises(psycopg.errors.CheckViolation, match="is closed and cannot be changed"):
            bot.execute("UPDATE trades SET fees = 0")


def test_a_bound_bot_sees_and_writes_its_own_trades_only(granted: str, passwords: Passwords) -> None:
    with connect(granted) as owner:
        owner.execute(OPEN, ["theirs", 9])
    url = roles.make_bot(granted, "bot_alpha", ["8", "7"], passwords)
    try:
        with connect(url) as bot:
            bot.execute(OPEN, ["mine", 7])
            assert bot.execute("SELECT source_trade_id, bot_id FROM trades").fetchall() == [("mine", 7)]
            assert bot.execute(CLOSE, ["theirs"]).rowcount == 0
            assert bot.execute(CLOSE, ["mine"]).rowcount == 1
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                bot.execute(OPEN, ["forged", 9])
            bot.execute("SET ROLE knowdefeat_bot")  # the group may write any bot, but who logged in may not
            assert bot.execute("SELECT count(*) FROM trades").fetchone() == (1,)
        with connect(granted) as owner:
            assert [(s.name, s.bots) for s in roles.states(owner)][-1] == ("bot_alpha", ["7", "8"])
            assert owner.execute("SELECT count(*) FROM trades").fetchone() == (2,)
        assert roles.make_bot(granted, "bot_alpha", None, passwords) == url
        with connect(url) as bot:
            assert bot.execute("SELECT count(*) FROM trades").fetchone() == (2,)
    finally:
        roles.remove_bot(granted, "bot_alpha", passwords)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_a_role_may_be_bound_to_a_bot_by_name_before_it_has_traded(granted: str, passwords: Passwords) -> None:
    url = roles.make_bot(granted, "bot_delta", ["grid-eth-01", "7"], passwords)
    named = OPEN.replace("bot_id", "bot_name")
    try:
        with connect(url) as bot:
            bot.execute(named, ["a", "grid-eth-01"])
            bot.execute(named, ["b", "7"])
            for other in ("grid-eth-02", "9"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                    bot.execute(named, ["c", other])
            assert bot.execute("SELECT count(*) FROM trades").fetchone() == (2,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                bot.execute("SELECT arriving_keys('{x}')")
        with connect(granted) as owner:
            assert owner.execute("SELECT name FROM bots ORDER BY 1").fetchall() == [("7",), ("grid-eth-01",)]
            assert [s.bots for s in roles.states(owner)][-1] == ["7", "grid-eth-01"]
            assert owner.execute("SELECT count(*) FROM arriving_names").fetchone() == (0,)
    finally:
        roles.remove_bot(granted, "bot_delta", passwords)


def test_a_role_that_another_database_bound_may_write_no_bot_here(
    granted: str, empty_database: str, passwords: Passwords
) -> None:
    migrations.upgrade(empty_database)
    url = roles.make_bot(empty_database, "bot_beta", ["7"], passwords)
    try:
        here = urlsplit(url)._replace(path=urlsplit(granted).path).geturl()
        with connect(here) as bot, pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            bot.execute(OPEN, ["a", 7])
    finally:
        roles.remove_bot(empty_database, "bot_beta", passwords)


@pytest.mark.parametrize("name", ["Robert'); DROP", "pg_bot", "knowdefeat_bot", "", "../up", "x" * 64])
def test_names_that_no_bots_role_may_have(granted: str, passwords: Passwords, name: str) -> None:
    with pytest.raises(RoleError, match="cannot be a bot's role"):
        roles.make_bot(granted, name, ["1"], passwords)


def test_a_role_that_is_no_bots_is_neither_bound_nor_given_a_password_nor_removed(
    granted: str, passwords: Passwords
) -> None:
    with connect(granted) as owner:
        owner.execute("CREATE ROLE somebody")
        try:
            with pytest.raises(RoleError, match="a role somebody that is no bot's"):
                roles.make_bot(granted, "somebody", ["1"], passwords)
            with pytest.raises(RoleError, match="no role somebody"):
                roles.rotate(granted, "somebody", passwords)
            with pytest.raises(RoleError, match="no role somebody"):
                roles.remove_bot(granted, "somebody", passwords)
        finally:
            owner.execute("DROP ROLE somebody")


def test_a_reader_reaches_the_reports_and_nothing_else(url_as: Callable[[str], str]) -> None:
    relations, functions, sequences = reached(url_as("reader"))
    assert relations == {("report", name, "SELECT") for name in REPORT}
    assert functions == {("public", name) for name in HARMLESS}
    assert sequences == []
    with connect(url_as("reader")) as reader:
        assert reader.execute("SHOW statement_timeout").fetchone() == ("1min",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT * FROM public.trades")
        with pytest.raises(psycopg.errors.Error):
            reader.execute("CREATE TEMP TABLE t (n integer)")


def test_every_report_is_read_has_a_finite_time_and_a_comment(granted: str, url_as: Callable[[str], str]) -> None:
    with connect(granted) as owner:
        owner.execute(OPEN, ["a", 7])
        owner.execute(CLOSE, ["a"])
        owner.execute(
            "INSERT INTO trades (source_trade_id, bot_id, ticker, direction, entry_time, entry_price, notional) "
            "VALUES ('b', 8, 'ETH-USD', 'SHORT', '2026-03-02 11:00Z', 10, 50)"
        )
        owner.execute(
            "INSERT INTO market_regimes (day, ticker, timeframe, open_time, label) "
            "VALUES ('2026-03-02', 'BTC-USD', '1h', '2026-03-02 09:00Z', 'TRENDING')"
        )
        owner.execute(
            "INSERT INTO refreshed_days (asset, day, as_of, seen) "
            "VALUES ('bot_rankings', '2026-03-02', '2026-03-03Z', pg_current_snapshot())"
        )
        owner.execute(
            "INSERT INTO bot_rankings_rows (day, bot_id, rank, rank_score, eligible, is_active, weight_version) "
            "VALUES ('2026-03-02', 7, 1, 61.5, true, true, 1)"
        )
    with connect(url_as("reader")) as reader:

        def read(statement: str) -> list[tuple]:
            return reader.execute(statement).fetchall()

        day, end = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
        assert read('SELECT "time", bot_id, quote_currency, trades, wins, pnl FROM bot_daily') == [
            (day, 7, "USD", 1, 1, pytest.approx(19))
        ]
        assert read('SELECT "time", bots, trades, wins, pnl FROM fleet_daily') == [(day, 1, 1, 1, pytest.approx(19))]
        assert read('SELECT "time", bot_id, strategy_id, status FROM trades ORDER BY 1') == [
            (day.replace(hour=10), 7, "momentum", "closed"),
            (day.replace(hour=11), 8, "bot 8", "open"),
        ]
        assert read('SELECT "time", bot_id, strategy_id, rank, rank_score FROM rankings') == [
            (end, 7, "momentum", 1, 61.5)
        ]
        assert read('SELECT "time", ticker, label FROM regimes') == [(day.replace(hour=10), "BTC-USD", "TRENDING")]
        assert read('SELECT "time", asset, days FROM freshness') == [(end, "bot_rankings", 1)]
        for name in REPORT:
            read(f'SELECT "time" FROM {name}')
        kinds = read(
            "SELECT relname, format_type(atttypid, atttypmod), obj_description(c.oid) IS NOT NULL FROM pg_class AS c "
            "JOIN pg_attribute AS a ON a.attrelid = c.oid AND attname = 'time' WHERE relnamespace = 'report'::regnamespace"
        )
    assert set(kinds) == {(name, "timestamp with time zone", True) for name in REPORT}


@pytest.mark.parametrize("role", ["web", "pipeline"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (n integer)",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "ALTER TABLE trades ADD COLUMN n integer",
        "DROP TABLE trades",
        "DROP VIEW report.trades",
        "CREATE INDEX ON trades (bot_id)",
        "TRUNCATE trades",
        "UPDATE knowdefeat_version SET version_num = '0001'",
        "INSERT INTO bot_writers VALUES ('knowdefeat_bot', 1)",
        "INSERT INTO api_tokens (name, scope, hash) VALUES ('mine', 'admin', repeat('0', 64))",
        "UPDATE api_tokens SET revoked_at = NULL",
        "INSERT INTO login_codes (hash) VALUES (repeat('0', 64))",
        "COPY trades FROM PROGRAM 'id'",
    ],
)
def test_web_and_pipeline_change_no_definition_and_make_no_token(
    url_as: Callable[[str], str], role: str, statement: str
) -> None:
    with connect(url_as(role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_web_reads_all_and_enters_decisions(granted: str, url_as: Callable[[str], str]) -> None:
    with connect(granted) as owner:
        owner.execute(OPEN, ["a", 7])
    with connect(url_as("web")) as web:
        assert web.execute("SHOW statement_timeout").fetchone() == ("30s",)
        assert web.execute("SELECT bot_id FROM trades").fetchall() == [(7,)]
        web.execute("UPDATE bots SET is_active = false, capital = 5000, strategy_id = 'other' WHERE bot_id = 7")
        web.execute(
            "INSERT INTO weight_versions SELECT (jsonb_populate_record(w, jsonb_build_object("
            "'version', 2, 'author', 'manual', 'in_force_from', '2026-03-02Z'))).* FROM weight_versions AS w"
        )
        web.execute(OPEN, ["b", 8])
        web.execute(CLOSE, ["b"])
        web.execute("INSERT INTO belief_ledger (kind, reason, in_force_from) VALUES ('reset', 'anew', '2026-03-02Z')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            web.execute("DELETE FROM trades")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            web.execute("CREATE TEMP TABLE mine (n integer)")
    with connect(granted) as owner:
        assert owner.execute("SELECT kind, author FROM bot_events").fetchall() == [("deactivated", "knowdefeat_web")]
        assert owner.execute("SELECT input FROM input_changes").fetchall() == [("ledger",)]
        assert owner.execute("SELECT bot_id FROM bots ORDER BY 1").fetchall() == [(7,), (8,)]


def test_the_pipeline_loads_and_computes(granted: str, url_as: Callable[[str], str]) -> None:
    end = datetime(2025, 3, 1, tzinfo=UTC)
    frame = read_frame(simulate("base", bots=3, days=3, seed=3, end=end).trades, "simulator", end)
    url = url_as("pipeline")
    load_trades(url, frame, "f")
    with connect(url) as connection:
        refresh(Session(url, connection), date(2025, 2, 27), date(2025, 2, 28), end)
        ranked = connection.execute("SELECT day, count(*) FROM bot_rankings GROUP BY day ORDER BY day").fetchall()
    assert ranked == [(date(2025, 2, 27), 3), (date(2025, 2, 28), 3)]


def test_what_acts_in_the_owners_name_has_a_fixed_search_path_and_an_owner_who_is_no_superuser(granted: str) -> None:
    with connect(granted) as connection:
        found = connection.execute(
            "SELECT proname, proconfig, rolsuper FROM pg_proc JOIN pg_roles ON pg_roles.oid = proowner "
            "WHERE prosecdef AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
        ).fetchall()
    assert {"trades_admit", "trades_deleted_changes", "bots_record_activity", "own_bots"} <= {
        name for name, *_ in found
    }
    assert {(tuple(config or ()), superuser) for _, config, superuser in found} == {
        (("search_path=pg_catalog, public, pg_temp",), False)
    }


def test_triggers_of_what_others_write_act_in_the_owners_name_unless_they_touch_the_row_alone(granted: str) -> None:
    with connect(granted) as connection:
        found = connection.execute(
            "SELECT DISTINCT proname FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = tgfoid "
            "WHERE NOT tgisinternal AND NOT prosecdef AND (has_any_column_privilege('knowdefeat_web', tgrelid, 'INSERT')"
            " OR has_any_column_privilege('knowdefeat_web', tgrelid, 'UPDATE'))"
        ).fetchall()
    assert {name for (name,) in found} == {
        "trades_compute_pnl", "trades_protect", "recorded_now", "weight_versions_append_only",
        "belief_ledger_append_only", "recorded_here", "recorded_here_and_now", "refuse_blank_name", "refuse_invisible_name",
        "trades_sizes_agree", "tell_of_results", "refuse_triggers_of_trade",
    }  # fmt: skip


@pytest.mark.long
def test_a_restored_database_gives_the_same_rights(
    granted: str, empty_database: str, passwords: Passwords, tmp_path: Path
) -> None:
    with connect(granted) as connection:
        connection.execute(OPEN, ["theirs", 9])
    backup(granted, tmp_path / "all.dump")
    restore(empty_database, tmp_path / "all.dump")
    with connect(roles.rotate(empty_database, "knowdefeat_bot", passwords)) as bot:
        bot.execute(OPEN, ["mine", 7])
        assert bot.execute("SELECT bot_id FROM trades ORDER BY 1").fetchall() == [(7,), (9,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bot.execute("SELECT * FROM bots")
    with connect(empty_database) as connection:
        assert connection.execute("SELECT bot_id FROM bots ORDER BY 1").fetchall() == [(7,), (9,)]
        assert roles.lacking(connection) is None


def test_a_password_that_cannot_be_kept_is_not_given(
    granted: str, url_as: Callable[[str], str], tmp_path: Path
) -> None:
    url = url_as("web")
    (tmp_path / "file").touch()
    with pytest.raises(RoleError, match="cannot be kept"):
        roles.rotate(granted, "knowdefeat_web", Passwords(tmp_path / "file" / "roles"))
    psycopg.connect(url).close()


def test_everything_belongs_to_the_owner_who_may_migrate(granted: str, url_as: Callable[[str], str]) -> None:
    with connect(granted) as connection:
        owners = connection.execute(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class "
            "WHERE relnamespace IN ('public'::regnamespace, 'report'::regnamespace)"
        ).fetchall()
    assert owners == [("knowdefeat_owner",)]
    assert migrations.upgrade(url_as("owner")) == []
    with connect(url_as("owner")) as owner:
        owner.execute("ALTER TABLE trades ADD COLUMN n integer")
        assert owner.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)


def test_the_policy_costs_neither_owner_nor_superuser_anything(granted: str, url_as: Callable[[str], str]) -> None:
    for url in (granted, url_as("owner"), url_as("pipeline")):
        with connect(url) as connection:
            plan = connection.execute("EXPLAIN SELECT * FROM trades WHERE bot_id = 7").fetchall()
        assert "own_bots" not in str(plan)
    with connect(url_as("web")) as connection:
        assert "own_bots" in str(connection.execute("EXPLAIN (VERBOSE) SELECT * FROM trades").fetchall())


def test_a_new_password_makes_the_old_one_useless(granted: str, passwords: Passwords) -> None:
    old = roles.rotate(granted, "knowdefeat_reader", passwords)
    assert roles.login_url(granted, "knowdefeat_reader", passwords) == old
    new = roles.rotate(granted, "knowdefeat_reader", passwords)
    assert new != old
    assert roles.login_url(granted, "knowdefeat_reader", passwords) == new
    with psycopg.connect(new) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("knowdefeat_reader",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old)
    assert stat.S_IMODE((passwords.folder / "knowdefeat_reader").stat().st_mode) == 0o600
    assert stat.S_IMODE(passwords.folder.stat().st_mode) & 0o077 == 0


def test_a_password_that_was_made_elsewhere_is_not_replaced_unasked(
    granted: str, url_as: Callable[[str], str], tmp_path: Path
) -> None:
    url_as("web")
    with pytest.raises(RoleError, match=r"made elsewhere.*knowdefeat db rotate web"):
        roles.login_url(granted, "knowdefeat_web", Passwords(tmp_path / "other"))


def test_the_server_never_sees_a_password(granted: str, passwords: Passwords) -> None:
    url = roles.rotate(granted, "knowdefeat_reader", passwords)
    with connect(granted) as connection:
        kept = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'knowdefeat_reader'").fetchone()
    assert kept is not None
    assert kept[0].startswith("SCRAM-SHA-256$")
    assert urlsplit(url).password not in kept[0]


def test_the_address_of_a_role_keeps_all_but_the_login() -> None:
    url = "postgresql://u:p%40@[::1]:5,b:6/d?options=-csearch_path%3Dkd&user=x&password=y&sslmode=require"
    assert roles.with_login(url, "knowdefeat_bot", "s") == (
        "postgresql://knowdefeat_bot:s@[::1]:5,b:6/d?options=-csearch_path%3Dkd&sslmode=require"
    )
    address, environment = hidden_password("postgresql://u:s3cret@h/d?sslmode=require")
    assert ("s3cret" in address, environment) == (False, {"PGPASSWORD": "s3cret"})


def test_the_search_path_of_an_address_is_none_of_the_readers() -> None:
    url = "postgresql://u:p@h:1/d?options=-csearch_path%3Dkd%20-c%20work_mem%3D7MB&sslmode=require"
    assert roles.with_login(url, "knowdefeat_bot", "x") == url.replace("u:p", "knowdefeat_bot:x")
    reader = "postgresql://knowdefeat_reader:x@h:1/d?"
    assert roles.with_login(url, "knowdefeat_reader", "x") == f"{reader}options=-c%20work_mem%3D7MB&sslmode=require"
    for alone in ("-c search_path%3Dkd%2C%5C public", "--search_path%3Dkd"):
        assert roles.with_login(f"postgresql://h:1/d?options={alone}", "knowdefeat_reader", "x") == reader[:-1]


def test_rights_are_given_again_after_each_upgrade_and_to_what_was_restored_without(granted: str) -> None:
    with connect(granted) as connection:
        connection.execute("REVOKE ALL ON trades FROM knowdefeat_bot")
        assert "knowdefeat db migrate" in str(roles.lacking(connection))
        assert migrations.upgrade(granted) == []
        assert roles.lacking(connection) is None


def test_a_user_who_may_not_make_roles_migrates_and_is_told_what_is_missing(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "GRANTED", tuple(_renamed(role) for role in roles.GRANTED))
    with connect(empty_database) as connection:
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO plain").format(sql.Identifier(urlsplit(empty_database).path[1:]))
        )
    try:
        url = roles.with_login(empty_database, "plain", "plain")
        assert migrations.upgrade(url)[-1] == migrations.status(url).latest
        with connect(url) as connection:
            message = str(roles.lacking(connection))
            connection.execute(OPEN, ["a", 7])  # all works, with the user's own rights
            connection.execute(CLOSE, ["a"])
            assert connection.execute("SELECT bot_id FROM bots").fetchall() == [(7,)]
            assert not roles.may_mend(connection)
        assert message.startswith(
            "other_pipeline, other_web, other_bot, other_reader are missing and this user may not"
        )
    finally:
        with connect(empty_database) as connection:
            connection.execute("REASSIGN OWNED BY plain TO knowdefeat; DROP OWNED BY plain; DROP ROLE plain")


def test_a_user_who_may_make_roles_needs_no_superuser(empty_database: str, tmp_path: Path) -> None:
    with connect(empty_database) as connection:
        connection.execute("CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'maker'")
        connection.execute("GRANT knowdefeat_bot, knowdefeat_reader TO maker WITH ADMIN OPTION")
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO maker").format(sql.Identifier(urlsplit(empty_database).path[1:]))
        )
    try:
        url, kept = roles.with_login(empty_database, "maker", "maker"), Passwords(tmp_path / "kept")
        migrations.upgrade(url)
        with connect(url) as connection:
            assert roles.lacking(connection) is None
            connection.execute(OPEN, ["a", 9])
            assert connection.execute("SELECT count(*) FROM trades").fetchone() == (1,)
        assert roles.login_url(url, "knowdefeat_owner", kept) == url
        with pytest.raises(RoleError, match="maker owns the tables here"):
            roles.rotate(url, "knowdefeat_owner", kept)
        with connect(roles.make_bot(url, "bot_gamma", ["7"], kept)) as bot:
            bot.execute(OPEN, ["b", 7])
            assert bot.execute("SELECT bot_id FROM trades").fetchall() == [(7,)]
        roles.remove_bot(url, "bot_gamma", kept)
    finally:
        with connect(empty_database) as connection:
            connection.execute("REASSIGN OWNED BY maker TO knowdefeat; DROP OWNED BY maker; DROP ROLE maker")


def test_the_statements_of_the_guide_take_from_all_what_a_bot_could_stop_the_pipeline_with(
    template: str, empty_database: str, tmp_path: Path
) -> None:
    guide = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    (statements,) = re.findall(r"^```sql\n(.*?)^```", guide, flags=re.MULTILINE | re.DOTALL)
    name, kept = urlsplit(empty_database).path[1:], Passwords(tmp_path / "kept")
    with connect(empty_database) as connection:
        connection.execute("CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'keeper'")
        connection.execute("GRANT knowdefeat_bot, knowdefeat_reader TO keeper WITH ADMIN OPTION")
        connection.execute(f"GRANT CREATE, CONNECT ON DATABASE {name} TO keeper; GRANT ALL ON SCHEMA public TO keeper")
    url = roles.with_login(empty_database, "keeper", "keeper")
    try:
        migrations.upgrade(url)
        bot = roles.make_bot(url, "bot_delta", ["7"], kept)
        with connect(url) as connection, connect(bot) as client:
            assert roles.open_to_all(connection) == ["advisory locks", "temporary tables", "large objects"]
            client.execute("SELECT pg_advisory_lock(1, 2)")
        with connect(empty_database) as connection:
            mended = statements.replace("DATABASE knowdefeat ", f"DATABASE {name} ").replace("pipeline_user", "keeper")
            connection.execute(mended)
        require_needs(url)
        with connect(url) as connection:
            assert roles.open_to_all(connection) == []
        with connect(bot) as client:
            for deed in ("pg_advisory_lock(1, 2)", "pg_try_advisory_xact_lock_shared(1)", "lo_create(0)"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    client.execute(f"SELECT {deed}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                client.execute("CREATE TEMPORARY TABLE t ()")
        with connect(empty_database) as connection:
            connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
        with pytest.raises(DatabaseUnreachable, match=r"CONNECT privilege(?s:.*)The server runs.*GRANT CONNECT, TEMP"):
            connect(roles.with_login(empty_database, "stranger", "stranger"))
    finally:
        with connect(empty_database) as connection:
            connection.execute("DROP ROLE IF EXISTS bot_delta, stranger")
            connection.execute("REASSIGN OWNED BY keeper TO knowdefeat; DROP OWNED BY keeper; DROP ROLE keeper")


def test_an_upgrade_takes_from_all_what_its_user_may_take(empty_database: str) -> None:
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        assert roles.open_to_all(connection) == []
        connection.execute("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC")
        assert roles.open_to_all(connection) == ["advisory locks"]
    assert migrations.upgrade(empty_database) == []
    with connect(empty_database) as connection:
        assert roles.open_to_all(connection) == []


def _renamed(role: roles.Role) -> roles.Role:
    return roles.Role(role.name.replace("knowdefeat", "other"), role.may, role.settings)
