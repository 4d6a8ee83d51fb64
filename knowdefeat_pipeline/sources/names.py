"""What a column may be called: spellings that are the same, units in headings, and the names that exports use."""

import re
from collections.abc import Iterable, Mapping

from knowdefeat_pipeline.core.escaping import LONGEST
from knowdefeat_pipeline.sources import clocks
from knowdefeat_pipeline.sources.fields import FIELDS
from knowdefeat_pipeline.sources.units import MONEY, NO_UNITS, currency

# A heading is matched from its end, where its unit stands, and without ways back (`*+`): from its beginning each letter
# could be the last one of the name, and matching took the square or the cube of its length.
_BRACKETED = re.compile(r"\s*+[)\]](?P<unit>[^()\[\]]*+)[(\[][\s_]*+(?P<name>(?=.*\w).*)")
_TRAILING = re.compile(r"\s*+(?P<unit>[A-Za-z]{3,5}|[$€£¥])[\s_,]++(?P<name>\w.*)")
_ZONE = re.compile(r"(UTC|GMT|Z)\s*(?P<offset>[+-]\d{1,2}(:?\d\d)?)?", re.I)
_CODE = re.compile(r"[A-Z]{2,6}|\W")


def _times(*verbs: str) -> tuple[str, ...]:
    return tuple(
        name
        for verb in verbs
        for noun in ("time", "date", "timestamp", "datetime", "date/time", "date and time", "at")
        for name in (f"{verb} {noun}", f"{noun} {verb}", f"{verb} {noun} utc")
    )


def _prices(*verbs: str) -> tuple[str, ...]:
    return tuple(
        name
        for verb in verbs
        for noun in ("price", "rate", "px", "level")
        for name in (
            f"{verb} {noun}",
            f"{noun} {verb}",
            f"avg {verb} {noun}",
            f"average {verb} {noun}",
            f"avg {noun} {verb}",
        )
    )


def _each(names: str) -> tuple[str, ...]:
    return tuple(names.split(", "))


EXPORTED: Mapping[str, tuple[str, ...]] = {
    "source_trade_id": _each(
        "trade no, trade number, trade #, trade nr, ticket, ticket number, deal id, deal, deal number, exit trade "
        "id, position id, order id, order no, order number, order nr, uuid"
    ),
    "bot_id": _each("bot number, magic, magic number, expert id"),
    "strategy_id": _each("strategy name, algo, algo name, system, expert, expert advisor"),
    "ticker": _each(
        "trading pair, instrument id, instrument name, symbol name, market, contract, security, product, asset, "
        "coin, currency pair, stock, underlying"
    ),
    "direction": _each(
        "position side, trade side, order side, trade type, position type, long/short, buy/sell, b/s, l/s, open "
        "side, entry side"
    ),
    "status": _each("state, deal status, order status, position status, trade state"),
    "entry_time": (*_times("entry", "open", "opened", "opening", "enter", "entered", "start"), "ts opened"),
    "exit_time": (*_times("exit", "close", "closed", "closing", "leave", "exited", "end"), "ts closed"),
    "entry_price": (*_prices("entry", "open", "opening", "enter"), "open avg price"),
    "exit_price": (*_prices("exit", "close", "closing", "leave"), "close avg price"),
    "mark_price": _each("mark, market price, last price"),
    "notional": _each(
        "notional value, position value, trade value, entry value, open value, position size value, quote amount, "
        "quote volume"
    ),
    "size": _each("position amount, trade amount, trade volume, lot size"),
    "quantity": _each(
        "position size qty, position qty, filled qty, filled quantity, executed qty, trade qty, closed qty, closed "
        "quantity, peak qty, base amount, base quantity, no of shares, number of shares, contracts, no of contracts, "
        "number of contracts, contract qty, contract quantity"
    ),
    "fees": _each(
        "total fee, total fees, trading fee, trading fees, fee paid, fees paid, commissions, total commission, "
        "commission paid, commissions paid, comm, transaction cost, transaction costs"
    ),
    "entry_fee": _each("entry fees, open fee, opening fee, entry commission, fee open"),
    "exit_fee": _each("exit fees, close fee, closing fee, exit commission, fee close"),
    "fee_currency": _each("fee coin, fee asset, commission asset, commission currency, fee token"),
    "funding": _each(
        "funding fee, funding fees, funding paid, funding pnl, swap, swaps, rollover, overnight fee, overnight interest"
    ),
    "leverage": _each("lev"),
    "margin": _each("margin used, initial margin, used margin, collateral, stake, stake amount"),
    "capital": _each("bot capital, starting capital, initial capital, starting balance, initial balance"),
    "contract_multiplier": _each("multiplier, contract size, point value"),
    "reported_pnl": _each(
        "profit, net profit, p&l, net p&l, p/l, net p/l, profit/loss, profit and loss, realized pnl, realised pnl, "
        "realized p&l, realised p&l, realized profit, realised profit, closed pnl, closed p&l, close profit abs, "
        "profit abs, profit amount, final profit, gain/loss, net gain"
    ),
    "quote_currency": _each(
        "quote asset, quote, quote coin, pnl currency, profit currency, final profit currency, settlement currency, "
        "settle coin, settle currency, account currency, profit asset"
    ),
    "exit_reason": _each("exit type, close reason, close type, exit tag, exit signal, sell reason, reason for exit"),
}
"""What exports of brokers, exchanges and backtesters call the fields, beside the names that FIELDS gives."""


def key(name: str) -> str:
    """What two spellings of one name have in common: no case, no blanks, no marks.

    >>> key("Entry Price"), key("entry_price"), key("EntryPrice"), key("Net P&L %"), key("Trade #")
    ('entryprice', 'entryprice', 'entryprice', 'netpnlpct', 'tradeno')
    """
    text = name.lower().replace("p/l", "pnl").replace("&", "n").replace("%", "pct").replace("#", "no")
    return re.sub(r"[\W_]+", "", text)


def _split(pattern: re.Pattern[str], heading: str) -> tuple[str, str] | None:
    """The name and the unit of a heading of the pattern's kind; None of another one, and of one that is too long to be
    a name."""
    found = pattern.fullmatch(heading[::-1]) if len(heading) <= LONGEST else None
    return (found["name"][::-1], found["unit"][::-1]) if found else None


def unit(name: str) -> str | None:
    """The currency that a heading names, as its sign or code.

    >>> unit("PnL ($)"), unit("Price USD"), unit("fee_usdt"), unit("Amount (BTC)"), unit("Open Time"), unit("Net P&L %")
    ('$', 'USD', 'usdt', 'BTC', None, None)
    """
    found = _split(_BRACKETED, name) or _split(_TRAILING, name)
    text = found[1].strip() if found else ""
    return text if currency(text) or text == "¥" else None


def zone(name: str) -> str | None:
    """The clock that a heading names, as `clocks` spells it.

    >>> zone("Date(UTC)"), zone("Trade Time (UTC+8)"), zone("Open Time (Europe/Zurich)"), zone("Open Time")
    ('UTC', 'UTC+8', 'Europe/Zurich', None)
    """
    found = _split(_BRACKETED, name)
    unit = found[1].strip() if found else ""
    if "/" in unit and clocks.is_clock(unit):
        return unit
    clock = _ZONE.fullmatch(unit)
    return f"UTC{clock['offset'] or ''}" if clock else None


_SHORT_CLOCK = re.compile("([ECMP][SD]?T|[CEW]ES?T|BST|IST|MSK|JST|KST|HKT|SGT|AE[SD]T|LOCAL|SERVER)( TIME)?")


def short_clock(name: str) -> str | None:
    """The clock that a heading names by letters which do not tell it: they are of several places, or of a season.

    >>> short_clock("Open Time (EST)"), short_clock("Open Time (ms)"), short_clock("Date(UTC)")
    ('EST', None, None)
    """
    found = _split(_BRACKETED, name)
    letters = _SHORT_CLOCK.fullmatch(found[1].strip().upper()) if found else None
    return letters[0] if letters else None


def bare(name: str) -> str:
    """A heading without its unit.

    >>> bare("Price USD"), bare("PnL ($)"), bare("Open Time (UTC)"), bare("Profit (%)"), bare("Position size (qty)")
    ('Price', 'PnL', 'Open Time', 'Profit (%)', 'Position size (qty)')
    """
    found = _split(_BRACKETED, name)
    inner = found[1].strip("% ") if found else ""
    if found and inner not in NO_UNITS and (_CODE.fullmatch(inner) or zone(name) or short_clock(name)):
        return found[0]
    found = _split(_TRAILING, name)
    return found[0] if found and currency(found[1]) else name


def of(field: str) -> tuple[str, ...]:
    """Every name of a field, the most telling first."""
    aliases = FIELDS[field].aliases if field in FIELDS else ()
    return (field, *aliases, *EXPORTED.get(field, ()))


_KEYS: Mapping[str, tuple[str, ...]] = {field: tuple(map(key, of(field))) for field in FIELDS}
_KNOWN = frozenset(name for names in _KEYS.values() for name in names)


def by_name(seen: Iterable[str]) -> dict[str, str]:
    """Field -> column, for the columns whose name is one of a field's, or would be without a unit in the heading."""
    columns = [*seen]
    whole = {key(column): column for column in reversed(columns)}
    without = {key(bare(column)): column for column in reversed(columns)}
    found: dict[str, str] = {}
    for field, names in _KEYS.items():
        spelled = [whole[name] for name in names if name in whole]
        spelled += [without[name] for name in names if name in without and _fits(field, without[name])]
        if spelled:
            found[field] = spelled[0]
    return found


def _fits(field: str, column: str) -> bool:
    """A number of units is not counted in money."""
    return field != "quantity" or (unit(column) or "").upper() not in MONEY


def is_unitless(column: str) -> bool:
    """Whether a column's name says how large a position is, but not whether in money or in units of the asset."""
    counted_in = (unit(column) or "").upper()
    return key(bare(column)) in _KEYS["size"] and counted_in not in MONEY and counted_in != "$"


def known(columns: Iterable[object]) -> int:
    """How many of the cells of a row are names of fields, as a header's are."""
    return len({key(bare(cell)) for cell in columns if isinstance(cell, str) and len(cell) <= LONGEST} & _KNOWN)
