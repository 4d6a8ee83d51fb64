"""How much of the true skill's rank IC the learned weights reach, on simulated worlds whose truth is known; its cost.

    python -m benchmarks.weights [--seeds 24] [--first-seed 20000] [--days 300] [--since 60] [--bots 40 8] [--json]
    python -m benchmarks.weights --held [--seeds 24] [--days 300] [--bots 40]
    python -m benchmarks.weights --cost [--days 365] [--bots 200] [--json]

Each world and size of fleet is simulated from so many seeds, which no choice in the learner was made on. A ratio is the
mean rank IC of a way to score bots over that of the true skill, each the mean over seeds, with its standard error by
the delta method. `of all knowable` has the IC of one who also knows which luck is taken back as its denominator. The
ceiling is that of `benchmarks.ceiling`, by the bots' history alone and with their scores, on the same seeds.

`--held`: a random walk without any edge whose trades live for days, at three rates of trades a day. Labels that are
marked to market must leave the learner's mean rank IC within two standard errors of 0; those of closed trades do not.

The cost is that of a fleet whose days are all computed and adjusted in PostgreSQL but the last two: adjusting these,
each in a Dagster run as every night (the first in a fresh process), and a backtest of five sets of weights.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.common import END, alone, database, report

if TYPE_CHECKING:
    from knowdefeat_pipeline.core.simulation.bots import Simulation

WORLDS = ("base", "informative", "adverse", "switch")
NULL = "null"
NULL_SEEDS = 100  # at least: what is asked of it is an error, which few seeds make by chance
MUSTS = {40: "must .65, outstanding .72", 8: "must .57, outstanding .62"}
CEILINGS = {40: "stated .675, with the scores .844", 8: "stated .661, with the scores .851"}
HELD_RATES = (0.9, 2.7, 6.4)  # trades a day and bot
LIMITS = {"night_s": 5, "night_mb": 500, "backtest_s": 30}
JUDGED = ("learned", "default", "equal", "know_defeat", "ceiling", "ceiling with scores")
SCORERS = ("skill", "knowable", *JUDGED)


def realised(world: str, bots: int, seed: int, days: int, since: int) -> list[float]:
    """Mean rank IC of each of SCORERS from as_of number `since` on."""
    from knowdefeat_pipeline.core.learning.backtest import know_defeat_scores
    from knowdefeat_pipeline.core.learning.learner import DEFAULT, EQUAL, MIN_BOTS, learn_weights, rank_ic
    from knowdefeat_pipeline.core.ranking.panel import Panel
    from knowdefeat_pipeline.core.simulation.bots import simulate
    from knowdefeat_pipeline.core.simulation.panels import panel_of

    history = simulate(world, bots=bots, days=days + 1, seed=seed, end=END)
    simulated = panel_of(history)
    panel = Panel.of(simulated.frame)
    weighted = [panel.rank_scores(weights) for weights in (learn_weights(panel).weights, DEFAULT, EQUAL)]
    truth = [simulated.skill, simulated.expected]
    judged = [*weighted, know_defeat_scores(panel.frame), *ceilings(history, panel.frame)]
    scores = np.stack([*truth, *judged], axis=1)
    daily = []
    for day in range(since, len(panel)):
        rows = panel.rows(day)
        known = ~np.isnan(panel.label[rows])
        if known.sum() >= MIN_BOTS:
            daily.append(rank_ic(scores[rows][known], panel.label[rows][known]))
    return np.mean(daily, axis=0).tolist()


def ceilings(history: Simulation, rows: pd.DataFrame) -> list[np.ndarray]:
    """The ceiling's score of each row of a panel, by history alone and with the scores; 0 where there is no skill."""
    from benchmarks.ceiling import expected_results

    if not history.skill.any(axis=None):
        return [np.zeros(len(rows))] * 2
    day = (rows["as_of"] - history.skill.index[0]).dt.days.to_numpy() - 1
    bot = rows["bot_id"].to_numpy() - 1
    per_trade = (history.skill_pnl / history.skill).iloc[0].to_numpy()[bot] / rows["volatility"].to_numpy()
    return [per_trade * expected_results(history, scores=scores)[day, bot] for scores in (False, True)]


def held(rate: float, marked: bool, bots: int, seed: int, days: int, since: int) -> tuple[float, float]:
    """Mean rank IC and mean quartile spread of the learned weights where trades live for days."""
    from knowdefeat_pipeline.core.learning.learner import LEARNED, learn_weights
    from knowdefeat_pipeline.core.ranking.panel import Panel
    from knowdefeat_pipeline.core.simulation.held import held_panel, simulate_held

    world = simulate_held(bots=bots, days=days + 1, rate=rate, seed=seed, end=END)
    learned = learn_weights(Panel.of(held_panel(world, marked=marked)))
    return float(np.nanmean(learned.ic[LEARNED][since:])), float(np.nanmean(learned.spread[LEARNED][since:]))


def report_held(bots: int, seeds: Sequence[int], days: int, since: int, as_json: bool) -> None:
    rows, figures = [], {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        for rate, marked in product(HELD_RATES, (True, False)):
            jobs = [pool.submit(held, rate, marked, bots, seed, days, since) for seed in seeds]
            found = np.array([job.result() for job in jobs])
            mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(len(found))
            name = "marked to market (must: within 2 SE of 0)" if marked else "closed trades"
            figures[f"{rate} {'marked' if marked else 'closed'}"] = {"ic": mean[0], "se": error[0], "money": mean[1]}
            text = f"{mean[0]:+.4f} ± {error[0]:.4f}: {mean[0] / error[0]:+.1f} SE"
            rows.append((f"{rate} trades a day, {name}", f"{text}  money {mean[1]:+.3f} ± {error[1]:.3f}"))
    report(f"Rank IC of the learned weights without any edge, {bots} bots, {len(seeds)} seeds", rows, figures, as_json)


def ratio(over: np.ndarray, under: np.ndarray) -> tuple[float, float]:
    """The ratio of two means over seeds and its standard error."""
    value = over.mean() / under.mean()
    return float(value), float((over - value * under).std(ddof=1) / np.sqrt(len(over)) / under.mean())


def standard_errors(values: np.ndarray) -> float:
    """The mean of a sample in its standard errors."""
    return float(values.mean() / (values.std(ddof=1) / np.sqrt(len(values))))


def figures_of(ic: dict[str, np.ndarray]) -> dict:
    """The figures of one world and size of fleet; arrays with one value per seed."""
    if not ic["skill"].any():
        return {"ic": {name: float(ic[name].mean()) for name in SCORERS}, "z": standard_errors(ic["learned"])}
    ratios = {name: ratio(ic[name], ic["skill"]) for name in JUDGED}
    return {
        "skill_ic": float(ic["skill"].mean()),
        "ratio": {name: value for name, (value, _) in ratios.items()},
        "se": {name: error for name, (_, error) in ratios.items()},
        "of_knowable": ratio(ic["learned"], ic["knowable"])[0],
        "z": standard_errors(ic["learned"] - ic["default"]),
    }


def measure(world: str, bots: int, seeds: Sequence[int], days: int, since: int) -> dict:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        jobs = [pool.submit(realised, world, bots, seed, days, since) for seed in seeds]
        found = np.array([job.result() for job in jobs])
    return figures_of(dict(zip(SCORERS, found.T, strict=True)))


def mean_of_worlds(worlds: Sequence[dict]) -> dict:
    """Plain means over the worlds. All share their seeds' draws, so the errors are added as if wholly dependent."""
    return {
        "ratio": {name: float(np.mean([w["ratio"][name] for w in worlds])) for name in worlds[0]["ratio"]},
        "se": {name: float(np.mean([w["se"][name] for w in worlds])) for name in worlds[0]["se"]},
        "of_knowable": float(np.mean([w["of_knowable"] for w in worlds])),
    }


def line(found: dict) -> str:
    parts = [f"{name} {found['ratio'][name]:+.3f} ± {found['se'][name]:.3f}" for name in found["ratio"]]
    text = "  ".join(parts) + f"  of all knowable {found['of_knowable']:.3f}"
    return text + (f"  learned - default {found['z']:+.1f} SE" if "z" in found else "")


def prepare(url: str, bots: int, days: int) -> dict:
    """A fleet's days, all computed, and all adjusted but the last two."""
    from knowdefeat_pipeline.automation.runs import adjust_days, refresh_days
    from knowdefeat_pipeline.cli.commands.simulate import load_simulation
    from knowdefeat_pipeline.core.simulation.bots import simulate

    load_simulation(url, simulate("base", bots=bots, days=days, seed=1, end=END))
    first, last = (END - timedelta(days=days)).date(), (END - timedelta(days=1)).date()
    return {
        "refresh_s": run_days(url, refresh_days, first, last),
        "all_days_s": run_days(url, adjust_days, first, last - timedelta(days=2)),
    }


def night(url: str) -> dict:
    """Seconds of the adjustment of each of the last two days, and processor seconds of the second."""
    from knowdefeat_pipeline.automation.runs import adjust_days

    before_last, last = ((END - timedelta(days=ago)).date() for ago in (2, 1))
    first = run_days(url, adjust_days, before_last, before_last)
    begun = time.process_time()
    return {"nights_s": [first, run_days(url, adjust_days, last, last)], "cpu_s": time.process_time() - begun}


def run_days(url: str, run: Callable[..., Any], first: Any, last: Any) -> float:
    import dagster as dg

    from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
    from knowdefeat_pipeline.build import build_defs

    defs = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=END.isoformat())})
    with dg.DagsterInstance.ephemeral() as instance:
        begun = time.perf_counter()
        run(defs, instance, first, last)
        return time.perf_counter() - begun


def five_sets(url: str) -> dict:
    """Seconds of a backtest of the five sets over the whole history, from the database."""
    from knowdefeat_pipeline.core.learning.backtest import backtest, contestants
    from knowdefeat_pipeline.core.ranking.panel import Panel
    from knowdefeat_pipeline.store.weight_panel import read_history

    begun = time.perf_counter()
    panel = Panel.of(read_history(url, END.date()))
    table = backtest(panel, contestants(panel))
    return {"backtest_s": time.perf_counter() - begun, "sets": len(table), "days": len(panel)}


def cost(bots: int, days: int) -> dict:
    with database() as url:
        prepared, nights, back = alone(prepare, url, bots, days), alone(night, url), alone(five_sets, url)
    return {
        "refresh_s": prepared["refresh_s"],
        "all_days_s": prepared["all_days_s"],
        "night_s": max(nights["nights_s"]),
        "nights_s": nights["nights_s"],
        "night_cpu_s": nights["cpu_s"],
        "night_mb": nights["peak_mb"],
        "backtest_s": back["backtest_s"],
        "backtest_mb": back["peak_mb"],
        "sets": back["sets"],
        "limits": LIMITS,
    }


def report_cost(bots: int, days: int, as_json: bool) -> None:
    found = cost(bots, days)
    first, second = found["nights_s"]
    rows = [
        (
            "a night's adjustment",
            f"{first:.2f} s in a fresh process, then {second:.2f} s (at most {LIMITS['night_s']} s), "
            f"{found['night_cpu_s']:.2f} s of it the processor's",
        ),
        ("its memory", f"{found['night_mb']:,.0f} MB (at most {LIMITS['night_mb']} MB)"),
        ("all days at once", f"{found['all_days_s']:.1f} s"),
        (f"backtest of {found['sets']} sets", f"{found['backtest_s']:.2f} s (at most {LIMITS['backtest_s']} s)"),
        ("its memory", f"{found['backtest_mb']:,.0f} MB"),
    ]
    report(f"Adjusting and testing weights in PostgreSQL, {days} days × {bots} bots", rows, found, as_json)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--first-seed", type=int, default=20_000)
    parser.add_argument("--days", type=int)
    parser.add_argument("--since", type=int, default=60)
    parser.add_argument("--bots", type=int, nargs="+")
    parser.add_argument("--held", action="store_true", help="trades that live for days, without any edge")
    parser.add_argument("--cost", action="store_true", help="what it costs, instead of what it is worth")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.cost:
        report_cost((chosen.bots or [200])[0], chosen.days or 365, chosen.json)
        return
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    if chosen.held:
        report_held((chosen.bots or [40])[0], seeds, chosen.days or 300, chosen.since, chosen.json)
        return
    chosen.days, chosen.bots = chosen.days or 300, chosen.bots or [40, 8]
    figures: dict = {
        (world, bots): measure(world, bots, seeds, chosen.days, chosen.since)
        for bots, world in product(chosen.bots, WORLDS)
    }
    without = range(chosen.first_seed, chosen.first_seed + max(chosen.seeds, NULL_SEEDS))
    figures |= {(NULL, bots): measure(NULL, bots, without, chosen.days, chosen.since) for bots in chosen.bots}
    rows = []
    for bots in chosen.bots:
        rows += [(f"{bots} bots, {world}", line(figures[world, bots])) for world in WORLDS]
        figures["mean", bots] = mean_of_worlds([figures[world, bots] for world in WORLDS])
        rows.append((f"{bots} bots, mean of the four", line(figures["mean", bots])))
        if bots in MUSTS:
            rows.append(("", f"{MUSTS[bots]}; ceiling {CEILINGS[bots]}"))
        null = figures[NULL, bots]
        said = f"learned IC {null['ic']['learned']:+.4f}: {null['z']:+.1f} SE from 0 ({len(without)} seeds)"
        rows.append((f"{bots} bots, no skill", said))
    report(
        f"Rank IC as a part of the true skill's, {chosen.days} days from day {chosen.since}, {chosen.seeds} seeds",
        rows,
        {f"{world} {bots}": found for (world, bots), found in figures.items()},
        chosen.json,
    )


if __name__ == "__main__":
    main()
