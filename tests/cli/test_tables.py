"""Tables on a narrow terminal: a long name folds, a figure is never cut, and what has no room is left out and named."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from knowdefeat_pipeline.cli.views import tables
from knowdefeat_pipeline.cli.views.bots import show_bots
from knowdefeat_pipeline.cli.views.funds import ALLOCATION_COLUMNS, show_allocation
from knowdefeat_pipeline.cli.views.metrics import METRIC_COLUMNS, show_metrics
from knowdefeat_pipeline.cli.views.output import out
from knowdefeat_pipeline.cli.views.ranking import RANKING_COLUMNS, show_ranking
from knowdefeat_pipeline.cli.views.skill import COLUMNS as SKILL_COLUMNS
from knowdefeat_pipeline.cli.views.skill import show_skill
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from tests.cli.conftest import Shell

COLUMNS: list[tuple[str, tables.Justify]] = [("rank", "right"), ("bot", "left"), ("strategy", "left"), ("pnl", "right")]
LONG = "freqtrade_DailyBuy_gen1_20240907_155215_3924"
Narrow = Callable[[int], None]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Narrow:
    return lambda width: monkeypatch.setattr(out, "width", width)


def shown(capsys: pytest.CaptureFixture[str], name: str) -> list[list[str]]:
    tables.table("Ranking", COLUMNS, [("1", name, "mean_reversion", "+123,456.78")])
    return [line.split() for line in capsys.readouterr().out.splitlines()[2:]]


def test_a_long_name_folds_before_a_figure_is_cut(narrow: Narrow, capsys: pytest.CaptureFixture[str]) -> None:
    narrow(64)
    first, *rest = shown(capsys, LONG)
    assert (first[0], first[-1]) == ("1", "+123,456.78")
    assert first[1] + "".join(line[0] for line in rest) == LONG


def test_an_ordinary_name_stays_whole(narrow: Narrow, capsys: pytest.CaptureFixture[str]) -> None:
    narrow(60)
    assert shown(capsys, "mean_reversion") == [["1", "mean_reversion", "mean_reversion", "+123,456.78"]]


def test_what_has_no_room_is_left_out_in_the_order_that_is_given_and_named(
    narrow: Narrow, capsys: pytest.CaptureFixture[str]
) -> None:
    def columns_at(width: int, spare: tuple[str, ...] = ()) -> tuple[list[str], str]:
        narrow(width)
        tables.table("T", COLUMNS, [("1", "alpha_momentum_btc", "mean_reversion", "+123,456.78")], spare)
        _, heads, _, *below = capsys.readouterr().out.splitlines()
        return heads.split(), " ".join(" ".join(below).split())

    whole = len("rank  alpha_momentum_btc  mean_reversion  +123,456.78")
    without = "At {} columns without: {}. A wider terminal or --json shows all."
    assert columns_at(whole) == (["rank", "bot", "strategy", "pnl"], "")
    assert columns_at(whole - 1) == (["rank", "bot", "strategy"], without.format(whole - 1, "pnl"))
    assert columns_at(whole - 1, ("strategy",)) == (["rank", "bot", "pnl"], without.format(whole - 1, "strategy"))
    assert columns_at(25, ("strategy",)) == (["rank", "bot"], without.format(25, "strategy, pnl"))
    assert columns_at(12) == (["rank"], without.format(12, "bot, strategy, pnl"))


def test_texts_share_the_room_that_figures_leave(narrow: Narrow, capsys: pytest.CaptureFixture[str]) -> None:
    narrow(38)
    words = "aa bb cc dd ee ff gg hh"
    tables.table("", [("n", "right"), ("why", "left"), ("how", "left")], [("1", words, words)])
    *_, first, second = capsys.readouterr().out.splitlines()
    assert [part.strip() for part in (first[:1], first[3:20], first[22:])] == [
        "1",
        "aa bb cc dd ee ff",
        "aa bb cc dd ee",
    ]
    assert second.split() == ["gg", "hh", "ff", "gg", "hh"]


def test_a_picture_is_never_folded(narrow: Narrow, capsys: pytest.CaptureFixture[str]) -> None:
    """It has spaces, at which texts fold."""
    picture = "│   ───●───  "
    columns: list[tuple[str, tables.Justify]] = [("bot", "left"), ("interval", "drawn"), ("word", "left")]
    narrow(40)
    tables.table("T", columns, [("a", picture, "cannot be told from luck at all")])
    assert picture.rstrip() in capsys.readouterr().out
    narrow(26)
    tables.table("T", columns, [("a", picture, "cannot be told from luck")], ("interval",))
    assert "without: interval" in " ".join(capsys.readouterr().out.split())


BOT: dict[str, Any] = {
    "rank": 1, "bot_id": 1, "bot": LONG, "strategy_id": "mean_reversion", "rank_score": 87.5, "p_skill": 0.96,
    "verdict": "cannot be told from luck", "trades": 12_345, "win_rate": 56.7, "pnl": 1_234_567.89, "quote_currency": "USD",
    "max_drawdown": 12.3, "capital_is_estimated": True, "longest_win_streak": 17, "eligible": True, "flag": None,
    "edge": 0.123, "edge_low": -0.05, "edge_high": 0.3, "p_same_edge": 0.2, "as_of": datetime(2026, 3, 2, tzinfo=UTC),
    "capital": 250_000.0, "is_active": True, "status": "active", "amount": 12_345.67, "ticker": "BTC-USD",
    "why": "its target was cut by the cap of 20 % a bot", "reason": "its target was cut by the cap of 20 % a bot",
    "avg_win_rate": 56.7, "total_pnl": 1_234_567.89, "profit_factor": 1.5, "sharpe": 2.5, "open_pnl": -12_345.6,
    "lifetime_pnl": 2_345_678.9, "unmarked_open": 0,
    **{f"{name}_points": at + 0.5 for at, name in enumerate(VARIABLE_NAMES)},
}  # fmt: skip
FUNDS = {
    "quote_currency": "USD", "as_of": BOT["as_of"], "funds": 100_000.0, "method": "score", "allocated": 12_345.67, "funded": 1,
    "bots": 1, "cash": 87_654.33, "cash_reason": "all eligible bots are at their caps",
}  # fmt: skip


@pytest.mark.parametrize(
    ("show", "headings", "kept"),
    [
        (lambda: show_ranking([BOT], BOT["as_of"]), [h for h, _ in RANKING_COLUMNS], ["1", "87.5", "96.0 %", "+1,234,567.89"]),
        (lambda: show_skill({"lifetime": [BOT], "90 days": [BOT]}, date(2026, 3, 1)), [h for h, _ in SKILL_COLUMNS], ["+0.123"]),
        (lambda: show_bots([BOT]), ["bot", "strategy", "capital", "status", "rank", "funds", "why"], ["~250,000.00", "active", "12,345.67"]),
        (lambda: show_allocation([FUNDS], [BOT]), [h for h, _ in ALLOCATION_COLUMNS], ["12,345.67", "12.3", "BTC-USD"]),
        (lambda: show_metrics([BOT]), [h for h, _ in METRIC_COLUMNS], ["12,345", "+1,234,567.89"]),
    ],
    ids=["rankings", "skill", "bots", "allocate", "metrics"],
)  # fmt: skip
def test_a_command_fits_80_columns_or_says_what_is_missing(
    show: Callable[[], None], headings: list[str], kept: list[str], narrow: Narrow, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow(80)
    show()
    fits_or_says(capsys.readouterr().out, headings, kept)


def fits_or_says(said: str, headings: list[str], kept: list[str]) -> None:
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    note = re.search(r"At 80 columns without: (.*?)\. A wider", " ".join(said.split()))
    left_out = note[1].split(", ") if note else []
    assert set(left_out) <= {*headings, "active", "P(edge > 0)", "good", "or lucky"}
    words = {word for line in lines for word in line.split()}
    for heading in headings:
        assert heading in ", ".join(left_out) or set(heading.split()) <= words, heading
    assert [figure for figure in kept if not set(figure.split()) <= words] == []


def test_lists_of_imports_refused_rows_and_days_fit_80_columns(narrow: Narrow, shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "trades-of-my-fleet-2026-03-02-exported-by-hand.csv"
    file.write_text(
        "source_trade_id,bot_id,ticker,direction,entry_time,exit_time,entry_price,exit_price,notional,fees\n"
        "1,7,BTC-USD,LONG,2026-03-02 09:00,2026-03-02 11:00,100,101,1000,1\n"
        "2,8,BTC-USD,up,2026-03-02 09:00,2026-03-02 11:00,100,101,1000,1\n"
    )
    shell("ingest", file)
    narrow(80)
    fits_or_says(
        shell("imports", "list"), ["no.", "at (UTC)", "file", "new", "updated", "replaced", "known", "held"], ["1"]
    )
    fits_or_says(shell("quarantine", "list"), ["no.", "file", "row", "reason", "message"], ["1", "2"])
    fits_or_says(shell("days"), ["asset", "computed", "stale", "failed", "missing"], ["bot_metrics", "0"])
