"""The dashboard for Grafana: each query of it runs as the role that reads reports, or names a metric that is told."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import psycopg.postgres
import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.roles import Passwords, establish, rotate
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.web.gauges import GAUGES, PREFIX
from tests.web.conftest import LAST

DASHBOARD = json.loads((ROOT / "grafana" / "knowdefeat.json").read_text(encoding="utf-8"))
FUNCTIONS = {"time"}


def targets(kind: str) -> list[Any]:
    """The queries to sources of that kind, by their panel."""
    return [
        pytest.param(panel, target, id=f"{panel['title']}-{target['refId']}")
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
        if target["datasource"]["type"] == kind
    ]


def expanded(statement: str) -> str:
    """As Grafana sends it: its macros and variables replaced."""
    statement = re.sub(
        r"\$__timeFilter\(([^)]+)\)", r"\1 BETWEEN '2025-01-15T00:00:00Z' AND '2025-03-02T00:00:00Z'", statement
    )
    statement = statement.replace("${currency}", "USD")
    assert "$" not in statement
    return statement


@pytest.fixture(scope="module")
def reader(fleet_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[psycopg.Connection]:
    with connect(fleet_url) as connection:
        establish(connection)
    url = rotate(fleet_url, "knowdefeat_reader", Passwords(tmp_path_factory.mktemp("roles")))
    with connect(url) as connection:
        yield connection


@pytest.mark.parametrize(("panel", "target"), targets("grafana-postgresql-datasource"))
def test_a_query_finds_rows_in_the_reports(
    reader: psycopg.Connection, panel: dict[str, Any], target: dict[str, Any]
) -> None:
    cursor = reader.execute(expanded(target["rawSql"]))
    rows, columns = cursor.fetchall(), cursor.description or []
    assert rows
    if target["format"] == "time_series":
        assert (columns[0].name, columns[0].type_code) == ("time", psycopg.postgres.types["timestamptz"].oid)
        times = [row[0] for row in rows]
        assert times == sorted(times)
    else:
        assert panel["type"] == "table"


def test_sums_are_those_of_the_tables(reader: psycopg.Connection, fleet_url: str) -> None:
    by_title = {panel["title"]: panel["targets"][0]["rawSql"] for panel in DASHBOARD["panels"] if "rawSql" in panel["targets"][0]}  # fmt: skip
    with connect(fleet_url) as connection:
        pnl = connection.execute(
            "SELECT sum(pnl) FROM trades WHERE status = 'closed' AND exit_time >= '2025-01-15' AND exit_time < '2025-03-01'"
        ).fetchone()
        allocated = connection.execute("SELECT allocated FROM fund_allocation_days WHERE day = %s", (LAST,)).fetchone()
    rows = reader.execute(expanded(by_title["Net pnl since the beginning of the range"])).fetchall()
    assert pnl
    assert rows[-1][1] == pytest.approx(pnl[0])
    assert allocated
    assert reader.execute(expanded(by_title["Allocated"])).fetchall()[-1][1] == allocated[0]
    assert sum(row[3] for row in reader.execute(expanded(by_title["Last allocation"])).fetchall()) == allocated[0]


def test_the_variable_offers_the_currencies(reader: psycopg.Connection) -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert reader.execute(variable["query"]).fetchall() == [("USD",)]


@pytest.mark.parametrize(("panel", "target"), targets("prometheus"))
def test_a_query_names_metrics_that_are_told(panel: dict[str, Any], target: dict[str, Any]) -> None:
    plain = re.sub(r"\{[^}]*\}", "", target["expr"])
    names = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", plain)) - FUNCTIONS
    known = {PREFIX + gauge.name: gauge.labels for gauge in GAUGES} | {"process_resident_memory_bytes": ("job",)}
    assert names
    assert names <= known.keys()
    used = set(re.findall(r"([a-z_]+)=", target["expr"])) | set(
        re.findall(r"\{\{([a-z_]+)\}\}", target["legendFormat"])
    )
    assert used <= {label for name in names for label in known[name]}


def test_its_sources_are_asked_for_when_it_is_imported() -> None:
    inputs = {given["name"]: given["pluginId"] for given in DASHBOARD["__inputs"]}
    used = {(target["datasource"]["uid"], target["datasource"]["type"]) for panel in DASHBOARD["panels"] for target in panel["targets"]}  # fmt: skip
    assert used == {(f"${{{name}}}", kind) for name, kind in inputs.items()}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) == 15
    assert Path(ROOT / "docs" / "api.md").read_text(encoding="utf-8").count("grafana/knowdefeat.json")
