"""What was found of the bots of the demo, held against what was planted in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.simulation.demo import DAMAGED

GOOD, LOSING = ("good", "likely good"), ("losing", "likely losing")


@dataclass(frozen=True)
class Found:
    """What the ranking, the allocation and the quarantine say of a bot.

    rank: None where it is not ranked, and `unranked` says why. p_skill: P(edge > 0). verdict: its skill in words.
    flag: what a person should look at. amount, decision, reason: of its funds; None where none are set. held: its rows
    in quarantine, by reason.
    """

    bot: str
    rank: int | None = None
    unranked: str | None = None
    p_skill: float | None = None
    verdict: str | None = None
    flag: str | None = None
    amount: float | None = None
    decision: str | None = None
    reason: str | None = None
    held: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_called_good(self) -> bool:
        """Whether its skill is judged good, or likely so."""
        return self.verdict in GOOD

    @property
    def is_funded(self) -> bool:
        """Whether it is given money."""
        return bool(self.amount)


def is_right(role: str, found: Found, original: Found | None = None, cap: float = np.inf) -> bool:
    """Whether what was found of a bot is what its role asks for.

    A skilled bot is called good and funded. A duplicate and its `original` are funded, and hold no more together than
    one bot may (`cap`, in currency). A losing one is called so. One that was lucky, a survivor, and one whose way to
    trade only looks good are neither called good nor funded; nor is one funded whose edge has turned. A bag holder is
    flagged and halted. A newcomer is not ranked. Of a broken feed those rows are held that came damaged, each for its
    reason.

    Raises ValueError for a role in which nothing is planted.
    """
    match role:
        case "skilled":
            return found.is_called_good and found.is_funded
        case "duplicate":
            together = (found.amount or 0.0) + ((original and original.amount) or 0.0)
            return found.is_funded and original is not None and original.is_funded and together <= cap + 0.005
        case "losing":
            return found.verdict in LOSING and not found.is_funded
        case "lucky" | "survivor" | "grid" | "martingale" | "lottery":
            return not found.is_called_good and not found.is_funded
        case "turned":
            return not found.is_funded
        case "bag holder":
            return found.flag is not None and found.decision == "halted"
        case "newcomer":
            return found.rank is None
        case "broken feed":
            return dict(found.held) == dict(DAMAGED)
    raise ValueError(f"nothing is planted in a bot of the role {role!r}")


@dataclass(frozen=True)
class Judged:
    """A bot of the demo: the row of `Demo.truth`, what was found, and whether that is right (None: nothing is planted
    in it)."""

    truth: Mapping[str, Any]
    found: Found
    is_right: bool | None


def judge(truth: pd.DataFrame, found: Mapping[str, Found], cap: float) -> list[Judged]:
    """Every bot of `truth` (see `Demo`) with what was found of it. cap: the most that one bot may hold, in currency."""
    rows: Sequence[Mapping[Any, Any]] = truth.astype(object).where(truth.notna(), None).to_dict("records")
    return [
        Judged(
            row,
            of := found.get(row["bot"], Found(row["bot"])),
            None if row["role"] == "ordinary" else is_right(row["role"], of, found.get(row["copies"]), cap),
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Ordinary:
    """The ordinary bots: how many, their least and largest true edge, and the rank correlations of the true edge with
    the place in the ranking (+1: the best first) and with P(edge > 0), NaN where they are not defined; how many are
    called good or funded, and how many of these have no edge above 0."""

    bots: int
    least: float
    largest: float
    of_rank: float
    of_skill: float
    preferred: int
    wrongly: int


def of_ordinary(bots: Sequence[Judged]) -> Ordinary:
    """What was found of the ordinary ones among the bots.

    >>> some = {"a": Found("a", rank=1, p_skill=0.9, verdict="likely good"), "b": Found("b", rank=2, p_skill=0.4)}
    >>> truth = pd.DataFrame({"bot": ["a", "b"], "role": "ordinary", "edge": [0.1, -0.1], "copies": None})
    >>> found = of_ordinary(judge(truth, some, cap=10_000.0))
    >>> found.bots, found.least, found.largest, found.preferred, found.wrongly
    (2, -0.1, 0.1, 1, 0)
    >>> round(found.of_rank, 9), round(found.of_skill, 9)
    (1.0, 1.0)
    """
    usual = [(bot.truth["edge"], bot.found) for bot in bots if bot.truth["role"] == "ordinary"]
    edge = pd.Series([edge for edge, _ in usual], dtype=float)
    place = -pd.Series([of.rank for _, of in usual], dtype=float)
    p_skill = pd.Series([of.p_skill for _, of in usual], dtype=float)
    preferred = [edge for edge, of in usual if of.is_called_good or of.is_funded]
    return Ordinary(
        len(usual),
        float(edge.min()),
        float(edge.max()),
        _rank_correlation(edge, place),
        _rank_correlation(edge, p_skill),
        len(preferred),
        sum(edge <= 0 for edge in preferred),
    )


def _rank_correlation(one: pd.Series, other: pd.Series) -> float:
    known = one.notna() & other.notna()
    return float(one[known].rank().corr(other[known].rank()))
