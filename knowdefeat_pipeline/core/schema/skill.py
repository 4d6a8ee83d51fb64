"""Whether a bot is good or lucky."""

from __future__ import annotations

from knowdefeat_pipeline.core.schema.figure import Figure, count, known, number, text

SKILL: tuple[Figure, ...] = (
    Figure("time_window", "text", "", "What it rests on: 'lifetime', or the trailing '90 days' (UTC days, that of as_of among them).", nullable=False),
    count("trades", "Closed trades in the window."),
    known("edge", "R", "Posterior mean of the bot's mean net result per trade, in units of its own standard deviation. Of a bot that cannot be judged: what its strategy and the fleet say."),
    known("edge_low", "R", "Lower end of the edge's 90 % credible interval."),
    known("edge_high", "R", "Upper end of the edge's 90 % credible interval."),
    known("p_skill", "probability", "The posterior probability that the edge is above 0."),
    text("verdict", "p_skill in words: good (at least .95), likely good (.8), cannot be told from luck, likely losing (at most .2), losing (.05); or cannot be judged, under 10 closed wins or 10 losses."),
    number("p_same_edge", "probability", "The posterior probability that all bots of the fleet have one edge, so that they cannot be told apart. The same in each row of a day and window. NULL on days that were computed before it was known."),
)
