"""Every figure once more, slowly: one bot, one ticker, one as_of, plain loops and exact fractions.

Written from the definitions alone. `pnl` is a whole number of cents, so sums, peaks and days are exact here.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import erfc, inf, sqrt
from statistics import NormalDist

MICROSECOND = timedelta(microseconds=1)
SPANS = {
    "one_hour_performance": timedelta(hours=1), "two_hour_performance": timedelta(hours=2),
    "one_day_performance": timedelta(days=1), "one_week_performance": timedelta(days=7),
    "one_month_performance": timedelta(days=30),
}  # fmt: skip


@dataclass(frozen=True)
class Trade:
    trade_id: int
    bot: int
    ticker: str
    direction: str
    entry: datetime
    exit: datetime
    cents: int
    slippage: float | None

    @property
    def pnl(self) -> Fraction:
        return Fraction(self.cents, 100)


def in_order(trades: list[Trade]) -> list[Trade]:
    return sorted(trades, key=lambda t: (t.exit, t.entry, t.trade_id))


def day_of(instant: datetime) -> date:
    """The day [00:00, 24:00) of an instant."""
    return instant.date()


def last_day(as_of: datetime) -> date:
    """The last day that has begun before as_of."""
    return (as_of - MICROSECOND).date()


def runs(trades: list[Trade]) -> list[tuple[int, int]]:
    """(sign, length) of each maximal run of equal signs."""
    found: list[tuple[int, int]] = []
    for trade in trades:
        sign = (trade.cents > 0) - (trade.cents < 0)
        if found and found[-1][0] == sign:
            found[-1] = (sign, found[-1][1] + 1)
        else:
            found.append((sign, 1))
    return found


def streak_hits(trades: list[Trade], length: int) -> int:
    """Know-Defeat's count: a run of L wins adds max(0, L - k + 1)."""
    return sum(max(0, run - length + 1) for sign, run in runs(trades) if sign > 0)


def streak_summary(trades: list[Trade]) -> dict:
    found = runs(trades)
    return {
        "trades": len(trades),
        "win_rate": 100 * sum(t.cents > 0 for t in trades) / len(trades) if trades else None,
        "longest_win_streak": max((run for sign, run in found if sign > 0), default=0),
        "longest_loss_streak": max((run for sign, run in found if sign < 0), default=0),
        "current_streak": found[-1][0] * found[-1][1] if found else 0,
        "streakiness_p_value": runs_test(trades),
    }


def runs_test(trades: list[Trade]) -> float | None:
    decided = [t for t in trades if t.cents != 0]
    a = sum(t.cents > 0 for t in decided)
    b, n = len(decided) - a, len(decided)
    if len(trades) < 20 or a == 0 or b == 0:
        return None
    variance = Fraction(2 * a * b * (2 * a * b - n), n * n * (n - 1))
    if variance == 0:
        return None
    z = (len(runs(decided)) - (1 + Fraction(2 * a * b, n))) / sqrt(variance)
    return erfc(abs(z) / sqrt(2))


def episodes(trades: list[Trade], capital: Fraction) -> tuple[list[Fraction], list[Fraction], list[Trade]]:
    """Depth of each drawdown episode as an amount and as a share of the peak, and the trades below the peak."""
    equity = peak = capital
    amounts: list[Fraction] = []
    shares: list[Fraction] = []
    below: list[Trade] = []
    under = False
    for trade in trades:
        equity += trade.pnl
        peak = max(peak, equity)
        if equity < peak:
            if not under:
                amounts.append(Fraction(0))
                shares.append(Fraction(0))
            amounts[-1] = max(amounts[-1], peak - equity)
            shares[-1] = max(shares[-1], (peak - equity) / peak)
            below.append(trade)
        under = equity < peak
    return amounts, shares, below


def mean(values: list) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def variance(values: list[Fraction]) -> Fraction:
    middle = mean(values)
    return sum(((v - middle) ** 2 for v in values), Fraction(0)) / (len(values) - 1)


def annual_ratios(trades: list[Trade], first: datetime, as_of: datetime, capital: Fraction) -> dict:
    """Sharpe, Sortino, Calmar of the daily returns from the day of `first` to the last one before as_of."""
    returns = []
    day = day_of(first)
    while day <= last_day(as_of):
        returns.append(sum((t.pnl for t in trades if day_of(t.exit) == day), Fraction(0)) / capital)
        day += timedelta(days=1)
    out: dict = dict.fromkeys(("sharpe", "sortino", "calmar", "sharpe_low", "sharpe_high"))
    if len({day_of(t.exit) for t in trades}) < 10:
        return out
    if variance(returns) > 0:
        out["sharpe"] = float(mean(returns)) / sqrt(variance(returns)) * sqrt(365)
        out["sharpe_low"], out["sharpe_high"] = sharpe_bounds(returns)
    downside = mean([min(r, Fraction(0)) ** 2 for r in returns])
    if downside > 0:
        out["sortino"] = float(mean(returns)) / sqrt(downside) * sqrt(365)
    growth = highest = Fraction(1)
    fall, ruined = Fraction(0), False
    for r in returns:
        growth *= 1 + r
        ruined |= growth <= 0
        highest = max(highest, growth)
        fall = max(fall, 1 - growth / highest)
    if fall > 0 and not ruined:
        try:
            out["calmar"] = (float(growth) ** (365 / len(returns)) - 1) / float(fall)
        except OverflowError:
            out["calmar"] = None
    return out


def sharpe_bounds(returns: list[Fraction]) -> tuple[float, float]:
    """Lo (2002) with Mertens' correction, at 90 %."""
    middle, n = mean(returns), len(returns)
    second, third, fourth = (mean([(r - middle) ** power for r in returns]) for power in (2, 3, 4))
    skewness, kurtosis = float(third) / sqrt(second) ** 3, float(fourth / second**2)
    daily = float(middle) / sqrt(variance(returns))
    error = sqrt(max(0.0, 1 - skewness * daily + (kurtosis - 1) / 4 * daily**2) / (n - 1))
    reach = NormalDist().inv_cdf(0.95) * error
    return (daily - reach) * sqrt(365), (daily + reach) * sqrt(365)


def quotient(numerator: Fraction, denominator: Fraction) -> Fraction | None:
    return numerator / denominator if denominator > 0 else None


def figures(book: list[Trade], bot: int, ticker: str, as_of: datetime, capital: float = 10_000) -> dict | None:
    """All of METRICS; None before the first exit."""
    money = Fraction(capital)
    life = in_order([t for t in book if t.bot == bot and ticker in ("*", t.ticker) and t.exit < as_of])
    if not life:
        return None
    window = [t for t in life if t.exit >= as_of - SPANS["one_month_performance"]]
    out: dict = {"price_model_score": None, "volume_model_score": None, "price_wall_score": None}
    for name, span in SPANS.items():
        inside = [t.pnl for t in life if t.exit >= as_of - span]
        out[name] = sum(inside) if inside else None
    out |= _lifetime(life, money) | _counts(window)
    out |= _money(window, life[0].exit, as_of, money) if window else dict.fromkeys(_MONEY)
    return out | {"capital": money, "capital_is_estimated": False}


def _lifetime(life: list[Trade], capital: Fraction) -> dict:
    _, shares, _ = episodes(life, capital)
    profit = sum((t.pnl for t in life if t.cents > 0), Fraction(0))
    loss = sum((-t.pnl for t in life if t.cents < 0), Fraction(0))
    return {
        "first_exit": life[0].exit, "last_exit": life[-1].exit, "lifetime_trades": len(life),
        "lifetime_pnl": sum(t.pnl for t in life), "lifetime_max_drawdown": 100 * max(shares, default=Fraction(0)),
        "lifetime_win_rate": Fraction(100 * sum(t.cents > 0 for t in life), len(life)),
        "lifetime_profit_factor": quotient(profit, loss),
    }  # fmt: skip


def _counts(window: list[Trade]) -> dict:
    kinds = Counter((t.ticker, t.direction) for t in window)
    main = min(kinds, key=lambda kind: (-kinds[kind], kind), default=(None, None))
    return {
        "trades": len(window), "wins": sum(t.cents > 0 for t in window), "losses": sum(t.cents < 0 for t in window),
        "main_ticker": main[0], "main_direction": main[1],
    }  # fmt: skip


_MONEY = (
    "avg_win_rate", "avg_drawdown", "profit_per_second", *(f"win_streak_{k}" for k in range(2, 8)), "total_pnl",
    "avg_pnl", "gross_profit", "gross_loss", "profit_factor", "expectancy", "payoff_ratio", "sqn", "sharpe", "sortino",
    "calmar", "sharpe_low", "sharpe_high", "max_drawdown", "max_drawdown_amount", "avg_drawdown_amount", "volatility", "time_in_drawdown",
    "trade_frequency", "avg_trade_duration", "best_trade", "worst_trade", "price_slippage",
)  # fmt: skip


def _money(window: list[Trade], first: datetime, as_of: datetime, capital: Fraction) -> dict:
    pnl = [t.pnl for t in window]
    n, total = len(pnl), sum(pnl)
    wins, losses = [p for p in pnl if p > 0], [-p for p in pnl if p < 0]
    held = sum(Fraction((t.exit - t.entry) // MICROSECOND, 10**6) for t in window)
    amounts, shares, below = episodes(window, capital)
    sd = sqrt(variance(pnl)) if n >= 2 else None
    floored = None if sd is None else max(sd, float(sum(abs(p) for p in pnl) / n / 100))
    frequency = n / min(max((as_of - first) / timedelta(days=1), 1.0), 30.0)
    under = sum(
        ((later.exit if later else as_of) - trade.exit) / MICROSECOND
        for trade, later in zip(window, [*window[1:], None], strict=True)
        if trade in below
    )
    elapsed = (as_of - window[0].exit) / MICROSECOND
    slippage = [t.slippage for t in window if t.slippage is not None]
    since = max(first, as_of - SPANS["one_month_performance"])
    return {
        "avg_win_rate": Fraction(100 * len(wins), n),
        "avg_drawdown": 100 * mean(shares) if shares else 0,
        "profit_per_second": quotient(total, held),
        **{f"win_streak_{k}": Fraction(100 * streak_hits(window, k), n) for k in range(2, 8)},
        "total_pnl": total, "avg_pnl": total / n, "gross_profit": sum(wins), "gross_loss": sum(losses),
        "profit_factor": quotient(sum(wins), sum(losses)), "expectancy": total / n,
        "payoff_ratio": mean(wins) / mean(losses) if wins and losses else None,
        "sqn": sqrt(n) * float(total / n) / sd if sd else None,
        **annual_ratios(window, since, as_of, capital),
        "max_drawdown": 100 * max(shares, default=0), "max_drawdown_amount": max(amounts, default=0),
        "avg_drawdown_amount": mean(amounts) if amounts else 0,
        "volatility": None if floored is None else floored * sqrt(frequency),
        "time_in_drawdown": 100 * under / elapsed if elapsed > 0 else None,
        "trade_frequency": frequency, "avg_trade_duration": held / n, "best_trade": max(pnl), "worst_trade": min(pnl),
        "price_slippage": sum(slippage) / len(slippage) if slippage else None,
    }  # fmt: skip


def streak_lengths(window: list[Trade]) -> list[dict]:
    """All of STREAKS for k = 2..7."""
    n = len(window)
    rate = sum(t.cents > 0 for t in window) / n if n else None
    return [
        {
            "streak_length": k, "hits": streak_hits(window, k),
            "frequency": 100 * streak_hits(window, k) / n if n else None,
            "runs": sum(sign > 0 and run >= k for sign, run in runs(window)),
            "expected_frequency": 100 * max(0, n - k + 1) / n * rate**k if rate is not None else None,
        }
        for k in range(2, 8)
    ]  # fmt: skip


def close(value: object, expected: object) -> bool:
    """Equal within 1e-9, with None for a figure that cannot be computed."""
    if expected is None or value is None or value != value:
        return expected is None and (value is None or value != value)
    if isinstance(expected, str | datetime):
        return value == expected
    return abs(float(value) - float(expected)) <= 1e-9 * max(1.0, abs(float(expected))) < inf
