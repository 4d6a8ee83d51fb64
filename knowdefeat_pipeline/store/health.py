"""Whether all is as it should be, and if not, what to do: what `doctor` and the page Operations both look at.

Of the database over a connection of whoever asks, who needs no more than to read; of the home on its disk.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg

from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres import advisory, clock, identity, leases
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.postgres.last_backup import Origin, last_backup
from knowdefeat_pipeline.postgres.liveness import daemon_is_alive, dead_runs
from knowdefeat_pipeline.store.locks import listener_expired_at, listener_holders, listener_is_there
from knowdefeat_pipeline.store.outbox import undelivered
from knowdefeat_pipeline.store.staleness import FAMILIES, Staleness, stale_days

LITTLE_DISK, LEAST_DISK = 1_000_000_000, 200_000_000  # bytes
OFF, FAR_OFF = 5.0, 300.0  # seconds between two clocks
BACK_UP = "Make one: knowdefeat db backup FILE"
OLD_BACKUP = 7  # days
# How long what runs may take to catch up: a batch waits for a second, beliefs for a minute, a start for its backlog.
CATCHING_UP = timedelta(minutes=5)
MOST_RUNS, MOST_BOTS = 5, 20  # that are named


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` says how to mend it where what was found does not.

    `warning`: it works, and will not for ever, or not in full.
    """

    subject: str
    ok: bool
    found: str
    remedy: str = ""
    warning: bool = False

    @property
    def level(self) -> str:
        """How well it is: ok, warning or not ok."""
        return "not ok" if not self.ok else "warning" if self.warning else "ok"


def of_pipeline(connection: psycopg.Connection, first_day: date) -> list[Finding]:
    """What a database with a current schema tells of itself. `first_day`: the first day that can be computed."""
    return [_origin(connection), _bots(connection), *_results(connection, first_day), _webhook(connection)]


def existing(home: Path) -> Path:
    """The home, or the folder that it will be made in."""
    return next(folder for folder in (home, *home.parents) if folder.exists())


def of_disk(home: Path) -> Finding:
    """Whether there is room where the home is."""
    free = shutil.disk_usage(existing(home)).free
    remedy = f"Make room on the disk of {home}: a database whose disk is full stops."
    return Finding("Disk", free >= LEAST_DISK, f"{free / 1e9:,.1f} GB free", remedy, free < LITTLE_DISK)


def of_backup(home: Path, present: Origin | None) -> Finding:
    """How old the last backup from this home is. `present`: the database that is in use, None where that is not
    known."""
    last = last_backup(home)
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


def of_clock(connection: psycopg.Connection) -> Finding:
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


def _origin(connection: psycopg.Connection) -> Finding:
    """Whether the transaction ids that the database holds are those of the server that it is on."""
    found = identity.identify(connection)
    foreign = found is not None and identity.is_foreign(connection, found)
    name = found.present.system_identifier if found else None
    shown = f"system identifier {name}" if name is not None else "the server does not tell its system identifier"
    if foreign:
        shown = "the database was copied from another server, and new trades can be missed"
    return Finding("Transaction ids", not foreign, shown, "Run: knowdefeat db adopt")


def _bots(connection: psycopg.Connection) -> Finding:
    """Whether every bot that trades name is there: without its row it can be neither funded nor switched off."""
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


def _results(connection: psycopg.Connection, first_day: date) -> list[Finding]:
    """One finding for each family of assets: whether every computed day includes every recorded change."""
    findings = []
    listener = _listener(connection)
    is_live = listener.ok and listener_is_there(connection) and daemon_is_alive(connection)
    for family in FAMILIES:
        found = stale_days(connection, family, clock.now(connection), first_day)
        late = clock.now(connection) - found.since if found.since else timedelta(0)
        follows = is_live and late < CATCHING_UP
        shown = _days(found) if found else "up to date"
        if found and follows:
            shown += f", for {late.total_seconds():.0f} s: knowdefeat up is about to compute them"
        remedy = "Run: knowdefeat run. While knowdefeat up runs, it is done by itself"
        findings.append(Finding(f"Results: {family.name}", not found or follows, shown, remedy))
    findings += [listener, _runs(connection), _locks(connection)]
    return findings


def _days(found: Staleness) -> str:
    if found.first == found.last:
        return f"1 stale day, {found.first}"
    return f"{len(found.days):,} stale days, {found.first} to {found.last}"


def _locks(connection: psycopg.Connection) -> Finding:
    """Whether somebody holds what runs wait for and may never let go of it."""
    found = advisory.troubles(connection)
    if not found:
        return Finding("Locks", True, "nobody stands in the way")
    remedy = "Whoever waits for them waits until they end."
    return Finding("Locks", all(holder.computes for holder in found), advisory.told(found), remedy, warning=True)


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


def _webhook(connection: psycopg.Connection) -> Finding:
    """Whether the webhook takes what others are to be told of."""
    waits, given_up, since, error = undelivered(connection)
    if not waits and not given_up:
        return Finding("Webhook", True, "nothing was refused")
    told = f"{counted(waits, 'event waits', 'events wait')}, {counted(given_up, 'was', 'were')} given up"
    shown = f"{told}, the first of {since:%Y-%m-%d %H:%M} UTC: {error}"
    remedy = "See to KNOWDEFEAT_WEBHOOK_URL and its server. Events given up are sent again by: knowdefeat webhook retry"
    return Finding("Webhook", not given_up, shown, remedy, warning=True)
