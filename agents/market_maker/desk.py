"""What the market maker remembers of one symbol, and what it decides about it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from agents.market_maker.plan import Plan, Step, needs_move, plan
from agents.market_maker.quoting import Quoter, QuoteSet, Scale, Silence
from agents.market_maker.sending import Result
from trading_system.domain.orders import RestingOrder
from trading_system.domain.ports import Clock, QuoteView, QuotingVenue

_NS_PER_S: Final = 1_000_000_000
_MOST_SKIPS: Final = 5
_MOST_DOUBLINGS: Final = 8
_LONGEST_BACKOFF_S: Final = 30.0
_URGENT_GAP_S: Final = 0.5
_SCALE_LIFE_S: Final = 300.0


@dataclass(slots=True)
class QuoteCounts:
    """Quotes of all plans up to now; ``kept`` and ``pending`` count each time."""

    kept: int = 0
    pending: int = 0
    urgent: int = 0


@dataclass(slots=True)
class Desk:
    """One symbol: its quoter, its newest scale, its newest target, and its back-off.

    Parameters
    ----------
    exchange : QuotingVenue
        Gives the view and the own orders.
    clock : Clock
        Monotonic time.
    base_s : float
        First back-off after refusals, seconds.

    Attributes
    ----------
    asides : int
        Orders of somebody else for which this symbol is not quoted now.
    half_spread_bps : float or None
        That of the newest quotes on both sides, kept when there are none; bps of the mid.
    """

    symbol: str
    exchange: QuotingVenue
    clock: Clock
    base_s: float
    counts: QuoteCounts
    quoter: Quoter | None = None
    target: QuoteSet = field(default_factory=lambda: QuoteSet(silence=Silence.NO_BOOK))
    asides: int = 0
    half_spread_bps: float | None = None
    _scale: Scale | None = None
    _scale_ns: int = 0
    _is_settled: bool = False
    _seen: tuple[object, ...] = ()
    _skips: int = 0
    _failures: int = 0
    _retry_ns: int = 0
    _urgent_ns: int | None = None

    def take_scale(self, scale: Scale) -> None:
        """Use ``scale`` from now on, for at most five minutes."""
        self._scale = scale
        self._scale_ns = self.clock.monotonic_ns()

    @property
    def scale(self) -> Scale | None:
        """Newest scale, None when there is none or it is older than five minutes."""
        age_ns = self.clock.monotonic_ns() - self._scale_ns
        return self._scale if age_ns <= _SCALE_LIFE_S * _NS_PER_S else None

    @property
    def is_backing_off(self) -> bool:
        """Whether nothing is created or moved for now because everything was refused."""
        return self.clock.monotonic_ns() < self._retry_ns

    def may_skip(self, silence: Silence | None) -> bool:
        """Return whether nothing has moved since the last plan, which changed nothing.

        Never while a quote is missing or the book is stale, and five times in a row at most.
        """
        if self._reason(silence) is not None or not self._is_settled or self._skips >= _MOST_SKIPS:
            return False
        view = self.exchange.quote_view(self.symbol)
        if (
            self.quoter is None
            or view is None
            or not view.age_s <= self.quoter.settings.pull_after_s
            or self._memory(view) != self._seen
            or self._moved_ticks(view, self.quoter)
            > 0.5 * self.quoter.requote * self.target.mid_ticks
        ):
            return False
        self._skips += 1
        return True

    def decide(self, silence: Silence | None) -> Plan:
        """Return what has to change now; with a ``silence``, all quotes are to go."""
        self._skips = 0
        silence = self._reason(silence)
        quoter = self.quoter
        if quoter is None:
            return Plan()
        view = self.exchange.quote_view(self.symbol)
        resting = self.exchange.resting_orders(self.symbol)
        self.target = (
            quoter.quotes(view, self.scale) if silence is None else QuoteSet(silence=silence)
        )
        self.half_spread_bps = self.target.half_spread_bps or self.half_spread_bps
        changes = plan(self.target, resting, quoter)
        self.counts.kept += changes.kept
        self.counts.pending += changes.pending
        complete = len(resting) == len(self.target.bids) + len(self.target.asks)
        self._is_settled = not changes and complete and self.target.silence is None
        self._seen = self._memory(view)
        if self.is_backing_off:
            changes = _only_cancels(changes, is_refused=self._failures > 0)
        return changes

    def is_urgent(self, silence: Silence | None) -> bool:
        """Return whether the quotes cannot wait for the next cycle; asks the venue nothing.

        That is so if there are quotes although there should be none, if the opposite best price
        has reached one, or if the middle has moved by half of the first tier's distance. Half a
        second must have passed since the last time.
        """
        now_ns = self.clock.monotonic_ns()
        if self._urgent_ns is not None and now_ns - self._urgent_ns < _URGENT_GAP_S * _NS_PER_S:
            return False
        if self.quoter is None:
            return False
        resting = self.exchange.resting_orders(self.symbol)
        if not any(order.is_settled_in for order in resting):
            return False
        if not self._is_out_of_place(self._reason(silence), resting, self.quoter):
            return False
        self._urgent_ns = now_ns
        self.counts.urgent += 1
        return True

    def unwanted(self, silence: Silence | None) -> tuple[RestingOrder, ...]:
        """Return the own orders that should not be in the book now, of unknown fate included.

        That is all of them while there is a ``silence``, or no fresh view of an uncrossed book.
        """
        if self.quoter is None:
            return ()
        if silence is None:
            view, limit_s = self.exchange.quote_view(self.symbol), self.quoter.settings.pull_after_s
            if view is not None and view.age_s <= limit_s and view.bid < view.ask:
                return ()
        return self.exchange.resting_orders(self.symbol)

    def learn(self, result: Result) -> None:
        """Back off, longer each time, while everything is refused; wait if the venue says so."""
        now_ns = self.clock.monotonic_ns()
        asked_s = min(result.retry_after_s, _LONGEST_BACKOFF_S)
        if result.accepted or not result.failed:
            self._failures = 0
            self._retry_ns = now_ns + round(asked_s * _NS_PER_S)
            return
        self._failures += 1
        doublings = min(self._failures - 1, _MOST_DOUBLINGS)
        pause_s = max(min(self.base_s * 2.0**doublings, _LONGEST_BACKOFF_S), asked_s)
        self._retry_ns = now_ns + round(pause_s * _NS_PER_S)

    def _reason(self, silence: Silence | None) -> Silence | None:
        if silence is None and self.asides:
            return Silence.ASIDE
        return silence

    def _is_out_of_place(
        self, silence: Silence | None, resting: tuple[RestingOrder, ...], quoter: Quoter
    ) -> bool:
        view = self.exchange.quote_view(self.symbol)
        if silence is not None or view is None or not view.age_s <= quoter.settings.pull_after_s:
            return True
        touch = (quoter.instrument.floor_ticks(view.bid), quoter.instrument.floor_ticks(view.ask))
        if needs_move(touch, resting, quoter):
            return True
        bids, asks = self.target.bids, self.target.asks
        distances = [abs(side[0].ticks - self.target.mid_ticks) for side in (bids, asks) if side]
        if not distances:
            return False
        least = quoter.requote * self.target.mid_ticks
        return self._moved_ticks(view, quoter) > max(0.5 * min(distances), least)

    def _moved_ticks(self, view: QuoteView, quoter: Quoter) -> float:
        middle = float((view.bid + view.ask) / 2 / quoter.instrument.tick_size)
        return abs(middle - self.target.mid_ticks)

    def _memory(self, view: QuoteView | None) -> tuple[object, ...]:
        position = None if view is None else view.position
        return (position, self.scale, self.exchange.resting_orders(self.symbol))


def _only_cancels(changes: Plan, *, is_refused: bool) -> Plan:
    cancels = changes.first.cancels
    if is_refused:
        # What stands wrong and cannot be moved is better not in the book.
        moves = [*changes.first.amends, *changes.second.amends]
        cancels = (*cancels, *(move.link_id for move in moves))
    return replace(changes, first=Step(cancels=cancels), second=Step())
