"""What the strategy decided and why: a bounded record, and one sentence about this moment.

Nothing here decides. The sentence is made on request from the same functions that decide, and the
record keeps what they were given; both are put into words outside the tick path.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import islice

from trading_system.config.sections import StrategySettings
from trading_system.domain.instruments import Instrument, plain
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.strategies.signals import (
    Costs,
    EntryRefusal,
    Target,
    Trip,
    entry_edge_bps,
    exit_reason,
    judged_move_bps,
    round_trip_cost_bps,
    weigh_entry,
)

_KEEP = 500


class Hindrance(Enum):
    """Why a symbol is not decided on at this moment."""

    NOT_ACCEPTING = "signals are not traded: the strategy takes no new decisions"
    BUSY = "an order of this symbol is at work"
    WAITING = "the pause after the last decision is not over"


@dataclass(slots=True, kw_only=True)
class Decision:
    """One parent order that the strategy began, and what it was based on.

    Parameters
    ----------
    utc_ns : int
        When, UTC nanoseconds.
    features, consensus : MarketFeatures or None, Consensus or None
        What was seen; None where the decision was not made on a signal.
    costs : Costs
        Fee rates it was judged with.
    has_ended : bool
        Whether the parent has ended.
    result : ParentResult or None
        What became of it; None while it is at work, or when there was no quote to start from.
    """

    utc_ns: int
    parent: ParentOrder
    features: MarketFeatures | None
    consensus: Consensus | None
    costs: Costs
    has_ended: bool = False
    result: ParentResult | None = None

    @property
    def action(self) -> str:
        """``enter`` or ``exit``."""
        return "exit" if self.parent.reduce_only else "enter"

    @property
    def cost_bps(self) -> float | None:
        """Cost of the round trip it was judged with, basis points; None without a signal."""
        return None if self.features is None else round_trip_cost_bps(self.features, self.costs)

    @property
    def outcome(self) -> str | None:
        """What became of it, for people; None while it is at work."""
        if not self.has_ended:
            return None
        result = self.result
        if result is None:
            return "not sent: no quote to start from"
        slippage_bps = result.slippage_bps
        if slippage_bps is None:
            return f"not filled: {result.reason or 'the time limit was over'}"
        return f"filled {plain(result.filled_quantity)} at {slippage_bps:.1f} bps"


class DecisionLog:
    """The newest decisions, bounded.

    Parameters
    ----------
    capacity : int
        How many are kept, at least 1.
    """

    def __init__(self, capacity: int = _KEEP) -> None:
        assert capacity >= 1
        self._kept: deque[Decision] = deque(maxlen=capacity)

    def add(self, decision: Decision) -> None:
        """Keep a decision; beyond the capacity the oldest is dropped."""
        self._kept.append(decision)

    def newest(self, limit: int, *, symbol: str | None = None) -> list[Decision]:
        """Return up to ``limit`` decisions, newest first; of one symbol if it is given."""
        wanted = (d for d in reversed(self._kept) if symbol in {None, d.parent.symbol})
        return list(islice(wanted, limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """How a symbol stands when its consensus is judged.

    Parameters
    ----------
    hindrance : Hindrance or None
        Why it is not decided on now.
    wait_s : float
        What is left of a pause, seconds.
    own, position : Decimal
        Part of the position that this system opened, and the whole position; signed, base currency.
    trip : Trip or None
        The open trade; not changed.
    withheld : str or None
        Why no trade may begin although it pays.
    """

    hindrance: Hindrance | None = None
    wait_s: float = 0.0
    own: Decimal = Decimal(0)
    position: Decimal = Decimal(0)
    trip: Trip | None = None
    withheld: str | None = None


def verdict(
    features: MarketFeatures,
    consensus: Consensus | None,
    situation: Situation,
    *,
    rules: StrategySettings,
    costs: Costs,
    instrument: Instrument,
) -> str:
    """Return in one sentence why a trade is or is not begun or ended at this moment."""
    if situation.hindrance is Hindrance.WAITING:
        return f"no decision yet: the pause of this symbol lasts {situation.wait_s:.1f} s more"
    if situation.hindrance is not None:
        return f"no decision: {situation.hindrance.value}"
    if situation.own and situation.trip is not None:
        return _of_trade(features, consensus, situation, trip=copy(situation.trip), rules=rules)
    if situation.position:
        return (
            f"no trade: a position of {plain(situation.position)} that this system did not open "
            "is left alone"
        )
    if consensus is None:
        return "no trade: there is no consensus yet"
    weighed = weigh_entry(features, consensus, rules=rules, costs=costs, instrument=instrument)
    if isinstance(weighed, Target):
        return _of_entry(weighed, situation.withheld)
    figures = _figures(weighed, features, consensus, rules=rules, costs=costs)
    return f"no trade: {weighed.value}{figures}"


def _of_entry(target: Target, withheld: str | None) -> str:
    side = "buy" if target.quantity > 0 else "sell"
    wish = f"{side} {plain(abs(target.quantity))} ({target.purpose.removeprefix('entry: ')})"
    return f"trades: {wish}" if withheld is None else f"no trade: would {wish}, but {withheld}"


def _of_trade(
    features: MarketFeatures,
    consensus: Consensus | None,
    situation: Situation,
    *,
    trip: Trip,
    rules: StrategySettings,
) -> str:
    gain_bps = trip.gain_bps(features.mid)
    held = f"{plain(situation.own)} at {gain_bps:+.1f} bps since the entry"
    reason = exit_reason(trip, features, consensus, rules=rules)  # of a copy: it notes the mid
    if reason is not None:
        return f"closes {held}: {reason.value}"
    if consensus is None:
        return f"holds {held}: no reason to close it, and no consensus"
    judged_bps = judged_move_bps(consensus, rules)
    return f"holds {held}: the judged move is {judged_bps:+.1f} bps"


def _figures(
    refusal: EntryRefusal,
    features: MarketFeatures,
    consensus: Consensus,
    *,
    rules: StrategySettings,
    costs: Costs,
) -> str:
    move_bps, error_bps = consensus.expected_move_bps, consensus.uncertainty_bps
    expected = f"expected {move_bps:+.1f} bps with a standard error of {error_bps:.1f}"
    match refusal:
        case EntryRefusal.NO_QUORUM:
            taking_part = sum(vote.weight > 0 for vote in consensus.votes)
            return f" ({taking_part} of {len(consensus.votes)})"
        case EntryRefusal.NO_MOVE:
            return f" ({expected})"
        case EntryRefusal.NO_EDGE:
            edge_bps = entry_edge_bps(features, judged_move_bps(consensus, rules), costs)
            cost_bps = round_trip_cost_bps(features, costs)
            return (
                f" ({edge_bps:+.1f} bps, needed {rules.min_edge_bps:+.1f}; {expected}, "
                f"round trip {cost_bps:.1f} bps)"
            )
        case EntryRefusal.TOO_SMALL:
            return f" ({expected}, agreement {consensus.agreement:.2f})"
