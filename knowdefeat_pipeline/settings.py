"""What the environment may set: read once by an entry point, and handed on as Settings."""

import os
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from knowdefeat_pipeline.errors import KnowDefeatError

_PACKAGED = Path(__file__).resolve().parent / "share"  # where a wheel carries what a checkout has at its top level
IS_INSTALLED = _PACKAGED.is_dir()
"""Whether the code runs from an installed wheel rather than from a checkout of the repository."""
ROOT = _PACKAGED if IS_INSTALLED else Path(__file__).resolve().parents[1]
"""The folder of `sql/`, `dagster.yaml` and `workspace.yaml`: Dagster's home, and never written to."""

PREFIX = "KNOWDEFEAT_"
FROM_FILE = "_FILE"  # at the end of a secret's variable: the file that holds it
EARLIEST_DAY, LATEST_DAY = date(1900, 1, 1), date(2200, 1, 1)
MOST_DAYS = 36_500  # a century: more would leave the calendar
MOST_SECONDS = 86_400


class SettingError(KnowDefeatError):
    """An environment variable that cannot be used: `fault` names it, `remedy` says what to write."""

    page = "reference/settings.md"

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(f"{fault} {remedy}")
        self.fault, self.remedy = fault, remedy


@dataclass(frozen=True)
class Upkeep:
    """When the chain is refreshed and the database cleaned, every day, as clocks in `timezone` show it."""

    daily_at: time = time(0, 15)
    maintenance_at: time = time(3, 30)
    timezone: str = "UTC"
    keep_run_days: int = 14

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Upkeep":
        """Read `KNOWDEFEAT_DAILY_AT`, `KNOWDEFEAT_MAINTENANCE_AT`, `KNOWDEFEAT_TIMEZONE` and
        `KNOWDEFEAT_KEEP_RUN_DAYS`; empty means the default. Raises SettingError.
        """
        return cls(**_given(environ, (f.name for f in fields(cls))))


def default_home() -> Path:
    """`.knowdefeat` in a checkout, and in the user's own folder for an installed wheel: never the current folder."""
    return (Path.home() if IS_INSTALLED else ROOT) / ".knowdefeat"


def make_private(folder: Path) -> None:
    """Make a folder of the home, and those above it, where they are missing, so that no other user looks into them.

    (Started as root, the account that runs the embedded database may pass through; see `EmbeddedPostgres`.)
    """
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


@dataclass(frozen=True)
class Settings:
    """Everything that the environment may set; the variable of a field is KNOWDEFEAT_ and its name in capitals.

    What each means is said in `_VARIABLES`. None: the embedded server (database_url), the same as database_url
    (intake_url), nowhere (webhook_url), one that is kept in the home (webhook_secret), this host (code_server). `home`
    is absolute. `root` is no setting.
    """

    home: Path = field(default_factory=default_home)
    database_url: str | None = field(default=None, repr=False)  # it holds a password
    intake_url: str | None = field(default=None, repr=False)  # so does this
    root: Path = ROOT
    first_day: date = date(2015, 1, 1)
    chunk_days: int = 90
    live_report_seconds: int = 60
    webhook_url: str | None = field(default=None, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    webhook_private: bool = False
    freqtrade_token: str | None = field(default=None, repr=False)
    embedded: bool = True
    code_server: str | None = None
    code_location: str = "knowdefeat_pipeline"
    dagster_home: Path = ROOT
    dask_scheduler: str | None = None
    workers: int | None = None
    whole_mb: int = 450
    upkeep: Upkeep = Upkeep()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read every variable; an empty one means the default. Raises SettingError."""
        names = [f.name for f in fields(cls) if f.name not in ("root", "upkeep")]
        settings = cls(**_given(environ, names), upkeep=Upkeep.from_environment(environ))
        if not settings.embedded and settings.database_url is None:
            # A host of several that lacks the address would begin a database of its own, and find it empty.
            raise SettingError(
                "KNOWDEFEAT_EMBEDDED=no, and KNOWDEFEAT_DATABASE_URL is not set.",
                "Set it, or KNOWDEFEAT_DATABASE_URL_FILE to a file that holds it.",
            )
        return settings


def workspace(settings: Settings) -> tuple[Path, dict[str, str]]:
    """Dagster's workspace file for who launches runs and shows them, and the environment that the file refers to."""
    if settings.code_server is None:
        return settings.root / "workspace.yaml", {}
    host, _, port = settings.code_server.rpartition(":")
    named = {"HOST": host.strip("[]"), "PORT": port, "LOCATION": settings.code_location}
    return settings.root / "code_server.yaml", {f"{PREFIX}CODE_{name}": value for name, value in named.items()}


def before_first_day(day: date, first_day: date) -> str:
    """Why a day cannot be computed, and what to do."""
    return (
        f"{day} lies before the first partition, {first_day}. Set KNOWDEFEAT_FIRST_DAY={day} in the environment "
        "(of every command)."
    )


def handed_on(**secrets: str) -> dict[str, str]:
    """What a program's environment has so that these fields are its secrets, whatever ours has for them.

    One in a file would stand beside the one that is given here, which Settings refuses.

    >>> handed_on(intake_url="postgresql://h/d")
    {'KNOWDEFEAT_INTAKE_URL': 'postgresql://h/d', 'KNOWDEFEAT_INTAKE_URL_FILE': ''}
    """
    given = {PREFIX + name.upper(): secret for name, secret in secrets.items()}
    return given | {name + FROM_FILE: "" for name in given}


def variable_names() -> list[str]:
    """The variables that are read."""
    names = {PREFIX + name.upper(): variable for name, variable in _VARIABLES.items()}
    return [*names, *(name + FROM_FILE for name, variable in names.items() if variable.is_secret)]


def setting_errors(environ: Mapping[str, str] = os.environ) -> dict[str, SettingError]:
    """What is wrong with each variable that cannot be used, by its name."""
    found = {}
    for name in _VARIABLES:
        try:
            _given(environ, [name])
        except SettingError as error:
            found[PREFIX + name.upper()] = error
    return found


def _given(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, Any]:
    """The values of those that are set, by the name of their field."""
    found = {}
    for name in names:
        read, kind, remedy, is_secret, _ = _VARIABLES[name]
        variable = PREFIX + name.upper()
        text = environ.get(variable) or ""
        if is_secret and (file := environ.get(variable + FROM_FILE)):
            text = _content(variable, text, file)
        if text:
            try:
                found[name] = read(text)
            except (LookupError, ValueError, OSError):  # the last: a time zone that is a folder
                shown = variable if is_secret else f"{variable}={text!r}"
                raise SettingError(f"{shown} is not {kind}.", remedy) from None
    return found


def _content(variable: str, text: str, file: str) -> str:
    """The secret that a file holds, as platforms hand them to containers. Raises SettingError."""
    if text:
        raise SettingError(f"{variable} and {variable}{FROM_FILE} are both set.", "Unset one of them.")
    try:
        found = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingError(
            f"{variable}{FROM_FILE}={file!r} cannot be read: {why}.", "Name a file that holds it."
        ) from None
    if not found:
        raise SettingError(f"The file of {variable}{FROM_FILE}={file!r} is empty.", "Write the secret into it.")
    return found


def _home(text: str) -> Path:
    try:
        home = Path(text).expanduser().absolute()
    except RuntimeError:  # ~somebody whom the system does not know
        raise ValueError from None
    if any(path.exists() and not path.is_dir() for path in (home, *home.parents)):
        raise ValueError
    return home


def _dagster_home(text: str) -> Path:
    if not (Path(text) / "dagster.yaml").is_file():
        raise ValueError
    return Path(text)


def _day(text: str) -> date:
    day = date.fromisoformat(text)
    if not EARLIEST_DAY <= day <= LATEST_DAY:
        raise ValueError
    return day


def _time_of_day(text: str) -> time:
    return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 (a time of day has no date)


def _timezone(text: str) -> str:
    return ZoneInfo(text).key


def _count(most: int, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise ValueError
    return int(text)


def _scheduler(text: str) -> str:
    kind, _, place = text.partition("://")
    if kind not in ("tcp", "tls"):
        raise ValueError
    return f"{kind}://{_place(place)}"


def _yes_or_no(text: str) -> bool:
    return {"yes": True, "no": False}[text]


def _place(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", host):
        raise ValueError
    _count(65_535, port)
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", text):
        raise ValueError
    return text


def _web_address(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+\S*", text):
        raise ValueError
    return text


def _webhook_secret(text: str) -> str:
    if len(b64decode(text.removeprefix("whsec_"), validate=True)) < 24:
        raise ValueError
    return text


class _Variable(NamedTuple):
    """How a variable's text is read (it raises what cannot be), what it should be, how to write that, whether it may
    stand in a file, and what it sets."""

    read: Callable[[str], Any]
    kind: str
    remedy: str
    is_secret: bool = False
    meaning: str = ""

    def for_(self, meaning: str) -> "_Variable":
        """The same kind of variable for something."""
        return self._replace(meaning=meaning)


_TIME = _Variable(_time_of_day, "a time of day", "Write it as HH:MM, for instance 00:15.")
_DAYS = _Variable(partial(_count, MOST_DAYS), "a number of days", f"Write a whole number from 1 to {MOST_DAYS:,}.")
_ADDRESS = _Variable(str, "an address", "Write postgresql://user:password@host:5432/database.", is_secret=True)
_ANSWER = _Variable(_yes_or_no, "an answer", "Write yes or no.")
_VARIABLES = {
    "home": _Variable(_home, "a folder", "Write a path.").for_(
        "The folder of the embedded database, of passwords and of all logs. Of an installed wheel it is in your own "
        "folder."
    ),
    "database_url": _ADDRESS.for_("The database, PostgreSQL 14 or newer, instead of the embedded one."),
    "intake_url": _ADDRESS.for_(
        "The same for what records trades that come over HTTP, as a role that may; `up` sets it. By default "
        "KNOWDEFEAT_DATABASE_URL."
    ),
    "first_day": _Variable(
        _day,
        f"a day from {EARLIEST_DAY} to {LATEST_DAY}",
        "Write it as YYYY-MM-DD, for instance 2015-01-01.",
    ).for_("The first UTC day that can be computed; the same for every command."),
    "chunk_days": _DAYS.for_("How many days one run covers at most."),
    "live_report_seconds": _Variable(
        partial(_count, MOST_SECONDS), "a number of seconds", f"Write a whole number from 1 to {MOST_SECONDS:,}."
    ).for_("How often the live listener reports to Dagster."),
    "webhook_url": _Variable(
        _web_address,
        "a web address",
        "Write one that begins with http:// or https://.",
        is_secret=True,  # its path is often one
    ).for_("Where events are posted: failed runs, halted bots, published weights, held rows, stale results."),
    "webhook_secret": _Variable(
        _webhook_secret,
        "a secret of Standard Webhooks",
        "Write whsec_ and at least 24 bytes in base64.",
        is_secret=True,
    ).for_(
        "By what events are signed. By default one that is made, which `knowdefeat webhook secret` prints; with "
        "KNOWDEFEAT_EMBEDDED=no it must be given."
    ),
    "webhook_private": _ANSWER.for_("Whether the webhook's address may be on this machine or in its network."),
    "freqtrade_token": _Variable(str, "a login", "Write user:password, or a token.", is_secret=True).for_(
        "What lets `follow --url` into the API of a freqtrade."
    ),
    "embedded": _Variable(_yes_or_no, "a yes or a no", "Write no where the embedded server must never be used.").for_(
        "Whether the embedded server may be used. With no a start without an address of the database is refused."
    ),
    "code_server": _Variable(_place, "a host and port", "Write HOST:PORT, for instance code:4000.").for_(
        "The `serve code` that executes the runs which this host's Dagster launches. By default this host does."
    ),
    "code_location": _Variable(
        _name, "a name", "Write letters, digits, - and _, for instance knowdefeat-pipeline."
    ).for_("What Dagster calls that code server."),
    "dagster_home": _Variable(_dagster_home, "a folder with a dagster.yaml", "Write the path of one.").for_(
        "The folder of the dagster.yaml that counts: ours by default, or the one that a platform's chart wrote."
    ),
    "dask_scheduler": _Variable(_scheduler, "a scheduler of Dask", "Write tls://HOST:PORT or tcp://HOST:PORT.").for_(
        "The Dask cluster that computes refreshes too large for one process. By default this machine does."
    ),
    "workers": _Variable(partial(_count, 1024), "a number of processes", "Write a whole number from 1 to 1,024.").for_(
        "In how many processes of this machine such refreshes are computed, at most: by default as many as it has "
        "cores. 1 is the run's own."
    ),
    "whole_mb": _Variable(
        partial(_count, 10**6), "a number of megabytes", "Write a whole number from 1 to 1,000,000."
    ).for_("Megabytes of trades and rows up to which a refresh is computed in one piece."),
    "daily_at": _TIME.for_("When the schedule `daily_weights` runs."),
    "maintenance_at": _TIME.for_("When the schedule `nightly_maintenance` runs."),
    "timezone": _Variable(
        _timezone, "a time zone", "Write a name of the IANA database, for instance UTC or Europe/Zurich."
    ).for_("The time zone of both; days remain UTC."),
    "keep_run_days": _DAYS.for_("For how many days after its end a run's log is kept whole."),
}


class Described(NamedTuple):
    """A variable as people read of it; `default` is empty for none, and for what is not the same everywhere."""

    name: str
    meaning: str
    default: str
    remedy: str
    is_secret: bool


def described() -> list[Described]:
    """Every variable, for the documentation."""
    values = {f.name: f.default for of in (Settings, Upkeep) for f in fields(of)} | {"home": ".knowdefeat"}
    return [
        Described(PREFIX + name.upper(), v.meaning, _written(values[name]), v.remedy, v.is_secret)
        for name, v in _VARIABLES.items()
    ]


def _written(value: Any) -> str:
    """A default as its variable would be written."""
    if value is None or isinstance(value, Path):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:%H:%M}" if isinstance(value, time) else str(value)
