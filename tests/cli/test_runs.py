"""The days that a command computes."""

from dataclasses import replace
from datetime import date

import pytest

from knowdefeat_pipeline.cli.options import CommandError
from knowdefeat_pipeline.cli.runs import day_range
from knowdefeat_pipeline.settings import Settings
from tests.cli.conftest import Shell

TODAY = date(2015, 1, 20)
TRADED = (date(2014, 12, 20), date(2015, 1, 10))  # the first partition is 2015-01-01


def test_what_closed_before_the_first_partition_hinders_nobody_who_has_not_asked_for_it() -> None:
    settings = replace(Settings.from_environment({}), first_day=date(2015, 1, 1))
    assert day_range(settings, TRADED, TODAY, None, None, False) == (date(2015, 1, 1), date(2015, 1, 10))
    for from_, all_ in ((None, True), (date(2014, 12, 31), False)):
        with pytest.raises(CommandError, match="before the first partition"):
            day_range(settings, TRADED, TODAY, from_, None, all_)
    with pytest.raises(CommandError, match="before the first partition"):
        day_range(settings, (TRADED[0], TRADED[0]), TODAY, None, None, False)


@pytest.mark.parametrize(
    "command", [["export", "trades"], ["backtest"], ["backtest", "funds"], ["weights", "adjust"], ["run"]]
)
def test_days_in_the_wrong_order_are_told(shell: Shell, command: list[str]) -> None:
    told = shell(*command, "--from", "2026-01-02", "--to", "2026-01-01", status=1)
    assert "--from 2026-01-02 lies after --to 2026-01-01; exchange them." in " ".join(told.split())
    assert "none yet" in shell()  # nor was the demo loaded
