"""What a bot's own results say of its edge: the mean in units of their sd, with an error that is clustered by day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Generic, TypeVar

import numpy as np

from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.luck import Luck
from knowdefeat_pipeline.core.skill.panel import Panel, Sums, sums
from knowdefeat_pipeline.core.units import Array, Bools, Floats, Ints

LEAST_TRADES, LEAST_OF_A_KIND = 5, 10
DAYS_AT_ONCE = 45  # which bounds the memory

Window = TypeVar("Window")


@dataclass(frozen=True)
class Evidence:
    """Of each of n bots: its trades, `edge` (R: mean result in the bot's own sd) corrected for skewness, and `error`.

    `proven`: whether it closed enough wins and losses to be judged by them; edge and error count only there. What a day
    adds to the error of the edge is `loading` (n, 2) times the pnl and the number of trades of `daily` (days, n, 2), as
    in `Panel`; `variance`: the sum of its squares. Both are 0 for bots that are not proven. Bots are in the order of
    their first results, those without any in the window among them.
    """

    bot: Ints
    trades: Ints
    wins: Ints
    losses: Ints
    edge: Floats
    error: Floats
    proven: Bools
    variance: Floats
    loading: Floats
    daily: Floats

    def __len__(self) -> int:
        return len(self.bot)


@dataclass(frozen=True)
class Said(Generic[Window]):
    """What all results say at one as_of, by window, the panel in which they lie, and by window what was added up of the
    luck that bots share."""

    panel: Panel
    of: Mapping[Window, Evidence]
    luck: dict[Window, Luck] = field(default_factory=dict)


def evidence(results: DailyResults) -> Evidence:
    """What the results of each bot say of its edge.

    e = mean / sd; y = Σ over a day of (result - mean) / sd; error = √max(n - 1, Σ y² · D/(D - 1)) / n for n trades on D
    days, so that trades which win or lose together count as few; edge = e + clip(g·error²/6 + g·e²/3, ± 3 errors) for
    the skewness g. Multiplying a bot's results by a constant changes nothing.

    Parameters
    ----------
    results : DailyResults

    Returns
    -------
    Evidence
        One entry per bot. Proven: at least 10 wins, 10 losses and 5 trades; else edge 0 and error 1.

    References
    ----------
    Johnson, "Modified t tests and confidence intervals for asymmetrical populations", Journal of the American
    Statistical Association 1978.

    Examples
    --------
    Results of 2 and -1 in turn, one of each a day: no day differs from another, and only chance within days is left:

    >>> bot, day, pnl = np.zeros(40, int), np.arange(40) // 2, np.tile([2.0, -1.0], 20)
    >>> said = evidence(DailyResults.of_columns(bot, day, pnl))
    >>> said.edge.round(6).tolist(), said.error.round(6).tolist(), said.proven.tolist()
    ([0.32914], [0.156125], [True])
    """
    (said,) = said_by(results, np.array([results.day.max(initial=0)]), {"all": None})
    return said.of["all"]


def said_by(results: DailyResults, last_days: Ints, windows: Mapping[Window, int | None]) -> Iterator[Said[Window]]:
    """What results say by the ends of `last_days`, which ascend, in windows of so many days, None for all.

    The same, to the bit, as for each of the days alone, whatever results come after it.
    """
    panel = Panel.of(results)
    for begin in range(0, len(last_days), DAYS_AT_ONCE):
        at = last_days[begin : begin + DAYS_AT_ONCE]
        each = [sums(results, panel, at, days) for days in windows.values()]
        columns = _columns(Sums(*(np.concatenate(of, axis=1) for of in zip(*each, strict=True))))
        of_windows = [
            _evidence(panel, {name: of[len(at) * n :] for name, of in columns.items()}, at, days)
            for n, days in enumerate(windows.values())
        ]
        yield from (Said(panel, dict(zip(windows, of, strict=True))) for of in zip(*of_windows, strict=True))


def _columns(of: Sums) -> Mapping[str, Array]:
    """What the sums say, (days asked for, bots)."""
    count = of.trades
    proven = (np.minimum(of.wins, of.losses) >= LEAST_OF_A_KIND) & (count >= LEAST_TRADES)
    # Wins and losses both, and many: sums of powers lose no digit that counts by what is subtracted here.
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = of.pnl / count
        sd = np.sqrt((of.squares - of.pnl * mean) / (count - 1))
        skewness = (of.cubes - mean * (3 * of.squares - 2 * of.pnl * mean)) / count / sd**3
        variance = np.maximum(of.day_pnl - mean * (2 * of.day_products - mean * of.day_trades), 0.0) / (sd * count) ** 2
        clustered = np.where(of.days > 1, variance * of.days / (of.days - 1), 0.0)
        error = np.sqrt(np.maximum((count - 1) / count**2, clustered))
        raw = mean / sd
        edge = raw + np.clip(skewness * (error**2 / 6 + raw**2 / 3), -3 * error, 3 * error)
        of_pnl, of_trades = 1 / (sd * count), -raw / count
    columns: dict[str, Array] = {
        **{name: getattr(of, name) for name in ("trades", "wins", "losses")},
        "edge": np.where(proven, edge, 0.0),
        "error": np.where(proven, error, 1.0),
        "proven": proven,
        "variance": np.where(proven, variance, 0.0),
        "loading": np.where(proven, (of_pnl, of_trades), 0.0),
    }
    columns = {name: np.ascontiguousarray(values.T) for name, values in columns.items()}
    return columns | {name: columns[name].astype(np.int64) for name in ("trades", "wins", "losses")}


def _evidence(panel: Panel, columns: Mapping[str, Array], last_days: Ints, days: int | None) -> Iterator[Evidence]:
    """That of each of these days, in the first rows of the columns."""
    first = np.zeros_like(last_days) if days is None else np.searchsorted(panel.day, last_days - days + 1)
    last, bots = np.searchsorted(panel.day, last_days, "right"), panel.bots_by(last_days)
    for number, (n, begin, end) in enumerate(zip(bots.tolist(), first.tolist(), last.tolist(), strict=True)):
        of_day = {name: values[number, :n] for name, values in columns.items()}
        yield Evidence(bot=panel.bot[:n], daily=panel.daily[begin:end, :n], **of_day)


def renewed(known: Said[Window], fresh: Said[Window]) -> Said[Window] | None:
    """What is known of all bots with that of some in place of theirs; None where these have bots, first days or days of
    their own.

    The same as `said_by` all results, as a bot's evidence rests on no other bot. What was known is overwritten.
    """
    panel, new = known.panel, fresh.panel
    order = np.argsort(panel.bot)
    place = order[np.searchsorted(panel.bot, new.bot, sorter=order).clip(max=len(order) - 1)] if len(order) else order
    row = np.searchsorted(panel.day, new.day).clip(max=max(len(panel.day) - 1, 0))
    if len(place) < len(new.bot) or not (
        np.array_equal(panel.bot[place], new.bot)
        and np.array_equal(panel.begun[place], new.begun)
        and np.array_equal(panel.day[row], new.day)
    ):
        return None
    panel.daily[:, place] = 0.0
    panel.daily[np.ix_(row, place)] = new.daily
    for window, of in known.of.items():
        for name in {f.name for f in fields(of)} - {"daily"}:
            getattr(of, name)[place] = getattr(fresh.of[window], name)
    return Said(panel, known.of, {window: luck.after(place) for window, luck in known.luck.items()})
