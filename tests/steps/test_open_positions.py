"""Open positions on a real database: which there are, what marks them, what rests on them, and who gets no funds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.cli.trade_files import FileOptions
from knowdefeat_pipeline.core.funds.settings import AllocationRules, FundSettings, RiskRules
from knowdefeat_pipeline.core.units import day_end, day_start
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.steps import chain
from knowdefeat_pipeline.store.funds import bots_table, resume, save_settings
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import RANKING, settle, stale_days
from knowdefeat_pipeline.store.trades import load_trades
from tests.conftest import temporary_database
from tests.steps import days

TODAY = date(2025, 3, 10)
NOW = datetime(2025, 3, 10, 15, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BOTH = FundSettings("USD", 1000_00, allocation=AllocationRules(bot_cap=0.5))


def enter(connection: psycopg.Connection, bot: int, at: datetime, mark: float | None = None, **columns: Any) -> int:
    """A long position of 100 at 100, marked at its entry."""
    row = {"bot_id": bot, "ticker": "COIN", "direction": "LONG", "entry_time": at, "entry_price": 100.0,
           "notional": 100.0, "mark_price": mark} | columns  # fmt: skip
    names = ", ".join(row)
    with marked_at(connection, at):
        ((number,),) = connection.execute(
            f"INSERT INTO trades ({names}) VALUES ({', '.join(['%s'] * len(row))}) RETURNING trade_id", [*row.values()]
        ).fetchall()
    return number


def leave(connection: psycopg.Connection, number: int, at: datetime, price: float) -> None:
    connection.execute(
        "UPDATE trades SET status = 'closed', exit_time = %s, exit_price = %s WHERE trade_id = %s", (at, price, number)
    )


@contextmanager
def marked_at(connection: psycopg.Connection, at: datetime) -> Iterator[None]:
    """The clock of these days is not the database's."""
    with connection.transaction():
        connection.execute("SELECT set_config('knowdefeat.marked_at', %s, true)", (at.isoformat(),))
        yield


def mark(connection: psycopg.Connection, number: int, at: datetime, price: float | None) -> None:
    with marked_at(connection, at):
        connection.execute("UPDATE trades SET mark_price = %s WHERE trade_id = %s", (price, number))


def bar(
    connection: psycopg.Connection, opens: datetime, close: float, timeframe: str = "1h", ticker: str = "COIN"
) -> None:
    connection.execute(
        "INSERT INTO price_bars (ticker, timeframe, open_time, open, high, low, close) VALUES (%s, %s, %s, 1, 1e6, 1, %s)",
        (ticker, timeframe, opens, close),
    )


def close(connection: psycopg.Connection, bot: int, last: datetime, pnls: list[float]) -> None:
    """Closed trades, the last at that instant and each an hour after the other."""
    for back, pnl in enumerate(reversed(pnls)):
        at = last - back * HOUR
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, "
            "notional) VALUES (%s, 'COIN', 'LONG', 'closed', %s, %s, 10000, %s, 10000)",
            (bot, at - HOUR, at, 10_000 + pnl),
        )


def shown(connection: psycopg.Connection, day: date = TODAY, ticker: str = "*") -> dict[int, tuple]:
    rows = connection.execute(
        "SELECT bot_id, open_trades, open_pnl, unmarked_open, oldest_open FROM bot_metrics WHERE day = %s AND ticker = %s",
        (day, ticker),
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


@pytest.fixture
def fleet(database: str) -> Iterator[tuple[str, psycopg.Connection]]:
    """Two bots with five closed trades each, today's last one two hours ago."""
    with connect(database) as connection:
        close(connection, 1, NOW - 2 * HOUR, [5.0, 4.0, -1.0, 6.0, 2.0])
        close(connection, 2, NOW - 2 * HOUR, [1.0, -2.0, 1.0, 2.0, -1.0])
        connection.execute("UPDATE bots SET capital = 10000")
        yield database, connection


# Which there are, and their marks


def test_marked_by_the_mark_price_else_by_the_last_bar_else_not(fleet: tuple[str, psycopg.Connection]) -> None:
    url, connection = fleet
    enter(connection, 1, NOW - 5 * HOUR, mark=60.0)
    enter(connection, 1, NOW - 4 * HOUR, direction="SHORT")
    enter(connection, 1, NOW - 3 * HOUR, ticker="ETH")
    enter(connection, 2, NOW - 3 * HOUR, notional=None)
    bar(connection, NOW - 2 * HOUR, 90.0)
    bar(connection, NOW - HOUR, 80.0)  # closes at this instant
    bar(connection, NOW - HOUR / 2, 1.0)  # has not closed
    bar(connection, NOW - 3 * HOUR, 70.0, timeframe="2h")  # closed earlier
    days.refresh(url, TODAY, TODAY, NOW)
    assert shown(connection) == {
        1: (3, -40.0 + 20.0, 1, NOW - 5 * HOUR),
        2: (1, None, 1, NOW - 3 * HOUR),
    }
    assert shown(connection, ticker="COIN")[1] == (2, -20.0, 0, NOW - 5 * HOUR)
    assert 1 not in shown(connection, ticker="ETH")  # no trade of it has closed


def test_of_bars_that_close_together_the_shortest_marks(fleet: tuple[str, psycopg.Connection]) -> None:
    url, connection = fleet
    enter(connection, 1, NOW - 5 * HOUR)
    bar(connection, NOW - HOUR, 80.0)
    bar(connection, NOW - 2 * HOUR, 70.0, timeframe="2h")
    days.refresh(url, TODAY, TODAY, NOW)
    assert shown(connection)[1][1] == -20.0


def test_a_price_that_cannot_be_computed_with_marks_nothing(fleet: tuple[str, psycopg.Connection]) -> None:
    url, connection = fleet
    enter(connection, 1, NOW - 5 * HOUR)
    connection.execute(
        "INSERT INTO price_bars (ticker, timeframe, open_time, open, high, low, close) VALUES"
        " ('COIN', '1h', %s, 1e300, 1e300, 1, 1e300)",
        (NOW - HOUR,),
    )
    days.refresh(url, TODAY, TODAY, NOW)
    assert shown(connection)[1][:3] == (1, None, 1)


def test_a_trade_that_closed_later_was_open_then_and_no_later_mark_leaks(fleet: tuple[str, psycopg.Connection]) -> None:
    url, connection = fleet
    first = TODAY - timedelta(days=3)
    close(connection, 1, day_start(first), [1.0])
    entry = day_start(first) + 20 * HOUR
    number = enter(connection, 1, entry, mark=95.0)
    days.refresh(url, first, TODAY, NOW)
    assert [shown(connection, first + timedelta(days=n))[1][:2] for n in range(4)] == [(1, -5.0)] * 4
    mark(connection, number, NOW - 20 * HOUR, 60.0)  # yesterday at 19:00
    days.compute_stale(url, NOW)
    assert [shown(connection, first + timedelta(days=n))[1][1] for n in range(4)] == [-5.0, -5.0, -40.0, -40.0]
    leave(connection, number, NOW - HOUR, 70.0)
    days.compute_stale(url, NOW)
    assert [shown(connection, first + timedelta(days=n))[1][:2] for n in range(4)] == [
        (1, -5.0), (1, -5.0), (1, -40.0), (0, None),
    ]  # fmt: skip
    days.refresh(url, first, TODAY, NOW)
    assert [shown(connection, first + timedelta(days=n))[1][0] for n in range(4)] == [1, 1, 1, 0]


def test_a_trade_is_open_from_after_its_entry_to_its_exit(fleet: tuple[str, psycopg.Connection]) -> None:
    """At as_of itself neither has happened yet."""
    url, connection = fleet
    number = enter(connection, 1, NOW, mark=99.0)
    days.refresh(url, TODAY, TODAY, NOW)
    assert shown(connection)[1][0] == 0
    days.refresh(url, TODAY, TODAY, NOW + timedelta(microseconds=1))
    assert shown(connection)[1][0] == 1
    leave(connection, number, NOW + HOUR, 100.0)
    for now, count in ((NOW + HOUR, 1), (NOW + HOUR + timedelta(microseconds=1), 0)):
        days.refresh(url, TODAY, TODAY, now)
        assert shown(connection)[1][0] == count


def test_what_had_closed_when_it_was_recorded_was_no_open_position(fleet: tuple[str, psycopg.Connection]) -> None:
    """So a bot that only records closed trades makes no past day stale by an entry of the day before."""
    url, connection = fleet
    days.refresh(url, TODAY - timedelta(days=1), TODAY, NOW)
    settle(connection, stale_days(connection, RANKING, NOW))
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional,"
        " mark_price) VALUES (1, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100, 99)",
        (NOW - DAY, NOW - HOUR),
    )
    assert stale_days(connection, RANKING, NOW).days == (TODAY,)
    assert connection.execute("SELECT count(*) FROM positions").fetchone() == (0,)


def test_the_drawdown_with_open_positions_stands_beside_the_realised_one(fleet: tuple[str, psycopg.Connection]) -> None:
    """Bot 1 has 10,000 and makes 5, 4, -1, 6 and 2; bot 2 is 1 below its peak of 10,001 (1, -2, 1, 2, -1) at the end."""
    url, connection = fleet
    enter(connection, 1, NOW - 5 * HOUR, mark=60.0)
    enter(connection, 2, NOW - 5 * HOUR, mark=120.0)
    days.refresh(url, TODAY, TODAY, NOW)
    found = connection.execute(
        "SELECT max_drawdown, max_drawdown_with_open FROM bot_metrics WHERE day = %s AND ticker = '*' ORDER BY bot_id",
        (TODAY,),
    ).fetchall()
    assert found[0] == pytest.approx((100 * 1 / 10_009, 100 * 40 / 10_016), rel=1e-12)
    assert found[1] == pytest.approx((100 * 2 / 10_001,) * 2, rel=1e-12)


def test_an_idle_bot_s_drawdown_is_that_of_its_open_positions(fleet: tuple[str, psycopg.Connection]) -> None:
    url, connection = fleet
    later = NOW + 40 * DAY
    enter(connection, 1, later - DAY, mark=60.0, entry_price=100.0)
    days.refresh(url, later.date(), later.date(), later)
    found = dict(connection.execute(
        "SELECT bot_id, max_drawdown_with_open FROM bot_metrics WHERE day = %s AND ticker = '*'", (later.date(),)
    ).fetchall())  # fmt: skip
    assert found == {1: pytest.approx(100 * 40 / 10_000), 2: None}


# What becomes stale


def test_new_positions_marks_and_bars_make_the_running_day_stale(fleet: tuple[str, psycopg.Connection]) -> None:
    url, connection = fleet
    days.refresh(url, TODAY - timedelta(days=1), TODAY, NOW)
    settle(connection, stale_days(connection, RANKING, NOW))

    def follows(now: datetime) -> bool:
        found = stale_days(connection, RANKING, now)
        assert found.days in ((), (TODAY,))
        if found:
            days.refresh(url, TODAY, TODAY, now)
        settle(connection, stale_days(connection, RANKING, now))
        return bool(found)

    assert not follows(NOW)
    number = enter(connection, 1, NOW + HOUR / 4)
    assert follows(NOW + HOUR / 2)
    mark(connection, number, NOW + HOUR / 2, 99.0)
    assert follows(NOW + HOUR)
    bar(connection, NOW, 98.0)
    assert follows(NOW + 2 * HOUR)
    bar(connection, NOW + HOUR, 98.0, ticker="ETH")  # nobody holds any
    assert not follows(NOW + 3 * HOUR)
    connection.execute("DELETE FROM trades WHERE trade_id = %s", (number,))
    assert follows(NOW + 4 * HOUR)
    assert shown(connection)[1] == (0, None, 0, None)


def test_a_running_day_that_nobody_computed_is_opened_by_a_position(database: str) -> None:
    with connect(database) as connection:
        close(connection, 1, NOW - 2 * DAY, [1.0])
        days.compute_stale(database, NOW)
        enter(connection, 1, NOW - HOUR, mark=99.0)
        assert stale_days(connection, RANKING, NOW).days == (TODAY,)


def test_rows_that_stay_the_same_are_not_written(fleet: tuple[str, psycopg.Connection]) -> None:
    url, connection = fleet
    held = "SELECT bot_id, ticker, xmin::text FROM open_positions ORDER BY 1, 2"
    enter(connection, 1, NOW - HOUR, mark=99.0)
    number = enter(connection, 2, NOW - HOUR, mark=99.0)
    days.refresh(url, TODAY, TODAY, NOW)
    before = connection.execute(held).fetchall()
    mark(connection, number, NOW, 98.0)
    days.refresh(url, TODAY, TODAY, NOW + HOUR)
    after = connection.execute(held).fetchall()
    assert [was == now for was, now in zip(before, after, strict=True)] == [True, True, False, False]


# Who gets no funds


def allocated(connection: psycopg.Connection, day: date = TODAY) -> dict[int, tuple[Decimal, str, str]]:
    rows = connection.execute("SELECT bot_id, amount, decision, reason FROM fund_allocations WHERE day = %s", (day,))
    return {row[0]: row[1:] for row in rows.fetchall()}


def flags(connection: psycopg.Connection) -> dict[int, str | None]:
    return dict(connection.execute("SELECT bot_id, flag FROM bot_rankings WHERE day = %s", (TODAY,)).fetchall())


def test_an_open_loss_beyond_the_gain_ends_funds_until_a_person_says_otherwise(
    fleet: tuple[str, psycopg.Connection],
) -> None:
    """Bot 1 gained 16.00 and is 20 down, later 10; each capital is 10,000, so that no limit is broken."""
    url, connection = fleet
    save_settings(connection, BOTH, "test", "a test")
    number = enter(connection, 1, NOW - HOUR, mark=85.0)
    days.refresh(url, TODAY, TODAY, NOW)
    assert flags(connection) == {1: None, 2: None}
    assert allocated(connection)[1][:2] == (500, "capped")
    mark(connection, number, NOW, 80.0)
    days.refresh(url, TODAY, TODAY, NOW + HOUR)
    why = "halted until resumed: open positions lost 20.00, its gain of 30 days is 16.00"
    assert flags(connection) == {1: "open loss exceeds the gain of 30 days", 2: None}
    assert allocated(connection)[1] == (0, "halted", why)
    # It has recovered, but nobody has said anything.
    mark(connection, number, NOW + HOUR, 90.0)
    days.refresh(url, TODAY, TODAY, NOW + 2 * HOUR)
    assert flags(connection)[1] is None
    assert allocated(connection)[1] == (0, "halted", why)
    assert [(row["bot_id"], row["halted"]) for row in bots_table(connection)] == [(1, why), (2, None)]
    resume(connection, ["1"], "ann", "it is hedged elsewhere")
    days.refresh(url, TODAY, TODAY, NOW + 3 * HOUR)
    assert allocated(connection)[1][:2] == (500, "capped")
    # Who resumed it knew this position, however deep it falls.
    mark(connection, number, NOW + 3 * HOUR, 50.0)
    days.refresh(url, TODAY, TODAY, NOW + 4 * HOUR)
    assert flags(connection)[1] is not None
    assert allocated(connection)[1][:2] == (500, "capped")
    enter(connection, 1, NOW + 4 * HOUR, mark=80.0, entry_price=100.01)
    days.refresh(url, TODAY, TODAY, NOW + 5 * HOUR)
    assert allocated(connection)[1][1] == "halted"
    kinds = connection.execute("SELECT kind, figures FROM bot_events WHERE bot_id = 1 ORDER BY event_id").fetchall()
    assert [kind for kind, _ in kinds] == ["halted", "resumed", "halted"]
    assert kinds[0][1] == {"open_loss": 20.0, "gain": 16.0}


def test_a_halt_for_an_open_loss_holds_on_later_days_too(fleet: tuple[str, psycopg.Connection]) -> None:
    """Also where the later day was computed before the earlier one."""
    url, connection = fleet
    save_settings(connection, BOTH, "test", "a test")
    tomorrow = TODAY + timedelta(days=1)
    now = day_end(tomorrow)
    days.refresh(url, TODAY, tomorrow, now)
    number = enter(connection, 1, NOW - HOUR, mark=80.0)
    leave(connection, number, day_start(tomorrow) + HOUR, 100.0)
    days.compute_stale(url, now)
    assert (allocated(connection)[1][1], allocated(connection, tomorrow)[1][1]) == ("halted", "halted")


def test_a_drawdown_limit_counts_open_positions_while_they_are_down(fleet: tuple[str, psycopg.Connection]) -> None:
    url, connection = fleet
    save_settings(connection, replace(BOTH, risk=RiskRules(drawdown=1.0)), "test", "a test")
    close(connection, 1, NOW - 8 * HOUR, [500.0])
    number = enter(connection, 1, NOW - HOUR, mark=80.0, notional=600.0)  # 120 of 10,516
    days.refresh(url, TODAY, TODAY, NOW)
    assert allocated(connection)[1][1:] == ("halted", "halted: 1.1 % below its peak, beyond the limit of 1 %")
    assert connection.execute("SELECT drawdown FROM fund_allocations WHERE bot_id = 1").fetchone() == (
        pytest.approx(100 * 120 / 10_516),
    )
    mark(connection, number, NOW, 90.0)
    days.refresh(url, TODAY, TODAY, NOW + HOUR)
    assert allocated(connection)[1][1] == "capped"
    events = connection.execute("SELECT kind FROM bot_events WHERE bot_id = 1 ORDER BY event_id").fetchall()
    assert events == [("halted",), ("released",)]


# Against what is computed plainly


@dataclass
class Position:
    bot: int
    ticker: str
    long: bool
    entry: datetime
    entry_price: float
    notional: float = 100.0
    exit: datetime | None = None
    marks: dict[date, tuple[datetime, float | None]] = field(default_factory=dict)

    def note(self, at: datetime, price: float | None) -> None:
        if at.date() not in self.marks or self.marks[at.date()][0] <= at:
            self.marks[at.date()] = (at, price)


@dataclass
class Book:
    """Everything that happened, in plain objects, beside the database."""

    url: str
    connection: psycopg.Connection
    now: datetime = NOW
    positions: dict[int, Position] = field(default_factory=dict)
    entered: int = 0
    bars: dict[tuple[str, str, datetime], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for bot in (1, 2):
            close(self.connection, bot, START + bot * HOUR, [1.0])
        self.listener = Session(self.url, self.connection, Memory(self.url))

    def open(self) -> list[int]:
        return [number for number, position in self.positions.items() if position.exit is None]

    def last_bar(self, ticker: str, as_of: datetime) -> float | None:
        lengths = {"1h": HOUR, "1d": DAY}
        closed = [
            (opens + lengths[timeframe], -lengths[timeframe], close)
            for (of, timeframe, opens), close in self.bars.items()
            if of == ticker and opens + lengths[timeframe] <= as_of
        ]
        return max(closed)[2] if closed else None

    def pnl(self, position: Position, day: date, as_of: datetime) -> float | None:
        known = [at for at in position.marks if at <= day or as_of < day_end(day)]
        price = position.marks[max(known)][1] if known else None
        price = self.last_bar(position.ticker, as_of) if price is None else price
        if price is None:
            return None
        return position.notional * (1 if position.long else -1) * (price - position.entry_price) / position.entry_price

    def figures(self, day: date, as_of: datetime, bot: int) -> tuple:
        held = [
            position
            for _, position in sorted(self.positions.items())
            if position.bot == bot and position.entry < as_of and (position.exit is None or position.exit >= as_of)
        ]
        pnls = [self.pnl(position, day, as_of) for position in held]
        known = [pnl for pnl in pnls if pnl is not None]
        return (
            len(held), pytest.approx(sum(known), abs=1e-9) if known else None, len(pnls) - len(known),
            min((position.entry for position in held), default=None),
        )  # fmt: skip


START = NOW - 4 * DAY
INSTANT = st.builds(
    lambda hours, micros: START + timedelta(hours=hours, microseconds=micros),
    st.one_of(st.integers(0, 110), st.sampled_from([9, 33, 57, 81])),  # midnights among them
    st.sampled_from([0, 0, -1, 1]),
)
PRICE = st.sampled_from([60.0, 99.9, 100.0, 140.1])


def does_enter(at: datetime, bot: int, ticker: str, long: bool, price: float | None) -> Any:
    def act(book: Book) -> None:
        entry = min(at, book.now)
        book.entered += 1
        entry_price = 100 + book.entered / 8
        number = enter(
            book.connection, bot, entry, price, ticker=ticker, direction="LONG" if long else "SHORT",
            entry_price=entry_price,
        )  # fmt: skip
        book.positions[number] = Position(bot, ticker, long, entry, entry_price)
        if price is not None:
            book.positions[number].note(entry, price)

    return act


def does_touch(which: int, at: datetime, change: str, price: float | None) -> Any:
    def act(book: Book) -> None:
        if not (held := book.open()):
            return
        number, at_ = held[which % len(held)], min(at, book.now)
        position = book.positions[number]
        if change == "mark":
            ((before,),) = book.connection.execute(
                "SELECT mark_price FROM trades WHERE trade_id = %s", (number,)
            ).fetchall()
            mark(book.connection, number, at_, price)
            if before != price:
                position.note(at_, price)
        elif change == "size":
            position.notional += 50.0
            book.connection.execute("UPDATE trades SET notional = %s WHERE trade_id = %s", (position.notional, number))
        elif change == "leave":
            position.exit = max(position.entry, at_)
            leave(book.connection, number, position.exit, 101.0 + len(book.positions))
        else:
            del book.positions[number]
            book.connection.execute("DELETE FROM trades WHERE trade_id = %s", (number,))

    return act


def does_bar(at: datetime, timeframe: str, ticker: str, price: float) -> Any:
    def act(book: Book) -> None:
        if (ticker, timeframe, at) not in book.bars:
            bar(book.connection, at, price, timeframe, ticker)
            book.bars[ticker, timeframe, at] = price

    return act


def does_compute(by: str) -> Any:
    def act(book: Book) -> None:
        found = stale_days(book.connection, RANKING, book.now)
        if found:
            session = book.listener if by == "listener" else Session(book.url, book.connection)
            chain.refresh(session, found.first, found.last, book.now)
        settle(book.connection, stale_days(book.connection, RANKING, book.now))

    return act


def does_pass(hours: int) -> Any:
    def act(book: Book) -> None:
        book.now = min(book.now + hours * HOUR, NOW + DAY)

    return act


ACTIONS = st.one_of(
    st.builds(does_compute, st.sampled_from(["listener", "run"])),
    st.builds(does_enter, INSTANT, st.sampled_from([1, 2]), st.sampled_from(["COIN", "ETH"]), st.booleans(),
              st.one_of(st.none(), PRICE)),
    st.builds(does_touch, st.integers(0, 5), INSTANT, st.sampled_from(["mark", "mark", "size", "leave", "delete"]),
              st.one_of(st.none(), PRICE, PRICE)),
    st.builds(does_bar, INSTANT, st.sampled_from(["1h", "1d"]), st.sampled_from(["COIN", "ETH"]), PRICE),
    st.builds(does_pass, st.sampled_from([1, 9, 12])),
    st.builds(does_compute, st.sampled_from(["listener", "run"])),
)  # fmt: skip


@pytest.mark.long
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(history=st.lists(ACTIONS, min_size=8, max_size=30))
def test_whatever_happened_the_figures_are_those_of_plain_loops(
    server_url: str, template: str, history: list[Any]
) -> None:
    with temporary_database(server_url, template) as url, connect(url) as connection:
        book = Book(url, connection)
        for act in [does_compute("run"), *history, does_compute("run")]:
            act(book)
        assert not stale_days(connection, RANKING, book.now)
        for day, as_of in connection.execute(
            "SELECT day, as_of FROM refreshed_days WHERE asset = 'bot_metrics' ORDER BY 1"
        ).fetchall():
            found = shown(connection, day)
            assert found == {bot: book.figures(day, as_of, bot) for bot in found}, (day, as_of)


# The small files of real situations


def load(url: str, file: Path) -> None:
    with connect(url) as connection:
        ((now,),) = connection.execute("SELECT clock_timestamp()").fetchall()
    load_trades(url, *FileOptions().read(file, now), file.name)


def test_bags(database: str, shared_data: Path) -> None:
    """25 closed wins and five open positions at -40 %: one of six bots, as of the last exit's day."""
    load(database, shared_data / "cases/bags.csv")
    last = date(2026, 11, 21)
    with connect(database) as connection:
        save_settings(connection, replace(BOTH, quote_currency="USDT"), "test", "a test")
        days.refresh(database, date(2026, 11, 1), last, day_end(last))
        assert shown(connection, last)[1] == (5, pytest.approx(-200.0), 0, datetime(2026, 11, 1, 7, tzinfo=UTC))
        realised, deepest, capital = connection.execute(
            "SELECT total_pnl, max_drawdown_with_open, capital FROM bot_metrics"
            " WHERE day = %s AND bot_id = 1 AND ticker = '*'",
            (last,),
        ).fetchall()[0]
        assert realised == pytest.approx(22.75, abs=0.005)
        assert capital == 600  # estimated: five positions of 100, and one beside them
        assert deepest == pytest.approx(100 * 200 / (capital + realised))
        assert connection.execute(
            "SELECT bot_id, flag FROM bot_rankings WHERE day = %s AND flag IS NOT NULL", (last,)
        ).fetchall() == [(1, "open loss exceeds the gain of 30 days")]
        amount, decision, why = allocated(connection, last)[1]
        assert (amount, decision) == (0, "halted")
        assert "open positions lost 200.00, its gain of 30 days is 22.75" in why
        # What the file says, it says as of its end: ten days before, nobody knew these prices.
        assert shown(connection, date(2026, 11, 10))[1][:3] == (5, None, 5)
