"""The ranking of bots, and the weights that it rests on."""

from __future__ import annotations

from knowdefeat_pipeline.core.schema.figure import AS_OF, PARTITION, REASON, Figure, number, text
from knowdefeat_pipeline.core.schema.variables import SLOW_NAMES, VARIABLES, Variable

FLAG = Figure("flag", "text", "", "What a person should look at before the bot gets new funds: an open loss that exceeds the gain of 30 days. NULL for nothing.")
"""The column that follows from open positions, and so is no part of the rows of a ranking."""


def _points(variable: Variable) -> Figure:
    text = (
        f"What {variable.name} adds to the score: 100 · w·r / Σ|w|; the 19 contributions sum to rank_score - 50. NULL for a bot "
        "that is not eligible."
    )
    return number(f"{variable.name}_points", "points", text)


RANKING: tuple[Figure, ...] = (
    Figure("rank", "integer", "", "Place by score, then by bot_id. NULL for a bot that is not eligible."),
    number("rank_score", "points", "50 + 100 · Σ w·r / Σ|w|, w the weights in force, r the bot's ranks from -0.5 to 0.5: 0..100, 50 is the middle. NULL for a bot that is not eligible."),
    Figure("eligible", "boolean", "", "Whether the bot closed enough trades in the trailing 30 days to be ranked.", nullable=False),
    Figure("reason", "text", "", "Why a bot is not ranked. NULL for one that is."),
    Figure("is_active", "boolean", "", "Whether the bot may receive funds: set by a person or a rule and kept across runs.", nullable=False),
    Figure("weight_version", "integer", "", "The version of the weights that was in force.", nullable=False),
    *(_points(variable) for variable in VARIABLES if variable.name not in SLOW_NAMES),
    FLAG,
    *(_points(variable) for variable in VARIABLES if variable.name in SLOW_NAMES),
)

WEIGHTS_IN_FORCE: tuple[Figure, ...] = (
    PARTITION,
    AS_OF,
    Figure("variable", "text", "", "One of the 19 variables.", nullable=False),
    Figure("weight", "double precision", "points", "Signed weight; the absolute weights sum to 100.0.", nullable=False),
    Figure("version", "integer", "", "The weight version it belongs to.", nullable=False),
)

AUTHOR = text("author", "Who put it in force: default, manual (a person) or ai (the daily adjustment).")
WEIGHT_VERSIONS: tuple[Figure, ...] = (
    Figure("version", "integer", "", "The number of the version; versions follow one another without a gap.", nullable=False),
    AUTHOR,
    REASON,
    Figure("in_force_from", "timestamptz", "UTC", "It counts for every as_of later than this; -infinity: every one."),
)

WEIGHT_SETTINGS: tuple[Figure, ...] = (
    Figure("ai_enabled", "boolean", "", "Whether the learner adjusts the weights once a day.", nullable=False),
    text("author", "Who set it: default or manual."),
    REASON,
    Figure("changed_at", "timestamptz", "UTC", "When it was set.", nullable=False),
)

WEIGHT_ADJUSTMENTS: tuple[Figure, ...] = (
    PARTITION,
    AS_OF,
    text("outcome", "published: a new version. unchanged: nothing to move. gate_closed: the learner is behind the anchor weights, which are in force. frozen: too little is known. disabled: switched off. refused: a later version was there."),
    REASON,
    Figure("evidence", "jsonb", "", "What it rests on: days, bots, rank IC (ic) and money (money) of learned, default, equal, persistence and random weights, the gain over the default ones, and a statement in words.", nullable=False),
    Figure("version", "integer", "", "The version that was published. NULL where none was."),
    Figure("created_at", "timestamptz", "UTC", "When the learner was asked.", nullable=False),
)
