"""Terms proved by the pnl that a file states, or told by the names of its columns, before anything is written.

Nothing that changes money is guessed: where no terms explain the stated pnl, or several that differ in money do, the
file is refused and says which option chooses each.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.trades.net_pnl import all_fees
from knowdefeat_pipeline.sources import sides
from knowdefeat_pipeline.sources.evidence import (
    Evidence,
    Explanation,
    explanations,
    fitted,
    plain_sign,
    possible_terms,
    proved,
)
from knowdefeat_pipeline.sources.fields import FEES
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.terms import NAMED, Terms, Written, amounts

SHOWN, PROPOSED, LISTED = 6, 3, 5
"""How many readings a refusal shows, how many with a number that fits, and of how many tickers."""

WIDTH = 80
"""Of what people read it in."""

LEAST_FEE, LEAST_SHARE = 0.01, 1e-5
"""Fees below both, as an amount and as a share of the position, are rates rather than what was paid."""

WORDS = ("contract", "side", "fees", "funding")
"""The terms that an option of their own name chooses by a word, beside the size."""


def settle(
    columns: Mapping[str, str], frame: pd.DataFrame, written: Written, chosen: Mapping[str, Any]
) -> tuple[Terms, list[str]]:
    """The terms of a table, and notes that say what proved them.

    `columns`: field -> column. `frame`: the rows as read, `written`: their amounts. `chosen`: fields of Terms that the
    user has fixed.
    Raises SourceError where they are neither proved nor named: what was tried, and the options that choose.
    """
    _check_multipliers(frame, chosen)
    fixed = Terms(**chosen, size_is_certain="size" in chosen).for_columns(columns)
    if fixed.pnl == "stated":
        if "reported_pnl" not in columns:
            raise SourceError(
                "--pnl stated takes the pnl from the file, which has no column for it: --map COLUMN=reported_pnl"
            )
        return _sided(fixed, columns, frame, chosen)
    if fixed.size_field is None:
        return fixed, []
    evidence = None if "pnl" in chosen else Evidence.of(frame, written)
    if evidence is None or not evidence.trades:
        _check_named(fixed, columns, frame, chosen)
        _check_fees(fixed, columns, written, chosen)
        return fixed, []
    found = proved(evidence, possible_terms(columns, frame, chosen))
    if len(found) == 1:
        if "fees" in found[0].terms.before:
            _check_fees(found[0].terms, columns, written, chosen)
        return replace(found[0].terms, size_is_certain=True), [_note(found[0], columns, evidence)]
    if found:
        raise SourceError(_undecided(evidence, found, columns))
    raise SourceError(_unexplained(evidence, columns, frame, chosen))


def _sided(
    terms: Terms, columns: Mapping[str, str], frame: pd.DataFrame, chosen: Mapping[str, Any]
) -> tuple[Terms, list[str]]:
    """Terms that take the pnl at its word, with the side that prices prove; and notes."""
    stated = columns["reported_pnl"]
    notes = [f"the net pnl is taken as {stated} states it"]
    if "side" in chosen or "direction" not in columns:
        return terms, notes
    side = sides.proved_by_prices(frame)
    if side == "closing":
        notes.append(f"sides are those of the closing orders: so prices moved as {stated} states (--side closing)")
    if side is None and (frame["status"] == "closed").any():
        notes.append(
            f"whether '{columns['direction']}' is the side of the position or of the order that closed it, prices and "
            f"{stated} do not prove; it is read as the position's: else say --side closing"
        )
    return replace(terms, side=side or terms.side), notes


def _check_multipliers(frame: pd.DataFrame, chosen: Mapping[str, Any]) -> None:
    given = chosen.get("multipliers", {})
    tickers = {*frame["ticker"].dropna().unique()} if given else set()
    for name in given:
        if name not in tickers:
            some = ", ".join(sorted(tickers)[:LISTED])
            raise SourceError(
                f"--multiplier {name}: no trade has this ticker; the tickers are {some}{' …' * (len(tickers) > LISTED)}"
            )


def _check_named(terms: Terms, columns: Mapping[str, str], frame: pd.DataFrame, chosen: Mapping[str, Any]) -> None:
    """That the names of the columns alone say what they mean. Raises SourceError where they do not."""
    of = terms.size_field or ""
    silent = "with --pnl computed no stated pnl tells" if "pnl" in chosen else "the file states no pnl that would tell"
    if of not in NAMED and "size" not in chosen:
        raise SourceError(
            f"column '{columns[of]}' may hold a size in quote currency or in units, and {silent}: "
            "say --size notional or --size quantity"
        )
    if terms.size == "margin" and terms.leverage is None and frame["leverage"].isna().all():
        raise SourceError(
            f"column '{columns[of]}' holds the margin, and no column the leverage: say --leverage 1, or what it was"
        )
    if frame["funding"].fillna(0.0).ne(0).any() and "funding" not in chosen:
        raise SourceError(
            f"column '{columns['funding']}' holds funding, and {silent} whether positive amounts were received or "
            "paid: say --funding received or --funding paid"
        )
    if plain_sign(frame) == "signed" and "fees" not in chosen:
        paid = next(columns[field] for field in FEES if field in columns)
        raise SourceError(
            f"column '{paid}' holds negative fees, and {silent} what they are: "
            "say --fees signed if they are costs, or --fees cost if they were received"
        )


def _check_fees(terms: Terms, columns: Mapping[str, str], written: Written, chosen: Mapping[str, Any]) -> None:
    """That fees which no stated pnl proves are amounts. Raises SourceError where they look like rates."""
    found = amounts(written, terms)
    fees, notional = np.abs(all_fees(*(found.fees[name] for name in FEES))), found.notional
    paid = np.flatnonzero((fees > 0) & (notional > 0))
    if "fees" in chosen or not len(paid) or fees[paid].max() >= LEAST_FEE:
        return
    if np.median(fees[paid] / notional[paid]) < LEAST_SHARE:
        of = " and ".join(f"'{columns[name]}'" for name in (*FEES, "fee_rate") if name in columns)
        raise SourceError(
            f"by {of}, a position of {notional[paid[0]]:,.6g} paid fees of {fees[paid[0]]:.6g}, and no stated pnl "
            "tells whether that is an amount: say --fees cost if it is; if it is made of a rate, write what was paid "
            "into the file, or name another column with --map COLUMN=fees"
        )


def _note(found: Explanation, columns: Mapping[str, str], evidence: Evidence) -> str:
    options = options_of(found.terms, columns)
    return (
        f"{described(found.terms, columns)}: so the pnl that the file states{_before(found.terms)} is right in "
        f"{found.trades:,} of {evidence.trades:,} closed trades" + (f" ({options})" if options else "")
    )


def described(terms: Terms, columns: Mapping[str, str]) -> str:
    """Terms in words."""
    sizes = {"notional": "the size in quote currency", "quantity": "the size in units", "margin": "the margin"}
    words = [f"{columns[terms.size_field or '']} is {sizes[terms.size or 'notional']}"]
    words += ["the contract is inverse"] if terms.contract == "inverse" else []
    words += [
        f"one contract of {ticker} is {value:.15g} units" for ticker, value in [*terms.multipliers.items()][:LISTED]
    ]
    words += [f"so are {len(terms.multipliers) - LISTED} more"] if len(terms.multipliers) > LISTED else []
    words += [] if terms.leverage is None else [f"the leverage is {terms.leverage:g}"]
    words += ["sides are those of the closing orders"] if terms.side == "closing" else []
    words += ["negative fees are costs"] if terms.fees == "signed" else []
    words += ["positive funding was paid"] if terms.funding == "paid" else []
    return ", ".join(words)


def _before(terms: Terms) -> str:
    return f" before {' and '.join(terms.before)}" if terms.before else ""


def options_of(terms: Terms, columns: Mapping[str, str], told: Collection[str] = ()) -> str:
    """The options that choose terms: of what is not the plainest, and of the fields `told`."""
    plain = Terms().for_columns(columns)
    named = terms.size_field in NAMED and (terms.size_field, terms.size) == (plain.size_field, plain.size)
    words = [] if named and "size" not in told else [f"--size {terms.size}"]
    unusual = {name for name in WORDS if getattr(terms, name) != getattr(plain, name)}
    words += [f"--{name} {getattr(terms, name)}" for name in WORDS if name in {*told, *unusual}]
    if len(terms.multipliers) > LISTED:
        words.append("--map COLUMN=contract_multiplier")
    else:
        words += [
            f"--multiplier {shlex.quote(f'{ticker}={value:.15g}')}" for ticker, value in terms.multipliers.items()
        ]
    return " ".join(words if terms.leverage is None else [*words, f"--leverage {terms.leverage:g}"])


def _undecided(evidence: Evidence, found: Sequence[Explanation], columns: Mapping[str, str]) -> str:
    """What to say where several readings explain the stated pnl: each by the options in which it differs."""
    told = [name for name in ("size", *WORDS) if len({getattr(one.terms, name) for one in found}) > 1]
    lines = [_line(one, evidence, columns, options_of(one.terms, columns, told)) for one in found[:SHOWN]]
    return _table(f"several readings that differ explain the pnl in '{columns['reported_pnl']}'.", lines, columns)


def _unexplained(evidence: Evidence, columns: Mapping[str, str], frame: pd.DataFrame, chosen: Mapping[str, Any]) -> str:
    """What to say where no reading explains the stated pnl: what would, what was asked for, and the nearest."""
    asked, possible = possible_terms(columns, frame, chosen)[:1], possible_terms(columns, frame, {})
    fits = [*proved(evidence, possible), *fitted(evidence, possible)]
    words = [len(options_of(fit.terms, columns).split()) for fit in fits]
    fits = [fit for fit, count in zip(fits, words, strict=True) if count == min(words)][:PROPOSED]
    rounding, nearest = evidence.rounding(), dict[str | None, Terms]()
    for one in sorted(explanations(evidence.sample(), possible, rounding), key=_distance):
        nearest.setdefault(one.terms.size, one.terms)
    shown = {*asked, *nearest.values()} - {fit.terms for fit in fits}
    others = explanations(evidence, [terms for terms in dict.fromkeys([*asked, *possible]) if terms in shown], rounding)
    lines = [_line(fit, evidence, columns, options_of(fit.terms, columns)) for fit in fits]
    lines += [
        _line(one, evidence, columns, f"{options_of(one.terms, columns)} --pnl computed".strip())
        for one in sorted(others, key=_distance)
        if np.isfinite(one.notional).any()
    ]
    said = f"no reading gives the pnl in '{columns['reported_pnl']}' in 99 of 100 closed trades."
    return _table(said, lines, columns)


def _distance(found: Explanation) -> tuple[int, float]:
    """By which the reading comes first that explains most trades, and of such the one that is off by least."""
    return -found.trades, found.usually_off


def _line(found: Explanation, evidence: Evidence, columns: Mapping[str, str], options: str) -> tuple[str, str, str]:
    """Of a table: how many trades a reading explains, the reading in words, the options that choose it."""
    before = f", it is the pnl{_before(found.terms)}" if found.terms.before else ""
    off = f"; the others are off by {float(f'{found.usually_off:.3g}'):,g}" if found.usually_off else ""
    share = f"{found.trades:,} of {evidence.trades:,}"
    return share, f"{described(found.terms, columns)}{before}{off}", options


def _table(said: str, lines: Sequence[tuple[str, str, str]], columns: Mapping[str, str]) -> str:
    """The readings below what is said of them; it fits a terminal, but for long options."""
    rows = [*lines, ("", f"the net pnl is taken as '{columns['reported_pnl']}' states it", "--pnl stated")]
    wide = max(len(share) for share, *_ in rows)
    text = [said, "Nothing was written. Trades that each reading explains, and the options for it:"]
    for share, what, options in rows:
        first, *more = textwrap.wrap(what, WIDTH - wide - 4)
        text += [f"  {share:>{wide}}  {first}", *(f"{'':{wide}}    {line}" for line in [*more, options])]
    return "\n".join(text)
