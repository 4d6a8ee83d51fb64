"""Funds day by day: who takes part, what each bot is given, what stays cash, and why.

A day rests on its ranking, the trades closed before its as_of, and the settings and decisions in force at its as_of
alone, so that it comes out the same whenever it is computed and whichever days are computed with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.funds import targets
from knowdefeat_pipeline.core.funds.duplicates import daily_pnl, duplicates
from knowdefeat_pipeline.core.funds.events import (
    OPEN_LOSS,
    BotEvent,
    EventKind,
    events_in_force,
    halted_bots,
    inactive_bots,
    lasting_halts,
)
from knowdefeat_pipeline.core.funds.projection import Allocation, allocate
from knowdefeat_pipeline.core.funds.risk import open_loss_exceeds_gain, risk_decisions, risk_figures
from knowdefeat_pipeline.core.funds.settings import (
    METHODS,
    AllocationMethod,
    FundSettings,
    RiskRules,
    SkillBar,
    settings_in_force,
)
from knowdefeat_pipeline.core.money import amount_of, digits, shown
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import Bools, Floats, Ints, Texts

UNMEASURED = {
    "inverse_variance": "no spread of its daily results to measure risk by",
    "hrp": "no spread of its daily results to measure risk by",
    "belief_edge": "nothing is believed of its strategy yet",
}
UNJUDGED = "its skill is not computed for this day: knowdefeat run"
WITHOUT_CAPITAL = "its capital is not known, nor a size to estimate it by: knowdefeat bots set BOT --capital AMOUNT"
BY_ESTIMATE = ", by an estimate of its capital"
REFUSALS = ("inactive", "halted", "unranked", "unmeasured", "unjudged", "doubtful")
"""Why bots get nothing, whatever their target; the first that is true counts."""
EPSILON = 1e-9
RULES = "risk rules"
"""The author of what the rules decide."""


@dataclass(frozen=True)
class FundInputs:
    """What days are allocated from.

    `days`: the ranked days with their as_of, in order. `bots`: one row per day and bot of their rankings: day, bot_id,
    quote_currency, capital (NULL: not known), capital_is_estimated, ticker, rank, rank_score, unranked (why it is not
    ranked), edge (the believed edge of its strategy, NULL where nothing is believed) and, where it is known, p_skill
    (P(edge > 0) of the bot itself; NULL where it was not computed), p_same_edge (the probability that all bots of the
    fleet have one edge, the same in each row of a day) and bot (its name). `trades`: at least those closed in the 30
    days before each as_of. `settings` and `events`: in the order in which they were recorded.
    `positions`: those open at each as_of that could be marked: day and POSITION_COLUMNS.
    """

    days: Sequence[tuple[date, datetime]]
    bots: pd.DataFrame
    trades: Trades
    settings: Sequence[FundSettings]
    events: Sequence[BotEvent]
    positions: pd.DataFrame | None = None

    def open_on(self, day: date) -> pd.DataFrame | None:
        """The positions of one day."""
        return None if self.positions is None else self.positions[self.positions["day"] == day]


@dataclass(frozen=True)
class Division:
    """Rows of `fund_allocations` and `fund_allocation_days` (amounts in cents), and the rules' new decisions."""

    rows: pd.DataFrame
    days: pd.DataFrame
    events: tuple[BotEvent, ...]


def divide_days(inputs: FundInputs) -> Division:
    """The funds of every day and currency for which settings are in force."""
    if not inputs.settings:  # as for most fleets, several times a minute
        return _nothing()
    events = list(inputs.events)
    rows, days = [], []
    of_day = dict(list(inputs.bots.groupby("day")))
    for day, as_of in inputs.days:
        bots = of_day.get(day, inputs.bots.iloc[:0])
        for settings in settings_in_force(inputs.settings, as_of):
            own = bots[bots["quote_currency"] == settings.quote_currency].sort_values("bot_id", ignore_index=True)
            judged = _judge(own, inputs.trades, inputs.open_on(day), events, as_of, settings.risk)
            events += _transitions(judged, events, as_of, settings.risk)
            divided, summary = _divide(judged, inputs.trades, as_of, settings)
            stamp: dict[str, Any] = {"day": day, "as_of": as_of, "settings_version": settings.version}
            rows.append(divided.assign(**stamp, quote_currency=settings.quote_currency))
            days.append(summary | stamp | {"quote_currency": settings.quote_currency})
    nothing = _nothing()
    table = pd.concat(rows, ignore_index=True)[nothing.rows.columns] if rows else nothing.rows
    return Division(table, pd.DataFrame(days, columns=nothing.days.columns), tuple(events[len(inputs.events) :]))


@cache
def _nothing() -> Division:
    """Of no funds."""
    rows, days = (
        pd.DataFrame(columns=[figure.name for figure in TABLES[name]])
        for name in ("fund_allocations", "fund_allocation_days")
    )
    return Division(rows, days, ())


@dataclass(frozen=True)
class Breach:
    """How often a rule that every division keeps is broken (never), and the figures that show it."""

    rule: str
    broken: int
    figures: Mapping[str, float | int | str]


def breaches(division: Division, settings: Sequence[FundSettings]) -> list[Breach]:
    """The four rules that every division keeps, counted from its rows alone."""
    rows, days = division.rows, division.days
    amount = rows["amount"].astype("int64")
    rules = {s.version: s.allocation for s in settings}
    key = ["day", "quote_currency"]
    funds = rows[key].merge(days, on=key, how="left")["funds"].astype("float64")
    share = (amount / funds.to_numpy()).fillna(0.0)
    bot_cap, ticker_cap = (
        rows["settings_version"].map({version: getattr(r, cap) for version, r in rules.items()}).astype("float64")
        for cap in ("bot_cap", "ticker_cap")
    )
    minimum = rows["settings_version"].map({version: r.minimum for version, r in rules.items()})
    of_ticker = share.groupby([rows["day"], rows["quote_currency"], rows["ticker"].fillna("")]).transform("sum")
    beyond = (share > bot_cap + EPSILON) | (of_ticker > ticker_cap + EPSILON) | ((amount > 0) & (amount < minimum))
    allocated = amount.groupby([rows[name] for name in key]).sum()
    summed = days.set_index(key)
    off = (summed["funds"] - summed["cash"] - allocated.reindex(summed.index, fill_value=0)).astype("int64")
    wrongly = (amount > 0) & ~(rows["decision"].isin(["funded", "capped"]) & (rows["target"] > 0))
    return [
        Breach(
            "no_amount_is_negative", int((amount < 0).sum()), {"least amount": _most(-amount / _units(rows)) * -1.0}
        ),
        Breach(
            "no_cap_is_broken",
            int(beyond.sum()),
            {"largest share of a bot": _most(share), "largest share of a ticker": _most(of_ticker)},
        ),
        Breach(
            "amounts_and_cash_sum_to_the_funds",
            int((off != 0).sum()),
            {"days": len(days), "off by": float((off.abs().to_numpy() / _units(days)).sum())},
        ),
        Breach(
            "only_ranked_active_bots_are_funded",
            int(wrongly.sum()),
            {"funded": int((amount > 0).sum()), "refused": int((amount == 0).sum())},
        ),
    ]


def _units(rows: pd.DataFrame) -> Floats:
    """How many smallest units make one of each row's currency."""
    return 10.0 ** rows["quote_currency"].map(digits).to_numpy(np.float64)


def _most(values: pd.Series) -> float:
    return float(values.max()) if len(values) else 0.0


def _judge(
    bots: pd.DataFrame,
    trades: Trades,
    positions: pd.DataFrame | None,
    events: Sequence[BotEvent],
    as_of: datetime,
    rules: RiskRules,
) -> pd.DataFrame:
    """The bots, what the risk rules say of each (halted, risk_reason, drawdown, daily_loss; open_loss where it exceeds
    the gain and that is not on record), and why it is inactive."""
    resumed: dict[int, datetime] = {}
    for event in events_in_force(events, as_of):
        if event.kind == "resumed" and event.in_force_from is not None:
            resumed[event.bot_id] = max(event.in_force_from, resumed.get(event.bot_id, event.in_force_from))
    known, estimated = bots["capital"].notna(), bots["capital_is_estimated"].fillna(False).astype(bool)
    capital = dict(zip(bots["bot_id"].tolist(), bots["capital"].fillna(1.0).tolist(), strict=True))
    figures = risk_figures(trades, capital, resumed, as_of, rules, positions)
    decisions = risk_decisions(figures, as_of, rules)
    reasons = decisions["reason"].where(~(decisions["broken"] & estimated), decisions["reason"] + BY_ESTIMATE)
    has_traded = figures["gained"].notna() & known
    lost = (-figures["open_pnl"]).where(
        open_loss_exceeds_gain(figures["open_pnl"].to_numpy(), figures["gain"].to_numpy())
    )
    lasting = lasting_halts(events, as_of)
    lost = lost.where(
        bots["rank"].notna() & ~bots["bot_id"].isin(lasting)
    )  # others get nothing anyhow, or are on record
    held = {bot: event.reason for bot, event in lasting.items()} | {
        bot: _open_loss(loss, gain, currency)
        for bot, loss, gain, currency in zip(bots["bot_id"], lost, figures["gain"], bots["quote_currency"], strict=True)
        if loss == loss
    }
    inactive = inactive_bots(events, as_of)
    why = {bot: f"deactivated by {event.author}: {event.reason}" for bot, event in inactive.items()}
    return bots.assign(
        measured=known,
        halted=(decisions["halted"] & known) | bots["bot_id"].isin(held),
        risk_reason=[held.get(bot, reason) for bot, reason in zip(bots["bot_id"], reasons, strict=True)],
        open_loss=lost,
        gain=figures["gain"],
        drawdown=figures["drawdown"].where(known),
        daily_loss=(0.0 - 100 * figures["day_pnl"].fillna(0.0) / figures["capital"]).where(has_traded),
        inactive=[why.get(bot, "") for bot in bots["bot_id"]],
    )


def _open_loss(loss: float, gain: float, currency: str) -> str:
    lost, gained = (f"{amount:,.{digits(currency)}f}" for amount in (loss, gain))
    return f"halted until resumed: open positions lost {lost}, its gain of 30 days is {gained}"


def _transitions(bots: pd.DataFrame, events: Sequence[BotEvent], as_of: datetime, rules: RiskRules) -> list[BotEvent]:
    """What the rules decided that is not on record yet: halts and releases.

    A halt for an open loss is recorded beside another one: it outlasts it.
    """
    before = halted_bots(events, as_of)
    limits = {"drawdown_limit": rules.drawdown, "daily_loss_limit": rules.daily_loss}
    changed = []
    judged = bots[bots["measured"] | bots["open_loss"].notna()]
    for bot, halted, reason, drawdown, loss, open_loss, gain in judged[
        ["bot_id", "halted", "risk_reason", "drawdown", "daily_loss", "open_loss", "gain"]
    ].itertuples(index=False):
        if open_loss == open_loss:
            lost = {OPEN_LOSS: open_loss, "gain": gain}
            changed.append(BotEvent(bot, "halted", as_of, RULES, reason, lost))
        elif halted != (bot in before):
            figures = {n: v for n, v in (("drawdown", drawdown), ("daily_loss", loss)) if v == v}
            why = reason if halted else "within its limits, and the cool-down is over"
            kind: EventKind = "halted" if halted else "released"
            changed.append(BotEvent(bot, kind, as_of, RULES, why, figures | limits))
    return changed


def _divide(
    bots: pd.DataFrame, trades: Trades, as_of: datetime, settings: FundSettings
) -> tuple[pd.DataFrame, dict[str, Any]]:
    bar = settings.bar(p_same_edge(bots))
    refusal, refused = _refused(bots, bar)
    part = np.flatnonzero(refusal == "")
    measure, unmeasured = _measure(bots.iloc[part], trades, as_of, settings.method)
    refusal[part[unmeasured]], refused[part[unmeasured]] = "unmeasured", UNMEASURED.get(settings.method, "")
    target = np.zeros(len(bots))
    target[part[~unmeasured]] = measure
    ticker = bots["ticker"].fillna("").to_numpy(dtype=object)
    wanted = np.flatnonzero(target > 0)
    alike = [
        wanted[places].tolist()
        for places in duplicates(*daily_pnl(trades, bots["bot_id"].to_numpy(np.int64)[wanted], as_of))
    ]
    names = bots["bot"].tolist() if "bot" in bots else [f"bot {bot}" for bot in bots["bot_id"]]
    allocation = allocate(
        target, ticker, refused, settings.funds, settings.allocation, settings.quote_currency, alike, names
    )
    total = target.sum()
    decision = [refused_for or word for refused_for, word in zip(refusal, allocation.decisions, strict=True)]
    rows = bots[["bot_id", "ticker", "rank", "drawdown", "daily_loss", "capital_is_estimated"]].assign(
        target=np.where(refusal == "", target / total if total > 0 else 0.0, np.nan),
        amount=allocation.cents,
        p_skill=_p_skill(bots),
        decision=decision,
        reason=list(allocation.reasons),
    )
    summary = {
        "method": settings.method,
        "funds": settings.funds,
        "allocated": settings.funds - allocation.cash,
        "cash": allocation.cash,
        "cash_reason": _cash_reason(allocation, decision, settings, bar),
        "bots": len(bots),
        "funded": int((allocation.cents > 0).sum()),
    }
    return rows, summary


def _refused(bots: pd.DataFrame, bar: SkillBar | None) -> tuple[Texts, Texts]:
    """Why bots get nothing, as a word and a sentence; both "" for eligible ones. A person's word comes first.

    `bar`: what P(edge > 0) has to be above; None: no skill is asked for.
    """
    inactive, halted = (bots["inactive"] != "").to_numpy(bool), bots["halted"].to_numpy(bool)
    unranked, p_skill = bots["rank"].isna().to_numpy(bool), _p_skill(bots)
    gated, (least, because) = bar is not None, bar or SkillBar(0.0)
    unjudged, doubtful = gated & np.isnan(p_skill), gated & (p_skill <= least)
    conditions = [inactive, halted, unranked, ~bots["measured"].to_numpy(bool), unjudged, doubtful]
    unranked_because = [f"not ranked: {why}" for why in bots["unranked"].fillna("no reason given")]
    too_low = [f"P(edge > 0) is {p:.3f}; more than {least} is needed{because}" for p in p_skill]
    constant = ([text] * len(bots) for text in (WITHOUT_CAPITAL, UNJUDGED))
    why = (bots["inactive"], bots["risk_reason"], unranked_because, *constant, too_low)
    texts = [np.array(texts, dtype=object) for texts in why]
    return np.select(conditions, REFUSALS, "").astype(object), np.select(conditions, texts, "").astype(object)


def _p_skill(bots: pd.DataFrame) -> Floats:
    """P(edge > 0) of each bot; NaN where it was not computed."""
    return bots["p_skill"].to_numpy(np.float64) if "p_skill" in bots else np.full(len(bots), np.nan)


def p_same_edge(bots: pd.DataFrame) -> float:
    """The probability that all bots of the fleet have one edge; NaN where it was computed of none of them."""
    return float(bots["p_same_edge"].max()) if "p_same_edge" in bots else np.nan


def _measure(bots: pd.DataFrame, trades: Trades, as_of: datetime, method: AllocationMethod) -> tuple[Floats, Bools]:
    """Targets of the bots that can be measured, and which cannot. Raises ValueError for an unknown method."""
    nobody = np.zeros(len(bots), bool)
    if method == "rank_score":
        return targets.by_score(bots["rank_score"].to_numpy(np.float64)), nobody
    if method == "belief_edge":
        edge = bots["edge"].to_numpy(np.float64)
        return targets.by_edge(edge[~np.isnan(edge)]), np.isnan(edge)
    if method == "equal":
        return targets.equal(len(bots)), nobody
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; choose one of {', '.join(METHODS)}")
    returns = daily_returns(trades, bots["bot_id"].to_numpy(np.int64), bots["capital"].to_numpy(np.float64), as_of)
    flat = np.ptp(returns, axis=0) == 0
    covariance = np.cov(returns[:, ~flat], rowvar=False, ddof=1).reshape((~flat).sum(), (~flat).sum())
    if method == "inverse_variance":
        return targets.inverse_variance(np.diag(covariance)) if len(covariance) else np.zeros(0), flat
    return targets.hierarchical_risk_parity(covariance) if len(covariance) else np.zeros(0), flat


def daily_returns(trades: Trades, bots: Ints, capital: Floats, as_of: datetime) -> Floats:
    """Net pnl / capital per calendar day and bot, shape (30, N): the 30 UTC days up to the last that began before
    `as_of`; days without a trade 0."""
    pnl, _ = daily_pnl(trades, bots, as_of)
    return pnl / capital


def _cash_reason(allocation: Allocation, decisions: Sequence[str], settings: FundSettings, bar: SkillBar | None) -> str:
    if not allocation.cash:
        return "all funds are allocated"
    counts = Counter(decisions)
    why = {"doubtful": bar.because if bar else ""}
    left_out = ", ".join(f"{counts[word]} {word}{why.get(word, '')}" for word in REFUSALS if counts[word])
    wanted = sum(counts[word] for word in ("funded", "capped", "below_minimum"))
    if not wanted and not counts["no_share"]:
        return f"no bot is eligible: {left_out or 'the ranking is empty'}"
    if not wanted:
        return f"no eligible bot has a target above 0{_beside(counts['no_share'], left_out)}"
    beside = _beside(counts["no_share"], left_out)
    if counts["below_minimum"]:
        minimum = shown(amount_of(settings.allocation.minimum or 1, settings.quote_currency), settings.quote_currency)
        return f"the caps and the minimum of {minimum} leave no room for more{beside}"
    who = {1: "the only eligible bot is at its cap", 2: "both eligible bots are at their caps"}
    return f"{who.get(wanted, f'all {wanted} eligible bots are at their caps')}{beside}"


def _beside(without_target: int, left_out: str) -> str:
    """In brackets: the bots that get nothing."""
    parts = [f"{without_target} with a target of 0"] * bool(without_target) + [left_out] * bool(left_out)
    return f" ({', '.join(parts)})" if parts else ""
