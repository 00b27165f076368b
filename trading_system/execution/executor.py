"""Works parent orders through the gated engine, one child at a time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Final

from trading_system.domain.errors import OffGridError, ValidationError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side, TimeInForce
from trading_system.domain.parents import ExecutionStyle, ParentOrder, ParentResult
from trading_system.domain.ports import Clock
from trading_system.execution import schedule
from trading_system.execution.engine import ExecutionEngine
from trading_system.execution.work import Desk, ParentWork, Patience, Quote, Walk

_MAX_CROSSINGS = 8
_TWAP_SHARE = 0.8
_MAX_TAIL = 10
_BPS = 10_000.0

TOO_SMALL: Final = "the rest is below the smallest order"
"""Reason of a parent that ends with a quantity the venue would not take."""
STOPPED: Final = "stopped before the quantity was traded"
"""Reason of a parent that a stop cut short."""
UNFINISHED: Final = "the schedule ended before the quantity was traded"
"""Reason of a schedule whose tries did not suffice."""


class Executor:
    """Turns parents into gated child orders and measures what they cost.

    Parameters
    ----------
    engine : ExecutionEngine
        The gated engine.
    instruments : Mapping[str, Instrument]
        Tradable symbols.
    quote : Callable[[str], Quote]
        Newest best prices of a symbol.
    clock : Clock
        Durations.
    request_timeout_s : float
        Deadline of one order request, seconds.
    walk : callable or None
        What an immediate order would get from the visible book; sizes ``TWAP`` children and stops
        them early. Without it only the best prices are looked at.
    patience : Patience or None
        How resting orders and pauses are waited for.
    """

    def __init__(
        self,
        *,
        engine: ExecutionEngine,
        instruments: Mapping[str, Instrument],
        quote: Callable[[str], Quote],
        clock: Clock,
        request_timeout_s: float,
        walk: Walk | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._desk = Desk(
            engine=engine,
            instruments=instruments,
            quote=quote,
            walk=walk,
            clock=clock,
            patience=patience or Patience(),
            request_timeout_s=request_timeout_s,
        )

    async def execute(self, parent: ParentOrder) -> ParentResult | None:
        """Work ``parent`` to its end; None if there was no quote to start from.

        Returns only when every child's outcome is known, however long the venue is silent: a
        parent that was given up with an order at work could be traded a second time. A caller that
        is cancelled first asks the venue to cancel what rests.

        Raises
        ------
        ValidationError
            If the symbol is not one of the instruments; nothing was sent.
        """
        instrument = self._desk.instruments.get(parent.symbol)
        if instrument is None:
            raise ValidationError(f"{parent.symbol} is not a configured symbol")
        mid = self._desk.mid(parent.symbol)
        if mid is None:
            return None
        work = ParentWork(
            desk=self._desk,
            result=ParentResult(parent=parent, arrival_mid=mid),
            instrument=instrument,
            started_ns=self._desk.clock.monotonic_ns(),
        )
        try:
            await _WAYS[parent.style](work)
        except asyncio.CancelledError:
            await work.withdraw()
            raise
        return work.finish()

    def request_stop(self) -> None:
        """End all waiting: resting orders are cancelled and no further chunk of a TWAP is sent.

        Parents at work then end by themselves; what a parent has to do at once, it still does.
        """
        self._desk.patience.end()

    def own_quantity(self, symbol: str) -> Decimal:
        """Return the part of the position that this run's orders opened, signed."""
        return self._desk.engine.own_quantity(symbol)


async def _cross(work: ParentWork) -> None:
    parent = work.parent
    if parent.effective_time_in_force is TimeInForce.FOK:
        await work.cross(parent.quantity, time_in_force=TimeInForce.FOK)
    else:
        await _cross_rest(work)


async def _cross_rest(work: ParentWork) -> None:
    parent, result = work.parent, work.result
    while (
        result.filled_quantity < parent.quantity
        and len(result.children) < _MAX_CROSSINGS
        and work.left_s > 0
    ):
        before = result.filled_quantity
        if before and work.left_lots < work.min_lots():
            result.reason = TOO_SMALL
            return
        # An untouched parent goes out as it is: the gate says what is wrong with its quantity.
        quantity = work.instrument.lots_to_qty(work.left_lots) if before else parent.quantity
        is_sent = await work.cross(quantity, time_in_force=TimeInForce.IOC)
        if not is_sent or result.filled_quantity == before:
            return


async def _rest_then_cross(work: ParentWork) -> None:
    parent = work.parent
    price = _own_best(work)
    if price is not None:
        await work.rest(
            price=price,
            time_in_force=TimeInForce.POST_ONLY,
            quantity=parent.quantity,
            seconds=min(parent.passive_s, work.left_s),
        )
    await _cross_rest(work)


async def _rest(work: ParentWork) -> None:
    parent = work.parent
    price = parent.limit_price or _own_best(work)
    if price is None:
        work.result.reason = "no own price to rest at"
        return
    if not parent.reduce_only:
        pick = min if parent.side is Side.BUY else max
        price = pick(price, work.worst_price())
    await work.rest(
        price=price,
        time_in_force=parent.effective_time_in_force,
        quantity=parent.quantity,
        seconds=work.left_s,
    )


def _own_best(work: ParentWork) -> Decimal | None:
    quote = work.desk.quote(work.parent.symbol)
    return quote.bid if work.parent.side is Side.BUY else quote.ask


async def _spread(work: ParentWork) -> None:
    parent, result, rules = work.parent, work.result, work.instrument
    try:
        total = rules.qty_to_lots(parent.quantity)
    except OffGridError as e:
        result.reason = str(e)
        return
    if total < work.min_lots():
        result.reason = TOO_SMALL
        return
    for moment in _moments(work, total):
        if work.left_lots < work.min_lots():
            break
        if not await work.pause_until(moment.at_s):
            result.reason = STOPPED
            return
        if work.left_s <= 0 or not await _send_slice(work, moment.due_lots, total):
            return
    if result.remaining_quantity:
        is_small = work.left_lots < work.min_lots()
        result.reason = TOO_SMALL if is_small else result.reason or UNFINISHED


def _moments(work: ParentWork, total: int) -> tuple[schedule.Slice, ...]:
    # The schedule, then a tail of further tries with what is left.
    parent, min_lots = work.parent, work.min_lots()
    if parent.chunk_quantity is not None:
        chunk = work.instrument.floor_lots(parent.chunk_quantity)
    else:
        chunk = _bearable_lots(work, total)
    span_s = parent.time_limit_s * _TWAP_SHARE
    slices = schedule.twap(
        total,
        chunk_lots=max(1, chunk),
        min_lots=min_lots,
        span_s=span_s,
        jitter=parent.jitter,
        seed=parent.seed,
    )
    spacing_s = max(schedule.MIN_SPACING_S, span_s / len(slices))
    tail = min(_MAX_TAIL, math.ceil((parent.time_limit_s - span_s) / spacing_s))
    return slices + tuple(
        schedule.Slice(at_s=span_s + i * spacing_s, due_lots=total) for i in range(tail)
    )


async def _send_slice(work: ParentWork, due_lots: int, total: int) -> bool:
    # Sends what is due and bearable now; False when the parent has come to its end.
    parent, result = work.parent, work.result
    filled, min_lots = total - work.left_lots, work.min_lots()
    lots = schedule.next_lots(
        due_lots=due_lots,
        filled_lots=filled,
        total_lots=total,
        most_lots=max(min_lots, _bearable_lots(work, total - filled)),
        min_lots=min_lots,
    )
    assert lots > 0  # every slice is at least the smallest order beyond what may be filled
    cost_bps = _cost_bps(work, lots)
    if not parent.reduce_only and cost_bps is not None and cost_bps > parent.max_slippage_bps:
        result.reason = (
            f"estimated cost {cost_bps:.2f} bps is above the limit {parent.max_slippage_bps:g} bps"
        )
        return False
    is_sent = await work.cross(work.instrument.lots_to_qty(lots), time_in_force=TimeInForce.IOC)
    return is_sent or work.may_retry


def _bearable_lots(work: ParentWork, most_lots: int) -> int:
    # What the visible book bears inside the impact budget, all of it where no book is to be seen.
    parent, walk = work.parent, work.desk.walk
    quote = work.desk.quote(parent.symbol)
    best = quote.ask if parent.side is Side.BUY else quote.bid
    least = float(work.instrument.lots_to_qty(1))
    if walk is None or best is None or walk(parent.symbol, parent.side, least) is None:
        return most_lots
    budget_bps = parent.impact_budget_bps
    if budget_bps is None:
        budget_bps = parent.max_slippage_bps / 2
    return schedule.largest_lots(
        lambda lots: _average_shift_bps(work, lots, reference=float(best)),
        most_lots=most_lots,
        budget_bps=budget_bps,
    )


def _cost_bps(work: ParentWork, lots: int) -> float | None:
    return _average_shift_bps(work, lots, reference=float(work.result.arrival_mid))


def _average_shift_bps(work: ParentWork, lots: int, *, reference: float) -> float | None:
    # Signed cost of `lots` taken now against `reference`, None where the book does not show them.
    if work.desk.walk is None:
        return None
    quantity = float(work.instrument.lots_to_qty(lots))
    walked = work.desk.walk(work.parent.symbol, work.parent.side, quantity)
    if walked is None or walked.unfilled_qty > 0:
        return None
    return (walked.average_price - reference) / reference * _BPS * work.parent.side.sign


_WAYS: Final[dict[ExecutionStyle, Callable[[ParentWork], Awaitable[None]]]] = {
    ExecutionStyle.MARKET: _cross,
    ExecutionStyle.PASSIVE: _rest_then_cross,
    ExecutionStyle.LIMIT: _rest,
    ExecutionStyle.TWAP: _spread,
}
