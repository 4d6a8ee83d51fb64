"""What is believed of strategies, how they are weighed, and whether stated confidence comes true."""

from __future__ import annotations

from knowdefeat_pipeline.core.schema.figure import REASON, RECORDED_AT, Figure, count, known, number, text

STRATEGY = Figure("strategy_id", "text", "", "The strategy: the trade's own, else its bot's, else 'bot' and the bot's number.", nullable=False)

BELIEFS: tuple[Figure, ...] = (
    STRATEGY,
    Figure("regime", "text", "", "TRENDING, RANGING or VOLATILE, or '*' for the regimes that hold at as_of; without market data '*' is over all.", nullable=False),
    known("prior_win_rate", "probability", "Win rate of a strategy of which nothing is known but the others."),
    known("prior_win_rate_low", "probability", "Lower end of the prior win rate's 90 % interval."),
    known("prior_win_rate_high", "probability", "Upper end of the prior win rate's 90 % interval."),
    known("win_rate", "probability", "Posterior probability that the next trade wins. A win never lowers it and a loss never raises it."),
    known("win_rate_low", "probability", "Lower end of the win rate's 90 % credible interval."),
    known("win_rate_high", "probability", "Upper end of the win rate's 90 % credible interval."),
    known("accuracy_improvement", "probability", "win_rate - prior_win_rate: what the strategy's own trades add."),
    known("edge", "R", "Posterior mean result of the next trade, in units of what its bot's trades usually make or lose."),
    known("edge_low", "R", "Lower end of the edge's 90 % credible interval."),
    known("edge_high", "R", "Upper end of the edge's 90 % credible interval."),
    known("edge_sd", "R", "Posterior standard deviation of the edge."),
    known("confidence", "share", "Shrinkage: 1 - posterior sd / prior sd of the edge; 0 without evidence, towards 1 with it, falling while evidence decays."),
    known("effective_samples", "trades", "Trades by which evidence still counts: each decayed by its age."),
)

STRATEGY_WEIGHTS: tuple[Figure, ...] = (
    STRATEGY,
    known("weight", "share", "How much the strategy counts at as_of, under the regimes that hold. The weights of a day sum to exactly 1, and move by at most 0.2 in all a day unless a regime changed."),
    known("weight_trending", "share", "Its weight if every market were TRENDING; these sum to exactly 1."),
    known("weight_ranging", "share", "Its weight if every market were RANGING; these sum to exactly 1."),
    known("weight_volatile", "share", "Its weight if every market were VOLATILE; these sum to exactly 1."),
    known("p_trending", "share", "Share of the trailing 30 days' trades whose ticker is TRENDING at as_of; 0 without market data."),
    known("p_ranging", "share", "Share of the trailing 30 days' trades whose ticker is RANGING at as_of; 0 without market data."),
    known("p_volatile", "share", "Share of the trailing 30 days' trades whose ticker is VOLATILE at as_of; 0 without market data."),
    number("exposure", "share", "How much of the whole book should be held at all, the same in each row of a day; the rest is cash. The mean by weight of the strategies' P(edge > 0), counted from 0 at 1/2 to 1 at 0.95. NULL on days that were computed before it was known."),
)

CALIBRATION: tuple[Figure, ...] = (
    Figure("strategy_id", "text", "", "The strategy, or '*' for all of them together.", nullable=False),
    count("trades", "Closed trades in the trailing 30 days."),
    count("stated_trades", "Those of them whose signal stated a confidence."),
    number("brier_score", "probability²", "Mean of (stated confidence - outcome)², trailing 30 days; wins count 1, losses 0. NULL without stated confidence."),
    number("calibration_error", "probability", "Expected calibration error: Σ share of bin · |stated - realised|, trailing 30 days. NULL without stated confidence."),
    Figure("reliability", "jsonb", "", "One entry per bin of stated confidence that holds trades: low, high, trades, stated, realised and the 95 % Wilson interval realised_low, realised_high.", nullable=False),
    known("learning_velocity", "trades/day", "Trades learned per day, trailing 7 days."),
)

LEARNING_LEDGER: tuple[Figure, ...] = (
    Figure("entry_id", "bigint", "", "The number of the entry; entries are only ever added.", nullable=False),
    text("kind", "backtest: its outcomes count from here on. withdrawal: they do no more. reset: what was learned before is forgotten."),
    Figure("source", "text", "", "The name under which the outcomes of a backtest stand. NULL for a reset."),
    number("discount", "", "What each outcome of a backtest counts beside a real one. NULL for what is no backtest."),
    Figure("strategy_id", "text", "", "The strategy that was reset. NULL: all of them, or no reset."),
    REASON,
    Figure("in_force_from", "timestamptz", "UTC", "Figures of this as_of and of later ones follow it. NULL: all."),
    RECORDED_AT,
)
