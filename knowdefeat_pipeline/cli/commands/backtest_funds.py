"""`backtest funds`: what rules of allocation would have earned, against equal weights and against cash. Read-only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer

from knowdefeat_pipeline.cli.commands.funds import (
    currency_of,
    known_settings,
    parse_method,
    parse_probability,
    parse_share,
)
from knowdefeat_pipeline.cli.database import current_url
from knowdefeat_pipeline.cli.options import CommandError, Currency, From, Json, To, check_order
from knowdefeat_pipeline.cli.views.backtest_funds import Replay, record, report_page, show_replay
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.core.funds.replay import book, capitals, compare, rules_of, shares_of, usable_days
from knowdefeat_pipeline.core.funds.settings import METHODS, FundSettings
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.fund_division import fund_inputs
from knowdefeat_pipeline.store.fund_replay import read_results
from knowdefeat_pipeline.store.session import Session

NO_GATE = "none"
LEAST_DAYS = 10
T = TypeVar("T")


def backtest_funds(
    from_: From = None,
    to: To = None,
    currency: Currency = None,
    methods: Annotated[str | None, typer.Option(help=f"Comma-separated: {', '.join(METHODS)}; all by default.")] = None,
    caps: Annotated[
        str | None, typer.Option(help="Comma-separated caps of one bot, as 10%,50%; the recorded one by default.")
    ] = None,
    cautions: Annotated[
        str | None,
        typer.Option(help=f"Comma-separated: the P(edge > 0) that is asked for, or {NO_GATE}; as recorded by default."),
    ] = None,
    same_edge_limits: Annotated[
        str | None,
        typer.Option(help="Comma-separated limits of P(all bots have one edge), as 5%,1; as recorded by default."),
    ] = None,
    cost_bps: Annotated[
        float, typer.Option("--cost-bps", min=0, max=1000, help="What moving funds costs, in basis points of them.")
    ] = 0.0,
    report: Annotated[Path | None, typer.Option(help="Also write a report with pictures: an .html file.")] = None,
    json: Json = False,
) -> None:
    """Replay the division of funds over the computed days by every combination of methods, caps and gates.

    What is held earns the next day's results on the bots' capital, marked to market where their tickers have bars.
    Equal weights over all ranked bots and cash always take part. Risk rules are those of the settings; a least ticket
    plays no part.
    """
    check_order(from_, to)
    if report and (report.suffix != ".html" or not report.parent.is_dir()):
        raise CommandError(f"{report}: write an .html file in a folder that exists")
    url = current_url()
    with connect(url) as connection:
        (known,) = known_settings(connection, Decimal(0), currency_of(connection, currency))
        tried = _rules(known, methods, caps, cautions, same_edge_limits)
        replay = _replay(Session(url, connection), tried, from_ or date.min, to or date.max, cost_bps)
    if report:
        report.write_text(report_page(replay), encoding="utf-8")
    if json:
        print_json(record(replay) | ({"report": report} if report else {}))
        return
    show_replay(replay)
    if report:
        out.print(f"Report: {report}")


def _rules(
    known: FundSettings, methods: str | None, caps: str | None, cautions: str | None, same_edge_limits: str | None
) -> list[FundSettings]:
    """Every combination of what was named, in the place of what the settings have."""
    return [
        replace(
            known,
            method=method,
            allocation=replace(known.allocation, bot_cap=cap, minimum=0),
            caution=caution,
            same_edge_limit=same_edge_limit,
        )
        for method, cap, caution, same_edge_limit in product(
            _each(methods, parse_method) or METHODS,
            _each(caps, parse_share) or [known.allocation.bot_cap],
            _each(cautions, _parse_caution) or [known.caution],
            _each(same_edge_limits, parse_share) or [known.same_edge_limit],
        )
    ]


def _each(texts: str | None, parse: Callable[[str], T]) -> list[T]:
    return [parse(text.strip()) for text in (texts or "").split(",") if text.strip()]


def _parse_caution(text: str) -> float | None:
    return None if text == NO_GATE else parse_probability(text)


def _replay(session: Session, tried: Sequence[FundSettings], first: date, last: date, cost_bps: float) -> Replay:
    rules = rules_of(tried)
    inputs, _ = fund_inputs(session, first, last, list(rules.values()))
    usable = usable_days(inputs)
    if len(usable.days) < LEAST_DAYS:
        raise CommandError(
            f"Of the days asked for, those whose next day is computed too are {len(usable.days)}; at least "
            f"{LEAST_DAYS} are needed. Ask for more days, or compute more: knowdefeat run --all"
        )
    own = inputs.bots[inputs.bots["quote_currency"] == tried[0].quote_currency]
    bots = sorted(own["bot_id"].unique().tolist())
    results = read_results(session, [as_of for _, as_of in inputs.days], bots)
    followed = {day for day, _ in usable.days}
    taken = [number for number, (day, _) in enumerate(inputs.days) if day in followed]
    earned = np.nan_to_num(results.pnl[taken] / capitals(usable, bots))
    books = {name: book(shares_of(usable, rule, bots), earned, cost_bps) for name, rule in rules.items()}
    return Replay(
        table=compare(books),
        books=books,
        days=[day for day, _ in usable.days],
        bots=len(bots),
        currency=tried[0].quote_currency,
        cost_bps=cost_bps,
        marks=results.marks,
        unmarked=results.unmarked,
        estimated=int(own["capital_is_estimated"].fillna(False).groupby(own["bot_id"]).any().sum()),
    )
