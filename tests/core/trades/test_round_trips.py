"""Round trips: by hand, as their exchanges and pyfolio count them, and against plain loops over exact numbers."""

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.trades.round_trips import RoundTrips, realized_pnl, round_trips

START = pd.Timestamp("2026-11-02 09:00", tz="UTC")
MATCHINGS = ("flat_to_flat", "average_cost", "fifo")


def fills(*rows: tuple[float, float, float], **columns: Any) -> pd.DataFrame:
    """Fills of one bot: minute, quantity and price of each, and what there is besides."""
    minute, quantity, price = zip(*rows, strict=True)
    time = START + pd.to_timedelta(np.array(minute, float), "min")
    return pd.DataFrame({"bot": 7, "time": time, "quantity": quantity, "price": price}).assign(**columns)


def trips(frame: pd.DataFrame, matching: str = "flat_to_flat") -> pd.DataFrame:
    return round_trips(frame, ["bot"], matching).trades


def minutes(times: pd.Series) -> list[float]:
    return ((times - START) / pd.Timedelta(minutes=1)).tolist()


def test_partial_exits_are_one_trade_as_binance_shows_it() -> None:
    # Its export states the realised profit of a fill at average cost before fees: 28 and 36, then -60 of a short.
    frame = fills(
        (0, 0.1, 60_000), (120, -0.04, 60_700), (150, -0.06, 60_600), (1440, -0.2, 60_500), (1530, 0.2, 60_800),
        fee=[2.4, 0.9712, 1.4544, 4.84, 4.864],
    )  # fmt: skip
    found = trips(frame)
    assert found["direction"].tolist() == ["LONG", "SHORT"]
    assert found["status"].tolist() == ["closed", "closed"]
    assert minutes(found["entry_time"]) == [0, 1440]
    assert minutes(found["exit_time"]) == [150, 1530]
    assert found["entry_price"].tolist() == [60_000, 60_500]
    assert found["exit_price"].tolist() == [60_640, 60_800]
    assert found["quantity"].tolist() == [0.1, 0.2]
    assert found["notional"].tolist() == [6_000, 12_100]
    assert found["entry_fee"].tolist() == pytest.approx([2.4, 4.84], rel=1e-15)
    assert found["exit_fee"].tolist() == pytest.approx([2.4256, 4.864], rel=1e-15)
    assert found["exits"].tolist() == [2, 1]
    assert found["pnl"].tolist() == pytest.approx([59.1744, -69.704], abs=1e-11)
    assert found[["first_fill", "last_fill"]].to_numpy().tolist() == [[0, 2], [3, 4]]
    assert realized_pnl(frame, ["bot"]) == pytest.approx([0, 28, 36, 0, -60], abs=1e-11)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, 2, 10.0), (1, -2, 15.0)], [("LONG", 0, 1, 10.0)]),
        # pyfolio first joins the two purchases of one side that nothing parts; without it the lots are the same.
        ([(0, 2, 10.0), (1, 2, 15.0), (2, -9, 10.0)], [("LONG", 0, 2, -10.0)]),
        ([(0, 2, 10.0), (1, -4, 15.0), (2, 3, 20.0)], [("LONG", 0, 1, 10.0), ("SHORT", 1, 2, -10.0)]),
        ([(0, 4, 10.0), (1, -2, 15.0), (2, 2, 20.0)], [("LONG", 0, 1, 10.0)]),
    ],
)
def test_fifo_is_what_pyfolio_extracts(rows: list, expected: list) -> None:
    found = trips(fills(*rows), "fifo").query("status == 'closed'")
    assert list(
        zip(found["direction"], minutes(found["entry_time"]), minutes(found["exit_time"]), found["pnl"], strict=True)
    ) == expected  # fmt: skip


def test_a_fill_that_turns_a_position_around_closes_one_and_opens_another() -> None:
    found = trips(fills((0, 1, 100), (5, -3, 110), (9, 2, 120), fee=[1, 3, 2]))
    assert found["direction"].tolist() == ["LONG", "SHORT"]
    assert found["quantity"].tolist() == [1, 2]
    assert found["entry_fee"].tolist() == [1, 2]
    assert found["exit_fee"].tolist() == [1, 2]
    assert found["pnl"].tolist() == [10 - 2, -20 - 4]
    assert found[["first_fill", "last_fill"]].to_numpy().tolist() == [[0, 1], [1, 2]]


def test_what_is_left_is_an_open_trade() -> None:
    frame = fills((0, 2, 100), (1, 2, 130), (2, -3, 140), fee=[4, 4, 3])
    found = trips(frame).iloc[0]
    assert (found["status"], found["quantity"], found["entry_price"], found["entry_fee"]) == ("open", 1, 115, 2)
    assert pd.isna(found["exit_time"])
    assert np.isnan(found["exit_price"])
    assert np.isnan(found["pnl"])
    # 3 at 140 that cost 115 each, less 3 to leave and three quarters of the 8 to enter.
    assert (found["realized_pnl"], found["exits"], found["last_fill"]) == (75 - 3 - 6, 1, 2)
    done, left = trips(frame, "fifo").itertuples()
    assert (done.quantity, done.entry_price, done.pnl) == (3, 110, 90 - 3 - 6)
    assert (left.status, left.quantity, left.entry_price, left.entry_fee) == ("open", 1, 130, 2)
    assert minutes(pd.Series([left.entry_time])) == [1]
    assert left.first_fill == 1


def test_sides_are_kept_apart_in_hedge_mode() -> None:
    rows = [(0, 1, 100), (1, -1, 110), (2, -1, 120), (3, 1, 105)]
    sides = ["LONG", "SHORT", "LONG", "SHORT"]
    found = trips(fills(*rows, position_side=sides))
    assert found[["direction", "pnl"]].to_numpy().tolist() == [["LONG", 20.0], ["SHORT", 5.0]]
    # In one-way mode the first sale closes what was bought, and a second trade follows.
    assert trips(fills(*rows))[["direction", "pnl"]].to_numpy().tolist() == [["LONG", 10.0], ["SHORT", 15.0]]


def test_what_closes_more_than_its_side_holds_is_told() -> None:
    frame = fills((0, -5, 90), (1, 1, 100), (2, -3, 110), position_side="LONG", fee=[5, 1, 3])
    found = round_trips(frame, ["bot"])
    assert found.trades[["direction", "quantity", "pnl"]].to_numpy().tolist() == [["LONG", 1.0, 8.0]]
    assert found.unmatched.to_numpy().tolist() == [[0, -5, 5, 0], [2, -2, 2, 0]]


def test_fills_of_one_order_are_one_exit() -> None:
    frame = fills((0, 3, 10), (1, -1, 11), (2, -1, 12), (3, -1, 13), order_id=["a", "b", "b", None])
    assert trips(frame)["exits"].tolist() == [2]
    per_exit = trips(frame, "average_cost")
    assert per_exit[["quantity", "exit_price", "pnl"]].to_numpy().tolist() == [[2, 11.5, 3], [1, 13, 3]]
    assert trips(frame.drop(columns="order_id"))["exits"].tolist() == [3]


def test_fees_in_another_currency_need_a_rate() -> None:
    found = trips(
        fills(
            (0, 1, 100),
            (1, -1, 110),
            (2, 1, 100),
            (3, -1, 110),
            fee=[0.01, 0.02, 0.01, 0.0],
            fee_rate=[600, 500, np.nan, np.nan],
        )
    )
    assert found["entry_fee"].tolist() == pytest.approx([6, np.nan], nan_ok=True)
    assert found["exit_fee"].tolist() == [10, 0]
    assert found["pnl"].tolist() == pytest.approx([-6, np.nan], nan_ok=True)


def test_funding_belongs_to_what_is_held() -> None:
    frame = fills(
        (0, 2, 100), (5, 0, np.nan), (6, -1, 100), (7, 0, np.nan), (8, -1, 100), (9, 0, np.nan),
        funding=[0, -4.0, 0, 1.0, -0.5, 8.0],
    )  # fmt: skip
    found = round_trips(frame, ["bot"])
    assert found.trades["funding"].tolist() == [-3.5]
    assert found.unmatched.to_numpy().tolist() == [[5, 0, 0, 8]]
    # Of the 4 that were paid on both units each exit has half; what came later was of the second one alone.
    assert trips(frame, "average_cost")["funding"].tolist() == [-2, -1.5]
    assert trips(frame, "fifo")["funding"].tolist() == [-2, -1.5]


def test_funding_of_an_instant_is_of_what_was_held_before_its_fills() -> None:
    frame = fills((0, 1, 100), (5, -1, 100), (5, 0, np.nan), (7, 1, 100), (7, 0, np.nan), funding=[0, 0, 3, 0, 4])
    assert trips(frame)["funding"].tolist() == [3, 4]


def test_contracts_by_hand() -> None:
    # 100 contracts of 100 dollars at 50,000, half of them left at 40,000 and half at 80,000.
    inverse = fills(
        (0, 100, 50_000), (1, -50, 40_000), (2, -50, 80_000), contract_multiplier=100.0, contract_type="inverse"
    )
    found = trips(inverse).iloc[0]
    assert (found["entry_price"], found["notional"]) == (50_000, 0.2)
    assert found["exit_price"] == pytest.approx(2 / (1 / 40_000 + 1 / 80_000), rel=1e-15)
    assert found["pnl"] == pytest.approx(0.2 - 0.125 - 0.0625, abs=1e-15)
    linear = trips(fills((0, 2, 5_800), (1, -2, 5_810), contract_multiplier=50.0)).iloc[0]
    assert (linear["notional"], linear["pnl"]) == (580_000, 1_000)


@pytest.mark.parametrize(
    "quantities",
    [
        [0.1, 0.2, -0.3],
        [0.1] * 1000 + [-sum([0.1] * 1000)],  # -99.9999999999986
        [0.1, 0.2, -(0.1 + 0.2)],  # -0.30000000000000004
        [1e-8, 3e-8, -4e-8],
        [12_345_678.12345678, -0.12345678, -12_345_678.0],
        [1e22, -1e22],
        [1e6, 1e-5, -1e6, -1e-5],
    ],
)
def test_rounding_leaves_no_position_open(quantities: list[float]) -> None:
    again = [*quantities, *(-q for q in quantities)]  # and the next trade begins at flat
    for sided in (False, True):
        both = [quantities, [-q for q in quantities]]
        frames = [fills(*((n, q, 5.0) for n, q in enumerate(part)), position_side=side)
                  for part, side in zip(both, ("LONG", "SHORT"), strict=True)]  # fmt: skip
        whole = pd.concat(frames, ignore_index=True) if sided else fills(*((n, q, 5.0) for n, q in enumerate(again)))
        found = round_trips(whole, ["bot"])
        assert found.trades[["direction", "status"]].to_numpy().tolist() == [["LONG", "closed"], ["SHORT", "closed"]]
        assert found.trades["pnl"].tolist() == [0, 0]
        assert len(found.unmatched) == 0


def test_what_is_small_but_traded_stays_open() -> None:
    found = trips(fills((0, 1000.0, 5), (1, -999.99999999, 5)))
    assert found[["status", "quantity"]].to_numpy().tolist() == [["open", 1e-8]]


def test_the_order_within_an_instant() -> None:
    # A position left and entered again in one bar is two trades; bought and sold in one bar from flat is a long one;
    # what would turn it around comes after what adds to it.
    assert trips(fills((0, 1, 10), (1, 1, 12), (1, -1, 12), (2, -1, 13)))["pnl"].tolist() == [2, 1]
    assert trips(fills((1, -1, 12), (1, 1, 10)))["direction"].tolist() == ["LONG"]
    assert trips(fills((0, 1, 10), (1, -2, 12), (1, 1, 11)))["pnl"].tolist() == [3]
    thirds = [(1, -0.1 / 3, 12)] * 3  # which are not a tenth to the last bit
    assert trips(fills((0, 0.1, 10), (1, 0.1, 12), *thirds, (2, -0.1, 13)))["exits"].tolist() == [1, 1]
    told = trips(fills((1, -1, 12), (1, 1, 10), sequence=[1, 2]))
    assert told[["direction", "pnl"]].to_numpy().tolist() == [["SHORT", 2.0]]


def test_no_fills_no_trades() -> None:
    none = fills((0, 1, 10)).iloc[:0]
    for matching in MATCHINGS:
        found = round_trips(none, ["bot"], matching)
        assert (len(found.trades), len(found.unmatched)) == (0, 0)
    assert len(realized_pnl(none, ["bot"])) == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"price": [10.0, 0.0]}, "fill 1 has price 0.0; give a finite number above 0"),
        ({"quantity": [np.nan, 1.0]}, "fill 0 has quantity nan; give a finite number"),
        ({"position_side": ["LONG", "BOTH"]}, "fill 1 has position_side BOTH; give LONG, SHORT or missing"),
        ({"contract_multiplier": [1.0, 50.0]}, "fill 1 has contract_multiplier 50.0; give one for each position"),
        ({"time": [pd.NaT, START]}, "fill 0 has time NaT; give an instant"),
    ],
)
def test_what_cannot_be_matched_is_refused(columns: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trips(fills((0, 1, 10), (1, -1, 10), **columns))


@dataclass
class Plainly:
    """One position, fill by fill, over exact numbers: lots of [quantity, price], and an average cost beside them."""

    lots: deque = field(default_factory=deque)
    held: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    realized: dict[str, list[Fraction]] = field(default_factory=lambda: {"fifo": [], "average_cost": []})
    flat_to_flat: list[Fraction] = field(default_factory=list)
    trip: Fraction = Fraction(0)

    def fill(self, quantity: Fraction, price: Fraction, fee: Fraction) -> None:
        side = 1 if self.held > 0 else -1
        closes = min(abs(quantity), abs(self.held)) if quantity * self.held < 0 else Fraction(0)
        average = self.cost / abs(self.held) if self.held else Fraction(0)
        oldest, rest = Fraction(0), closes
        while rest:
            part = min(rest, self.lots[0][0])
            oldest += part * side * (price - self.lots[0][1])
            self.lots[0][0] -= part
            rest -= part
            if not self.lots[0][0]:
                self.lots.popleft()
        self.realized["fifo"].append(oldest)
        self.realized["average_cost"].append(closes * side * (price - average))
        opens = abs(quantity) - closes
        self.trip += side * closes * price - closes / abs(quantity) * fee
        self.cost -= closes * average
        self.held += quantity
        if closes and (not self.held or opens):
            self.flat_to_flat.append(self.trip)
            self.trip = Fraction(0)
        if opens:
            self.lots.append([opens, price])
            self.cost += opens * price
            self.trip -= (1 if self.held > 0 else -1) * opens * price + opens / abs(quantity) * fee


def exact(number: float) -> Fraction:
    return Fraction(repr(number))


@pytest.mark.long
def test_all_matchings_equal_plain_loops_over_exact_numbers() -> None:
    """10,000 bots of 1 to 40 fills, most of few, in quantities such that many of them come back to flat."""
    rng = np.random.default_rng(20)
    count = np.repeat(np.arange(10_000), rng.geometric(0.2, 10_000).clip(max=40))
    frame = pd.DataFrame({"bot": count, "quantity": rng.choice([-0.3, -0.2, -0.1, 0.1, 0.2, 0.3], len(count))})
    frame["quantity"] *= np.where(rng.random(len(frame)) < 0.2, rng.integers(1, 5, len(frame)), 1)
    frame["quantity"] = frame["quantity"].round(1)
    frame["price"] = rng.integers(1, 50_000, len(frame)) / 100
    frame["fee"] = rng.integers(-50, 200, len(frame)) / 1000
    frame["time"] = START + pd.to_timedelta(np.arange(len(frame)), "s")
    plain = {bot: Plainly() for bot in frame["bot"].unique()}
    for row in frame.itertuples():
        plain[row.bot].fill(exact(row.quantity), exact(row.price), exact(row.fee))
    for matching in ("fifo", "average_cost"):
        expected = [float(value) for position in plain.values() for value in position.realized[matching]]
        np.testing.assert_allclose(realized_pnl(frame, ["bot"], matching), expected, rtol=1e-12, atol=1e-9)
    trades, oldest_first = trips(frame), trips(frame, "fifo")
    closed = trades[trades["status"] == "closed"]
    assert len(closed) > 500
    expected = [float(value) for position in plain.values() for value in position.flat_to_flat]
    np.testing.assert_allclose(closed["pnl"], expected, rtol=1e-12, atol=1e-9)
    left = {bot: position for bot, position in plain.items() if position.held}
    for found, cost in (
        (trades, [position.cost for position in left.values()]),
        (oldest_first, [sum(size * price for size, price in position.lots) for position in left.values()]),
    ):
        still_open = found[found["status"] == "open"].set_index("bot")
        held = still_open["quantity"] * np.where(still_open["direction"] == "LONG", 1, -1)
        assert held.to_dict() == {bot: float(position.held) for bot, position in left.items()}
        np.testing.assert_allclose(still_open["notional"], [float(value) for value in cost], rtol=1e-12)


def totals(found: RoundTrips) -> list[float]:
    """What must not depend on how fills are cut or listed: money, sizes and how many trades there are."""
    trades = found.trades
    numbers = trades[["pnl", "realized_pnl", "entry_fee", "exit_fee", "funding", "quantity", "notional", "exits"]]
    value = (trades["entry_price"] * trades["quantity"]).sum(), (trades["exit_price"] * trades["quantity"]).sum()
    rest = found.unmatched[["quantity", "fee", "funding"]].sum()
    return [len(trades), *numbers.sum(), *value, *rest]


decimals = st.integers(1, 400).map(lambda n: n / 100)
amounts = st.tuples(
    st.sampled_from(["A", "B"]), st.booleans(), decimals, st.integers(1, 50_000).map(lambda n: n / 100),
    st.integers(-50, 200).map(lambda n: n / 1000),
)  # fmt: skip


def random_fills(rows: list) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["bot", "buys", "quantity", "price", "fee"])
    frame["quantity"] = frame["quantity"].where(frame.pop("buys"), -frame["quantity"])
    return frame.assign(time=START + pd.to_timedelta(np.arange(len(frame)), "s"))


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.lists(amounts, min_size=1, max_size=15), st.data(), st.sampled_from(MATCHINGS), st.booleans())
def test_neither_a_cut_nor_the_order_within_an_instant_changes_a_total(
    rows: list, data: st.DataObject, matching: str, hedged: bool
) -> None:
    frame = random_fills(rows)
    frame["time"] = START + pd.to_timedelta(
        data.draw(st.lists(st.integers(0, 6), min_size=len(rows), max_size=len(rows))), "s"
    )
    frame["funding"] = np.arange(len(rows)) % 3 - 1.0
    if hedged:
        frame["position_side"] = np.where(np.arange(len(rows)) % 2, "LONG", "SHORT")
    expected = totals(round_trips(frame, ["bot"], matching))
    part = np.array(data.draw(st.lists(st.floats(0.01, 0.99), min_size=len(rows), max_size=len(rows))))
    halves = [
        frame.assign(**{name: frame[name] * share for name in ("quantity", "fee", "funding")})
        for share in (part, 1 - part)
    ]
    cut = pd.concat([frame[part > 0.5], halves[0][part <= 0.5], halves[1][part <= 0.5]], ignore_index=True)
    shuffled = cut.iloc[data.draw(st.permutations(range(len(cut))))]
    assert totals(round_trips(shuffled, ["bot"], matching)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_fees_funding_and_quantities_are_all_somewhere() -> None:
    rng = np.random.default_rng(5)
    count = 5_000
    frame = pd.DataFrame(
        {
            "bot": rng.integers(0, 40, count),
            "time": START + pd.to_timedelta(rng.integers(0, 900, count), "s"),
            "quantity": rng.integers(-300, 300, count) / 100,
            "price": rng.integers(90, 110, count) / 1.0,
            "fee": rng.random(count),
            "funding": rng.normal(size=count),
            "position_side": rng.choice(["LONG", "SHORT", None], count),
        }
    )
    for matching in MATCHINGS[1:]:
        found = round_trips(frame, ["bot"], matching)
        trades, rest = found.trades, found.unmatched
        side = np.where(trades["direction"] == "LONG", 1, -1)
        held = (side * trades["quantity"])[trades["status"] == "open"].sum()
        assert held + rest["quantity"].sum() == pytest.approx(frame["quantity"].sum(), abs=1e-9)
        assert trades[["entry_fee", "exit_fee"]].sum().sum() + rest["fee"].sum() == pytest.approx(
            frame["fee"].sum(), abs=1e-8
        )
        assert trades["funding"].sum() + rest["funding"].sum() == pytest.approx(frame["funding"].sum(), abs=1e-8)
