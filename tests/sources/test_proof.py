"""Readings proved by a stated pnl: any of them, written to a file, is found again; what no one is sure of is refused."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import Layout, SourceError
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.sources.terms import Terms

NOW = datetime(2026, 12, 1, tzinfo=UTC)
FILES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path, table: pd.DataFrame, **terms: Any) -> Reading:
    table.to_csv(path, index=False)
    return read_trades(path, now=NOW, terms=terms)


def refusal(path: Path, table: pd.DataFrame, **terms: Any) -> str:
    with pytest.raises(SourceError) as failure:
        read(path, table, **terms)
    return str(failure.value).removeprefix(f"{path}: ")


class History:
    """Random trades as they truly were: each figure is worked out here, from units bought and sold."""

    def __init__(self, seed: int, rows: int, contract: str) -> None:
        random = np.random.default_rng(seed)
        self.rows, self.contract, self.random = rows, contract, random
        self.ticker = random.choice(["A", "B", "C"], rows)
        self.side = random.choice([1, -1], rows)
        self.entry = np.exp(random.normal(4, 1, rows))
        self.leave = self.entry * np.exp(random.normal(0, 0.02, rows))
        self.units = np.exp(random.normal(1, 1, rows))
        self.leverage = random.choice([2.0, 3.0, 5.0, 10.0], rows)
        self.fees = random.uniform(0.01, 2.0, rows) * random.choice([1, 1, 1, 1, 1, 1, 1, -0.2], rows)
        self.funding = random.normal(0, 0.5, rows)
        price = self.leave - self.entry if contract == "linear" else 1 / self.entry - 1 / self.leave
        self.gross = self.side * self.units * price
        self.notional = self.units * self.entry if contract == "linear" else self.units / self.entry
        self.net = self.gross - self.fees + self.funding

    def written(
        self, size: str, fees: str, side: str, before: tuple[str, ...], name: str, funding: str = "received"
    ) -> pd.DataFrame:
        """As a file has it that means these things by its columns; `name`: what it calls the size."""
        sizes = {"notional": self.notional, "quantity": self.units, "margin": self.notional / self.leverage}
        stated = self.net.copy()
        stated += self.fees if "fees" in before else 0
        stated -= self.funding if "funding" in before else 0
        words = {"position": ("buy", "sell"), "closing": ("sell", "buy")}[side]
        table = {
            "trade_id": np.arange(self.rows),
            "bot": 1,
            "symbol": self.ticker,
            "side": np.where(self.side > 0, *words),
            "status": "closed",
            "open_time": "2026-11-02 14:30:00",
            "close_time": pd.date_range("2026-11-02 15:00", periods=self.rows, freq="s").strftime("%Y-%m-%d %H:%M:%S"),
            "open_price": self.entry,
            "close_price": self.leave,
            name: sizes[size],
            "fee": self.fees if fees == "cost" else -self.fees,
            "funding": self.funding if funding == "received" else -self.funding,
            "pnl": stated,
        }
        return pd.DataFrame(table if size != "margin" else {**table, "leverage": self.leverage})


READINGS = st.fixed_dictionaries(
    {
        "size": st.sampled_from(["notional", "quantity", "margin"]),
        "fees": st.sampled_from(["cost", "signed"]),
        "side": st.sampled_from(["position", "closing"]),
        "before": st.sampled_from([(), ("fees",), ("funding",), ("fees", "funding")]),
        "name": st.sampled_from(["size", "qty", "notional"]),
        "funding": st.sampled_from(["received", "paid"]),
    }
)


def said(reading: dict[str, Any]) -> dict[str, Any]:
    """What has to be said of a file: what its statement leaves out tells no sign."""
    return {"funding": reading["funding"]} if "funding" in reading["before"] else {}


HISTORIES = st.builds(History, st.integers(0, 10**6), st.integers(25, 150), st.sampled_from(["linear", "inverse"]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trades.csv"


@pytest.mark.long
@FILES
@given(HISTORIES, READINGS)
def test_any_reading_is_found_again(path: Path, history: History, reading: dict[str, Any]) -> None:
    found = read(path, history.written(**reading), **said(reading))
    terms, valid = found.layout.terms, found.valid
    assert (terms.size, terms.contract, terms.side) == (reading["size"], history.contract, reading["side"])
    assert (terms.fees, terms.before, terms.funding) == (reading["fees"], reading["before"], reading["funding"])
    for name, truth in (("pnl", history.net), ("notional", history.notional), ("reported_pnl", history.net)):
        np.testing.assert_allclose(valid[name], truth, rtol=1e-9, atol=1e-9 * np.abs(history.gross).max())
    np.testing.assert_array_equal(valid["direction"] == "LONG", history.side > 0)
    np.testing.assert_array_equal(valid["fees"], history.fees)
    np.testing.assert_array_equal(valid["funding"], history.funding)
    assert Layout.from_json(found.layout.as_json()) == found.layout


@pytest.mark.long
@FILES
@given(HISTORIES, READINGS, st.integers(0, 4))
def test_a_rounded_statement_proves_the_same(
    path: Path, history: History, reading: dict[str, Any], digits: int
) -> None:
    table = history.written(**reading)
    digits += int(np.ceil(-np.log10(np.abs(history.gross).mean()))) + 2
    found = read(path, table.assign(pnl=table["pnl"].round(digits)), **said(reading))
    np.testing.assert_allclose(found.valid["pnl"], history.net, rtol=1e-9, atol=1e-9 * np.abs(history.gross).max())


@pytest.mark.long
@FILES
@given(st.integers(0, 10**6), READINGS, st.sampled_from([1e-3, 0.1, 10.0]))
def test_a_file_of_which_two_of_a_hundred_rows_disagree_is_refused(
    path: Path, seed: int, reading: dict[str, Any], by: float
) -> None:
    history = History(seed, 200, "linear")
    table = history.written(**reading)
    wrong = history.random.permutation(200)
    off = by * np.abs(history.gross).mean()
    table.loc[wrong[:2], "pnl"] += off
    right = read(path, table, **said(reading)).valid["pnl"]  # 1 of a hundred is wrong
    np.testing.assert_allclose(right, history.net, rtol=1e-9, atol=1e-9)
    table.loc[wrong[2:4], "pnl"] += off
    told = refusal(path, table, **said(reading))
    assert "no reading gives the pnl in 'pnl' in 99 of 100 closed trades.\nNothing was written." in told
    assert "196 of 200" in told
    assert all(len(line) <= 80 for line in told.splitlines() if not line.lstrip().startswith("--"))
    assert read(path, table, pnl="stated").valid["pnl"].tolist() == table["pnl"].tolist()


def one(**cells: Any) -> pd.DataFrame:
    """A trade that opens at 2 and closes at 4."""
    row = {"trade_id": 1, "bot": 1, "symbol": "A", "side": "buy", "status": "closed"}
    times = {"open_time": "2026-11-02 14:30", "close_time": "2026-11-02 15:00", "open_price": 2, "close_price": 4}
    return pd.DataFrame([{**row, **times, **cells}])


def test_several_readings_that_differ_in_money_are_refused_and_one_can_be_chosen(path: Path) -> None:
    # 10 of money gain 10 before fees of 10; 10 units gain 20, and 10 after them.
    table = one(qty=10, fee=10, pnl=10)
    assert refusal(path, table).splitlines() == [
        "several readings that differ explain the pnl in 'pnl'.",
        "Nothing was written. Trades that each reading explains, and the options for it:",
        "  1 of 1  qty is the size in units",
        "          --size quantity",
        "  1 of 1  qty is the size in quote currency, it is the pnl before fees",
        "          --size notional",
        "          the net pnl is taken as 'pnl' states it",
        "          --pnl stated",
    ]
    assert read(path, table, size="quantity").valid["pnl"].tolist() == [10]
    assert read(path, table, size="notional").valid["pnl"].tolist() == [0]
    assert read(path, table, pnl="stated").valid["pnl"].tolist() == [10]


def test_the_nearest_reading_is_shown_where_fees_are_in_the_pnl_and_in_no_column(path: Path) -> None:
    """Bought at 2 and sold at 4, which is the side that the file has; 0.7 of fees is off the pnl and said nowhere."""
    rows = [one(qty=n, pnl=2 * n - 0.7, side="sell").assign(trade_id=n) for n in (1, 20, 300)]
    told = refusal(path, pd.concat(rows)).splitlines()
    assert told[2:4] == [
        "  0 of 3  qty is the size in units, sides are those of the closing orders; the",
        "          others are off by 0.7",
    ]
    assert told[4] == "          --side closing --pnl computed"


def test_readings_that_give_the_same_money_are_one(path: Path) -> None:
    # Bought and sold at 1: a notional is a quantity, and without fees their sign is nothing.
    flat = one(qty=10, fee=0, pnl=0).assign(open_price=1, close_price=1)
    valid = read(path, flat).valid
    assert valid[["pnl", "quantity", "notional"]].to_numpy().tolist() == [[0, 10, 10]]
    assert read(path, one(qty=10, fee=0, pnl=20)).valid["pnl"].tolist() == [20]


def test_a_size_that_neither_name_nor_statement_tells_is_asked_for(path: Path) -> None:
    # Left where it was entered, it says nothing of how large it was.
    told = refusal(path, one(size=10, fee=1, pnl=-1).assign(close_price=2))
    assert "--size notional\n" in told
    assert "--size quantity\n" in told
    assert read(path, one(size=10, fee=1, pnl=-1).assign(close_price=2), size="quantity").valid["notional"][0] == 20


def test_a_statement_of_some_trades_has_to_tell_of_the_others_too(path: Path) -> None:
    # Bought at 1 the first does not say whether 10 are units or money, and the second states nothing.
    first = one(trade_id=1, size=10, pnl=10).assign(open_price=1, close_price=2)
    told = refusal(path, pd.concat([first, one(trade_id=2, size=10, pnl=None)]))
    assert told.startswith("several readings that differ explain the pnl in 'pnl'.")
    assert "1 of 1" in told
    settled = pd.concat([first, one(trade_id=2, size=10, pnl=None), one(trade_id=3, size=5, pnl=10)])
    assert read(path, settled).valid["pnl"].tolist() == [10, 20, 10]


def test_fees_too_small_to_be_seen_in_the_statement_are_costs(path: Path) -> None:
    rows = pd.concat([one(qty=10 + n, fee=0.001).assign(trade_id=n, close_price=4.01) for n in range(5)])
    rows = rows.assign(pnl=(rows["qty"] * 2.01 - 0.001).round(1))
    assert read(path, rows).valid["fees"].tolist() == [0.001] * 5
    assert read(path, rows.assign(fee=-0.001)).valid["fees"].tolist() == [0.001] * 5


def test_without_a_statement_the_names_decide(path: Path) -> None:
    assert read(path, one(qty=10, fee=1)).valid["pnl"].tolist() == [19]
    assert read(path, one(notional=10, fee=1)).valid["pnl"].tolist() == [9]
    assert read(path, one(qty=10, notional=10, fee=1), size="quantity").valid["pnl"].tolist() == [19]
    assert read(path, one(margin=10, leverage=3, fee=1)).valid["pnl"].tolist() == [29]
    assert read(path, one(qty=10, fee=-1), fees="signed").valid["pnl"].tolist() == [19]
    assert read(path, one(qty=10, fee=1), side="closing").valid["pnl"].tolist() == [-21]
    assert read(path, one(qty=10), contract="inverse").valid["pnl"].tolist() == [10 / 2 - 10 / 4]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            {"lots": 10},
            "column 'lots' may hold a size in quote currency or in units, and the file states no pnl that would tell",
        ),
        (
            {"margin": 10},
            "column 'margin' holds the margin, and no column the leverage: say --leverage 1, or what it was",
        ),
        (
            {"qty": 10, "fee": -1},
            "column 'fee' holds negative fees, and the file states no pnl that would tell what they are",
        ),
    ],
)
def test_what_changes_money_is_asked_for(path: Path, cells: dict[str, Any], message: str) -> None:
    assert refusal(path, one(**cells)).startswith(message)


def test_what_a_column_says_goes_before_an_option(path: Path) -> None:
    table = pd.concat([one(qty=10, multiplier=5), one(qty=10, multiplier=0).assign(trade_id=2)])
    assert read(path, table, multipliers={"A": 50.0}).valid["pnl"].tolist() == [100, 1000]


def test_the_fees_of_both_ends_and_their_sum(path: Path) -> None:
    table = pd.concat(
        [
            one(qty=10, entry_fee=1, exit_fee=2, fee=None),
            one(qty=10, entry_fee=1, exit_fee=None, fee=3),
            one(qty=10, entry_fee=None, exit_fee=None, fee=3),
            one(qty=10, entry_fee=1, exit_fee=2, fee=4),
        ]
    ).assign(trade_id=range(4))
    reading = read(path, table)
    assert reading.valid["pnl"].tolist() == [17, 17, 17]
    assert reading.valid["exit_fee"].tolist()[:2] == [2, 2]
    assert reading.refused["message"].tolist() == [
        "fee '4' is not the sum of the fees of entry and exit; correct one of the three."
    ]


def test_the_sign_of_funding_is_proved_or_asked_for(path: Path) -> None:
    """10 gained by the price, 0.7 of fees, 3.2 of funding paid, which the file writes as a positive cost."""
    paid = one(qty=5, fee=0.7, funding_fee=3.2, pnl=6.1)
    reading = read(path, paid)
    assert reading.valid[["pnl", "funding"]].to_numpy().tolist() == [[pytest.approx(6.1), -3.2]]
    assert "positive funding was paid: so the pnl" in reading.notes[0]
    assert "--funding paid" in reading.notes[0]
    silent = paid.drop(columns="pnl")
    asked = (
        "column 'funding_fee' holds funding, and the file states no pnl that would tell whether positive amounts were received "
        "or paid: say --funding received or --funding paid"
    )
    assert refusal(path, silent) == asked
    assert read(path, silent, funding="paid").valid["pnl"].tolist() == [pytest.approx(6.1)]
    assert read(path, silent, funding="received").valid["pnl"].tolist() == [pytest.approx(12.5)]
    assert read(path, silent.assign(funding_fee=0)).valid["pnl"].tolist() == [pytest.approx(9.3)]
    before = paid.assign(pnl=9.3)  # before funding: it tells no sign
    told = refusal(path, before)
    assert "--funding received" in told
    assert "--funding paid" in told
    assert read(path, before, funding="paid").valid["pnl"].tolist() == [pytest.approx(6.1)]


def test_the_files_own_pnl_before_costs_follows_from_what_is_kept(path: Path) -> None:
    reading = read(path, one(qty=5, fee=1, pnl=10))
    assert reading.valid[["pnl", "reported_pnl", "fees"]].to_numpy().tolist() == [[9, 9, 1]]
    assert reading.layout.as_json()["terms"]["before"] == ("fees",)  # 9 + 1 is what the file states


@pytest.mark.parametrize(
    ("cells", "kept", "held"),
    [
        ({"notional": 10, "qty": 5}, 5.0, False),
        ({"notional": 10, "qty": 5.01}, 5.0, False),  # 0.2 %: what rounding to cents makes of it
        ({"notional": 10, "qty": 6}, None, True),
        ({"notional": 10, "qty": 6, "fee": 0.7, "pnl": 9.3}, None, False),  # proved: 10 - 0.7 are of the notional
        ({"notional": 10, "qty": 6, "fee": 0.7, "pnl": 11.3}, 6.0, False),  # 12 - 0.7 are of 6 units
    ],
)
def test_two_sizes_that_contradict_each_other(
    path: Path, cells: dict[str, Any], kept: float | None, held: bool
) -> None:
    reading = read(path, one(**cells))
    if held:
        (message,) = reading.refused["message"]
        assert message.startswith("qty '6' and the notional of the row are two sizes at its price; correct one")
        for size, pnl in (("notional", 10.0), ("quantity", 12.0)):
            assert read(path, one(**cells), size=size).valid["pnl"].tolist() == [pnl]
        return
    assert reading.valid["quantity"].astype(object).where(reading.valid["quantity"].notna(), None).tolist() == [kept]


def test_rows_that_are_refused_are_no_evidence(path: Path) -> None:
    good = pd.concat([one(qty=10, fee=1, pnl=19).assign(trade_id=n) for n in range(3)])
    bad = pd.concat([good, one(qty=10, fee=1, pnl=19).assign(open_price=-2), one(qty=0, fee=1, pnl=19)])
    reading = read(path, bad.assign(trade_id=range(5)))
    assert (len(reading.valid), reading.refused["reason"].tolist()) == (3, ["bad_price", "bad_notional"])


def test_a_pnl_that_says_nothing_proves_nothing(path: Path) -> None:
    """No small figure agrees with 0 by rounding: neither an inverse contract's nor that of units taken for money."""
    cells = {"open_price": 2000, "close_price": 2001, "quantity": 7, "net_pnl": 0}
    trades = pd.concat([one(**cells | {"trade_id": number}) for number in range(5)], ignore_index=True)
    for table in (trades, trades.head(1)):
        assert "no reading gives the pnl in 'net_pnl'" in refusal(path, table)


def test_a_multiplier_is_proposed_for_each_ticker(path: Path) -> None:
    many = [
        one(qty=n, fee=1, pnl=2 * n * units - 1, symbol=name)
        for n in (1, 2, 3)
        for name, units in (("ES", 50), ("MES", 5))
    ]
    table = pd.concat([*many, one(qty=4, fee=1, pnl=7)]).assign(trade_id=range(7))
    assert "--multiplier ES=50 --multiplier MES=5\n" in refusal(path, table)
    valid = read(path, table, multipliers={"ES": 50.0, "MES": 5.0}).valid
    np.testing.assert_allclose(valid["pnl"], table["pnl"], rtol=1e-12)


def test_terms_of_before_they_were_kept() -> None:
    old = {
        "format": "table",
        "columns": {"quantity": "qty"},
        "timezone": "UTC",
        "currency": "USD",
        "confidence_scale": 1,
    }
    layout = Layout.from_json(old)
    assert layout.terms == Terms()
    assert layout.terms.for_columns(layout.columns) == Terms(size_field="quantity", size="quantity")
    assert Terms.from_json(asdict(Terms(before=("fees",)))) == Terms(before=("fees",))


@pytest.mark.parametrize(
    "cells",
    [
        {"fee_open": 0.001, "fee_close": 0.001},
        {"fee": 0.0094, "fee_coin": "BNB", "Fee Rate": 0.00075},  # 0.0094 BNB at 0.00075: 0.000007
        {"fee": -0.00055},
        {"fee": 0.001, "pnl": 1000.0},  # before fees, of which it tells nothing
    ],
)
def test_fees_that_look_like_rates_are_asked_about(path: Path, cells: dict[str, Any]) -> None:
    table = one(qty=500, **cells).assign(symbol="AUSDT")  # 1000 in money
    asked = refusal(path, table)
    assert "paid fees of" in asked or "negative fees" in asked
    assert "--fees cost" in asked
    fees = read(path, table, fees="cost").valid["fees"].tolist()
    given = cells.get("fee", 0.002) * cells.get("Fee Rate", 1)
    assert fees == [pytest.approx(given, rel=1e-12)]


def test_small_fees_of_small_positions_and_proved_ones_are_amounts(path: Path) -> None:
    assert read(path, one(qty=5, fee=0.001)).valid["pnl"].tolist() == [pytest.approx(9.999)]
    assert read(path, one(qty=500, fee=0.001, pnl=999.999)).valid["fees"].tolist() == [0.001]


def test_a_size_that_nothing_tells_is_not_kept_where_the_pnl_is_taken_at_its_word(path: Path) -> None:
    table = one(lots=0.1, pnl=33.2)
    reading = read(path, table, pnl="stated")
    assert reading.valid[["pnl", "pnl_basis"]].to_numpy().tolist() == [[33.2, "stated"]]
    assert reading.valid[["notional", "quantity"]].isna().all(axis=None)
    assert any(note.startswith("'lots' may be a size in quote currency or in units") for note in reading.notes)
    assert read(path, table, pnl="stated", size="quantity").valid["notional"].tolist() == [pytest.approx(0.2)]
    assert read(path, table.rename(columns={"lots": "qty"}), pnl="stated").valid["quantity"].tolist() == [0.1]


def yen(**cells: Any) -> pd.DataFrame:
    """1,000 dollars bought at 150 yen and sold at 151: 1,000 yen, which are 6.62 dollars at the exit."""
    return one(symbol="USDJPY", **cells).assign(open_price=150, close_price=151)


def test_a_brokers_account_may_be_in_neither_currency_of_a_pair(path: Path) -> None:
    asked = (
        "column 'pnl': the pnl of USDJPY is taken at its word, and may be in the currency of the pair or of the account"
    )
    for table in (yen(lots=0.01, pnl=6.5), yen(pnl=6.5)):
        assert refusal(path, table, pnl="stated").startswith(asked)
        table.to_csv(path, index=False)
        valid = read_trades(path, now=NOW, terms={"pnl": "stated"}, currency="EUR").valid
        assert valid[["pnl", "quote_currency"]].to_numpy().tolist() == [[6.5, "EUR"]]
    assert read(path, yen(units=1000)).valid[["pnl", "quote_currency"]].to_numpy().tolist() == [[1000.0, "JPY"]]
    assert read(path, one(symbol="EURUSDT", pnl=6.5)).valid["quote_currency"].tolist() == ["USDT"]


def test_a_size_in_another_currency_than_the_account_gives_no_money(path: Path) -> None:
    accounted = yen(units=1000, currency="USD", pnl=6.5)
    reading = read(path, accounted, pnl="stated")
    assert reading.valid[["pnl", "quote_currency"]].to_numpy().tolist() == [[6.5, "USD"]]
    assert reading.valid[["notional", "quantity"]].isna().all(axis=None)
    still_open = read(path, accounted.assign(status="open", close_time=None, close_price=None, pnl=None)).valid
    assert still_open[["notional", "quantity"]].isna().all(axis=None)  # no 1,000 yen are shown as dollars
    (message,) = read(path, accounted.drop(columns="pnl")).refused["message"]
    assert message.startswith("symbol 'USDJPY' names another currency or unit than the trade has")
    # In the currency that the pair begins with, the stated pnl proves the sizes: those of an inverse contract.
    proved = read(path, yen(units=1000, currency="USD", pnl=1000 / 151)).valid
    assert proved[["pnl", "notional", "contract_type"]].to_numpy().tolist() == [
        [pytest.approx(6.6225165), 1000.0, "inverse"]
    ]
