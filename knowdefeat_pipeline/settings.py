"""What the environment may set. Read once by an entry point and handed on."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
"""The repository root: the folder that holds `dagster.yaml` and `sql/`."""


@dataclass(frozen=True)
class Settings:
    """`home`: absolute folder of everything the product keeps on disk. `database_url`: None = the embedded server."""

    home: Path
    database_url: str | None
    root: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read `KNOWDEFEAT_HOME` (default `<root>/.knowdefeat`) and `KNOWDEFEAT_DATABASE_URL`; empty means unset."""
        home = Path(environ.get("KNOWDEFEAT_HOME") or ROOT / ".knowdefeat").expanduser().absolute()
        return cls(home=home, database_url=environ.get("KNOWDEFEAT_DATABASE_URL") or None, root=ROOT)


class SettingError(ValueError):
    """An environment variable that cannot be used; the message names it and says what to write."""


@dataclass(frozen=True)
class Upkeep:
    """When the chain is refreshed and the database cleaned, every day, as clocks in `timezone` show it.

    `keep_run_days`: for how many days after its end a run's log is kept whole.
    """

    daily_at: time = time(0, 15)
    maintenance_at: time = time(3, 30)
    timezone: str = "UTC"
    keep_run_days: int = 14

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Upkeep":
        """Read `KNOWDEFEAT_DAILY_AT`, `KNOWDEFEAT_MAINTENANCE_AT`, `KNOWDEFEAT_TIMEZONE` and
        `KNOWDEFEAT_KEEP_RUN_DAYS`; empty means the default. Raises SettingError.
        """

        def read(field: str, reader: Callable[[str, str], T]) -> T:
            name = f"KNOWDEFEAT_{field.upper()}"
            return reader(name, environ[name]) if environ.get(name) else getattr(cls, field)

        return cls(
            daily_at=read("daily_at", _time_of_day),
            maintenance_at=read("maintenance_at", _time_of_day),
            timezone=read("timezone", _timezone),
            keep_run_days=read("keep_run_days", _days),
        )


def webhook_url(environ: Mapping[str, str] = os.environ) -> str | None:
    """`KNOWDEFEAT_WEBHOOK_URL`, where failed runs are reported; empty means nowhere. Raises SettingError."""
    url = environ.get("KNOWDEFEAT_WEBHOOK_URL") or None
    if url and not re.fullmatch(r"https?://[^\s/]+\S*", url):  # its path is often a secret, so it is not shown
        raise SettingError(
            "KNOWDEFEAT_WEBHOOK_URL is not a web address. Write one that begins with http:// or https://."
        )
    return url


def _time_of_day(name: str, text: str) -> time:
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 (a time of day has no date)
    except ValueError:
        raise SettingError(f"{name}={text!r} is not a time of day. Write it as HH:MM, for instance 00:15.") from None


def _timezone(name: str, text: str) -> str:
    try:
        ZoneInfo(text)
    except (LookupError, ValueError, OSError):  # unknown, not a name, a folder of names
        raise SettingError(
            f"{name}={text!r} is not a time zone. Write a name of the IANA database, for instance UTC or Europe/Zurich."
        ) from None
    return text


def _days(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise SettingError(f"{name}={text!r} is not a number of days. Write a whole number of 1 or more.")
    return int(text)
