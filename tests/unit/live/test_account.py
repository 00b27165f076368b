import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from engine_rig import Rig, unavailable

from trading_system.domain.errors import CorruptDataError, Outcome
from trading_system.domain.orders import (
    Fill,
    Funding,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OrderType,
    PositionReport,
    Side,
)
from trading_system.execution.tracking import TrackedStatus
from trading_system.live.account import AccountFeed
from trading_system.live.reconciler import Reconciler
from trading_system.risk.limits import TradingState


def frame(topic: str, row: dict[str, object]) -> bytes:
    return json.dumps({"id": "m", "topic": topic, "creationTime": 1, "data": [row]}).encode()


def order_row(link_id: str, status: str, filled: str = "0") -> dict[str, object]:
    return {
        "category": "linear",
        "orderId": "o1",
        "orderLinkId": link_id,
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderStatus": status,
        "qty": "0.1",
        "cumExecQty": filled,
        "updatedTime": "1700000000000",
        "price": "50000",
        "avgPrice": "",
        "rejectReason": "EC_NoError",
    }


def execution_row(link_id: str, **changes: object) -> dict[str, object]:
    return {
        "category": "linear",
        "execId": "e1",
        "orderId": "o1",
        "orderLinkId": link_id,
        "symbol": "BTCUSDT",
        "side": "Buy",
        "execPrice": "50000",
        "execQty": "0.1",
        "execFee": "2.75",
        "execTime": "1700000000000",
        "isMaker": False,
        "execType": "Trade",
        **changes,
    }


async def tracked() -> tuple[Rig, AccountFeed, str]:
    rig = Rig()
    link_id = rig.engine.next_link_id()
    intent = OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.1"),
        price=Decimal(50_000),
        link_id=link_id,
    )
    await rig.engine.submit(intent, timeout_s=1)
    return rig, AccountFeed(rig.engine), link_id


async def test_private_frames_settle_the_order_and_book_its_fill() -> None:
    rig, feed, link_id = await tracked()
    feed.on_frame(frame("execution", execution_row(link_id)), 0)
    feed.on_frame(frame("order", order_row(link_id, "Filled", "0.1")), 0)
    order = rig.engine.order(link_id)
    assert order is not None
    assert order.status is TrackedStatus.FILLED
    assert rig.portfolio.position("BTCUSDT").fees == Decimal("2.75")


async def test_funding_is_not_booked_as_a_trade() -> None:
    rig, feed, link_id = await tracked()
    feed.on_frame(frame("execution", execution_row(link_id, execType="Funding")), 0)
    assert rig.portfolio.fills == 0


async def test_positions_and_wallet_are_noted() -> None:
    _, feed, _ = await tracked()
    position = {"symbol": "BTCUSDT", "side": "Sell", "size": "0.3", "updatedTime": "1"}
    feed.on_frame(frame("position", position), 0)
    wallet = {
        "totalEquity": "99",
        "totalWalletBalance": "98",
        "totalAvailableBalance": "97",
    }
    feed.on_frame(frame("wallet", wallet), 0)
    assert feed.venue_positions == {"BTCUSDT": Decimal("-0.3")}
    assert feed.equity == 99


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b"{",
        b'{"topic":"dcp","data":[]}',
        frame("order", {"orderId": 1}),
        frame("execution", execution_row("x", side="Sideways")),
        frame("execution", execution_row("x", execPrice="NaN")),
        frame("execution", execution_row("x", execTime="-1")),
        frame("position", {"symbol": "BTCUSDT", "side": "", "size": "1", "updatedTime": "1"}),
    ],
)
async def test_an_impossible_private_frame_is_refused(raw: bytes) -> None:
    rig, feed, _ = await tracked()
    with pytest.raises(CorruptDataError):
        feed.on_frame(raw, 0)
    assert rig.portfolio.fills == 0


async def test_an_order_status_of_tomorrow_is_counted_and_changes_nothing() -> None:
    rig, feed, link_id = await tracked()
    feed.on_frame(frame("order", order_row(link_id, "Exploded")), 0)
    order = rig.engine.order(link_id)
    assert order is not None
    assert order.status is not TrackedStatus.FILLED
    assert feed.drift.counts["order.orderStatus: Exploded"] == 1


async def test_rows_that_say_less_than_documented_are_taken_and_counted() -> None:
    rig, feed, link_id = await tracked()
    feed.on_frame(frame("execution", execution_row(link_id, execType="Airdrop")), 0)
    assert rig.portfolio.fills == 0
    feed.on_frame(frame("execution", execution_row(link_id, isMaker=None)), 0)
    assert rig.portfolio.fills == 1
    feed.on_frame(frame("wallet", {"totalEquity": "9"}), 0)
    feed.on_frame(frame("wallet", {"totalEquity": ""}), 0)
    feed.on_frame(
        frame("position", {"symbol": "B", "side": "Sell", "size": "1", "category": "x"}), 0
    )
    assert (feed.equity, feed.venue_positions) == (9, {})
    assert feed.drift.counts["execution.execType: Airdrop"] == 1
    assert feed.drift.counts["execution.isMaker: missing"] == 1
    assert feed.drift.total > 3


async def test_the_fast_stream_tells_first_and_the_full_one_books() -> None:
    rig, feed, link_id = await tracked()
    fast = {"category": "linear", "execId": "e1", "symbol": "BTCUSDT", "side": "Buy"}
    fast |= {"execPrice": "50000", "execQty": "0.1", "orderId": "o1", "orderLinkId": ""}
    feed.on_frame(frame("execution.fast", fast), 5)
    feed.on_frame(frame("execution.fast", fast | {"category": "spot", "execId": "e2"}), 5)
    assert (rig.portfolio.fills, feed.fast.first) == (0, 1)
    assert feed.fast.overdue_ns(2_000_000_000) == 1_999_999_995
    feed.on_frame(frame("execution", execution_row(link_id, execPrice="50001")), 0)
    feed.on_frame(frame("execution", execution_row(link_id, execPrice="50001")), 0)
    assert rig.portfolio.position("BTCUSDT").fees == Decimal("2.75")
    assert rig.portfolio.position("BTCUSDT").entry_value == Decimal(5_000)
    assert (rig.portfolio.fills, feed.fast.conflicts) == (1, 1)
    assert feed.fast.overdue_ns(2_000_000_000) is None


class Queries:
    def __init__(self, quantity: str) -> None:
        self.quantity = Decimal(quantity)
        self.entry_price: Decimal | None = Decimal(50_000)
        self.symbol = "BTCUSDT"
        self.mark_price: Decimal | None = None
        self.failure: Exception | None = None
        self.orders: list[OrderReport] = []

    async def positions(self) -> list[PositionReport]:
        if self.failure is not None:
            raise self.failure
        return [
            PositionReport(
                symbol=self.symbol,
                quantity=self.quantity,
                entry_price=self.entry_price,
                ts_exchange_ns=0,
                mark_price=self.mark_price,
            )
        ]

    async def open_orders(self) -> list[OrderReport]:
        return self.orders

    async def executions_since(self, start_ms: int) -> Sequence[Fill | Funding]:
        return []


async def test_a_position_that_is_not_traded_here_is_valued_by_the_venues_rows() -> None:
    rig, queries = Rig(), Queries("2")
    queries.symbol, queries.mark_price = "ETHUSDT", Decimal(50_010)
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    await reconciler.adopt()
    assert (rig.portfolio.unvalued, rig.portfolio.unrealised) == (frozenset(), 20)
    queries.mark_price = Decimal(50_030)
    assert await reconciler.compare() is True
    assert (rig.portfolio.unrealised, rig.portfolio.pnl) == (60, 40)


async def test_market_data_values_what_is_traded_here() -> None:
    rig, queries = Rig(), Queries("2")
    queries.mark_price = Decimal(50_010)
    await Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock).adopt()
    assert rig.portfolio.unvalued == {"BTCUSDT"}


async def test_existing_positions_are_adopted_and_then_agree() -> None:
    rig = Rig()
    reconciler = Reconciler(
        Queries("0.5"), portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock
    )
    assert reconciler.positions_agree is None
    await reconciler.adopt()
    assert rig.portfolio.position("BTCUSDT").quantity == Decimal("0.5")
    assert await reconciler.compare() is True


async def test_a_difference_is_seen_and_counted() -> None:
    rig = Rig()
    reconciler = Reconciler(
        Queries("0.5"), portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock
    )
    assert await reconciler.compare() is False
    assert reconciler.differences == 1
    assert reconciler.positions_agree is False


async def test_a_difference_says_nothing_while_orders_are_at_work() -> None:
    rig, _, _ = await tracked()
    reconciler = Reconciler(
        Queries("0.1"), portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock
    )
    assert await reconciler.compare() is None
    assert (reconciler.positions_agree, reconciler.comparisons) == (None, 0)


async def test_a_difference_that_stays_is_one_even_while_a_quote_rests() -> None:
    rig, _, link_id = await tracked()
    reconciler = Reconciler(
        Queries("0.5"), portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock
    )
    looks = rig.venue.lookups
    assert await reconciler.compare() is None
    assert (reconciler.is_suspicious, rig.venue.lookups) == (True, looks + 1)
    assert reconciler.venue_stops == {"BTCUSDT": None}
    await reconciler.check()
    assert rig.engine.state is TradingState.REDUCING
    assert rig.engine.order(link_id) is not None


async def test_a_lost_fill_is_booked_before_it_is_called_a_difference() -> None:
    rig, _, link_id = await tracked()
    rig.venue.fills[link_id] = [replace(execution("e1", "0.1"), link_id=link_id)]
    reconciler = Reconciler(
        Queries("0.1"), portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock
    )
    assert await reconciler.compare() is None
    assert await reconciler.compare() is True
    assert (reconciler.is_suspicious, reconciler.differences) == (False, 0)


async def test_a_difference_that_moves_is_a_fill_under_way() -> None:
    rig, _, _ = await tracked()
    queries = Queries("0.1")
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    assert await reconciler.compare() is None
    queries.quantity = Decimal("0.2")
    assert await reconciler.compare() is None
    assert reconciler.differences == 0


async def test_a_difference_where_no_order_is_at_work_is_one_at_once() -> None:
    rig, _, _ = await tracked()
    rig.portfolio.adopt("ETHUSDT", Decimal(1), Decimal(3_000))
    reconciler = Reconciler(
        Queries("0"), portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock
    )
    assert await reconciler.compare() is False


async def test_an_order_that_rests_for_long_does_not_hold_trading() -> None:
    rig, _, _ = await tracked()
    reconciler = Reconciler(
        Queries("0"), portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock
    )
    for _ in range(10):
        assert await reconciler.agrees_now()
    assert rig.engine.state is TradingState.ACTIVE


class Filling(Queries):
    """A venue at which an order fills while the positions are on their way."""

    def __init__(self, rig: Rig) -> None:
        super().__init__("0")
        self.rig = rig

    async def positions(self) -> list[PositionReport]:
        reports = await super().positions()
        self.rig.engine.on_fill(execution("e9", "0.1"))
        return reports


async def test_positions_that_change_while_they_are_read_are_not_judged() -> None:
    rig = Rig()
    reconciler = Reconciler(
        Filling(rig), portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock
    )
    assert await reconciler.compare() is None


async def test_an_earlier_agreement_is_not_one_now() -> None:
    rig, queries = Rig(), Queries("0")
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    assert await reconciler.agrees_now()
    queries.failure = unavailable(Outcome.UNKNOWN)
    assert not await reconciler.agrees_now()
    assert reconciler.positions_agree is True
    queries.failure = None
    queries.quantity = Decimal("0.5")
    assert not await reconciler.agrees_now()


async def test_a_liquidation_changes_the_position_like_any_trade() -> None:
    rig, feed, _ = await tracked()
    feed.on_frame(frame("execution", execution_row("", execType="BustTrade")), 0)
    assert rig.portfolio.position("BTCUSDT").quantity == Decimal("0.1")


async def test_while_positions_differ_the_gate_only_lets_reduce() -> None:
    rig, queries = Rig(), Queries("0.5")
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    assert await reconciler.check()
    assert rig.engine.state is TradingState.REDUCING
    queries.quantity = Decimal(0)
    await reconciler.check()
    assert rig.engine.state is TradingState.ACTIVE


async def test_a_halt_is_not_lifted_by_an_agreement() -> None:
    rig = Rig()
    rig.engine.holds.set("operator", TradingState.HALTED, "test")
    reconciler = Reconciler(
        Queries("0"), portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock
    )
    await reconciler.check()
    assert rig.engine.state is TradingState.HALTED


@pytest.mark.parametrize("failure", [unavailable(Outcome.UNKNOWN), CorruptDataError("a page")])
async def test_an_agreement_that_was_not_proven_again_expires(failure: Exception) -> None:
    rig, queries = Rig(), Queries("0")
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    await reconciler.check()
    queries.failure = failure
    for _ in range(5):
        assert not await reconciler.check()
    assert reconciler.positions_agree is True
    await reconciler.check()
    assert reconciler.positions_agree is None
    assert rig.engine.state is TradingState.REDUCING


async def test_a_position_without_an_entry_price_is_not_silently_left_out() -> None:
    rig, queries = Rig(), Queries("0.5")
    queries.entry_price = None
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    with pytest.raises(CorruptDataError, match="entry price"):
        await reconciler.adopt()
    queries.quantity = Decimal(0)
    await reconciler.adopt()
    assert reconciler.local() == {}


class Missed(Queries):
    """A venue whose executions can be read again."""

    def __init__(self, fills: Sequence[Fill | Funding]) -> None:
        super().__init__("0")
        self.fills = fills
        self.asked_ms: list[int] = []

    async def executions_since(self, start_ms: int) -> Sequence[Fill | Funding]:
        self.asked_ms.append(start_ms)
        if self.failure is not None:
            raise self.failure
        return self.fills


def execution(exec_id: str, quantity: str, side: Side = Side.BUY, symbol: str = "BTCUSDT") -> Fill:
    return Fill(
        exec_id=exec_id,
        order_id="o",
        link_id="",
        symbol=symbol,
        side=side,
        price=Decimal(50_000),
        quantity=Decimal(quantity),
        fee=Decimal(0),
        is_maker=False,
        ts_exchange_ns=0,
    )


async def test_executions_missed_in_an_outage_are_booked_once() -> None:
    rig, queries = Rig(), Missed([execution("e1", "0.1")])
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    assert await reconciler.catch_up(None)
    assert queries.asked_ms == []
    assert await reconciler.catch_up(60_000_000_000)
    await reconciler.catch_up(60_000_000_000)
    assert queries.asked_ms == [55_000, 55_000]
    assert rig.portfolio.position("BTCUSDT").quantity == Decimal("0.1")


async def test_executions_that_cannot_be_read_leave_the_difference_to_the_comparison() -> None:
    rig, queries = Rig(), Missed([])
    queries.failure = CorruptDataError("a page")
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    assert not await reconciler.catch_up(60_000_000_000)
    assert rig.portfolio.positions == ()


async def test_the_age_of_a_comparison_is_known() -> None:
    rig = Rig()
    reconciler = Reconciler(
        Queries("0"), portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock
    )
    assert reconciler.compared_age_s is None
    await reconciler.check()
    rig.clock.advance(3)
    assert reconciler.compared_age_s == 3.0


async def test_catching_up_follows_every_order_at_work() -> None:
    rig, _, link_id = await tracked()
    queries, looks = Missed([]), rig.venue.lookups
    reconciler = Reconciler(
        queries,
        portfolio=rig.portfolio,
        engine=rig.engine,
        clock=rig.clock,
        offset_ns=lambda: 2_000_000_000,
    )
    assert await reconciler.catch_up(60_000_000_000)
    assert queries.asked_ms == [55_000]  # a time of the venue's clock is not shifted
    assert rig.venue.lookups == looks + 1  # it is not listed as open, so it is asked for
    queries.orders = [own_report(link_id), own_report("somebody-elses")]
    assert await reconciler.catch_up(60_000_000_000)
    assert rig.venue.lookups == looks + 1
    order = rig.engine.order(link_id)
    assert order is not None
    assert order.status is TrackedStatus.OPEN


def own_report(link_id: str) -> OrderReport:
    return OrderReport(
        order_id="o1",
        link_id=link_id,
        symbol="BTCUSDT",
        side=Side.BUY,
        status=OrderStatus.NEW,
        quantity=Decimal("0.1"),
        filled_quantity=Decimal(0),
        average_price=None,
        price=Decimal(50_000),
        reason="",
        ts_exchange_ns=1,
    )


def lost_stop(rig: Rig, *, after_s: float = 1.0, exec_id: str = "e1") -> Fill:
    """Return the execution of a stop at the venue that nobody was told of."""
    now_ns = rig.clock.utc_ns() + round(after_s * 1e9)
    return replace(execution(exec_id, "0.2", Side.SELL), ts_exchange_ns=now_ns)


async def test_a_lost_execution_that_was_not_an_own_order_heals_the_difference() -> None:
    rig, queries = Rig(), Missed([])
    queries.quantity = Decimal("0.2")
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    await reconciler.adopt()
    rig.clock.advance(300)
    assert await reconciler.check()
    agreed_ms = rig.clock.utc_ns() // 1_000_000
    queries.fills, queries.quantity = [lost_stop(rig)], Decimal(0)
    rig.clock.advance(5)
    assert await reconciler.agrees_now()
    assert queries.asked_ms == [agreed_ms - 5_000]
    assert rig.portfolio.position("BTCUSDT").quantity == 0
    assert rig.engine.state is TradingState.ACTIVE


async def test_a_difference_that_no_execution_explains_is_read_again_every_five_seconds() -> None:
    rig, queries = Rig(), Missed([])
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    await reconciler.adopt()
    adopted_ms = rig.clock.utc_ns() // 1_000_000
    queries.quantity = Decimal("0.5")
    for _ in range(100):
        rig.clock.advance(1)
        await reconciler.check()
    assert len(queries.asked_ms) == 20
    assert queries.asked_ms[0] == adopted_ms, "never from before the adoption"
    assert queries.asked_ms[-1] == adopted_ms + (91 - 60 - 5) * 1_000, "a minute of lag is allowed"
    assert rig.engine.state is TradingState.REDUCING
    queries.failure = CorruptDataError("a page")
    rig.clock.advance(5)
    assert not await reconciler.check()


class Unread(Missed):
    """A venue whose positions can be read, but not its executions."""

    async def executions_since(self, start_ms: int) -> Sequence[Fill | Funding]:
        raise CorruptDataError("a page")


async def test_a_difference_whose_executions_cannot_be_read_stays_one() -> None:
    rig, queries = Rig(), Unread([])
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    await reconciler.adopt()
    queries.quantity = Decimal("0.5")
    assert await reconciler.check()
    assert rig.engine.state is TradingState.REDUCING


async def test_an_execution_that_the_adopted_position_contains_is_not_booked_again() -> None:
    rig = Rig()
    queries = Stamped(rig.clock.utc_ns())
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    await reconciler.adopt()
    queries.fills = [lost_stop(rig, after_s=0), lost_stop(rig, after_s=0.1, exec_id="e2")]
    assert await reconciler.catch_up()
    assert rig.portfolio.position("BTCUSDT").quantity == Decimal("0.3")


class Stamped(Missed):
    """A venue that tells when a position of 0.5 changed last."""

    def __init__(self, stamp_ns: int) -> None:
        super().__init__([])
        self.quantity, self.stamp_ns = Decimal("0.5"), stamp_ns

    async def positions(self) -> list[PositionReport]:
        return [replace(r, ts_exchange_ns=self.stamp_ns) for r in await super().positions()]


async def test_funding_of_an_outage_is_booked_once() -> None:
    rig = Rig()
    queries = Missed([Funding(symbol="BTCUSDT", amount=Decimal(-5), exec_id="f1")])
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    for _ in range(2):
        assert await reconciler.catch_up(60_000_000_000)
    assert rig.portfolio.funding == -5


class Hedged(Queries):
    """A venue with both sides of a symbol that is not traded here."""

    def __init__(self, *sides: tuple[int, str, int]) -> None:
        super().__init__("0")
        self.sides = sides

    async def positions(self) -> list[PositionReport]:
        return [
            PositionReport(
                symbol="DOGEUSDT",
                quantity=Decimal(quantity),
                entry_price=Decimal(price),
                ts_exchange_ns=0,
                position_idx=index,
            )
            for index, quantity, price in self.sides
        ]


async def test_a_hedged_position_in_a_symbol_not_traded_here_counts_net() -> None:
    rig, queries = Rig(), Hedged((1, "3", 2_000), (2, "-1", 2_100))
    reconciler = Reconciler(queries, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    await reconciler.adopt()
    held = rig.portfolio.position("DOGEUSDT")
    assert (held.quantity, held.entry_price) == (2, 2_000)
    assert await reconciler.compare() is True
    queries.sides = ((2, "-1", 2_100),)
    assert await reconciler.compare() is False
    queries.sides = ((1, "2", 2_100),)
    assert await reconciler.compare() is True


async def test_contracts_settled_in_another_coin_are_left_out_as_from_the_positions() -> None:
    rig = Rig()
    feed = AccountFeed(rig.engine)
    for kind in ("Trade", "Funding"):
        row = execution_row("", symbol="BTCPERP", execId=kind, execType=kind)
        feed.on_frame(frame("execution", row), 0)
    feed.on_frame(frame("position", {"symbol": "BTCPERP", "side": "Buy", "size": "1"}), 0)
    assert (rig.portfolio.positions, feed.venue_positions) == ((), {})
    row = execution_row("", symbol="BTCUSDT-26DEC25", execId="dated")
    feed.on_frame(frame("execution", row), 0)
    assert rig.portfolio.position("BTCUSDT-26DEC25").quantity == Decimal("0.1")


@pytest.mark.parametrize(
    ("topic", "row", "noted"),
    [
        ("order", order_row("x", "New") | {"orderLinkId": None}, "order.orderLinkId: missing"),
        ("order", order_row("x", "New") | {"category": None}, None),
        ("execution", execution_row("x", orderLinkId=None), "execution.orderLinkId: missing"),
        ("execution", execution_row("x", execType=None), "execution.execType: missing"),
        ("execution", execution_row("x", orderLinkId=7), "execution.orderLinkId: not a text"),
        (
            "position",
            {"symbol": "BTCUSDT", "side": "Buy", "size": "1", "updatedTime": None},
            "position.updatedTime: missing",
        ),
        (
            "position",
            {"symbol": "BTCUSDT", "side": None, "size": "0"},
            "position.side: missing",
        ),
    ],
)
async def test_an_optional_field_that_is_null_drops_no_stream(
    topic: str, row: dict[str, object], noted: str | None
) -> None:
    rig, feed, _ = await tracked()
    feed.on_frame(frame(topic, row), 0)
    assert noted is None or feed.drift.counts[noted] == 1
    assert rig.portfolio.fills == (topic == "execution")
