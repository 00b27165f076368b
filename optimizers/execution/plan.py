"""From one book and one wish to a parent order; pure.

==========  ======================================  =========================================
urgency     ``Market``                              ``Limit``
==========  ======================================  =========================================
LOW         rests post-only, then crosses (IOC)     rests post-only at the best own price
NORMAL      crosses (IOC)                           rests (GTC) a quarter of the spread inside
HIGH        crosses (IOC), shortest time limit      fill-or-kill at the slippage limit
==========  ======================================  =========================================

Rules in order: a quantity above the optimal size is cut into chunks over time; a spread above
0.1 % makes a market order a limit order at the urgency's price; pressure in the order's favour in
a quiet market makes it wait, pressure against it in a fast market makes it cross (not for HIGH,
which always crosses).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from optimizers.execution.wishes import Wish
from optimizers.microstructure.advice import STRONG_IMBALANCE, WIDE_SPREAD_PCT
from optimizers.microstructure.impact import cost_of_quantity, optimal_quantity, quantity_within
from optimizers.microstructure.levels import BookLevels
from trading_system.domain.errors import OrderDenied
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side, TimeInForce
from trading_system.domain.parents import ExecutionStyle, ParentOrder
from trading_system.risk.limits import DenyReason

FAST_MARKET_PCT = 0.5
"""Volatility above which pressure against an order makes it cross, percent per minute."""

QUIET_MARKET_PCT = 0.1
"""Volatility below which pressure in an order's favour makes it wait, percent per minute."""

_BPS = 10_000.0
_LIMIT_TIMES_S = {"LOW": 30.0, "NORMAL": 10.0, "HIGH": 3.0}
_SPREAD_TIMES_S = {"LOW": 60.0, "NORMAL": 20.0, "HIGH": 5.0}
_PASSIVE_S = 5.0
_STYLES = {"LOW": "PASSIVE", "NORMAL": "CONSERVATIVE", "HIGH": "ULTRA_AGGRESSIVE"}
_INSIDE = {"LOW": Decimal(0), "NORMAL": Decimal("0.25")}


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEstimate:
    """What the whole quantity would cost if it were taken at once; bps of the mid.

    Parameters
    ----------
    expected_bps : float or None
        Exact walk of the displayed book; None when it does not show the quantity.
    spread_bps : float
        Half the quoted spread, a part of it.
    impact_bps : float or None
        The rest of it.
    optimal_quantity : float
        Base currency whose average cost stays inside the slippage limit.
    """

    expected_bps: float | None
    spread_bps: float
    impact_bps: float | None
    optimal_quantity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a wish will be worked, and what was looked at."""

    parent: ParentOrder
    estimate: CostEstimate
    style: str
    limit_offset: float
    chunks: int

    def applied(self) -> dict[str, Any]:
        """Return ``optimization_applied``, JSON-safe."""
        parent = self.parent
        chunk = parent.chunk_quantity or parent.quantity
        is_limit = parent.style is ExecutionStyle.LIMIT or (
            parent.effective_time_in_force is TimeInForce.FOK
        )
        return {
            "order_type": "Limit" if is_limit else "Market",
            "time_in_force": _WIRE_NAMES[parent.effective_time_in_force],
            "execution_style": self.style,
            "slippage_tolerance": parent.max_slippage_bps,
            "use_limit_orders": is_limit or parent.style is ExecutionStyle.PASSIVE,
            "limit_offset": self.limit_offset,
            "split_order": parent.style is ExecutionStyle.TWAP,
            "chunk_size": float(chunk),
            "chunks": self.chunks,
        }


_WIRE_NAMES = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.POST_ONLY: "PostOnly",
}


def estimate_cost(
    levels: BookLevels, *, side: Side, quantity: float, max_slippage_bps: float
) -> CostEstimate:
    """Return what taking ``quantity`` (base currency) at once would cost now."""
    taken, mid = levels.consumed_by(side), levels.mid
    half = levels.spread / 2.0 / mid * _BPS
    expected = cost_of_quantity(taken, mid, quantity)
    return CostEstimate(
        expected_bps=expected,
        spread_bps=half,
        impact_bps=None if expected is None else expected - half,
        optimal_quantity=optimal_quantity(taken, mid, budget_bps=max_slippage_bps),
    )


def make_plan(
    wish: Wish,
    levels: BookLevels,
    instrument: Instrument,
    *,
    max_slippage_bps: float,
    volatility_pct: float | None,
    imbalance: float,
    seed: int = 0,
) -> Plan:
    """Return how to work ``wish`` in the market of ``levels``.

    Parameters
    ----------
    volatility_pct : float or None
        Percent of the price per minute; None (unknown) switches nothing.
    imbalance : float
        (bids - asks) / (bids + asks), in [-1, 1].
    seed : int
        Seed of the chunks' random shifts.

    Raises
    ------
    OrderDenied
        If the venue would refuse the order as too small.
    """
    quantity = wish.quantity
    _check_size(wish, levels, instrument)
    estimate = estimate_cost(
        levels, side=wish.side, quantity=float(quantity), max_slippage_bps=max_slippage_bps
    )
    is_wide = levels.spread / levels.mid * 100.0 > WIDE_SPREAD_PCT
    if wish.is_limit or is_wide or estimate.optimal_quantity <= 0.0:
        return _limit_plan(wish, levels, instrument, estimate, max_slippage_bps=max_slippage_bps)
    takeable = quantity_within(levels.consumed_by(wish.side), levels.mid, bps=max_slippage_bps)
    bearable = _chunk(min(takeable, estimate.optimal_quantity), instrument, levels, wish)
    if quantity > bearable:
        return _spread_plan(
            wish, estimate, chunk=bearable, max_slippage_bps=max_slippage_bps, seed=seed
        )
    style = _style(wish, imbalance=imbalance, volatility_pct=volatility_pct)
    parent = ParentOrder(
        symbol=wish.symbol,
        side=wish.side,
        quantity=quantity,
        style=ExecutionStyle.PASSIVE if style == "PASSIVE" else ExecutionStyle.MARKET,
        reduce_only=wish.reduce_only,
        max_slippage_bps=max_slippage_bps,
        time_limit_s=_LIMIT_TIMES_S[wish.urgency],
        purpose=_purpose(wish),
        passive_s=_PASSIVE_S,
    )
    return Plan(parent=parent, estimate=estimate, style=style, limit_offset=0.0, chunks=1)


def _check_size(wish: Wish, levels: BookLevels, instrument: Instrument) -> None:
    if wish.quantity < instrument.min_qty:
        raise OrderDenied(
            DenyReason.QUANTITY_RANGE.value,
            f"quantity {wish.quantity} is below the least {instrument.min_qty}",
        )
    value = float(wish.quantity) * levels.mid
    if value < float(instrument.min_notional) and not wish.reduce_only:
        raise OrderDenied(
            DenyReason.MIN_NOTIONAL.value,
            f"order value {value:.2f} is below the least {instrument.min_notional}",
        )


def _chunk(bearable: float, instrument: Instrument, levels: BookLevels, wish: Wish) -> Decimal:
    # What the book bears on the grid, at least the smallest order and at most the largest. Every
    # child has its limit price at the slippage limit, so levels beyond that cannot be counted on.
    lots = instrument.floor_lots(Decimal(str(bearable)))
    least = max(instrument.min_qty, _least_quantity(instrument, levels, wish))
    chunk = max(instrument.lots_to_qty(lots), least)
    return min(chunk, instrument.max_market_qty)


def _least_quantity(instrument: Instrument, levels: BookLevels, wish: Wish) -> Decimal:
    if wish.reduce_only:
        return instrument.min_qty
    least = instrument.min_notional / Decimal(str(levels.mid))
    return instrument.lots_to_qty(-instrument.floor_lots(-least))


def _style(wish: Wish, *, imbalance: float, volatility_pct: float | None) -> str:
    style = _STYLES[wish.urgency]
    if wish.urgency == "HIGH" or volatility_pct is None:
        return style
    pressure = imbalance * wish.side.sign  # positive: the price is pushed away from the order
    if pressure > STRONG_IMBALANCE and volatility_pct > FAST_MARKET_PCT:
        return "AGGRESSIVE"
    if pressure < -STRONG_IMBALANCE and volatility_pct < QUIET_MARKET_PCT:
        return "PASSIVE"
    return style


def _limit_plan(
    wish: Wish,
    levels: BookLevels,
    instrument: Instrument,
    estimate: CostEstimate,
    *,
    max_slippage_bps: float,
) -> Plan:
    price = _limit_price(wish, levels, instrument, max_slippage_bps=max_slippage_bps)
    own = levels.bids.prices[0] if wish.side is Side.BUY else levels.asks.prices[0]
    is_kill = wish.is_limit and wish.urgency == "HIGH"
    parent = ParentOrder(
        symbol=wish.symbol,
        side=wish.side,
        quantity=wish.quantity,
        style=ExecutionStyle.MARKET if is_kill else ExecutionStyle.LIMIT,
        reduce_only=wish.reduce_only,
        max_slippage_bps=max_slippage_bps,
        time_limit_s=_LIMIT_TIMES_S[wish.urgency],
        purpose=_purpose(wish),
        time_in_force=_limit_time_in_force(wish, is_kill=is_kill),
        limit_price=None if is_kill else price,
    )
    return Plan(
        parent=parent,
        estimate=estimate,
        style=_STYLES[wish.urgency],
        limit_offset=abs(float(price) - own),
        chunks=1,
    )


def _limit_time_in_force(wish: Wish, *, is_kill: bool) -> TimeInForce:
    if is_kill:
        return TimeInForce.FOK
    return TimeInForce.POST_ONLY if wish.urgency == "LOW" else TimeInForce.GTC


def _limit_price(
    wish: Wish, levels: BookLevels, instrument: Instrument, *, max_slippage_bps: float
) -> Decimal:
    # The urgency's price between the own best and the slippage limit, rounded away from cost.
    is_buy = wish.side is Side.BUY
    bid, ask = Decimal(str(levels.bids.prices[0])), Decimal(str(levels.asks.prices[0]))
    own, opposite = (bid, ask) if is_buy else (ask, bid)
    mid = (bid + ask) / 2
    worst = mid + wish.side.sign * mid * Decimal(str(max_slippage_bps)) / 10_000
    inside = _INSIDE.get(wish.urgency)
    price = worst if inside is None else own + (opposite - own) * inside
    if is_buy:
        return instrument.ticks_to_price(instrument.floor_ticks(min(price, worst, opposite)))
    return instrument.ticks_to_price(instrument.ceil_ticks(max(price, worst, opposite)))


def _spread_plan(
    wish: Wish, estimate: CostEstimate, *, chunk: Decimal, max_slippage_bps: float, seed: int
) -> Plan:
    parent = ParentOrder(
        symbol=wish.symbol,
        side=wish.side,
        quantity=wish.quantity,
        style=ExecutionStyle.TWAP,
        reduce_only=wish.reduce_only,
        max_slippage_bps=max_slippage_bps,
        time_limit_s=_SPREAD_TIMES_S[wish.urgency],
        purpose=_purpose(wish),
        chunk_quantity=chunk,
        impact_budget_bps=max(0.0, max_slippage_bps - estimate.spread_bps),
        seed=seed,
    )
    return Plan(
        parent=parent,
        estimate=estimate,
        style=_STYLES[wish.urgency],
        limit_offset=0.0,
        chunks=math.ceil(wish.quantity / chunk),
    )


def _purpose(wish: Wish) -> str:
    return f"{'exit' if wish.reduce_only else 'entry'}: optimized, urgency {wish.urgency}"
