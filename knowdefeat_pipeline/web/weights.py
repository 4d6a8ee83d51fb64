"""The weights as pages and API show and change them: versions, the ranking as it would be, who came first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from http import HTTPStatus

import numpy as np
import psycopg

from knowdefeat_pipeline.core.ranking.ranking import MIN_TRADES, rank_numbers, ranking_rows
from knowdefeat_pipeline.core.ranking.weight_set import WeightVersion, points_moved
from knowdefeat_pipeline.core.rows import chosen
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.store.learning import WeightsChanged, weight_versions
from knowdefeat_pipeline.store.ranking import ranked_by, ranking_as_it_is
from knowdefeat_pipeline.store.reads import Record, latest_day
from knowdefeat_pipeline.web.parameters import bot_address
from knowdefeat_pipeline.web.problems import Problem

MOST = 100.0  # that a weight can be
TOP = 50  # places whose newcomers are counted


def shown_version(version: WeightVersion, before: WeightVersion | None) -> Record:
    """A version as it is shown: its columns, the points by which it moved, and its weights."""
    return asdict(version) | {"moved": points_moved(version, before)}


def shown_versions(connection: psycopg.Connection) -> list[Record]:
    """All versions as they are shown, the latest first."""
    versions = weight_versions(connection)
    befores: list[WeightVersion | None] = [None, *versions[:-1]]
    return [shown_version(*pair) for pair in zip(versions, befores, strict=True)][::-1]


def version_of(versions: Sequence[WeightVersion], number: int) -> WeightVersion:
    """The version of that number. Raises Problem."""
    for version in versions:
        if version.version == number:
            return version
    raise Problem(HTTPStatus.NOT_FOUND, f"There is no version {number} of the weights.")


def differing(connection: psycopg.Connection, error: WeightsChanged, wanted: Mapping[str, float]) -> list[Record]:
    """In which variables the latest version is not what the second editor wants: what it was, is, and would be."""
    known = {version.version: version for version in weight_versions(connection)}
    was = known.get(error.based_on, error.latest).weights
    now = error.latest.weights
    return [
        {"variable": name, "was": was[name], "latest": now[name], "yours": wanted[name]}
        for name in VARIABLE_NAMES
        if name in wanted and wanted[name] != now[name]
    ]


def possible_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights that a ranking can be made of, of whatever sum; those left out are 0. Raises Problem."""
    unknown = sorted(weights.keys() - set(VARIABLE_NAMES))
    if unknown:
        raise Problem(422, f"{', '.join(unknown)}: no variable. The variables are {', '.join(VARIABLE_NAMES)}.")
    for name, value in weights.items():
        if not abs(value) <= MOST:
            raise Problem(422, f"{name}: {value} is no weight; write a number from -{MOST:g} to {MOST:g}.")
    if not any(weights.values()):
        raise Problem(422, "At least one weight has to differ from 0.")
    return {name: float(weights.get(name, 0.0)) for name in VARIABLE_NAMES}


@dataclass(frozen=True)
class Preview:
    """A day's bots in the order that these weights give them, unranked ones last, beside each its recorded place and
    score. `moved`: ranked bots on another place; `newcomers`: bots of the first places that were not there."""

    day: date
    as_of: datetime | None
    weight_version: int | None
    rows: list[Record]
    moved: int
    newcomers: int

    @property
    def ranked(self) -> int:
        """How many bots have a place."""
        return sum(row["rank"] is not None for row in self.rows)


def read_preview(connection: psycopg.Connection, weights: Mapping[str, float], day: date | None) -> Preview | None:
    """The ranking of a day, or of the last one, as it would be with these weights; None while nothing is computed.

    By the very function that the pipeline ranks with, so that it is what a run would write, to the last bit.
    """
    last = day or latest_day(connection)
    if last is None:
        return None
    beside = {row["bot_id"]: row for row in ranking_as_it_is(connection, last)}
    columns, _ = ranking_rows(ranked_by(connection, last), weights)
    names = ("bot_id", "rank", "rank_score", "eligible")
    rows = [_row(beside, *values) for values in zip(*(columns[name].tolist() for name in names), strict=True)]
    first = [row for row in rows if row["rank"] is not None and row["rank"] <= TOP]
    return Preview(
        last,
        next((row["as_of"] for row in beside.values()), None),
        next((row["weight_version"] for row in beside.values()), None),
        rows,
        sum(bool(row["moved"]) for row in rows),
        sum(row["rank_before"] is None or row["rank_before"] > TOP for row in first),
    )


def _row(beside: Mapping[int, Record], bot_id: int, rank: float, score: float, eligible: bool) -> Record:
    known = beside[bot_id]
    place = int(rank) if eligible else None
    before = known["rank_before"]
    return {
        **{name: known[name] for name in ("bot_id", "bot", "strategy")},
        "rank": place,
        "rank_score": score if eligible else None,
        "rank_before": before,
        "rank_score_before": known["rank_score_before"],
        "moved": None if place is None or before is None else before - place,
    }


def read_ranks(connection: psycopg.Connection, day: date | None) -> Record | None:
    """What a browser ranks the bots of a day with: of each eligible bot the numbers of its 19 ranks (see
    `rank_numbers`), and what stands beside. None while nothing is computed."""
    last = day or latest_day(connection)
    if last is None:
        return None
    beside = {row["bot_id"]: row for row in ranking_as_it_is(connection, last)}
    metrics = ranked_by(connection, last)
    metrics = chosen(metrics, metrics["trades"] >= MIN_TRADES)
    numbers, steps = rank_numbers(metrics)
    names = ("bot_id", "bot", "strategy", "rank_before", "rank_score_before")
    known = [beside[bot] for bot in metrics["bot_id"].tolist()]
    return {
        "day": last,
        "as_of": next((row["as_of"] for row in beside.values()), None),
        "variables": VARIABLE_NAMES,
        "steps": np.asarray(steps).tolist(),
        **{name: [row[name] for row in known] for name in names},
        "address": [bot_address(row["bot"]) for row in known],
        "numbers": numbers.tolist(),
    }
