"""Commands on a session: each is in force when it returns."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from session_rig import PRICE, SYMBOL, SessionRig, in_session

from trading_system.domain.errors import DeadlineExceeded, OrderDenied, ValidationError
from trading_system.domain.instruments import plain
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.execution.brake import LOSS_LIMIT
from trading_system.live import control
from trading_system.risk.limits import TradingState


def test_a_pause_begins_nothing_but_still_closes(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        paused = control.pause(rig.session, "lunch")
        assert paused["paused"] == "lunch"
        assert paused["holds"] == {"pause": "paused: lunch"}
        assert paused["trading_state"] == "ACTIVE"
        await rig.enter()
        assert rig.venue.sent == []
        assert control.resume(rig.session, reset_limits=False)["paused"] is None
        await rig.enter()
        assert len(rig.venue.sent) == 1
        control.pause(rig.session, "lunch")
        assert await control.close(rig.session, SYMBOL) is not False
        assert rig.venue.held == 0

    in_session(work, tmp_path)


def test_reduce_only_lets_a_position_shrink_and_not_grow(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await rig.enter()
        answer = control.reduce_only(rig.session, "news")
        assert answer["trading_state"] == "REDUCING"
        refused = await execute(rig, "0.01")
        assert (refused["success"], "reducing" in refused["error"]) == (False, True)
        closed = await control.close(rig.session, SYMBOL)
        assert closed is not False
        assert closed["success"] is True
        assert rig.venue.sent[-1].reduce_only is True

    in_session(work, tmp_path)


def test_a_kill_closes_only_when_asked_to_and_a_resume_lifts_it(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await rig.enter()
        held = rig.venue.held
        killed = await control.kill(rig.session, "test", flatten=False)
        assert killed["position"] == {SYMBOL: plain(held)}
        assert (killed["confirmed"], killed["flattened"]) == (True, False)
        assert killed["trading_state"] == "HALTED"
        with pytest.raises(OrderDenied, match="kill: test"):
            await control.close(rig.session, SYMBOL)
        killed = await control.kill(rig.session, "test", flatten=True)
        assert (killed["position"], killed["flattened"]) == ({}, True)
        assert control.resume(rig.session, reset_limits=False)["trading_state"] == "ACTIVE"

    in_session(work, tmp_path)


def test_a_latched_loss_limit_needs_a_reset_and_lifts_nothing_before(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        session = rig.session
        session.engine.latch(LOSS_LIMIT, TradingState.REDUCING, "2 % lost today")
        control.reduce_only(session, "news")
        control.pause(session, "lunch")
        with pytest.raises(OrderDenied, match="reset-limits"):
            control.resume(session, reset_limits=False)
        assert set(control.holds_of(session)) == {LOSS_LIMIT, "operator", "pause"}
        assert control.resume(session, reset_limits=True) == {
            "trading_state": "ACTIVE",
            "paused": None,
            "holds": {},
        }

    in_session(work, tmp_path)


async def execute(rig: SessionRig, quantity: str, **how: Any) -> dict[str, Any]:
    given = {"algorithm": "market", "urgency": "NORMAL", **how}
    return await control.execute(rig.session, SYMBOL, "Buy", quantity, **given)


@pytest.mark.parametrize("algorithm", ["market", "twap", None])
@pytest.mark.parametrize("urgency", ["LOW", "NORMAL", "HIGH"])
def test_an_execution_trades_and_says_what_it_cost(
    algorithm: str | None, urgency: str, tmp_path: Path
) -> None:
    async def work(rig: SessionRig) -> None:
        answer = await execute(rig, "0.05", algorithm=algorithm, urgency=urgency)
        assert (answer["success"], answer["error"]) == (True, None)
        assert answer["order_result"]["total_filled"] == 0.05
        assert answer["execution_metrics"]["fill_rate"] == 1.0
        assert rig.session.own_quantity(SYMBOL) == Decimal("0.05")
        assert sum(intent.quantity for intent in rig.venue.sent) == Decimal("0.05")

    in_session(work, tmp_path)


def test_a_limit_execution_rests_at_the_own_side_until_its_time_is_over(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.auto_fill = False
        began = rig.loop.time()
        answer = await execute(rig, "0.05", algorithm="limit", urgency="HIGH")
        assert answer["success"] is False
        assert 19.0 <= rig.loop.time() - began <= 22.0
        (intent,) = rig.venue.sent
        assert (intent.order_type, intent.side) == (OrderType.LIMIT, Side.BUY)
        assert intent.time_in_force is TimeInForce.GTC
        assert intent.price is not None
        assert intent.price < PRICE
        assert rig.venue.cancelled == [intent.link_id]
        assert rig.session.engine.live_orders == ()

    in_session(work, tmp_path)


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"algorithm": "iceberg"}, "iceberg"),
        ({"urgency": "PANIC"}, "PANIC"),
        ({"urgency": "PANIC", "algorithm": None}, "urgency"),
        ({"quantity": "0.0001"}, "multiple"),
        ({"quantity": "0.0001", "algorithm": None}, "multiple"),
        ({"quantity": "many"}, "many"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "nan"}, "nan|NaN|finite"),
    ],
)
def test_an_execution_that_makes_no_sense_is_refused(
    how: dict[str, Any], match: str, tmp_path: Path
) -> None:
    async def work(rig: SessionRig) -> None:
        given = {"quantity": "0.05", **how}
        with pytest.raises(ValidationError, match=match):
            await execute(rig, **given)
        with pytest.raises(ValidationError, match="side"):
            await control.execute(
                rig.session, SYMBOL, "Long", "0.05", algorithm="market", urgency="LOW"
            )
        with pytest.raises(ValidationError, match="TRADING_SYMBOLS"):
            await control.execute(rig.session, "FOOUSDT", "Buy", "1", algorithm=None, urgency="LOW")
        assert rig.venue.sent == []

    in_session(work, tmp_path)


def test_closing_nothing_is_said_and_sends_nothing(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        assert await control.close(rig.session, SYMBOL) is False
        assert await control.close(rig.session, "FOOUSDT") is False
        assert rig.venue.sent == []

    in_session(work, tmp_path)


def test_closing_waits_for_the_outcome_and_for_an_entry_at_work(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        rig.venue.ack_s = 1.0
        async with asyncio.TaskGroup() as group:
            entering = group.create_task(rig.enter())
            await asyncio.sleep(0.1)
            assert rig.session.trader.busy_symbols == {SYMBOL}
            closed = await control.close(rig.session, SYMBOL)
            await entering
        assert closed is not False
        assert closed["order_result"]["is_complete"] is True
        assert [intent.side for intent in rig.venue.sent] == [Side.BUY, Side.SELL]
        assert rig.session.own_quantity(SYMBOL) == 0

    in_session(work, tmp_path)


def test_closing_gives_up_waiting_but_not_closing(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await rig.enter()
        rig.venue.ack_s = 30.0
        with pytest.raises(DeadlineExceeded, match=f"closing {SYMBOL}"):
            await control.close(rig.session, SYMBOL)
        assert rig.session.own_quantity(SYMBOL) != 0
        await rig.settled()
        assert rig.session.own_quantity(SYMBOL) == 0

    in_session(work, tmp_path)
