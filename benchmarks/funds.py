"""What rules of allocation earn in simulated worlds: growth a year and drawdown, beside the figures to reach.

    python -m benchmarks.funds [--seeds 10] [--first-seed 30000] [--days 240] [--bots 40] [--json]

Each world is simulated from so many seeds. A rule gives shares each day from what is known at its end, by default
weights and a cap of 10 %; what it holds earns the bots' results of the next day, marked to market, on the largest size
of a bot's positions. Risk rules are left out. Every figure is a mean over seeds with its standard error.

The gates ask for the product's skill, from what bots had closed by the day: P(edge > 0) alone, or, as settings begin
with it, more of it while bots cannot be told apart. `cash` is the share of the funds that the rule holds back, a mean
over the days; then that of day 30, the first of them, and in how many of the seeds it is nine tenths or more; and its
mean up to day 60. Fleets without skill (null, negative) must have nine tenths in cash.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd

from benchmarks.common import END, report

WORLDS = ("base", "informative", "adverse", "switch", "null", "negative", "losing", "realistic")
EVERYTHING, SCORE, APART = "place everything", "score > 50", "score, told apart"
CAUTIONS = {"score, P > .5": 0.5, "score, P > .75": 0.75}
GATED = "score, P > .5"
RULES = (EVERYTHING, SCORE, *CAUTIONS, APART, "equal", "inverse variance", "hrp", "cash")
# Growth a year and drawdown to compare with.
KNOWN = {
    ("base", EVERYTHING): (1.25, 0.05),
    ("losing", EVERYTHING): (-0.17, 0.23),
    ("base", SCORE): (1.32, 0.05),
    ("losing", SCORE): (-0.09, 0.22),
    ("base", GATED): (1.27, 0.05),
    ("losing", GATED): (0.17, 0.07),
}
SINCE, EARLY = 30, 60
FUNDS = 10**9
CAP = 0.10
MUCH_CASH = 0.9
WINDOW = 30


def history(world: str, bots: int, days: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray]:
    """Closed trades, the rank scores (row per as_of and bot), and per day and bot the result on capital and whether it
    traded."""
    from knowdefeat_pipeline.core.learning.learner import DEFAULT
    from knowdefeat_pipeline.core.ranking.panel import Panel
    from knowdefeat_pipeline.core.simulation.bots import SCORES, Simulation, simulate
    from knowdefeat_pipeline.core.simulation.fleet import simulate_fleet
    from knowdefeat_pipeline.core.simulation.panels import panel_of

    start = pd.Timestamp(END) - pd.Timedelta(days=days)
    index = pd.date_range(start, periods=days, freq="D", name="day").as_unit("us")
    bars = None
    if world == "realistic":
        fleet = simulate_fleet(world, bots=bots, days=days, seed=seed, end=END)
        bars = fleet.bars
        nothing = pd.DataFrame(0.0, index=index, columns=pd.RangeIndex(1, bots + 1, name="bot_id"))
        scores = pd.DataFrame({"day": index[:0], "bot_id": np.zeros(0, np.int64)} | dict.fromkeys(SCORES, 0.0))
        simulated = Simulation(fleet.trades, nothing, nothing, nothing, scores, world, seed)
    else:
        simulated = simulate(world, bots=bots, days=days, seed=seed, end=END)
    trades = simulated.trades.assign(day=(simulated.trades["exit_time"].dt.floor("D") - start).dt.days)
    panel = Panel.of(panel_of(simulated).frame)
    ranked = panel.frame[["as_of", "bot_id"]].assign(score=panel.rank_scores(DEFAULT))
    capital = trades.groupby("bot_id")["notional"].max().reindex(range(1, bots + 1)).to_numpy()
    closed = trades[trades["status"] == "closed"]
    traded = np.zeros((days, bots), bool)
    traded[closed["day"].astype(int), closed["bot_id"] - 1] = True
    return closed, ranked, results(trades, bars, index, bots) / capital, traded


def results(trades: pd.DataFrame, bars: pd.DataFrame | None, days: pd.DatetimeIndex, bots: int) -> np.ndarray:
    """Marked results per day and bot; worlds whose trades end within their day need no bars."""
    from knowdefeat_pipeline.core.trades.marking import STILL_OPEN, HeldTrades, marked_pnl
    from knowdefeat_pipeline.core.units import micros

    instants = micros(days.append(days[-1:] + pd.Timedelta(days=1)))
    code, names = pd.factorize(trades["ticker"])
    closes = np.full((len(instants), len(names)), np.nan)
    if bars is not None:
        last = bars.assign(at=micros(bars["open_time"] + pd.Timedelta(hours=1)))
        wide = last.pivot(index="at", columns="ticker", values="close").reindex(index=instants, columns=list(names))
        closes = wide.to_numpy()
    exits = np.where(trades["exit_time"].isna(), STILL_OPEN, micros(trades["exit_time"].fillna(END)))
    number = np.ones(len(trades))
    held = HeldTrades(
        bot=trades["bot_id"].to_numpy() - 1,
        ticker=code.astype(np.int64),
        entry=micros(trades["entry_time"]),
        exit=exits,
        notional=trades["notional"].to_numpy(),
        quantity=np.nan * number,
        multiplier=number,
        inverse=number < 0,
        long=(trades["direction"] == "LONG").to_numpy(),
        entry_price=trades["entry_price"].to_numpy(),
        entry_fee=0 * number,
        pnl=trades["reported_pnl"].to_numpy(),
    )
    return marked_pnl(held, instants, closes, bots).pnl


def skills(closed: pd.DataFrame, days: Sequence[int], bots: int) -> Iterator[tuple[np.ndarray, float]]:
    """P(edge > 0) of each bot (NaN where it has closed nothing) and that all have one edge, from what had closed before
    each of these days, as the product judges it."""
    from knowdefeat_pipeline.core.skill.daily_results import DailyResults
    from knowdefeat_pipeline.core.skill.evidence import said_by
    from knowdefeat_pipeline.core.skill.judgement import strategy_numbers
    from knowdefeat_pipeline.core.skill.posterior import skill

    of = closed.sort_values(["bot_id", "day"], kind="stable")
    columns = (of[name].to_numpy(kind) for name, kind in (("bot_id", int), ("day", int), ("reported_pnl", float)))
    results = DailyResults.of_columns(*columns)
    strategies = closed.groupby("bot_id")["strategy_id"].last().to_dict()
    for said in said_by(results, np.array(days) - 1, {"lifetime": None}):
        known = said.of["lifetime"]
        found = skill(known, strategy_numbers(known.bot, strategies))
        p = np.full(bots, np.nan)
        p[known.bot - 1] = found.p_skill
        yield p, found.p_same_edge


def shares(
    rule: str, score: np.ndarray, skill: tuple[np.ndarray, float], pnl: np.ndarray, traded: np.ndarray
) -> np.ndarray:
    """The shares of a day: `skill` by then, `pnl` and `traded` of the 30 days before, NaN scores of bots that are not
    ranked."""
    from knowdefeat_pipeline.core.funds import targets
    from knowdefeat_pipeline.core.funds.duplicates import duplicates
    from knowdefeat_pipeline.core.funds.projection import allocate
    from knowdefeat_pipeline.core.funds.settings import (
        DEFAULT_CAUTION,
        DEFAULT_SAME_EDGE_LIMIT,
        AllocationRules,
        FundSettings,
    )

    ranked = ~np.isnan(score)
    target = targets.by_score(score)
    if rule == "cash":
        return np.zeros(len(score))
    if rule == "equal":
        return ranked / max(ranked.sum(), 1)
    if rule == EVERYTHING:
        target = np.where(ranked, np.maximum(target, 1e-9), 0.0)
    p, same_edge = skill
    if rule in CAUTIONS:
        target = np.where(p > CAUTIONS[rule], target, 0.0)
    if rule == APART:
        usual = FundSettings("USD", FUNDS, caution=DEFAULT_CAUTION, same_edge_limit=DEFAULT_SAME_EDGE_LIMIT)
        target = np.where(p > usual.bar(same_edge).least, target, 0.0)
    if rule in ("inverse variance", "hrp"):
        part = np.flatnonzero(ranked & (np.ptp(pnl, axis=0) > 0))
        covariance = np.cov(pnl[:, part], rowvar=False, ddof=1).reshape(len(part), len(part))
        target = np.zeros(len(score))
        if len(part):
            by = targets.hierarchical_risk_parity if rule == "hrp" else lambda c: targets.inverse_variance(np.diag(c))
            target[part] = by(covariance)
    wanted = np.flatnonzero(target > 0)
    alike = [wanted[places].tolist() for places in duplicates(pnl[:, wanted], traded[:, wanted])]
    names = [str(bot) for bot in range(len(score))]
    nobody = np.full(len(score), "", dtype=object)
    given = allocate(target, nobody, nobody, FUNDS, AllocationRules(CAP), "USD", alike, names)
    return given.cents / FUNDS


def run(world: str, bots: int, days: int, seed: int) -> dict[str, tuple[float, ...]]:
    """Of each rule: growth a year, drawdown, Sharpe, and the share of cash, as a mean over all days, on the first, and
    as a mean over the early ones."""
    from knowdefeat_pipeline.core.funds.replay import EQUAL_WEIGHTS, book, compare

    closed, ranked, earned, traded = history(world, bots, days, seed)
    first = pd.Timestamp(END) - pd.Timedelta(days=days)
    number = (ranked["as_of"] - first).dt.days.to_numpy()
    held = {rule: np.zeros((days - SINCE, bots)) for rule in RULES}
    judged = skills(closed, range(SINCE, days), bots)
    for day, skill in zip(range(SINCE, days), judged, strict=True):
        score = np.full(bots, np.nan)
        today = ranked[number == day]
        score[today["bot_id"].to_numpy() - 1] = today["score"]
        before = slice(max(0, day - WINDOW), day)
        for rule in RULES:
            held[rule][day - SINCE] = shares(rule, score, skill, earned[before], traded[before])
    books = {rule: book(own, earned[SINCE:], 0.0) for rule, own in held.items()}
    books[EQUAL_WEIGHTS] = books["equal"]
    table = compare(books)
    return {
        rule: (
            float(table.loc[rule, "growth"]),
            float(table.loc[rule, "drawdown"]),
            float(table.loc[rule, "sharpe"]),
            1 - float(held[rule].sum(axis=1).mean()),
            1 - float(held[rule][0].sum()),
            1 - float(held[rule][: EARLY - SINCE + 1].sum(axis=1).mean()),
        )
        for rule in RULES
    }


def measure(worlds: Sequence[str], bots: int, days: int, seeds: Sequence[int]) -> dict[tuple[str, str], np.ndarray]:
    """Figures x seeds of each world and rule."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        jobs = {(world, seed): pool.submit(run, world, bots, days, seed) for world in worlds for seed in seeds}
        found = {key: job.result() for key, job in jobs.items()}
    return {
        (world, rule): np.array([found[world, seed][rule] for seed in seeds]).T for world in worlds for rule in RULES
    }


def line(figures: np.ndarray, known: tuple[float, float] | None) -> str:
    def shown(values: np.ndarray) -> str:
        values = values[np.isfinite(values)]
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        return f"{values.mean():+.2f} ± {error:.2f}" if len(values) else "    –"

    growth, drawdown, sharpe, cash, first, early = figures
    beside = f"   stated: {known[0]:+.2f}, {known[1]:.2f}" if known else ""
    much = (
        f"cash {cash.mean():.0%}, day {SINCE} {shown(first)} ({(first >= MUCH_CASH).mean():.0%} of seeds have much), "
        f"to day {EARLY} {shown(early)}"
    )
    return f"growth {shown(growth)}  drawdown {shown(drawdown)}  Sharpe {shown(sharpe)}  {much}{beside}"


def main(show: Callable[..., None] = report) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=30_000)
    parser.add_argument("--days", type=int, default=240)
    parser.add_argument("--bots", type=int, default=40)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=WORLDS)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    found = measure(chosen.worlds, chosen.bots, chosen.days, seeds)
    show(
        f"Rules of allocation, {chosen.bots} bots, {chosen.days} days from day {SINCE}, {chosen.seeds} seeds",
        [(f"{world}, {rule}", line(figures, KNOWN.get((world, rule)))) for (world, rule), figures in found.items()],
        {f"{world}, {rule}": figures.tolist() for (world, rule), figures in found.items()},
        chosen.json,
    )


if __name__ == "__main__":
    main()
