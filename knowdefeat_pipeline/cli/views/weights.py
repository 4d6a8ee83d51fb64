"""Weights: a version and what it rests on, versions beside each other, attempts to adjust them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from knowdefeat_pipeline.cli.views.output import Record, err, out
from knowdefeat_pipeline.cli.views.tables import NOTHING, Justify, instant, number, table, text
from knowdefeat_pipeline.core.ranking.weight_set import WeightVersion, points_moved
from knowdefeat_pipeline.core.schema import VARIABLES
from knowdefeat_pipeline.core.wording import counted

VERSIONS: tuple[tuple[str, Justify], ...] = (
    ("version", "right"),
    ("author", "left"),
    ("in force from", "left"),
    ("moved", "right"),
    ("reason", "left"),
)


ATTEMPTS: tuple[tuple[str, Justify], ...] = (
    ("day", "left"),
    ("outcome", "left"),
    ("version", "right"),
    ("moved", "right"),
    ("gain so far", "right"),
    ("reason", "left"),
)


def show_evidence(evidence: Record) -> None:
    """What a version of the learner's rests on."""
    out.print(
        f"It rests on {counted(evidence['trades'], 'trade')}, the last of {evidence['last_exit']}. Mean rank IC over "
        f"{number(evidence['days'])} settled days, and what the best quarter of the bots earned more than the worst, "
        "in a day's volatility:"
    )
    for name, of in evidence["ic"].items():
        money = evidence.get("money", {}).get(name)  # evidence of before has none
        shown = "   ".join(_estimate(each) for each in (of, money) if each)
        out.print(f"  {name.ljust(len('persistence'))}  {shown}")
    out.print(evidence["statement"])


def _estimate(of: Record) -> str:
    return f"{number(of['mean'], 3, sign=True)} ± {number(of['standard_error'], 3)}"


def since(version: WeightVersion) -> str:
    """From when on it counts; nothing of one that always does."""
    return f", in force from {instant(version.in_force_from)}" if version.in_force_from else ""


def adjustment_state(setting: Record) -> str:
    """Whether the learner adjusts the weights, since when and why."""
    state = "on" if setting["ai_enabled"] else "off"
    return f"The daily adjustment is {state} ({setting['reason']}, {instant(setting['changed_at'])})."


def show_attempts(rows: Sequence[Record], first: date, last: date) -> None:
    """What became of each day's adjustment."""
    table(
        f"Adjustment of the weights, {first} to {last}",
        ATTEMPTS,
        [
            (
                str(row["day"]),
                row["outcome"].replace("_", " "),
                text(row["version"]),
                number(_points(row), 1),
                number(_gain(row), 3, sign=True),
                row["reason"],
            )
            for row in rows
        ],
    )
    published = sum(row["version"] is not None for row in rows)
    out.print(f"{number(published)} of {counted(len(rows), 'day')} published a version.")
    statements = [row["evidence"]["statement"] for row in rows if "statement" in row["evidence"]]
    if statements:
        out.print(statements[-1])
    if not published:
        err.print("The weights in force are as they were.", style="dim")


def _points(row: Record) -> float | None:
    change = row["evidence"].get("change")
    return sum(map(abs, change.values())) if change else None


def _gain(row: Record) -> float | None:
    gain = row["evidence"].get("gain") or {}
    mean: float | None = gain.get("mean")
    return mean


def show_version(version: WeightVersion) -> None:
    """The 19 weights of a version."""
    table(
        f"Weights, version {version.version} ({version.author}: {version.reason})" + since(version),
        (("variable", "left"), ("weight", "right"), ("what it is", "left")),
        [(v.name, number(version.weights[v.name], 1, sign=True), v.description) for v in VARIABLES],
    )
    out.print(
        "Absolute weights sum to 100.0; a negative weight means that the variable predicted the opposite.", style="dim"
    )


def show_versions(rows: Sequence[Record], count: int) -> None:
    """The latest of `count` versions, each with how far it moved."""
    table(
        f"Versions of the weights ({len(rows):,} of {count:,})",
        VERSIONS,
        [
            (
                str(row["version"]),
                row["author"],
                f"{row['in_force_from']:%Y-%m-%d %H:%M}" if row["in_force_from"] else NOTHING,
                number(row["moved"], 1),
                row["reason"],
            )
            for row in rows
        ],
    )


def show_difference(before: WeightVersion, after: WeightVersion, rows: Sequence[tuple[str, float, float]]) -> None:
    """The weights in which two versions differ."""
    table(
        f"From version {before.version} to {after.version}: {points_moved(after, before):.1f} points",
        (
            ("variable", "left"),
            (f"version {before.version}", "right"),
            (f"version {after.version}", "right"),
            ("change", "right"),
        ),
        [(name, number(a, 1, sign=True), number(b, 1, sign=True), number(b - a, 1, sign=True)) for name, a, b in rows],
    )
