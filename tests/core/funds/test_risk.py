"""Risk rules: each decision with its reason."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from knowdefeat_pipeline.core.funds.risk import risk_decisions
from knowdefeat_pipeline.core.funds.settings import RiskRules

AT = datetime(2025, 3, 1, 12, tzinfo=UTC)


def bots(*rows: dict) -> pd.DataFrame:
    usual = {"drawdown": 3.0, "day_pnl": 0.0, "capital": 1000.0, "broken_at": None}
    return pd.DataFrame([usual | {"bot_id": number + 1} | row for number, row in enumerate(rows)])


def test_each_limit_and_its_reason() -> None:
    found = risk_decisions(
        bots(
            {},
            {"drawdown": 31.26},
            {"day_pnl": -60.0},
            {"broken_at": AT - timedelta(hours=3)},
            {"broken_at": AT - timedelta(hours=25)},
            {"drawdown": None, "day_pnl": None},
            {"drawdown": 25.0, "day_pnl": -50.0},
        ),
        AT,
        RiskRules(),
    )
    assert found["halted"].tolist() == [False, True, True, True, False, False, False]
    assert found["verdict"].tolist() == [
        "within_limits", "drawdown", "daily_loss", "cooling_down", "within_limits", "within_limits", "within_limits",
    ]  # fmt: skip
    assert found["broken"].tolist() == [False, True, True, False, False, False, False]
    assert found["reason"].tolist()[:4] == [
        "within its limits",
        "halted: 31.3 % below its peak, beyond the limit of 25 %",
        "halted: lost 6.0 % of its capital within the day, beyond the limit of 5 %",
        "halted: cooling down until 2025-03-02 09:00 UTC",
    ]


def test_a_bot_without_capital_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="bot 2 has no capital"):
        risk_decisions(bots({}, {"capital": 0.0}), AT, RiskRules())
