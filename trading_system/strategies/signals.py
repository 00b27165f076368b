"""Signal strategy: target positions from the consensus, with every reason to leave a trade.

Pure decisions: nothing here sends, waits or reads a clock. A trade is entered when the expected
move, shrunk by its uncertainty, pays the whole round trip; its size shrinks with volatility and
with disagreement. It ends when its thesis is invalid (an adverse move), when it gives back too
much of its best (trailing stop), when the signal turns, when the horizon is over and the signal
does not renew it, or at the longest holding time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from trading_system.config.sections import StrategySettings
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.domain.parents import ExecutionStyle, ParentOrder
from trading_system.domain.signals import Consensus, MarketFeatures

_NS_PER_S = 1_000_000_000
_BPS = 10_000.0
_SWING_SIGMAS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Fee rates as fractions of traded value."""

    taker: float
    maker: float


class ExitReason(Enum):
    """Why a trade ends."""

    HORIZON = "the signal's horizon is over"
    REVERSED = "the signal reversed"
    INVALIDATED = "the invalidation level was reached"
    TRAILING_STOP = "trailing stop"
    MAX_HOLD = "longest holding time"
    REQUESTED = "requested"


class EntryRefusal(Enum):
    """Why a consensus does not pay for a position."""

    NO_QUORUM = "too few independent agents took part"
    NO_MOVE = "no move is left after the uncertainty"
    NO_EDGE = "the edge after costs is too small"
    TOO_SMALL = "the quantity would be below the venue's smallest"


_PATIENT = frozenset({ExitReason.HORIZON, ExitReason.MAX_HOLD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a position should go.

    Parameters
    ----------
    quantity : Decimal
        Signed, base currency, on the instrument's step; zero closes.
    is_patient : bool
        Whether the change can wait a little for a better price.
    purpose : str
        Why, for the report.
    """

    symbol: str
    quantity: Decimal
    is_patient: bool
    purpose: str


@dataclass(slots=True)
class Trip:
    """An open trade of the strategy; ``best_mid`` is the mid that was best for it so far."""

    side: Side
    entered_ns: int
    entry_mid: float
    renewed_ns: int
    best_mid: float

    def gain_bps(self, mid: float) -> float:
        """Return the move of the mid since the entry in the trade's direction, basis points."""
        return (mid - self.entry_mid) / self.entry_mid * _BPS * self.side.sign

    def follow(self, mid: float) -> None:
        """Note the newest mid."""
        if (mid - self.best_mid) * self.side.sign > 0:
            self.best_mid = mid


def begin_trip(side: Side, *, mid: float, now_ns: int) -> Trip:
    """Return a trade that begins now at ``mid``."""
    return Trip(side=side, entered_ns=now_ns, entry_mid=mid, renewed_ns=now_ns, best_mid=mid)


def round_trip_cost_bps(features: MarketFeatures, costs: Costs) -> float:
    """Return the cost of crossing the spread twice and paying taker fees twice."""
    return features.spread_bps + 2 * costs.taker * _BPS


def judged_move_bps(consensus: Consensus, rules: StrategySettings) -> float:
    """Return the expected move shrunk towards zero by its uncertainty, signed."""
    size = abs(consensus.expected_move_bps)
    if not rules.is_relaxed:
        size = max(0.0, size - rules.confidence * consensus.uncertainty_bps)
    return size if consensus.expected_move_bps > 0 else -size


def entry_target(
    features: MarketFeatures,
    consensus: Consensus,
    *,
    rules: StrategySettings,
    costs: Costs,
    instrument: Instrument,
) -> Target | None:
    """Return the position that the consensus pays for, None if it does not."""
    weighed = weigh_entry(features, consensus, rules=rules, costs=costs, instrument=instrument)
    return weighed if isinstance(weighed, Target) else None


def weigh_entry(
    features: MarketFeatures,
    consensus: Consensus,
    *,
    rules: StrategySettings,
    costs: Costs,
    instrument: Instrument,
) -> Target | EntryRefusal:
    """Return the position that the consensus pays for, or why it does not."""
    if not consensus.has_quorum:
        return EntryRefusal.NO_QUORUM
    move_bps = judged_move_bps(consensus, rules)
    if move_bps == 0.0:
        return EntryRefusal.NO_MOVE
    edge_bps = entry_edge_bps(features, move_bps, costs)
    if edge_bps < rules.min_edge_bps:
        return EntryRefusal.NO_EDGE
    quantity = entry_quantity(features, consensus, rules=rules, instrument=instrument)
    if quantity is None:
        return EntryRefusal.TOO_SMALL
    return Target(
        symbol=features.symbol,
        quantity=quantity if move_bps > 0 else -quantity,
        is_patient=False,
        purpose=f"entry: expected {move_bps:+.1f} bps, edge {edge_bps:+.1f} bps after costs",
    )


def entry_edge_bps(features: MarketFeatures, move_bps: float, costs: Costs) -> float:
    """Return what a judged move leaves after the cost of the round trip, basis points."""
    return abs(move_bps) - round_trip_cost_bps(features, costs)


def size_factor(
    features: MarketFeatures, consensus: Consensus, *, rules: StrategySettings
) -> float:
    """Return the share of the full entry to take, in [0, 1].

    The invalidation level is a fixed distance away, so where two standard deviations over the
    horizon reach beyond it the size shrinks in proportion: the expected loss stays the same. It
    shrinks also with disagreement (quantity times 1 - H / ln 2 of the votes).
    """
    swing_bps = _SWING_SIGMAS * features.volatility_bps * math.sqrt(consensus.horizon_s)
    calm = min(1.0, rules.stop_loss_bps / swing_bps) if swing_bps > 0.0 else 1.0
    return calm * min(1.0, max(0.0, consensus.agreement))


def entry_quantity(
    features: MarketFeatures,
    consensus: Consensus,
    *,
    rules: StrategySettings,
    instrument: Instrument,
) -> Decimal | None:
    """Return the entry's quantity on the instrument's grid, None if it would be too small."""
    price = Decimal(str(features.mid))
    factor = Decimal(str(size_factor(features, consensus, rules=rules)))
    notional = rules.entry_notional * factor
    quantity = instrument.lots_to_qty(instrument.floor_lots(notional / price))
    if quantity < instrument.min_qty or quantity * price < instrument.min_notional:
        return None
    return min(quantity, instrument.max_market_qty)


def exit_reason(
    trip: Trip, features: MarketFeatures, consensus: Consensus | None, *, rules: StrategySettings
) -> ExitReason | None:
    """Return why the open trade should end now, None to keep it.

    The costs of leaving are paid either way, so a trade is renewed while the judged move still
    points its way, and ends one horizon after the last renewal.
    """
    trip.follow(features.mid)
    gain_bps, best_bps = trip.gain_bps(features.mid), trip.gain_bps(trip.best_mid)
    if gain_bps <= -rules.stop_loss_bps:
        return ExitReason.INVALIDATED
    # The trailing stop takes over once it can no longer lock in a loss.
    if best_bps >= rules.trailing_stop_bps and best_bps - gain_bps >= rules.trailing_stop_bps:
        return ExitReason.TRAILING_STOP
    if features.ts_ns - trip.entered_ns >= rules.max_hold_s * _NS_PER_S:
        return ExitReason.MAX_HOLD
    if consensus is None:
        return None
    judged = judged_move_bps(consensus, rules) * trip.side.sign
    if judged < 0:
        return ExitReason.REVERSED
    if judged > 0:
        trip.renewed_ns = features.ts_ns
    if features.ts_ns - trip.renewed_ns >= consensus.horizon_s * _NS_PER_S:
        return ExitReason.HORIZON
    return None


def exit_target(symbol: str, reason: ExitReason) -> Target:
    """Return the flat target; an exit at the end of a horizon can wait a little."""
    return Target(
        symbol=symbol,
        quantity=Decimal(0),
        is_patient=reason in _PATIENT,
        purpose=f"exit: {reason.value}",
    )


def parent_towards(
    target: Target, position: Decimal, *, rules: StrategySettings
) -> ParentOrder | None:
    """Return the parent order from ``position`` (signed) to ``target``, None if it is there.

    A parent that only shrinks the position is reduce-only.
    """
    change = target.quantity - position
    if not change:
        return None
    shrinks = target.quantity * position >= 0 and abs(target.quantity) < abs(position)
    return ParentOrder(
        symbol=target.symbol,
        side=Side.BUY if change > 0 else Side.SELL,
        quantity=abs(change),
        style=ExecutionStyle.PASSIVE if target.is_patient else ExecutionStyle.MARKET,
        reduce_only=shrinks,
        max_slippage_bps=rules.max_slippage_bps,
        time_limit_s=rules.time_limit_s,
        purpose=target.purpose,
    )


def protective_price(
    side: Side, mid: float, *, rules: StrategySettings, instrument: Instrument
) -> Decimal:
    """Return where the stop for a position of ``side`` rests at the venue, on the price grid.

    It lies beyond the strategy's own exits and acts when the system cannot.
    """
    price = Decimal(str(mid)) * (1 - side.sign * Decimal(str(rules.protective_stop_bps)) / 10_000)
    ticks = instrument.floor_ticks(price) if side is Side.BUY else instrument.ceil_ticks(price)
    return instrument.ticks_to_price(max(1, ticks))
