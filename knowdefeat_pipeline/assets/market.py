"""`price_bars`, `market_regimes` and `trade_scores`: market data, which arrives by ingestion, and what it tells."""

from collections.abc import Iterator

import dagster as dg

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.calendar import Calendar, covered_days
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.core.market.labels import PROBABILITIES
from knowdefeat_pipeline.core.schema import BAR_DAY, SCORE_NAMES, TABLES, TRADE_SCORES
from knowdefeat_pipeline.steps.market import CHECKS, REGIME_COLUMNS, compute_regimes, compute_scores, count_bars

BAR_COLUMNS = [figure.name for figure in BAR_DAY]
REGIMES_LINEAGE = {name: [("price_bars", "bars")] for name in ("label", *PROBABILITIES, "average_true_range")}
SCORES_LINEAGE = {name: [("trades", "closed"), ("price_bars", "bars")] for name in SCORE_NAMES[:2]} | {
    SCORE_NAMES[2]: [("trades", "closed")],
    "average_true_range": [("trades", "closed"), ("price_bars", "bars")],
}
SCORES_PREVIEW = tuple(figure.name for figure in TRADE_SCORES)


def build(calendar: Calendar) -> list[dg.AssetsDefinition]:
    """The assets `price_bars`, `market_regimes` and `trade_scores`."""

    @calendar.asset(
        group_name="market",
        kinds={"postgres"},
        check_specs=catalogue.check_specs(CHECKS, "price_bars"),
        metadata=catalogue.table("price_bars", BAR_DAY),
        description="Bars of market data, validated on arrival; refused rows wait in quarantine.",
    )
    def price_bars(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult[None]]:
        found = count_bars(database.session, *covered_days(context))
        catalogue.describe(context, found, BAR_COLUMNS)
        yield dg.MaterializeResult[None](check_results=catalogue.check_results(found))

    @calendar.asset(
        group_name="market",
        deps=["price_bars"],
        kinds={"postgres", "numpy"},
        check_specs=catalogue.check_specs(CHECKS, "market_regimes"),
        metadata=catalogue.table("market_regimes", TABLES["market_regimes"], REGIMES_LINEAGE),
        description="The market regime at the close of each bar, told from the bars up to it: later bars change no "
        "label.",
    )
    def market_regimes(
        context: dg.AssetExecutionContext, database: Database, clock: Clock
    ) -> Iterator[dg.MaterializeResult[None]]:
        labelled = compute_regimes(database.session, *covered_days(context), clock.now(database.session.connection))
        catalogue.describe(context, labelled, REGIME_COLUMNS[1:])
        yield dg.MaterializeResult[None](check_results=catalogue.check_results(labelled))

    @calendar.asset(
        group_name="market",
        deps=["price_bars", "trades"],
        kinds={"postgres", "scikitlearn"},
        metadata=catalogue.table("trade_scores", TRADE_SCORES, SCORES_LINEAGE),
        description="How each closed trade's entry stood to two models of its ticker's bars and to its order book, "
        "and the average true range there.",
    )
    def trade_scores(
        context: dg.AssetExecutionContext, database: Database, clock: Clock
    ) -> Iterator[dg.MaterializeResult[None]]:
        scored = compute_scores(database.session, *covered_days(context), clock.now(database.session.connection))
        catalogue.describe(context, scored, SCORES_PREVIEW)
        yield dg.MaterializeResult[None]()

    return [price_bars, market_regimes, trade_scores]
