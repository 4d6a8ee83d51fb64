"""`demo`: what is planted in the bots of the demo, and what was found of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime

import psycopg

from knowdefeat_pipeline.cli.database import database
from knowdefeat_pipeline.cli.options import CommandError, Json
from knowdefeat_pipeline.cli.views.demo import show_demo
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.core.simulation.demo import MARKET, Demo, simulate_demo
from knowdefeat_pipeline.core.simulation.findings import Found, judge, of_ordinary
from knowdefeat_pipeline.core.units import day_end
from knowdefeat_pipeline.store.funds import allocation, settings_history
from knowdefeat_pipeline.store.reads import ranking, regimes
from knowdefeat_pipeline.store.simulation import demo_entries, has_own_trades, refused_of_simulated

SHARES = ("trending", "ranging", "volatile", "neutral")


def demo(json: Json = False) -> None:
    """What is planted in the bots of the demo, and what was found of it, with the truth beside it."""
    with database() as connection:
        entries = demo_entries(connection)
        if not entries:
            _tell_of_none(has_own_trades(connection), json)
            return
        day = max(entries.values()).date()
        truth = _planted(entries, day).truth
        found, cap = _found(connection, day)
        market = _market(connection)
    bots = judge(truth, found, cap)
    ordinary = of_ordinary(bots)
    if json:
        shown = [{**bot.truth, "found": asdict(bot.found), "is_right": bot.is_right} for bot in bots]
        print_json({"day": day, "bots": shown, "ordinary": asdict(ordinary), "regimes": market})
    else:
        show_demo(bots, ordinary, market, day_end(day))


def _tell_of_none(has_own: bool, as_json: bool) -> None:
    if as_json:
        print_json({"day": None, "bots": [], "ordinary": None, "regimes": None})
    elif has_own:
        out.print(
            "The demo is loaded into a database without trades, and this one holds some. Beside it:\n"
            "  KNOWDEFEAT_HOME=demo knowdefeat run, then KNOWDEFEAT_HOME=demo knowdefeat demo"
        )
    else:
        out.print("The demo is not loaded. Next: knowdefeat run, which does so where there are no trades")


def _planted(entries: dict[str, datetime], day: date) -> Demo:
    """The demo of the month up to that day. Raises CommandError where the trades are not those of this version's."""
    planted = simulate_demo(day_end(day))
    trades = planted.trades[~planted.trades["source_trade_id"].isin(planted.damaged)]
    known = dict(zip(trades["source_trade_id"], trades["entry_time"], strict=True))
    if not known.items() <= entries.items():
        raise CommandError(
            "The demo in this database was made by another version, whose truth is not known here. A new one: "
            "KNOWDEFEAT_HOME=demo knowdefeat run, then KNOWDEFEAT_HOME=demo knowdefeat demo"
        )
    return planted


def _found(connection: psycopg.Connection, day: date) -> tuple[dict[str, Found], float]:
    """What was found of each bot of a day, and the most that one bot may hold. Raises CommandError before it is
    computed."""
    rows = ranking(connection, day)
    if not rows:
        raise CommandError(f"The last day of the demo, {day}, is not computed yet. Next: knowdefeat run")
    days, given = allocation(connection, day)
    caps = {row["version"]: row["bot_cap"] for row in settings_history(connection)}
    amounts = {row["bot"]: row for row in given}
    held = refused_of_simulated(connection)
    found = {}
    for row in rows:
        of = amounts.get(row["bot"], {})
        found[row["bot"]] = Found(
            row["bot"],
            rank=row["rank"],
            unranked=row["reason"],
            p_skill=row["p_skill"],
            verdict=row["verdict"],
            flag=row["flag"],
            amount=float(of["amount"]) if of else None,
            decision=of.get("decision"),
            reason=of.get("reason"),
            held=held.get(row["bot"], {}),
        )
    return found, sum(float(row["funds"]) * caps[row["settings_version"]] for row in days)


def _market(connection: psycopg.Connection) -> dict[str, float]:
    """Which share of the bars of the demo's market has each label, as a mean over its tickers; empty without labels."""
    told = [row for row in regimes(connection, None, None) if row["ticker"] in MARKET]
    return {name: sum(row[name] for row in told) / len(told) for name in SHARES} if told else {}
