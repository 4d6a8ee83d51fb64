"""All figures of a fleet at one as_of, in memory, beside per-bot loops of the known libraries over the same work.

    python -m benchmarks.metrics [--bots 1000] [--per-bot 1000] [--large] [--json]

`--large` adds ten times the bots: cost is linear when the ratio stays near 10.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.feather

from benchmarks.common import END, alone, as_read, fleet, report, timed

COLUMNS = ["trade_id", "bot_id", "ticker", "direction", "entry_time", "exit_time", "pnl", "slippage"]


def engine(file: str, repeat: int) -> dict:
    """Sort, group and compute everything, from the Arrow table that the database hands over."""
    from knowdefeat_pipeline.core.metrics.engine import bot_metrics
    from knowdefeat_pipeline.core.trades.columns import Trades
    from knowdefeat_pipeline.core.units import micros

    table = pa.feather.read_table(file, memory_map=False)
    instant = micros([END])
    return timed(lambda: bot_metrics(Trades.from_arrow(table), instant), repeat)


def measure(bots: int, per_bot: int, repeat: int) -> dict:
    """The engine in a process that holds nothing but the trades."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/trades.arrow"
        pa.feather.write_feather(as_read(fleet(bots, per_bot, 30)).select(COLUMNS), file)
        return alone(engine, file, repeat)


def library_loop(bots: int, per_bot: int, name: str) -> dict:
    """Sharpe, Sortino, Calmar and maximum drawdown of daily returns, bot by bot: four of our sixty figures."""
    trades = fleet(bots, per_bot, 30)
    day = trades["exit_time"].to_numpy().astype("datetime64[D]").astype(np.int64)
    daily = np.zeros((bots, 30))
    np.add.at(daily, (trades["bot_id"].to_numpy() - 1, np.clip(day - day.max() + 29, 0, 29)), trades["pnl"].to_numpy())
    returns = daily / 10_000
    begin = time.process_time()
    _per_bot(name, returns)
    return {"cpu": time.process_time() - begin}


def _per_bot(name: str, returns: np.ndarray) -> None:
    warnings.simplefilter("ignore")
    if name == "empyrical":
        import empyrical as peer

        figures = (peer.sharpe_ratio, peer.sortino_ratio, peer.calmar_ratio, peer.max_drawdown)
        for bot in returns:
            for figure in figures:
                figure(bot)
        return
    import pandas as pd
    import quantstats.stats as peer

    days = pd.date_range("2025-06-01", periods=30)
    for bot in returns:
        series = pd.Series(bot, index=days)
        for figure in (peer.sharpe, peer.sortino, peer.calmar, peer.max_drawdown):
            figure(series)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=1000)
    parser.add_argument("--per-bot", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    ours = measure(chosen.bots, chosen.per_bot, chosen.repeat)
    figures: dict = {"engine": ours}
    rows = [("engine", f"{ours['cpu']:.2f} CPU-s, {ours['wall']:.2f} s, peak {ours['peak_mb']:,.0f} MB")]
    for name in ("empyrical", "quantstats"):
        peer = alone(library_loop, chosen.bots, chosen.per_bot, name)
        figures[name] = peer | {"ratio": peer["cpu"] / ours["cpu"]}
        rows.append(
            (f"{name} (4 figures a bot)", f"{peer['cpu']:.2f} CPU-s, {figures[name]['ratio']:.1f} × the engine")
        )
    if chosen.large:
        large = measure(chosen.bots * 10, chosen.per_bot, chosen.repeat)
        figures["large"] = large | {"ratio": large["cpu"] / ours["cpu"]}
        rows.append(
            (
                "ten times the bots",
                f"{large['cpu']:.2f} CPU-s, {figures['large']['ratio']:.1f} ×, peak {large['peak_mb']:,.0f} MB",
            )
        )
    report(
        f"{chosen.bots:,} bots × {chosen.per_bot:,} trades, all figures at one as_of, in memory",
        rows,
        figures,
        chosen.json,
    )


if __name__ == "__main__":
    main()
