"""The assembled session over a test's venue: start, outages, protection, end."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from engine_rig import fill as engine_fill
from engine_rig import report, unavailable
from session_rig import PRICE, SYMBOL, SessionRig, in_session

from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    OrderDenied,
    Outcome,
    ValidationError,
    VenueUnavailable,
)
from trading_system.domain.orders import Fill, Funding, OrderStatus, Side
from trading_system.execution.journal.store import Journal
from trading_system.execution.tracking import TrackedStatus
from trading_system.risk.limits import TradingState
from trading_system.runtime.clock import ManualClock


def test_a_position_without_its_stop_gets_one_within_a_comparison(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await rig.enter()
        first = rig.venue.stop
        assert first is not None
        assert first < PRICE * Decimal("0.991")
        rig.venue.stop = None  # somebody removed it
        await asyncio.sleep(11.0)
        assert rig.venue.stop == first
        assert len(rig.venue.stops) == 2

    in_session(work, tmp_path)


def test_a_short_position_is_stopped_above(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await rig.enter(-200.0)
        assert rig.venue.held < 0
        assert rig.venue.stop is not None
        assert rig.venue.stop > PRICE

    in_session(work, tmp_path)


def test_a_stop_that_the_venue_refuses_is_tried_again(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await rig.enter()
        rig.venue.stop = None
        rig.venue.fails = unavailable(Outcome.UNKNOWN)
        await rig.session.protection.protect(SYMBOL, Decimal(49_000))
        assert rig.venue.stop is None
        rig.venue.fails = None
        await asyncio.sleep(11.0)
        assert rig.venue.stop is not None

    in_session(work, tmp_path)


def foreign(quantity: str, *, link_id: str, exec_id: str = "e") -> Fill:
    return Fill(
        exec_id=exec_id,
        order_id="o",
        link_id=link_id,
        symbol=SYMBOL,
        side=Side.BUY,
        price=PRICE,
        quantity=Decimal(quantity),
        fee=Decimal(0),
        is_maker=False,
        ts_exchange_ns=0,
    )


@pytest.mark.parametrize(("link_id", "own"), [("ts-0000cafe-1", "0.2"), ("by-hand", "0")])
def test_only_a_position_of_own_fills_is_taken_up_after_a_restart(
    link_id: str, own: str, tmp_path: Path
) -> None:
    journal = Journal.open(tmp_path / "journal.sqlite", clock=ManualClock())
    journal.note_fill(foreign("0.2", link_id=link_id))

    def prepare(rig: SessionRig) -> None:
        rig.venue.held = Decimal("0.2")

    async def work(rig: SessionRig) -> None:
        session = rig.session
        assert session.portfolio.position(SYMBOL).quantity == Decimal("0.2")
        assert session.own_quantity(SYMBOL) == Decimal(own)
        assert session.reconciler.positions_agree is True
        assert session.engine.outcomes == dict.fromkeys(TrackedStatus, 0) or not any(
            session.engine.outcomes.values()
        )

    in_session(work, tmp_path, journal=journal, prepare=prepare)
    journal.close()


def test_after_a_lost_private_stream_missed_fills_are_booked_before_trading(
    tmp_path: Path,
) -> None:
    async def work(rig: SessionRig) -> None:
        session = rig.session
        rig.private.goes_down("reset")
        assert session.engine.state is TradingState.REDUCING
        rig.venue.held = Decimal("0.1")
        rig.venue.past = [foreign("0.1", link_id="by-hand")]
        readings = rig.venue.clock_readings
        rig.private.comes_up()
        assert session.engine.state is TradingState.REDUCING
        await asyncio.sleep(0.1)
        assert session.engine.state is TradingState.ACTIVE
        assert rig.venue.clock_readings == readings + 1
        assert session.portfolio.position(SYMBOL).quantity == Decimal("0.1")
        assert session.outage.outages == 1

    in_session(work, tmp_path)


def test_after_an_outage_nothing_opens_until_both_sides_agree(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        session = rig.session
        rig.public.goes_down("reset")
        assert session.engine.state is TradingState.HALTED
        assert session.feed.best_prices(SYMBOL).bid is None
        rig.venue.fails = CorruptDataError("half an answer")
        rig.is_ticking = False
        rig.update_id = 0
        rig.public.comes_up()
        await asyncio.sleep(3.0)
        assert session.engine.state is TradingState.HALTED
        rig.venue.fails = None
        rig.is_ticking = True
        await asyncio.sleep(1.0)
        assert session.engine.state is TradingState.ACTIVE

    in_session(work, tmp_path)


def test_an_order_of_unknown_outcome_keeps_trading_held_after_an_outage(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        session = rig.session
        rig.venue.failures.append(unavailable(Outcome.UNKNOWN))
        rig.private.goes_down("reset")
        with pytest.raises(OrderDenied):
            await session.client.place_order(SYMBOL, "Buy", quantity="0.01")
        session.engine.holds.clear("venue")  # as it was before the loss was noticed
        async with asyncio.TaskGroup() as group:
            placing = group.create_task(session.client.place_order(SYMBOL, "Buy", quantity="0.01"))
            await asyncio.sleep(0.1)
            assert session.engine.unknown_orders == 1
            rig.private.goes_down("reset")
            rig.private.comes_up()
            await asyncio.sleep(0.6)
            held = session.engine.holds.get("venue")
            intent = rig.venue.sent[-1]
            rig.venue.known[intent.link_id] = report(intent, OrderStatus.CANCELLED, Decimal(0))
            placed = await placing
        assert held is not None
        assert placed["status"] == "cancelled"
        await asyncio.sleep(1.0)
        assert session.engine.state is TradingState.ACTIVE

    in_session(work, tmp_path)


def test_an_order_that_rests_for_minutes_does_not_hold_trading(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        session = rig.session
        await rig.enter()
        rig.venue.auto_fill = False
        placed = await session.client.place_order(
            SYMBOL, "Buy", quantity="0.01", order_type="Limit", price="49990"
        )
        intent = rig.venue.sent[-1]
        rig.venue.known[intent.link_id] = report(intent, OrderStatus.NEW, Decimal(0))
        await asyncio.sleep(120.0)
        assert placed["status"] == "open"
        assert len(session.engine.live_orders) == 1
        assert session.engine.state is TradingState.ACTIVE
        assert session.reconciler.compared_age_s is not None
        assert session.reconciler.compared_age_s <= 5.0
        assert rig.health().score == 100.0

    in_session(work, tmp_path)


def test_a_clock_that_cannot_be_read_keeps_the_last_offset(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.offset_ms = 5.0
        await asyncio.sleep(61.0)
        assert rig.session.venue_time.offset_ms == 5.0
        rig.venue.fails = unavailable(Outcome.NOT_SENT)
        rig.venue.offset_ms = 9.0
        await asyncio.sleep(61.0)
        assert rig.session.venue_time.offset_ms == 5.0

    in_session(work, tmp_path)


def test_books_that_do_not_come_end_the_start(tmp_path: Path) -> None:
    def prepare(rig: SessionRig) -> None:
        rig.is_ticking = False

    async def work(_rig: SessionRig) -> None:
        raise AssertionError("the start did not fail")

    with pytest.RaisesGroup(pytest.RaisesExc(DeadlineExceeded, match="streams were not ready")):
        in_session(work, tmp_path, prepare=prepare)


def test_the_end_cancels_what_rests_and_leaves_the_protective_stop(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        session = rig.session
        await rig.enter()
        rig.venue.auto_fill = False
        for price in ("49990", "49980"):
            placed = await session.client.place_order(
                SYMBOL, "Buy", quantity="0.01", order_type="Limit", price=price
            )
            assert placed["status"] == "open"
        await session.drain()
        assert not session.trader.is_active
        await session.stop()
        assert session.engine.live_orders == ()
        assert len(rig.venue.cancelled) == 2
        assert rig.venue.stop is not None
        assert rig.venue.held != 0
        assert session.engine.outcomes[TrackedStatus.CANCELLED] == 2

    in_session(work, tmp_path)


def test_nothing_that_could_open_again_rests_when_the_end_flattens(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        session = rig.session
        await rig.enter()
        rig.venue.auto_fill = False
        await session.client.place_order(
            SYMBOL, "Buy", quantity="0.01", order_type="Limit", price="49990"
        )
        rig.venue.auto_fill = True
        await session.drain()
        assert session.engine.live_orders == ()
        assert len(rig.venue.cancelled) == 1
        assert rig.venue.held == 0

    in_session(work, tmp_path, strategy__flatten_on_stop=True)


def test_the_end_flattens_when_asked_to(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await rig.enter()
        await rig.session.drain()
        assert rig.venue.held == 0
        await rig.session.stop()

    in_session(work, tmp_path, strategy__flatten_on_stop=True)


def test_an_order_whose_end_cannot_be_found_out_fails_the_stop(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.auto_fill = False
        await rig.session.client.place_order(
            SYMBOL, "Buy", quantity="0.01", order_type="Limit", price="49990"
        )
        intent = rig.venue.sent[-1]
        rig.venue.known[intent.link_id] = report(intent, OrderStatus.NEW, Decimal(0))
        rig.venue.cancel_failure = unavailable(Outcome.UNKNOWN)
        with pytest.raises(VenueUnavailable, match="1 orders without a known outcome"):
            await rig.session.stop()

    in_session(work, tmp_path)


def test_a_parent_at_work_is_given_time_when_the_session_drains(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.ack_s = 30.0
        began = rig.loop.time()
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.enter())
            await asyncio.sleep(0.1)
            await rig.session.drain()
            assert 10.0 <= rig.loop.time() - began < 12.0
        assert rig.session.trader.counts.parents_ended == 1

    in_session(work, tmp_path)


def test_a_client_order_may_bring_its_stop(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        placed = await rig.session.client.place_order(
            SYMBOL, "Buy", quantity="0.01", stop_loss="49500"
        )
        assert placed["status"] == "filled"
        assert placed["average_price"] == 50_000.0
        assert placed["stop_loss"] == 49_500.0
        assert rig.venue.stops == [(SYMBOL, Decimal(49_500))]

    in_session(work, tmp_path)


def test_a_stop_that_the_venue_refuses_does_not_look_like_a_refused_order(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.fails = unavailable(Outcome.REJECTED)
        placed = await rig.session.client.place_order(
            SYMBOL, "Buy", quantity="0.01", stop_loss="49500"
        )
        assert (placed["status"], placed["filled_quantity"]) == ("filled", 0.01)
        assert "without the stop" in placed["reason"]
        assert placed["stop_loss"] is None

    in_session(work, tmp_path)


def test_nothing_is_sent_for_a_stop_that_cannot_be_set(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        with pytest.raises(ValidationError, match="multiple"):
            await rig.session.client.place_order(
                SYMBOL, "Buy", quantity="0.01", stop_loss="49500.01"
            )
        with pytest.raises(ValidationError, match="below the price"):
            await rig.session.client.place_order(
                SYMBOL,
                "Buy",
                quantity="0.01",
                order_type="Limit",
                price="49990",
                stop_loss="49995",
            )
        assert rig.venue.sent == []

    in_session(work, tmp_path)


def test_a_conditional_order_is_left_waiting_and_can_be_cancelled_with_the_others(
    tmp_path: Path,
) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.auto_fill = False
        client = rig.session.client
        placed = await client.place_order(SYMBOL, "Buy", quantity="0.01", trigger_price="50500")
        assert (placed["status"], placed["filled_quantity"]) == ("untriggered", 0.0)
        sent = rig.venue.sent[-1]
        assert sent.trigger is not None
        assert sent.trigger.direction.name == "RISE"
        await client.cancel_all_orders()
        assert rig.venue.cancelled == ["everything"]
        order = rig.session.engine.order(placed["link_id"])
        assert order is not None
        assert order.settled.is_set()

    in_session(work, tmp_path)


def test_exits_that_go_with_an_order_are_not_set_a_second_time(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        stops = len(rig.venue.stops)
        placed = await rig.session.client.place_order(
            SYMBOL, "Buy", quantity="0.01", stop_loss="49500", take_profit="50900"
        )
        assert (placed["filled_quantity"], placed["stop_loss"]) == (0.01, 49_500.0)
        assert len(rig.venue.stops) == stops
        exits = rig.venue.sent[-1]
        assert exits.take_profit is not None
        assert exits.take_profit.price == 50_900

    in_session(work, tmp_path)


def test_a_trailing_stop_is_set_and_removed(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        client = rig.session.client
        told = await client.set_trailing_stop(SYMBOL, "100", "50500")
        assert told == {"symbol": SYMBOL, "distance": 100.0, "active_price": 50_500.0}
        removed = await client.set_trailing_stop(SYMBOL, None)
        assert removed == {"symbol": SYMBOL, "distance": None, "active_price": None}
        assert [stop is None for _, stop, _ in rig.venue.trails] == [False, True]
        with pytest.raises(ValidationError):
            await client.set_trailing_stop(SYMBOL, -5)

    in_session(work, tmp_path)


def test_an_order_that_did_not_trade_sets_no_stop(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.fill_share = Decimal(0)
        placed = await rig.session.client.place_order(
            SYMBOL, "Buy", quantity="0.01", stop_loss="49500"
        )
        assert (placed["status"], placed["filled_quantity"]) == ("cancelled", 0.0)
        assert rig.venue.stops == []

    in_session(work, tmp_path)


def test_a_fill_that_comes_later_than_patience_leaves_the_order_open(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.auto_fill = False
        placed = await rig.session.client.place_order(SYMBOL, "Buy", quantity="0.01")
        assert placed["status"] == "open"
        intent = rig.venue.sent[-1]
        rig.session.engine.on_fill(engine_fill(intent, intent.quantity, PRICE))
        rig.session.engine.on_report(report(intent, OrderStatus.FILLED, intent.quantity))
        assert rig.session.own_quantity(SYMBOL) == Decimal("0.01")

    in_session(work, tmp_path)


def test_a_definite_refusal_is_the_callers(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.failures.append(unavailable(Outcome.NOT_SENT))
        with pytest.raises(VenueUnavailable):
            await rig.session.client.place_order(SYMBOL, "Buy", quantity="0.01")
        assert rig.session.engine.unknown_orders == 0

    in_session(work, tmp_path)


def test_while_only_the_private_stream_is_down_fills_are_found_by_polling(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        session = rig.session
        rig.private.goes_down("half open")
        rig.venue.held = Decimal("0.1")
        rig.venue.past = [foreign("0.1", link_id="by-hand")]
        await asyncio.sleep(3.0)
        assert session.portfolio.position(SYMBOL).quantity == Decimal("0.1")
        assert session.engine.state is TradingState.REDUCING
        assert session.outage.polls == 2
        rig.private.comes_up()
        await asyncio.sleep(0.1)
        assert session.engine.state is TradingState.ACTIVE
        await asyncio.sleep(3.0)
        assert session.outage.polls == 2

    in_session(work, tmp_path)


def test_an_execution_told_only_by_the_fast_stream_is_fetched(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        session = rig.session
        rig.venue.held = Decimal("0.1")
        rig.venue.past = [foreign("0.1", link_id="by-hand", exec_id="f1")]
        session.reports.fast.on_fast("f1", PRICE, Decimal("0.1"), now_ns=rig.loop.monotonic_ns())
        await asyncio.sleep(2.5)
        assert session.portfolio.position(SYMBOL).quantity == Decimal("0.1")
        assert session.reports.fast.overdue_ns(rig.loop.monotonic_ns()) is None

    in_session(work, tmp_path)


def test_what_happened_before_the_private_stream_was_there_is_caught_up(tmp_path: Path) -> None:
    def prepare(rig: SessionRig) -> None:
        rig.venue.past = [Funding(symbol=SYMBOL, amount=Decimal(-5), exec_id="f1")]

    async def work(rig: SessionRig) -> None:
        assert rig.session.portfolio.funding == -5

    in_session(work, tmp_path, prepare=prepare)


def test_a_fast_execution_is_asked_for_from_its_own_time_and_given_up_after_a_minute(
    tmp_path: Path,
) -> None:
    async def work(rig: SessionRig) -> None:
        asked: list[int] = []

        async def executions_since(start_ms: int) -> list[Fill]:
            asked.append(start_ms)
            return []

        rig.venue.executions_since = executions_since  # type: ignore[method-assign]  # a seam
        told_ms = rig.loop.utc_ns() // 1_000_000
        rig.session.reports.fast.on_fast(
            "f1", PRICE, Decimal("0.1"), now_ns=rig.loop.monotonic_ns()
        )
        await asyncio.sleep(70.0)
        assert len(asked) in {58, 59, 60}
        assert max(asked) <= told_ms
        assert rig.session.reports.fast.overdue_ns(rig.loop.monotonic_ns()) is None

    in_session(work, tmp_path)


def test_books_in_doubt_are_renewed_by_the_running_session(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.session.feed.connected()
        rig.is_ticking = False
        await asyncio.sleep(6.0)
        assert None in rig.public.renewed  # nothing at all was heard: the stream is opened anew

    in_session(work, tmp_path)
