"""The address of Dagster's storage: the user's own options stay, and its tables are in a schema of their own."""

import os

import pytest
from sqlalchemy import NullPool, create_engine, text

from knowdefeat_pipeline.automation.dagster_internals.instance import dagster_url
from knowdefeat_pipeline.settings import Settings

KEEPALIVES = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout")


@pytest.mark.parametrize("query", ["", "?options=-csearch_path%3Dkd%20-cwork_mem%3D7MB", "?application_name=mine"])
def test_the_urls_own_options_stay(database: str, query: str) -> None:
    settings = Settings.from_environment({**os.environ, "KNOWDEFEAT_DATABASE_URL": database + query})
    engine = create_engine(dagster_url(settings), poolclass=NullPool)
    with engine.connect() as connection:
        shown = [
            connection.execute(text(f"SHOW {name}")).scalar()
            for name in ("search_path", "synchronous_commit", "idle_session_timeout", "work_mem", "application_name")
        ]
        keepalives = [connection.execute(text(f"SHOW {name}")).scalar() for name in KEEPALIVES]
    assert keepalives == ["10", "5", "20000"]
    assert shown[:3] == ["dagster", "off", "0"]
    assert (shown[3] == "7MB") == ("work_mem" in query)
    assert (shown[4] == "mine") == ("mine" in query)
