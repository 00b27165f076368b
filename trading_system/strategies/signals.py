"""Signal strategy: enters when the expected move pays the round trip, leaves when it is over.

Pure decisions: nothing here sends, waits or reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.domain.signals import MarketFeatures, Opinion
from trading_system.domain.parents import ExecutionStyle, ParentOrder

_NS_PER_S = 1_000_000_000
_BPS = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRules:
    """When to trade and how much.

    Parameters
    ----------
    min_edge_bps : float
        Smallest expected move left after all costs of the round trip, basis points. Negative
        values relax the cost rule, for demonstrations on recorded flow only.
    confidence : float
        Standard errors that are subtracted from the expected move before it is judged.
    entry_notional : Decimal
        Value of an entry, quote currency.
    max_hold_s : float
        Longest holding time, seconds.
    stop_loss_bps : float
        Adverse move of the mid since the entry that ends the trade, basis points.
    max_slippage_bps : float
        Cost limit of each parent order against its arrival mid, basis points.
    time_limit_s : float
        Time limit of each parent order, seconds.
    decision_interval_s : float
        Shortest time between two parents of one symbol, seconds.
    """

    min_edge_bps: float
    confidence: float
    entry_notional: Decimal
    max_hold_s: float
    stop_loss_bps: float
    max_slippage_bps: float
    time_limit_s: float
    decision_interval_s: float

    @property
    def is_relaxed(self) -> bool:
        """Whether trades that do not pay their costs are allowed."""
        return self.min_edge_bps < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Fee rates as fractions of traded value."""

    taker: float
    maker: float


class ExitReason(Enum):
    """Why a trade ends."""

    HORIZON = "the signal's horizon is over"
    REVERSED = "the signal reversed"
    STOP_LOSS = "stop loss"
    MAX_HOLD = "longest holding time"


@dataclass(slots=True)
class Trip:
    """An open trade of the strategy."""

    side: Side
    entered_ns: int
    entry_mid: float
    renewed_ns: int


def round_trip_cost_bps(features: MarketFeatures, costs: Costs) -> float:
    """Return the cost of crossing the spread twice and paying taker fees twice."""
    return features.spread_bps + 2 * costs.taker * _BPS


def judged_move_bps(opinion: Opinion, rules: SignalRules) -> float:
    """Return the expected move shrunk towards zero by its uncertainty, signed."""
    size = max(0.0, abs(opinion.expected_move_bps) - rules.confidence * opinion.uncertainty_bps)
    if rules.is_relaxed:
        size = abs(opinion.expected_move_bps)
    return size if opinion.expected_move_bps > 0 else -size


def entry(
    features: MarketFeatures,
    opinion: Opinion,
    *,
    rules: SignalRules,
    costs: Costs,
    instrument: Instrument,
) -> ParentOrder | None:
    """Return the entry that the opinion pays for, None if it does not."""
    move_bps = judged_move_bps(opinion, rules)
    edge_bps = abs(move_bps) - round_trip_cost_bps(features, costs)
    if move_bps == 0.0 or edge_bps < rules.min_edge_bps:
        return None
    quantity = entry_quantity(features.mid, rules=rules, instrument=instrument)
    if quantity is None:
        return None
    return ParentOrder(
        symbol=features.symbol,
        side=Side.BUY if move_bps > 0 else Side.SELL,
        quantity=quantity,
        style=ExecutionStyle.MARKET,
        reduce_only=False,
        max_slippage_bps=rules.max_slippage_bps,
        time_limit_s=rules.time_limit_s,
        purpose=f"entry: expected {move_bps:+.1f} bps, edge {edge_bps:+.1f} bps after costs",
    )


def entry_quantity(mid: float, *, rules: SignalRules, instrument: Instrument) -> Decimal | None:
    """Return the entry's quantity on the instrument's grid, None if it would be too small."""
    price = Decimal(str(mid))
    quantity = instrument.lots_to_qty(instrument.floor_lots(rules.entry_notional / price))
    if quantity < instrument.min_qty or quantity * price < instrument.min_notional:
        return None
    return min(quantity, instrument.max_market_qty)


def exit_reason(
    trip: Trip, features: MarketFeatures, opinion: Opinion | None, *, rules: SignalRules
) -> ExitReason | None:
    """Return why the open trade should end now, None to keep it.

    The costs of leaving are paid either way, so a trade is renewed while the judged move still
    points its way, and ends one horizon after the last renewal.
    """
    moved_bps = (features.mid - trip.entry_mid) / trip.entry_mid * _BPS * trip.side.sign
    if moved_bps <= -rules.stop_loss_bps:
        return ExitReason.STOP_LOSS
    if features.ts_ns - trip.entered_ns >= rules.max_hold_s * _NS_PER_S:
        return ExitReason.MAX_HOLD
    if opinion is None:
        return None
    judged = judged_move_bps(opinion, rules) * trip.side.sign
    if judged < 0:
        return ExitReason.REVERSED
    if judged > 0:
        trip.renewed_ns = features.ts_ns
    if features.ts_ns - trip.renewed_ns >= opinion.horizon_s * _NS_PER_S:
        return ExitReason.HORIZON
    return None


def exit_order(
    symbol: str, position: Decimal, reason: ExitReason, *, rules: SignalRules
) -> ParentOrder:
    """Return the reduce-only parent that closes ``position`` (signed, not zero).

    An exit at the end of a horizon can wait a little for a better price; the others cross.
    """
    is_patient = reason in {ExitReason.HORIZON, ExitReason.MAX_HOLD}
    return ParentOrder(
        symbol=symbol,
        side=Side.SELL if position > 0 else Side.BUY,
        quantity=abs(position),
        style=ExecutionStyle.PASSIVE if is_patient else ExecutionStyle.MARKET,
        reduce_only=True,
        max_slippage_bps=rules.max_slippage_bps,
        time_limit_s=rules.time_limit_s,
        purpose=f"exit: {reason.value}",
    )
