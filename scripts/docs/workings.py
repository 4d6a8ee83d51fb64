"""The arithmetic of the worked example: each figure once more in plain Python, from the table of trades on the page.

The site shows the lines as they stand here, and is not built where one of them differs from what the product computed.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from io import StringIO
from math import erfc, isclose, sqrt
from statistics import NormalDist, mean, stdev
from typing import Any

from scripts.docs import example

AS_OF = datetime(2026, 3, 14)  # noqa: DTZ001 (as the file: UTC without saying so)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Trade:
    """One closed trade of the example; times are UTC, `pnl` is net."""

    name: str
    ticker: str
    direction: str
    entered: datetime
    left: datetime
    entry: float
    exit: float
    notional: float
    fees: float

    @property
    def pnl(self) -> float:
        side = 1 if self.direction == "LONG" else -1
        return self.notional * side * (self.exit - self.entry) / self.entry - self.fees


def trades_of(bot: str, text: str) -> list[Trade]:
    """The bot's closed trades in the order of their exits."""
    found = [
        Trade(
            row["source_trade_id"], row["ticker"], row["direction"],
            datetime.fromisoformat(row["entry_time"]), datetime.fromisoformat(row["exit_time"]),
            float(row["entry_price"]), float(row["exit_price"]), float(row["notional"]), float(row["fees"]),
        )
        for row in csv.DictReader(StringIO(text))
        if row["bot_id"] == bot and row["status"] == "closed"
    ]  # fmt: skip
    return sorted(found, key=lambda trade: (trade.left, trade.entered))


def runs(pnl: list[float]) -> list[tuple[int, int]]:
    """(1 for wins, -1 for losses, 0 for breakeven; length) of each run, in order."""
    found: list[tuple[int, int]] = []
    for value in pnl:
        sign = (value > 0) - (value < 0)
        if found and found[-1][0] == sign:
            found[-1] = (sign, found[-1][1] + 1)
        else:
            found.append((sign, 1))
    return found


def episodes(equity: list[float]) -> list[tuple[float, float]]:
    """Of each drawdown episode the depth as an amount, and in percent of the peak; `equity` begins with the capital."""
    found: list[tuple[float, float]] = []
    peak, under = equity[0], False
    for value in equity[1:]:
        peak = max(peak, value)
        if value < peak:
            if not under:
                found.append((0.0, 0.0))
            amount, share = found[-1]
            found[-1] = (max(amount, peak - value), max(share, 100 * (peak - value) / peak))
        under = value < peak
    return found


def cumulated(start: float, steps: list[float]) -> list[float]:
    """The start, and where it stands after each step."""
    found = [start]
    for step in steps:
        found.append(found[-1] + step)
    return found


def compounded(returns: list[float]) -> list[float]:
    """1, and what it has grown to after each return."""
    found = [1.0]
    for value in returns:
        found.append(found[-1] * (1 + value))
    return found


def volatility(trades: list[Trade], as_of: datetime) -> float:
    """Of the trades that had closed by then, two at least."""
    pnl = [trade.pnl for trade in trades]
    days = max((as_of - trades[0].left) / DAY, 1)
    return max(stdev(pnl), 0.01 * mean(abs(p) for p in pnl)) * sqrt(len(pnl) / days)


def begun(trades: list[Trade], days: list[date], daily: list[float]) -> list[tuple[float, float]]:
    """Of each day that began with a known volatility the net pnl, and that volatility."""
    found = []
    for day, pnl in zip(days, daily, strict=True):
        began = datetime.combine(day, time())
        before = [trade for trade in trades if trade.left < began]
        if len(before) > 1:
            found.append((pnl, volatility(before, began)))
    return found


def quantities(trades: list[Trade], capital: float) -> dict[str, Any]:
    """The names that the workings use, each as the page explains it."""
    pnl = [trade.pnl for trade in trades]
    first = trades[0].left.date()
    days = [first + DAY * number for number in range((AS_OF.date() - first).days)]
    daily = [sum(trade.pnl for trade in trades if trade.left.date() == day) for day in days]
    returns = [value / capital for value in daily]
    equity = cumulated(capital, pnl)
    growth = compounded(returns)
    decided = [value for value in pnl if value != 0]
    return {
        "pnl": pnl, "wins": [p for p in pnl if p > 0], "losses": [-p for p in pnl if p < 0], "n": len(pnl),
        "left": [trade.left for trade in trades],
        "seconds": [(trade.left - trade.entered).total_seconds() for trade in trades],
        "capital": capital, "equity": equity, "episodes": episodes(equity), "daily": daily, "returns": returns,
        "growth": growth, "fall": max(1 - value / max(growth[: at + 1]) for at, value in enumerate(growth)),
        "begun": begun(trades, days, daily), "runs": runs(pnl), "decided": decided,
        "days": (AS_OF - trades[0].left) / DAY, "as_of": AS_OF, "HOUR": HOUR, "DAY": DAY,
        "mean": mean, "stdev": stdev, "sqrt": sqrt, "erfc": erfc, "NormalDist": NormalDist,
    }  # fmt: skip


def stated(strategy: str | None) -> list[tuple[float, int]]:
    """Of each closed trade of a strategy of the example: the confidence that its signal stated, and 1 for a win."""
    written = (example.FOLDER / "trades.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(StringIO(written)) if row["strategy_id"] == strategy]
    confidence = {row["source_trade_id"]: float(row["signal_confidence"] or 0) for row in rows}
    trades = [trade for bot in {row["bot_id"] for row in rows} for trade in trades_of(bot, written)]
    return [(confidence[trade.name], int(trade.pnl > 0)) for trade in trades]


def _performance(span: str) -> str:
    return f"sum(p for p, t in zip(pnl, left) if t >= as_of - {span})"


def _streak(length: int) -> str:
    return f"100 * sum(max(0, run - {length - 1}) for sign, run in runs if sign > 0) / n"


_MOMENT = "mean((r - mean(returns)) ** {} for r in returns)"
_SPREAD = (
    f"sqrt((1 - {_MOMENT.format(3)} / {_MOMENT.format(2)} ** 1.5 * s"
    f" + ({_MOMENT.format(4)} / {_MOMENT.format(2)} ** 2 - 1) / 4 * s ** 2) / (len(returns) - 1))"
)


def _bound(sign: str) -> str:
    reach = f"NormalDist().inv_cdf(0.95) * {_SPREAD}"
    return f"next((s {sign} {reach}) * sqrt(365) for s in [mean(returns) / stdev(returns)])"


METRICS: dict[str, str | None] = {
    "one_hour_performance": None,
    "two_hour_performance": None,
    "one_day_performance": _performance("DAY"),
    "one_week_performance": _performance("7 * DAY"),
    "one_month_performance": _performance("30 * DAY"),
    "avg_win_rate": "100 * len(wins) / n",
    "avg_drawdown": "mean(share for amount, share in episodes)",
    "profit_per_second": "sum(pnl) / sum(seconds)",
    **{f"win_streak_{length}": _streak(length) for length in range(2, 8)},
    "trades": "n",
    "wins": "len(wins)",
    "losses": "len(losses)",
    "total_pnl": "sum(pnl)",
    "avg_pnl": "sum(pnl) / n",
    "gross_profit": "sum(wins)",
    "gross_loss": "sum(losses)",
    "profit_factor": "sum(wins) / sum(losses)",
    "expectancy": "sum(pnl) / n",
    "payoff_ratio": "mean(wins) / mean(losses)",
    "sqn": "sqrt(n) * mean(pnl) / stdev(pnl)",
    "sharpe": "mean(returns) / stdev(returns) * sqrt(365)",
    "sortino": "mean(returns) / sqrt(mean(min(r, 0) ** 2 for r in returns)) * sqrt(365)",
    "calmar": "(growth[-1] ** (365 / len(returns)) - 1) / fall",
    "max_drawdown": "max(share for amount, share in episodes)",
    "max_drawdown_amount": "max(amount for amount, share in episodes)",
    "avg_drawdown_amount": "mean(amount for amount, share in episodes)",
    "volatility": "max(stdev(pnl), 0.01 * mean(abs(p) for p in pnl)) * sqrt(n / days)",
    "time_in_drawdown": (
        "100 * sum(((later or as_of) - t).total_seconds() for t, later, value, peak in zip(left, [*left[1:], None], "
        "equity[1:], [max(equity[:k + 1]) for k in range(1, n + 1)]) if value < peak)"
        " / (as_of - left[0]).total_seconds()"
    ),
    "trade_frequency": "n / days",
    "avg_trade_duration": "mean(seconds)",
    "best_trade": "max(pnl)",
    "worst_trade": "min(pnl)",
    "price_slippage": "10_000 * (2024 - 2022) / 2024",
    "lifetime_trades": "n",
    "lifetime_pnl": "sum(pnl)",
    "lifetime_max_drawdown": "max(share for amount, share in episodes)",
    "lifetime_win_rate": "100 * len(wins) / n",
    "lifetime_profit_factor": "sum(wins) / sum(losses)",
    "capital": "capital",
    "sharpe_low": _bound("-"),
    "sharpe_high": _bound("+"),
    "open_trades": "1",
    "open_pnl": "1000 * (2024 - 2000) / 2000",
    "unmarked_open": "0",
    "max_drawdown_with_open": (
        "max(100 * (max(path[:k + 1]) - value) / max(path[:k + 1])"
        " for path in [[*equity, equity[-1] + 12]] for k, value in enumerate(path))"
    ),
    "quarter_result": "sum(p / v for p, v in begun) / sqrt(len(begun))",
    "lifetime_result": "sum(p / v for p, v in begun) / sqrt(len(begun))",
}
"""Of bot_metrics, by the name of the figure; None where it is NULL in the example."""

SUMMARY: dict[str, str | None] = {
    "trades": "n",
    "win_rate": "100 * len(wins) / n",
    "longest_win_streak": "max((run for sign, run in runs if sign > 0), default=0)",
    "longest_loss_streak": "max((run for sign, run in runs if sign < 0), default=0)",
    "current_streak": "runs[-1][0] * runs[-1][1]",
    "streakiness_p_value": (
        "next(erfc(abs(len(runs_of(decided)) - (1 + 2 * a * b / m)) / sqrt(2 * a * b * (2 * a * b - m) / "
        "(m ** 2 * (m - 1))) / sqrt(2)) for a, b, m in [(len(wins), len(losses), len(decided))])"
    ),
}
"""Of win_streak_summary."""


def streaks(length: int) -> dict[str, str | None]:
    """Of win_streaks, for one length."""
    return {
        "streak_length": f"{length}",
        "hits": f"sum(max(0, run - {length - 1}) for sign, run in runs if sign > 0)",
        "frequency": _streak(length),
        "runs": f"sum(sign > 0 and run >= {length} for sign, run in runs)",
        "expected_frequency": f"100 * max(0, n - {length - 1}) / n * (len(wins) / n) ** {length}",
    }


OF_THE_ROW: dict[str, dict[str, str | None]] = {
    "bot_rankings": {"rank_score": "50 + sum(points)"},
    "fund_allocations": {"amount": "min(target, 0.1) * 1000", "daily_loss": "-100 * (12 - 9) / 1000"},
    "strategy_beliefs": {"accuracy_improvement": "win_rate - prior_win_rate"},
    "strategy_calibration": {
        "brier_score": "sum((c - won) ** 2 for c, won in stated) / stated_trades",
        "learning_velocity": "3 * 7 / 7",
        "calibration_error": "sum(b['trades'] * abs(b['stated'] - b['realised']) for b in reliability) / stated_trades",
    },
    "strategy_weights": {"p_ranging": "36 / 73"},
    "fund_allocation_days": {"cash": "funds - allocated"},
    "market_regimes": {"p_volatile": "1 - p_trending - p_ranging"},
}
"""Of other tables what follows from the rest of the row that is shown and from the trades of the example; `points` are
all its contributions, `stated` the confidence of each closed trade of its strategy, and whether it won."""


def of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The names that OF_THE_ROW uses."""
    points = [value for name, value in row.items() if name.endswith("_points")]
    return {**row, "points": points, "stated": stated(row.get("strategy_id"))}


def evaluated(working: str | None, known: Mapping[str, Any]) -> Any:
    """What a working comes to; None for none."""
    if working is None:
        return None
    return eval(working, {"__builtins__": {}, **_BUILTINS, "runs_of": runs, **known})  # noqa: S307 (our own lines)


_BUILTINS = {f.__name__: f for f in (sum, len, min, max, abs, zip, range, enumerate, next)}


def agrees(worked: Any, product: Any) -> bool:
    """Whether the product's figure is the worked one, to rounding; None is NULL."""
    if worked is None or product is None:
        return worked is product
    return isclose(float(worked), float(product), rel_tol=1e-9, abs_tol=1e-9)
