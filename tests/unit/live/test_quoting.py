"""What a market maker holds of a session, over a test's venue."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from session_rig import PRICE, SYMBOL, SessionRig, in_session

from trading_system.domain.errors import ConfigurationError, OrderDenied, ValidationError
from trading_system.domain.orders import OrderIntent, OrderType, PriceChange, Side, TimeInForce
from trading_system.risk.limits import TradingState


def quote(rig: SessionRig, price: str, side: Side = Side.BUY) -> OrderIntent:
    desk = rig.session.client.quoting
    return OrderIntent(
        symbol=SYMBOL,
        side=side,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=Decimal(price),
        time_in_force=TimeInForce.POST_ONLY,
        link_id=desk.next_link_id(),
    )


def test_the_view_is_the_decision_books(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        view = rig.session.client.quoting.quote_view(SYMBOL)
        assert view is not None
        assert (view.ask - view.bid, view.position) == (Decimal("0.2"), 0)
        assert view.mid == float(PRICE)
        assert view.bid <= Decimal(view.microprice) <= view.ask
        assert 0.0 <= view.age_s <= 0.2
        rig.is_ticking = False
        await asyncio.sleep(1.5)
        older = rig.session.client.quoting.quote_view(SYMBOL)
        assert older is not None
        assert older.age_s > 1.4

    in_session(work, tmp_path)


def test_a_symbol_in_hedge_mode_is_not_quoted(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.session.portfolio.hedged = frozenset({SYMBOL})
        with pytest.raises(ConfigurationError, match="one-way mode"):
            await rig.session.client.quoting.instrument(SYMBOL)

    in_session(work, tmp_path)


def test_without_a_trusted_book_there_is_no_view(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        desk = rig.session.client.quoting
        assert desk.quote_view("FOOUSDT") is None
        rig.is_ticking = False
        rig.session.feed.reset()
        assert desk.quote_view(SYMBOL) is None

    in_session(work, tmp_path)


def test_rules_fees_and_candles_are_the_venues(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        desk = rig.session.client.quoting
        await desk.ensure_ready()
        assert (await desk.instrument(SYMBOL)).symbol == SYMBOL
        assert desk.maker_fee(SYMBOL) == 0.0002
        candles = await desk.get_kline_data(SYMBOL, limit=20)
        assert candles[0]["timestamp"] < candles[-1]["timestamp"]
        with pytest.raises(ValidationError, match="FOOUSDT"):
            await desk.instrument("FOOUSDT")
        with pytest.raises(ValidationError, match="FOOUSDT"):
            desk.maker_fee("FOOUSDT")

    in_session(work, tmp_path)


def test_opening_is_allowed_only_while_nothing_holds_pauses_or_ends_the_session(
    tmp_path: Path,
) -> None:
    async def work(rig: SessionRig) -> None:
        session, desk = rig.session, rig.session.client.quoting
        assert desk.may_open()
        session.engine.holds.set("test", TradingState.REDUCING, "a test")
        assert not desk.may_open()
        session.engine.holds.clear("test")
        session.trader.pause("lunch")
        assert not desk.may_open()
        session.trader.resume()
        rig.private.is_up = False
        assert not desk.may_open()
        rig.private.is_up = True
        assert desk.may_open()
        await session.drain()
        assert not desk.may_open()

    in_session(work, tmp_path)


def test_quotes_are_placed_moved_and_cancelled_through_the_gate(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        desk = rig.session.client.quoting
        bid, ask = quote(rig, "49990"), quote(rig, "50010", Side.SELL)
        placed = await desk.place_orders([bid, ask])
        assert [outcome.error for outcome in placed] == [None, None]
        assert [o.link_id for o in desk.resting_orders(SYMBOL)] == [bid.link_id, ask.link_id]
        moved = await desk.amend_orders(
            [PriceChange(symbol=SYMBOL, link_id=bid.link_id, price=Decimal(49_980))]
        )
        assert moved[0].error is None
        assert rig.venue.resting[bid.link_id].price == 49_980
        orders = [(SYMBOL, bid.link_id), (SYMBOL, ask.link_id)]
        cancelled = await desk.cancel_orders(orders)
        assert [outcome.error for outcome in cancelled] == [None, None]
        assert desk.resting_orders(SYMBOL) == ()

    in_session(work, tmp_path)


def test_while_halted_nothing_is_placed_or_moved_but_everything_may_be_cancelled(
    tmp_path: Path,
) -> None:
    async def work(rig: SessionRig) -> None:
        desk = rig.session.client.quoting
        bid = quote(rig, "49990")
        await desk.place_orders([bid])
        rig.session.engine.holds.set("test", TradingState.HALTED, "a test")
        (refused,) = await desk.place_orders([quote(rig, "49980")])
        assert isinstance(refused.error, OrderDenied)
        (kept,) = await desk.amend_orders(
            [PriceChange(symbol=SYMBOL, link_id=bid.link_id, price=Decimal(49_980))]
        )
        assert isinstance(kept.error, OrderDenied)
        assert rig.venue.resting[bid.link_id].price == 49_990
        await desk.cancel_orders([(SYMBOL, bid.link_id)])
        assert rig.venue.resting == {}

    in_session(work, tmp_path)
