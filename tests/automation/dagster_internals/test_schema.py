"""Dagster's tables: all of them, whatever was killed while they were made."""

import dagster as dg
import psycopg

from knowdefeat_pipeline.automation.dagster_internals.instance import COMPLETE, open_instance

TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'dagster'"
NOTE = "SELECT obj_description('dagster'::regnamespace)"


def test_tables_that_were_left_half_made_are_made_anew(connection: psycopg.Connection) -> None:
    before = connection.execute(TABLES).fetchone()
    assert connection.execute(NOTE).fetchone() == (COMPLETE,)
    connection.execute("DROP TABLE dagster.run_tags")
    connection.execute("COMMENT ON SCHEMA dagster IS NULL")
    with open_instance() as instance:
        assert instance.get_runs() == []
    assert connection.execute(TABLES).fetchone() == before
    assert connection.execute(NOTE).fetchone() == (COMPLETE,)


def test_tables_with_a_run_are_never_dropped(connection: psycopg.Connection) -> None:
    @dg.job
    def empty() -> None:
        pass

    with open_instance() as instance:
        run_id = instance.create_run_for_job(empty).run_id
    connection.execute("COMMENT ON SCHEMA dagster IS NULL")  # as an older version left them
    with open_instance() as instance:
        assert [run.run_id for run in instance.get_runs()] == [run_id]
    assert connection.execute(NOTE).fetchone() == (COMPLETE,)
