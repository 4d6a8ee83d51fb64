"""Which column a missing field might be: by what its cells hold and by the words of its name.

A guess is only ever proposed. A wrong one that is pasted changes money, so that what is doubtful is left to the user.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.sources import cells, names, words
from knowdefeat_pipeline.sources.fields import FIELDS, Kind

SAMPLE = 200
"""How many rows are looked at."""
TELLING: Mapping[str, Mapping[str, str]] = {"direction": words.DIRECTIONS, "status": words.STATUSES}
"""Fields that a column's cells tell by themselves."""
ENTRY = frozenset({"entry", "entered", "enter", "open", "opened", "opening", "start", "created", "begin", "in"})
EXIT = frozenset({"exit", "exited", "leave", "close", "closed", "closing", "end", "finished", "out"})
PRICE = frozenset({"price", "rate", "px", "level", "avg", "average"})
HINTS: Mapping[str, tuple[frozenset[str], ...]] = {
    "source_trade_id": (frozenset({"id", "ids", "no", "nr", "number", "ticket", "ref", "reference", "order", "uid"}),),
    "bot_id": (frozenset({"bot", "magic"}),),
    "ticker": (
        frozenset({"symbol", "pair", "pairs", "market", "coin", "asset", "instrument", "contract", "contracts"})
        | {"stock", "security", "product", "ticker"},
    ),
    "entry_time": (ENTRY,),
    "exit_time": (EXIT,),
    "entry_price": (ENTRY, PRICE),
    "exit_price": (EXIT, PRICE),
    "notional": (frozenset({"notional", "value", "size", "turnover"}),),
}
"""A word of each group stands in the name of a column that is the field."""
BOUGHT: Mapping[str, frozenset[str]] = {
    "entry_time": frozenset({"buy", "bought"}),
    "entry_price": frozenset({"buy", "bought"}),
    "exit_time": frozenset({"sell", "sold"}),
    "exit_price": frozenset({"sell", "sold"}),
}
"""What entry and exit are called in files of long positions alone."""


TELLS = frozenset({"source_trade_id", "direction", "entry_price", "exit_price", "reported_pnl"})
"""Fields of which a table of trades has one, and few other tables do."""
SPEAKS = 3
"""How many fields the headings of a table of trades name, whatever it lacks."""


def speak_of_trades(headings: Iterable[str]) -> bool:
    """Whether these could be headings of trades: three are names of fields, and one of them of what few others have.

    >>> speak_of_trades(["id", "pair", "side", "my price"]), speak_of_trades(["open_time", "close_time", "volume"])
    (True, False)
    """
    fields = names.by_name(headings).keys()
    return len(fields) >= SPEAKS and not fields.isdisjoint(TELLS)


def may_be_trades(headings: Sequence[str], table: pa.Table | None) -> bool:
    """Whether a table could be one of trades, in whatever language: by its headings, or by its cells, which say LONG
    and SHORT, or two times and two numbers a row."""
    if speak_of_trades(headings):
        return True
    columns = [] if table is None else table.slice(0, SAMPLE).columns
    if any(_speaks(column, words.DIRECTIONS) for column in columns):
        return True
    numbers = [_holds("amount", column) for column in columns]
    times = [not number and _holds("time", column) for number, column in zip(numbers, columns, strict=True)]
    return sum(times) > 1 and sum(numbers) > 1


def columns_for(
    missing: Sequence[str], seen: Sequence[str], used: Mapping[str, str], table: pa.Table
) -> dict[str, str]:
    """Field -> column, for the missing fields that one column alone fits. `used`: field -> column, which are taken."""
    head = table.slice(0, SAMPLE)
    needed = {column for field, column in used.items() if field != "strategy_id"}
    free = [column for column in seen if column not in needed]
    found: dict[str, str] = {}
    for field in [*(name for name in missing if name in TELLING), *(name for name in missing if name not in TELLING)]:
        long_alone = "direction" in missing and "direction" not in found
        candidates = [
            column
            for column in free
            if column not in found.values() and _fits(field, column, head.column(column), long_alone)
        ]
        if len(candidates) == 1:
            found[field] = candidates[0]
    return found


def _fits(field: str, column: str, content: pa.ChunkedArray, long_alone: bool) -> bool:
    if field in TELLING:
        return _speaks(content, TELLING[field])
    name = {*re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower())}
    groups = HINTS.get(field, (frozenset(),))
    if long_alone and field in BOUGHT:
        groups = (groups[0] | BOUGHT[field], *groups[1:])
    return all(name & group for group in groups) and _holds(FIELDS[field].kind, content)


def _speaks(content: pa.ChunkedArray, table: Mapping[str, str]) -> bool:
    given = {words.spelled(str(value)) for value in content.to_pylist() if value is not None and str(value).strip()}
    return bool(given) and given <= table.keys()


def _holds(kind: Kind, content: pa.ChunkedArray) -> bool:
    """Whether the cells can be of a kind: nearly all that hold anything."""
    if pa.types.is_null(content.type) or not cells.accepts(kind, content.type):
        return False
    text = cells.words(content)
    given = int(pc.sum(pc.is_valid(content if text is None else text)).as_py() or 0)
    if kind == "text":
        return given > 0
    read = [cells.read(kind, content, "UTC", decimal, "day-first") for decimal in ("point", "comma")]
    return given > 0 and min(int(one.unreadable.sum()) for one in read) <= given / 10
