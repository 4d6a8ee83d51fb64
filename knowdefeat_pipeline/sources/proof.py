"""Terms proved by the pnl that a file states.

A file that states what each trade earned says by it how its other columns are meant: the terms that give the stated pnl in
at least 99 % of the closed trades, to rounding, are the right ones. Nothing that changes money is guessed otherwise: where
no terms explain the statement, or several that differ do, the file is refused and says which option chooses each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Self

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.trades.net_pnl import net_pnl
from knowdefeat_pipeline.core.units import Bools, Floats
from knowdefeat_pipeline.sources.canonical import DIRECTIONS, FEES, SIZES
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.terms import Sign, Terms, Written, amounts, named_size

EVIDENCE = 0.99
"""The share of the trades with a stated pnl that the right terms must explain."""

SAMPLE, PROMISING = 500, 0.9
"""Terms that explain less than this share of so many trades of a file are not tried on all."""

LEVERAGES = (1.0, 1000.0)
SHOWN = 8


@dataclass(frozen=True)
class Evidence:
    """The closed trades of a file that state their pnl, as written; nothing else is known of them."""

    written: Written
    stated: Floats

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """Of rows as read. Without a side, prices or a size a trade says nothing, nor with a fee that has no rate."""
        whole = np.isfinite(frame[["entry_price", "exit_price", "reported_pnl"]].to_numpy(float)).all(axis=1)
        sized = frame[[*SIZES]].notna().any(axis=1).to_numpy(bool)
        sided = frame["direction"].str.upper().isin(DIRECTIONS).to_numpy(bool)
        closed = (frame["status"].str.lower() == "closed").to_numpy(bool)
        written = Written.of(frame)
        known = whole & sized & sided & closed & ~written.fee_unknown
        return cls(written.take(known), frame["reported_pnl"].to_numpy(float)[known])

    def __len__(self) -> int:
        return len(self.stated)

    def sample(self) -> Self:
        """Some of the trades, evenly spread."""
        rows = slice(None, None, max(1, len(self) // SAMPLE))
        return type(self)(self.written.take(rows), self.stated[rows])

    def rounding(self) -> float:
        """Half of the last decimal that the stated pnl is written with."""
        return 0.5001 * 10.0 ** -_decimals(self.stated)

    def explained(self, pnl: Floats, notional: Floats, rounding: float) -> int:
        """How many of the trades a pnl explains, to `rounding`."""
        bound = 1e-9 * np.abs(self.stated) + 1e-12 + 1e-14 * np.abs(notional) + rounding
        with np.errstate(invalid="ignore"):
            return int((np.abs(pnl - self.stated) <= bound).sum())


def _decimals(values: Floats) -> int:
    """How many decimals the values are written with, all but one in a hundred of them; at most 12."""
    for digits in range(12):
        if np.mean(np.abs(np.round(values, digits) - values) <= 1e-12 * np.abs(values)) >= EVIDENCE:
            return digits
    return 12


@dataclass(frozen=True)
class Explanation:
    """Terms that were tried: how many trades they explain, the net pnl that they give, and what costs the stated pnl is
    free of."""

    terms: Terms
    rows: int
    net: Floats
    before: tuple[str, ...] = ()


def explanations(evidence: Evidence, possible: Sequence[Terms], rounding: float) -> Iterator[Explanation]:
    """What each of the possible terms explains, by a pnl after all costs, or before some; the plainest first."""
    plain = _plain_sign(evidence)
    for terms in possible:
        found = amounts(evidence.written, terms)
        fees, funding = found.all_fees, np.nan_to_num(evidence.written.funding)
        net = net_pnl(found.gross, fees, funding)
        for after in product(*((True, False) if cost.any() else (True,) for cost in (fees, funding))):
            if not after[0] and terms.fees != plain:
                continue  # a statement before fees says nothing of their sign
            claimed = net_pnl(found.gross, fees * after[0], funding * after[1])
            before = tuple(name for name, is_in in zip(("fees", "funding"), after, strict=True) if not is_in)
            yield Explanation(terms, evidence.explained(claimed, found.notional, rounding), net, before)


def _plain_sign(evidence: Evidence) -> Sign:
    """Where there are only negative fees they are costs; else costs are positive."""
    fees = np.concatenate([*evidence.written.fees.values()])
    return "signed" if (fees < 0).any() and not (fees > 0).any() else "cost"


def proved(evidence: Evidence, possible: Sequence[Terms]) -> list[Explanation]:
    """The terms that explain the stated pnl, one for each different net pnl that they give; the plainest first.

    First exactly, and only if none do to the rounding of the stated pnl. One is the proof, none or several are not.
    """
    few = evidence.sample()
    for rounding in (0.0, evidence.rounding()):
        needed = PROMISING * len(few)
        tried = {found.terms: None for found in explanations(few, possible, rounding) if found.rows >= needed}
        agreeing = [
            found
            for found in explanations(evidence, [*tried], rounding)
            if found.rows >= EVIDENCE * len(evidence)
        ]
        if agreeing:
            return _different(agreeing, _plain_sign(evidence))
    return []


def _different(agreeing: Sequence[Explanation], plain: Sign) -> list[Explanation]:
    kept: list[Explanation] = []
    for found in agreeing:
        if not any(np.allclose(found.net, other.net, rtol=1e-9, atol=1e-12, equal_nan=True) for other in kept):
            kept.append(found)
    # Fees too small to be seen in the pnl do not say of which sign they are.
    if len({replace(found.terms, fees="cost") for found in kept}) == 1:
        return [found for found in kept if found.terms.fees == plain or len(kept) == 1]
    return kept


def possible_terms(columns: Mapping[str, str], frame: pd.DataFrame, chosen: Mapping[str, Any]) -> list[Terms]:
    """All terms that a table of these columns may be meant by, the plainest first; what was chosen is fixed."""
    leveraged = "leverage" in chosen or bool((frame["leverage"].fillna(0.0) != 0).any())
    sizes = [
        {"size_field": of, "size": meaning}
        for of in SIZES
        if of in columns
        for meaning in sorted(("notional", "quantity", "margin"), key=lambda meaning: meaning != named_size(of))
        if meaning != "margin" or leveraged
    ]
    has_fees = bool((frame[[*FEES]].fillna(0.0) != 0).any(axis=None))
    signs = ("cost", "signed") if has_fees else ("cost",)
    fixed = {name: value for name, value in chosen.items() if name in ("multipliers", "leverage")}
    every = [
        Terms(**size, contract=contract, side=side, fees=sign, **fixed)
        for size, contract, side, sign in product(sizes, ("linear", "inverse"), ("position", "closing"), signs)
    ]
    wanted = {name: value for name, value in chosen.items() if name in ("size", "fees", "side", "contract")}
    return [terms for terms in every if all(getattr(terms, name) == value for name, value in wanted.items())]


def fitted(evidence: Evidence, possible: Sequence[Terms]) -> Iterator[Explanation]:
    """Terms with a multiplier for each ticker, or a leverage for all, that no column gives but the stated pnl does.

    They are proposed and never used: a number that was made to fit proves nothing by fitting.
    """
    for terms in possible:
        with np.errstate(all="ignore"):
            found = amounts(evidence.written, terms)
            factor = (evidence.stated + found.all_fees - np.nan_to_num(evidence.written.funding)) / found.gross
        for tried in _with_factor(terms, evidence.written.ticker, factor):
            first = next(explanations(evidence, [tried], evidence.rounding()))
            if first.rows >= EVIDENCE * len(evidence):
                yield first


def _with_factor(terms: Terms, ticker: pd.Series, factor: Floats) -> Iterator[Terms]:
    """The terms with the factor that their pnl is usually too small by."""
    usual = pd.Series(factor).where(np.isfinite(factor)).groupby(ticker.to_numpy()).median()
    values = {str(name): float(f"{value:.3g}") for name, value in usual.items() if value > 0}
    if not values or len(values) < len(usual) or all(value == 1 for value in values.values()):
        return
    if terms.size == "quantity" and not terms.multipliers:
        yield replace(terms, multipliers={name: value for name, value in values.items() if value != 1})
    alike = next(iter(values.values()))
    within = LEVERAGES[0] < alike <= LEVERAGES[1]
    is_margin = terms.size == "notional" and terms.contract == "linear" and terms.leverage is None
    if is_margin and within and set(values.values()) == {alike}:
        yield replace(terms, size="margin", leverage=alike)


def settle(
    columns: Mapping[str, str], frame: pd.DataFrame, chosen: Mapping[str, Any]
) -> tuple[Terms, list[str]]:
    """The terms of a table, and notes that say what proved them.

    `columns`: field -> column. `frame`: the rows as read. `chosen`: fields of Terms that the user has fixed.
    Raises SourceError where they are neither proved nor named: what was tried, and the options that choose.
    """
    fixed = Terms(**chosen).for_columns(columns)
    if fixed.pnl == "stated":
        if "reported_pnl" not in columns:
            raise SourceError("--pnl stated takes the pnl from the file, which has no column for it; --map COLUMN=reported_pnl")
        return fixed, [f"the net pnl is taken as {columns['reported_pnl']} states it"]
    if fixed.size_field is None:
        return fixed, []
    evidence = Evidence.of(frame) if "pnl" not in chosen else None
    if not evidence:
        return _named(fixed, columns, frame, chosen), []
    possible = possible_terms(columns, frame, chosen)
    found = proved(evidence, possible)
    if len(found) == 1:
        return found[0].terms, [_note(found[0], columns, len(evidence))]
    raise SourceError(_refusal(evidence, possible, found, columns))


def _named(terms: Terms, columns: Mapping[str, str], frame: pd.DataFrame, chosen: Mapping[str, Any]) -> Terms:
    """Terms by the names of the columns alone. Raises SourceError where these do not say."""
    name = columns[terms.size_field or ""]
    if terms.size_field == "size" and "size" not in chosen:
        raise SourceError(
            f"column '{name}' may hold a size in quote currency or in units, and the file states no pnl that would tell: "
            "say --size notional or --size quantity"
        )
    if terms.size == "margin" and terms.leverage is None and frame["leverage"].isna().all():
        raise SourceError(f"column '{name}' holds the margin, and no column the leverage: say --leverage 1, or what it was")
    fees = frame[[*FEES]].to_numpy(float)
    if (fees < 0).any() and not (fees > 0).any() and "fees" not in chosen:
        paid = next(columns[field] for field in FEES if field in columns)
        raise SourceError(
            f"column '{paid}' holds negative fees only, and the file states no pnl that would tell what they are: say "
            "--fees signed if they are costs, or --fees cost if they were received"
        )
    return terms


def _note(found: Explanation, columns: Mapping[str, str], rows: int) -> str:
    before = f" before {' and '.join(found.before)}" if found.before else ""
    options = option(found.terms, columns)
    return (
        f"{described(found.terms, columns)}: so the pnl that the file states{before} is right in {found.rows:,} of {rows:,} "
        f"closed trades" + (f" ({options})" if options else "")
    )


def described(terms: Terms, columns: Mapping[str, str]) -> str:
    """Terms in words."""
    size = {
        "notional": "is the size in quote currency",
        "quantity": "is the size in units",
        "margin": "is the margin",
    }[terms.size or "notional"]
    words = [f"{columns[terms.size_field or '']} {size}"]
    if terms.contract == "inverse":
        words.append("the contract is inverse")
    words += [f"a unit of {ticker} is worth {value:g}" for ticker, value in terms.multipliers.items()]
    if terms.leverage is not None:
        words.append(f"the leverage is {terms.leverage:g}")
    if terms.side == "closing":
        words.append("sides are those of the closing orders")
    if terms.fees == "signed":
        words.append("negative fees are costs")
    return ", ".join(words)


def option(terms: Terms, columns: Mapping[str, str]) -> str:
    """The options that choose terms, where they are not the plainest."""
    words = [] if terms.size == named_size(terms.size_field or "") and terms.size_field != "size" else [f"--size {terms.size}"]
    words += ["--contract inverse"] if terms.contract == "inverse" else []
    words += [f"--multiplier {_quoted(ticker)}={value:g}" for ticker, value in terms.multipliers.items()]
    words += [] if terms.leverage is None else [f"--leverage {terms.leverage:g}"]
    words += ["--side closing"] if terms.side == "closing" else []
    words += ["--fees signed"] if terms.fees == "signed" else []
    return " ".join(words)


def _quoted(ticker: str) -> str:
    return ticker if ticker.replace("-", "").replace("/", "").isalnum() else f"'{ticker}'"


def _refusal(
    evidence: Evidence, possible: Sequence[Terms], found: Sequence[Explanation], columns: Mapping[str, str]
) -> str:
    """What was tried, how many trades each reading explains, and the option that chooses it."""
    stated = columns["reported_pnl"]
    if found:
        tried = [*found]
        said = f"several readings that differ in money explain the pnl in '{stated}'"
    else:
        tried = [*fitted(evidence, possible), *_nearest(evidence, possible)]
        said = f"no reading explains the pnl in '{stated}' in 99 of 100 closed trades"
    lines = [
        f"  {each.rows:>9,} of {len(evidence):,}  {described(each.terms, columns)}{_before(each)}"
        f"\n{'':>12}{option(each.terms, columns) or '(as the columns are named)'}"
        for each in sorted(tried, key=lambda each: (-each.rows, len(option(each.terms, columns))))[:SHOWN]
    ]
    lines.append(f"  {len(evidence):>9,} of {len(evidence):,}  the net pnl is taken as '{stated}' states it\n{'':>12}--pnl stated")
    lines.append(f"{'':>14}the pnl is computed as the columns are named, whatever '{stated}' states\n{'':>12}--pnl computed")
    return f"{said}; nothing was written. Choose by its option what is right:\n" + "\n".join(lines)


def _nearest(evidence: Evidence, possible: Sequence[Terms]) -> list[Explanation]:
    """What each of the terms explains at best; of those that explain nothing the plainest."""
    best: dict[Terms, Explanation] = {}
    for found in explanations(evidence, possible, evidence.rounding()):
        if found.terms not in best or found.rows > best[found.terms].rows:
            best[found.terms] = found
    tried = [*best.values()]
    return [found for found in tried if found.rows] or tried[:2]


def _before(found: Explanation) -> str:
    return f", the pnl before {' and '.join(found.before)}" if found.before else ""
