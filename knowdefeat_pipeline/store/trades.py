"""Recording the trades of a reading: new ones, progress of known ones, and the quarantine for the rest."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from knowdefeat_pipeline.core.escaping import printable, shortened
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import advisory
from knowdefeat_pipeline.postgres.connection import connect, copy_arrow, query
from knowdefeat_pipeline.sources.canonical import agrees
from knowdefeat_pipeline.sources.fields import COLUMNS, Reason
from knowdefeat_pipeline.sources.reading import Finding, Reading
from knowdefeat_pipeline.store.bots import arriving_keys, bot_keys
from knowdefeat_pipeline.store.simulation import remove_simulated

_LOCK = int.from_bytes(b"kdtrades", "big")  # the advisory lock that loads hold: one at a time
_MANY_ROWS = 10_000
_NEW_SHARE = 0.1
_NAMED = 5  # how many bots a note names


class TradeError(KnowDefeatError):
    """A trade that is not there, or of which it is not clear which one is meant; the message says what to do."""

    page = "guides/importing.md"


@dataclass(frozen=True)
class LoadReport:
    """What became of a file.

    `rows_read` is the sum of its inserted, updated, replaced, unchanged, joined, quarantined and settled rows.
    `import_id`: the import that it is; not `is_new`: the same file was taken in already. `joined`: rows that are
    further exits of the trade of another row.
    `removed`: trades of the simulated fleet, which made room.
    `quarantined`: rows that are held, by reason, of which `already_quarantined` were held before. `settled`: refused
    rows that had been held before, and were released or discarded. `explained`: fills that had been held, as an earlier
    file had not all of their position, and that belong to trades of this one.
    `pnl_disagreements`: accepted closed trades whose stated pnl is not the computed one. `first_exit_day` and
    `last_exit_day`: UTC days of the accepted closed trades, None without any. `notes`: what the reader decided.
    """

    import_id: int
    source: str
    file_name: str
    rows_read: int
    inserted: int
    updated: int
    replaced: int
    unchanged: int
    joined: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    already_quarantined: int = 0
    settled: int = 0
    explained: int = 0
    pnl_disagreements: int = 0
    first_exit_day: date | None = None
    last_exit_day: date | None = None
    notes: tuple[str, ...] = ()
    removed: int = 0
    is_new: bool = True


@dataclass(frozen=True)
class InQuarantine:
    """What the refused rows of a file are in quarantine: held, by reason, of which `before` were there already; or
    `settled`, as they were held before and released or discarded."""

    by_reason: Mapping[str, int] = field(default_factory=dict)
    before: int = 0
    settled: int = 0


@dataclass(frozen=True)
class Recorded:
    """Rows written, rows that change nothing, the rows refused in the light of other trades (see `Reading`), and what
    the user should know of its bots."""

    inserted: int
    updated: int
    unchanged: int
    refused: pd.DataFrame
    replaced: int = 0
    notes: tuple[str, ...] = ()


def load_trades(url: str, reading: Reading, file_name: str, **how: Any) -> LoadReport:
    """As `load`, over a connection of its own. Raises DatabaseUnreachable and psycopg.Error."""
    with connect(url) as connection:
        return load(connection, reading, file_name, **how)


def load(
    connection: psycopg.Connection,
    reading: Reading,
    file_name: str,
    *,
    simulated: bool = False,
    replaces: bool = False,
    author: str = "manual",
    content_hash: str | None = None,
    then: Callable[[int], None] = lambda import_id: None,
) -> LoadReport:
    """Record a reading in one transaction: all of it, or, if the database refuses anything, nothing of it.

    It becomes an import, which can be undone (see `store.imports`). The same trade again changes nothing; a trade that
    moved on (open, pending_exit, closed) is updated; rows that contradict another trade go to quarantine with those
    that the reader refused, or, where it `replaces`, take that trade's place. A simulated fleet makes room in the same
    transaction; `simulated` marks the reading's trades as one. `content_hash`: of the file; one that was taken in
    already, and read alike, is no import of its own. `then` is called with the import within the transaction.
    Call it outside of a transaction. Raises psycopg.Error.
    """
    with connection.transaction():
        lock_loads(connection)
        left = remove_simulated(connection)
        report = _load(connection, reading, file_name, simulated, replaces, author, content_hash)
        then(report.import_id)
    left.forget_late_days(connection)
    return replace(report, removed=left.trades)


def _load(
    connection: psycopg.Connection,
    reading: Reading,
    file_name: str,
    simulated: bool,
    replaces: bool,
    author: str,
    content_hash: str | None,
) -> LoadReport:
    import_id, is_new = _open_import(connection, reading, file_name, author, content_hash, replaces)
    recorded = record(connection, reading, import_id, capital=reading.capital, simulated=simulated, replaces=replaces)
    refused = pd.concat([reading.refused, recorded.refused], ignore_index=True)
    about = (reading.source, reading.layout.as_json(), file_name)
    held = hold(connection, *about, refused, import_id=import_id, simulated=simulated)
    overlaps = (recorded.refused["reason"] == Reason.OVERLAPPING_TRADE).any()
    explained = 0 if overlaps else release_explained(connection, reading, import_id)
    if is_new:
        _settle_import(connection, reading, recorded, len(refused), import_id)
    return replace(_report(import_id, reading, file_name, recorded, held), is_new=is_new, explained=explained)


def changed_trade(
    connection: psycopg.Connection, source: str, trade: str, bot: str | None, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """A recorded trade as our export has it, with changes by field; its id in its source is `trade`.

    The costs of the exit add to those that were recorded. Raises TradeError where there is none, or bots have one each
    and none is named; BotError for a bot that is not there.
    """
    key = None if bot is None else bot_keys(connection, [bot])[0]
    asked = {"source": source, "source_trade_id": trade, "bot_id": key}
    found = connection.execute(query("trades/recorded"), asked).fetchall()
    if not found:
        raise TradeError(
            f"There is no trade {shortened(printable(trade))} of the source {shortened(printable(source))}"
        )
    if len(found) > 1:
        names = ", ".join(printable(name) for _, name in found)
        raise TradeError(f"Several bots have a trade {shortened(printable(trade))}: say which is meant ({names})")
    ((content, name),) = found
    row = {**content, "bot_id": name, "fee_rate": None if content["fee_currency"] is None else 1.0}
    if "exit_fee" in changes and "fees" not in changes:
        row["fees"] = row["fees"] - (row["exit_fee"] or 0.0) + changes["exit_fee"]
    return {**row, **changes}


def lock_loads(connection: psycopg.Connection) -> None:
    """Let no other load or undoing begin before this transaction ends."""
    advisory.take(connection, _LOCK, "another load of trades")


def _open_import(
    connection: psycopg.Connection,
    reading: Reading,
    file_name: str,
    author: str,
    content_hash: str | None,
    replaces: bool,
) -> tuple[int, bool]:
    """The import of a file, and whether it is a new one; corrections always are."""
    about = {
        "source": reading.source,
        "file_name": file_name,
        "content_hash": content_hash,
        "layout": Jsonb(reading.layout.as_json()),
        "author": author,
        "replaces": replaces,
    }
    known = None if replaces else connection.execute(query("trades/import_known"), about).fetchone()
    if known:
        return known[0], False
    ((import_id,),) = connection.execute(query("trades/import_open"), about).fetchall()
    return import_id, True


def _settle_import(
    connection: psycopg.Connection, reading: Reading, recorded: Recorded, quarantined: int, import_id: int
) -> None:
    connection.execute(
        query("trades/import_settle"),
        {
            "import_id": import_id,
            "rows_read": reading.rows_read,
            "inserted": recorded.inserted,
            "updated": recorded.updated,
            "replaced": recorded.replaced,
            "unchanged": recorded.unchanged,
            "quarantined": quarantined,
            "notes": Jsonb(list(reading.notes)),
            "pnl_rounding": reading.pnl_rounding,
            "marked_at": _mark_time(reading.valid),
            "capital": Jsonb(dict(reading.capital)),
        },
    )
    note_repeats(connection, import_id)


def note_repeats(connection: psycopg.Connection, import_id: int | None) -> None:
    """Note which of the rows that were just recorded for an import are trades of another (see `store.imports`)."""
    connection.execute(query("trades/import_repeats"), {"import_id": import_id})


def record(
    connection: psycopg.Connection,
    reading: Reading,
    import_id: int | None,
    *,
    capital: Mapping[str, float],
    simulated: bool = False,
    replaces: bool = False,
    keeps_later: bool = False,
    of_one_bot: bool = False,
) -> Recorded:
    """Write the valid trades of a reading, inside the caller's transaction. Quarantines nothing.

    `capital`: what is stated of their bots by this, by name (see `arriving_keys`). `keeps_later`: rows that would move
    on a trade of a later import are refused. `of_one_bot`: so are rows whose id names a trade of another bot, as where
    the reading `replaces`.
    """
    source = {"source": reading.source, "import_id": import_id, "simulated": simulated}
    plan(connection, len(reading.valid))
    lock_loads(connection)
    names, notes = stage(connection, reading.valid, capital)
    judge(connection, source, reading.layout.holds_duplicates, replaces=replaces, of_one_bot=of_one_bot)
    if keeps_later:
        connection.execute(
            "UPDATE incoming SET verdict = 'conflicting_trade' FROM trades AS t"
            " WHERE verdict = 'update' AND t.trade_id = other_trade AND t.import_id > %s",
            [import_id],
        )
    if reading.raw.spans is not None:
        _hold_overlaps(connection, source, reading.raw.spans)
    notes += _uncorrected(connection, source) if replaces else _of_other_accounts(connection, source, names)
    notes += _renamed(connection, source, names)
    inserted, updated, replaced = write(connection, source, replaces=replaces, marked_at=_mark_time(reading.valid))
    _analyze(connection, inserted)
    findings = [finding(row, names) for row in refused_rows(connection)]
    unchanged = len(reading.valid) - inserted - updated - replaced - len(findings)
    return Recorded(inserted, updated, unchanged, reading.refuse(findings), replaced, tuple(notes))


def plan(connection: psycopg.Connection, rows: int) -> None:
    """Let the rest of the transaction be planned for so many arriving rows."""
    connection.execute("SET LOCAL work_mem = '128MB'")
    connection.execute("SET LOCAL jit = off")
    if rows > _MANY_ROWS:  # columns that go together (bot, entry) make the planner expect far fewer rows
        connection.execute("SET LOCAL enable_nestloop = off")


def write(
    connection: psycopg.Connection,
    source: Mapping[str, object],
    *,
    replaces: bool = False,
    marked_at: str = "",
) -> tuple[int, int, int]:
    """Write `incoming` as it was judged; how many trades were inserted, updated and replaced.

    `marked_at`: when the mark prices of new open trades were true, "": now.
    """
    connection.execute(query("trades/load_revisions"), source)
    updated = connection.execute(query("trades/load_update"), source).rowcount
    connection.execute("SELECT set_config('knowdefeat.marked_at', %s, true)", [marked_at])
    inserted = connection.execute(query("trades/load_insert"), source).rowcount
    return inserted, updated, _replace(connection, source) if replaces else 0


def stage(
    connection: psycopg.Connection, valid: pd.DataFrame | None, capital: Mapping[str, float] | None = None
) -> tuple[dict[int, str], list[str]]:
    """Put valid rows (see `Reading`; None: no row) into `incoming`; the names of their bots by key, and what the user
    should know of these, of which the `capital` is stated by this (see `arriving_keys`)."""
    connection.execute("DROP TABLE IF EXISTS incoming")
    connection.execute(query("trades/load_stage"))
    if valid is None:
        return {}, []
    code, bots = pd.factorize(valid["bot_id"])
    keys, notes = arriving_keys(connection, bots.tolist(), capital or {})
    rows = pa.Table.from_pandas(valid.assign(bot_id=np.array(keys, np.int32)[code]), preserve_index=False)
    copy_arrow(connection, "incoming", rows, ["row_number", *COLUMNS, "pnl"])
    connection.execute("ANALYZE incoming (row_number, source_trade_id, bot_id, entry_time)")
    return dict(zip(keys, bots, strict=True)), notes


def judge(
    connection: psycopg.Connection,
    source: Mapping[str, object],
    holds_duplicates: bool,
    *,
    replaces: bool = False,
    of_one_bot: bool = False,
) -> None:
    """Give each row of `incoming` its verdict."""
    connection.execute(query("trades/load_currencies"))
    connection.execute(query("trades/load_unchanged"), source)
    if replaces:
        connection.execute(query("trades/load_replacements"), source)
    if replaces or of_one_bot:
        connection.execute(query("trades/load_other_bots"), source)
    connection.execute(query("trades/load_keys"), source)
    if holds_duplicates:
        connection.execute(query("trades/load_twins_in_file"))
        for verdict in ("update", "insert"):
            connection.execute(query("trades/load_twins_recorded"), {**source, "verdict": verdict})
        connection.execute(query("trades/load_followers"))


def _hold_overlaps(connection: psycopg.Connection, source: Mapping[str, object], spans: pa.Table) -> None:
    """Refuse trades of fills during which another file's trade holds their position (see `RawTable.spans`)."""
    connection.execute("DROP TABLE IF EXISTS spans")
    connection.execute(
        "CREATE TEMP TABLE spans (row_number bigint, until timestamptz, since timestamptz, one_way boolean,"
        " either boolean)"
        " ON COMMIT DROP"
    )
    copy_arrow(connection, "spans", spans)
    connection.execute("CREATE INDEX ON incoming (source_trade_id, bot_id)")
    connection.execute("ANALYZE spans")
    connection.execute(query("trades/load_overlaps"), source)


def _replace(connection: psycopg.Connection, source: Mapping[str, object]) -> int:
    """Corrected trades leave and come back, so that whatever rests on them is told; how many."""
    connection.execute(query("trades/load_replace"), source)
    connection.execute(query("trades/keep_positions"))
    connection.execute("DELETE FROM trades t USING contents c WHERE t.trade_id = c.trade_id")
    replaced = connection.execute(query("trades/write_contents")).rowcount
    connection.execute(query("trades/return_positions"))
    connection.execute("DROP TABLE contents, kept_positions, kept_marks")
    return replaced


def _uncorrected(connection: psycopg.Connection, source: Mapping[str, object]) -> list[str]:
    """What to say of corrections whose ids are known in another source than theirs."""
    found = connection.execute(query("trades/load_other_sources"), source).fetchall()
    return [
        f"{counted(rows, 'new trade has', 'new trades have')} the bot and the id of trades of the source "
        f"'{other}', which is not this one ('{source['source']}'): if they correct those, undo this import and load "
        f"the file with --source {shlex.quote(other)}"
        for other, rows in found
    ]


def _renamed(connection: psycopg.Connection, source: Mapping[str, object], names: Mapping[int, str]) -> list[str]:
    """What to say of new bots that have the trades of others, as a file has whose name was changed."""
    found = connection.execute(query("trades/load_renamed_bots"), source).fetchall()
    return [
        f"bot {names[key]} is new, and {counted(trades, 'trade of its', 'trades of its')} first ones "
        f"{'has' if trades == 1 else 'have'} the id and the entry of trades of bot {other}: if it is that one under "
        f"another name, undo this import and load the file with --bot {shlex.quote(other)}"
        for key, other, trades in found
    ]


def _of_other_accounts(
    connection: psycopg.Connection, source: Mapping[str, object], names: Mapping[int, str]
) -> list[str]:
    """What to say of bots whose trades of another source, as of another account, are theirs too."""
    bots: dict[str, list[str]] = {}
    for key, other in connection.execute(query("trades/load_other_accounts"), source).fetchall():
        bots.setdefault(other, []).append(names[key])
    return [
        f"{_some('bot', named)} {'has' if len(named) == 1 else 'have'} trades of the source '{other}', too: these and "
        "the new ones count together, as those of one bot. If they are another bot's, as of another account, undo this "
        "import and load the file with another name of the bot: --bot NAME, or in the file"
        for other, named in bots.items()
    ]


def _some(what: str, named: Sequence[str]) -> str:
    """A few of the names, and how many more there are."""
    more = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    return f"{what}{'s' if len(named) > 1 else ''} {', '.join(named[:_NAMED])}{more}"


def _mark_time(trades: pd.DataFrame) -> str:
    """When the mark prices of a file's new open trades were true: at the last time that the file tells of, as it was
    written no earlier. "": now, where no trade has closed by which to tell; as every later price of a known trade."""
    if not (trades["status"] == "closed").any():
        return ""
    return str(max(trades["exit_time"].max(), trades["entry_time"].max()).isoformat())


def _analyze(connection: psycopg.Connection, inserted: int) -> None:
    """After a load that made the table another one: a plan for what it was could take hours for the next reader."""
    ((known,),) = connection.execute(
        "SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'trades'::regclass"
    ).fetchall()
    if inserted > _NEW_SHARE * known:
        connection.execute("ANALYZE trades")


def refused_rows(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """The rows of `incoming` that are refused in the light of other trades, with what stands against each."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("trades/load_refused"), {"columns": [*COLUMNS]}).fetchall()


def finding(row: Mapping[str, Any], names: Mapping[int, str]) -> Finding:
    """Why one of the `refused_rows` is; `names`: of the bots, by key."""
    reason = Reason(row["reason"])
    if reason is Reason.CURRENCY_MISMATCH:
        facts = {"currency": row["quote_currency"], "bot": names[row["bot_id"]], "other": row["account_currency"]}
        return row["row_number"], reason, "quote_currency", facts
    recorded = "which the bot wrote itself" if row["import_id"] is None else f"of import {row['import_id']}"
    if reason is Reason.ANOTHER_BOT:
        facts = {"bot": names[row["bot_id"]], "other_bot": row["other_bot"]}
        facts |= {"recorded": recorded, "undo": _undo(row)}
        return row["row_number"], reason, "source_trade_id", facts
    if reason is Reason.OVERLAPPING_TRADE:
        other = f"trade {row['trade_id']} ({row['source_trade_id']})"
        return row["row_number"], reason, "source_trade_id", {"other": other, "recorded": recorded, "undo": _undo(row)}
    other = "another row of the file" if row["other_row"] is None else f"row {row['other_row']}"
    if row["other_row"] is None and row["trade_id"] is not None:
        other = f"trade {row['trade_id']} ({row['source']}, {row['source_trade_id']})"
    return row["row_number"], reason, "source_trade_id", {"other": other, "differing": row["differing"]}


def _undo(row: Mapping[str, Any]) -> str:
    """How the trade that stands against a row is taken back."""
    return "delete that trade" if row["import_id"] is None else f"knowdefeat imports undo {row['import_id']}"


def hold(
    connection: psycopg.Connection,
    source: str,
    layout: Mapping[str, object],
    file_name: str,
    refused: pd.DataFrame,
    *,
    import_id: int | None = None,
    simulated: bool = False,
) -> InQuarantine:
    """Put the refused rows (see `Reading`) into quarantine. `simulated` marks them as the fleet's."""
    if refused.empty:
        return InQuarantine()
    connection.execute("DROP TABLE IF EXISTS refused")
    connection.execute(
        "CREATE TEMP TABLE refused ON COMMIT DROP AS "
        "SELECT row_number, reason, column_name, message, original FROM trade_quarantine WITH NO DATA"
    )
    copy_arrow(connection, "refused", pa.Table.from_pandas(refused, preserve_index=False))
    about = {"source": source, "file_name": file_name, "layout": Jsonb(layout)}
    about |= {"import_id": import_id, "simulated": simulated}
    new = connection.execute(query("trades/quarantine_hold"), about).rowcount
    connection.execute(query("trades/quarantine_repeat"), about)
    found = connection.execute(query("trades/quarantine_outcome"), about).fetchall()
    by_reason = {reason: rows for reason, is_held, rows in sorted(found) if is_held}
    return InQuarantine(
        by_reason, sum(by_reason.values()) - new, sum(rows for _, is_held, rows in found if not is_held)
    )


def release_explained(connection: psycopg.Connection, reading: Reading, import_id: int) -> int:
    """Settle held fills of the source that belong to trades of the reading; how many. Once the import is undone, they
    are held again."""
    if reading.raw.explained is None:
        return 0
    held = connection.execute(query("trades/quarantine_fills"), {"source": reading.source}).fetchall()
    are = reading.raw.explains([original for _, original in held])
    explained = [quarantine_id for (quarantine_id, _), is_one in zip(held, are, strict=True) if is_one]
    if not explained:
        return 0
    connection.execute(
        "UPDATE trade_quarantine SET status = 'released', note = %s, settled_at = clock_timestamp(), released_by = %s"
        " WHERE quarantine_id = ANY(%s)",
        (f"explained by import {import_id}", import_id, explained),
    )
    return len(explained)


def _report(import_id: int, reading: Reading, file_name: str, recorded: Recorded, held: InQuarantine) -> LoadReport:
    held_back = {*recorded.refused["row_number"].tolist()}
    accepted = reading.valid[~reading.valid["row_number"].isin(held_back)]
    closed = accepted[accepted["status"] == "closed"]
    stated = closed[closed["reported_pnl"].notna()]
    disagreeing = ~agrees(stated["pnl"].to_numpy(), stated["reported_pnl"].to_numpy(), reading.pnl_rounding)
    first, last = closed["exit_time"].min(), closed["exit_time"].max()
    return LoadReport(
        import_id=import_id,
        source=reading.source,
        file_name=file_name,
        rows_read=reading.rows_read,
        inserted=recorded.inserted,
        updated=recorded.updated,
        replaced=recorded.replaced,
        unchanged=recorded.unchanged,
        joined=sum(len(rows) for number, rows in reading.parts.items() if number not in held_back),
        quarantined=held.by_reason,
        already_quarantined=held.before,
        settled=held.settled,
        pnl_disagreements=int(disagreeing.sum()),
        first_exit_day=None if closed.empty else first.date(),
        last_exit_day=None if closed.empty else last.date(),
        notes=reading.notes + recorded.notes,
    )
