"""Tables on a narrow terminal: a long name folds, a figure is never cut."""

import pytest
from rich.console import Console

from knowdefeat_pipeline.cli.views import tables

COLUMNS: list[tuple[str, tables.Justify]] = [("rank", "right"), ("bot", "left"), ("strategy", "left"), ("pnl", "right")]


def shown(monkeypatch: pytest.MonkeyPatch, width: int, name: str) -> list[list[str]]:
    console = Console(width=width, no_color=True)
    monkeypatch.setattr(tables, "out", console)
    with console.capture() as told:
        tables.table("Ranking", COLUMNS, [("1", name, "mean_reversion", "+123,456.78")])
    return [line.split() for line in told.get().splitlines()[2:]]


def test_a_long_name_folds_before_a_figure_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "freqtrade_DailyBuy_gen1_20240907_155215_3924"
    first, *rest = shown(monkeypatch, 64, name)
    assert (first[0], first[-1]) == ("1", "+123,456.78")
    assert first[1] + "".join(line[0] for line in rest) == name


def test_an_ordinary_name_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 60, "mean_reversion") == [["1", "mean_reversion", "mean_reversion", "+123,456.78"]]
