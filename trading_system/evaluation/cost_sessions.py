"""What orders would have cost on a market: samples for the cost models, in virtual time.

Orders are virtual and change nothing at the venue. They are decided on what the 200-level topic
shows. A market order arrives a moment later and gets what the book then charges. A limit order
rests at its own best price at once and waits in an estimated queue.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from optimizers.costs import maker_taker, slippage
from optimizers.microstructure.impact import average_price
from optimizers.microstructure.levels import BookLevels, SideDepth, read_levels
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.evaluation.cost_queue import QueuePlace
from trading_system.evaluation.sessions import START_MS
from trading_system.simulation.matching.book import MatchingBook
from trading_system.simulation.records import ExecutionRecord, OrderRecord, PublicTrade
from trading_system.simulation.venue import SimulatedVenue

Array = npt.NDArray[np.float64]
_Level = tuple[int, int]

DEPTH = 200
"""Levels per side that an estimate sees."""
DELAY_MS = (50, 501)
"""Time from a decision to a market order's arrival, milliseconds; the second is not reached."""
MEAN_GAP_S = 1.0
"""Mean time between two decisions on one symbol, seconds."""
SIZES = (1e-4, 0.5)
"""Smallest and largest order, as a share of what the side it takes from or joins displays."""

_STEP_MS = 50
_LOOK_MS = 100
_NS_PER_MS = 1_000_000
_MS_PER_S = 1_000.0
_BPS = 10_000.0
_SIDES = (Side.BUY, Side.SELL)


class VolatilityMeter(Protocol):
    """Measures the volatility that live estimates use; the caller brings the one that they use."""

    def observe(self, mid: float, now_ns: int) -> None:
        """Take note of the mid, quote currency, at monotonic ``now_ns``."""
        ...

    def per_second(self, now_ns: int) -> float | None:
        """Return the relative volatility over one second, a fraction; None if not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSamples:
    """Samples in the order of their decisions.

    Parameters
    ----------
    maker_x : array of shape (n, 4)
        Rows of :data:`optimizers.costs.maker_taker.FEATURES`.
    fill_s : array of shape (n,)
        Time from the decision until all was filled as maker, seconds; inf if that did not happen
        within the horizon.
    taker_x : array of shape (m, 5)
        Rows of :data:`optimizers.costs.slippage.FEATURES`.
    paid_bps : array of shape (m,)
        What market orders cost without fees against the mid of the decision, bps.
    dropped : int
        Market orders left out because the book could not fill them when they arrived.
    """

    maker_x: Array
    fill_s: Array
    taker_x: Array
    paid_bps: Array
    dropped: int

    @property
    def is_maker(self) -> Array:
        """1 where the limit order filled within the horizon, 0 elsewhere; shape (n,)."""
        return np.isfinite(self.fill_s).astype(np.float64)

    def digest(self) -> str:
        """Return the SHA-256 of all samples."""
        total = hashlib.sha256()
        for part in (self.maker_x, self.fill_s, self.taker_x, self.paid_bps):
            total.update(np.ascontiguousarray(part).tobytes())
        return total.hexdigest()


def joined(parts: Sequence[CostSamples]) -> CostSamples:
    """Return all samples of ``parts``, at least one, one after another."""
    return CostSamples(
        maker_x=np.concatenate([part.maker_x for part in parts]),
        fill_s=np.concatenate([part.fill_s for part in parts]),
        taker_x=np.concatenate([part.taker_x for part in parts]),
        paid_bps=np.concatenate([part.paid_bps for part in parts]),
        dropped=sum(part.dropped for part in parts),
    )


def sampled_costs(
    venue: SimulatedVenue,
    *,
    seed: int,
    seconds: float,
    horizon_s: float,
    meter: Callable[[], VolatilityMeter],
) -> CostSamples:
    """Return the samples of one session on all symbols of ``venue``.

    Parameters
    ----------
    venue : SimulatedVenue
        Not yet prepared.
    seed : int
        Of the decisions; the market has its own.
    seconds : float
        Virtual length. Limit orders whose horizon ends later are left out, filled or not.
    horizon_s : float
        Patience of a limit order, from its decision.
    meter : callable
        Makes one meter of volatility per symbol.
    """
    book = _OrderBook()
    exchange = venue.exchange
    desks = {
        symbol: _Desk(
            instrument,
            exchange.book(symbol),
            book=book,
            meter=meter(),
            rng=random.Random(f"costs-{seed}-{symbol}"),
            horizon_ms=round(horizon_s * _MS_PER_S),
        )
        for symbol, instrument in exchange.instruments.items()
    }
    venue.add_listener(_Trades(desks))
    venue.prepare(START_MS)
    end_ms = START_MS + round(seconds * _MS_PER_S)
    for now_ms in range(START_MS, end_ms + 1, _STEP_MS):
        venue.advance(now_ms)
        for desk in desks.values():
            desk.step(now_ms)
    return book.samples(end_ms)


@dataclass(slots=True, kw_only=True)
class _Limit:
    row: tuple[float, ...]
    place: QueuePlace
    decided_ms: int
    expires_ms: int
    filled_ms: int | None = None

    def note(self, now_ms: int) -> None:
        if self.place.is_filled and self.filled_ms is None:
            self.filled_ms = now_ms


@dataclass(slots=True, kw_only=True)
class _Market:
    row: tuple[float, ...]
    side: Side
    quantity: float
    mid: float
    arrives_ms: int
    paid_bps: float | None = None


@dataclass(slots=True)
class _OrderBook:
    # Every virtual order of a session, in the order of the decisions.

    limits: list[_Limit] = field(default_factory=list)
    markets: list[_Market] = field(default_factory=list)

    def samples(self, end_ms: int) -> CostSamples:
        limits = [each for each in self.limits if each.expires_ms <= end_ms]
        arrived = [each for each in self.markets if each.arrives_ms <= end_ms]
        paid = [(each.row, each.paid_bps) for each in arrived if each.paid_bps is not None]
        return CostSamples(
            maker_x=_rows([each.row for each in limits], maker_taker.FEATURES),
            fill_s=np.array([_fill_s(each) for each in limits], dtype=np.float64),
            taker_x=_rows([row for row, _ in paid], slippage.FEATURES),
            paid_bps=np.array([bps for _, bps in paid], dtype=np.float64),
            dropped=len(arrived) - len(paid),
        )


class _Desk:
    # One symbol: what is shown of it, and the virtual orders on their way or at rest.

    def __init__(
        self,
        instrument: Instrument,
        matching: MatchingBook,
        *,
        book: _OrderBook,
        meter: VolatilityMeter,
        rng: random.Random,
        horizon_ms: int,
    ) -> None:
        self._symbol = instrument.symbol
        self._tick = instrument.tick_size.as_integer_ratio()
        self._lot = instrument.qty_step.as_integer_ratio()
        self._matching = matching
        self._book = book
        self._meter = meter
        self._rng = rng
        self._horizon_ms = horizon_ms
        self._next_ms = START_MS
        self._limits: list[_Limit] = []
        self._markets: list[_Market] = []
        self._now_ms = START_MS

    def on_trade(self, trade: PublicTrade) -> None:
        for limit in self._limits:
            if trade.time_ms < limit.expires_ms:
                limit.place.on_trade(
                    taker=trade.taker_side, price_ticks=trade.price_ticks, lots=trade.lots
                )
                limit.note(trade.time_ms)

    def step(self, now_ms: int) -> None:
        self._now_ms = now_ms
        is_look = (now_ms - START_MS) % _LOOK_MS == 0
        due = [each for each in self._markets if each.arrives_ms <= now_ms]
        if not is_look and not due:
            return
        bids, asks = (self._matching.top(side, DEPTH) for side in _SIDES)
        if not bids or not asks:
            return
        if due:
            self._arrive(due, self._levels(bids, asks))
        if is_look:
            self._look(bids, asks)
            self._decide(bids, asks)

    # What market orders pay that have reached the venue by now.
    def _arrive(self, due: list[_Market], levels: BookLevels) -> None:
        self._markets = [each for each in self._markets if each.arrives_ms > self._now_ms]
        for market in due:
            price = average_price(levels.consumed_by(market.side), market.quantity)
            if price is not None:
                market.paid_bps = market.side.sign * (price / market.mid - 1.0) * _BPS

    # What the newest public book says of the resting orders.
    def _look(self, bids: list[_Level], asks: list[_Level]) -> None:
        shown = {Side.BUY: dict(bids), Side.SELL: dict(asks)}
        last = {Side.BUY: bids[-1][0], Side.SELL: asks[-1][0]}
        opposite = {Side.BUY: asks[0][0], Side.SELL: bids[0][0]}
        for limit in self._limits:
            place = limit.place
            if self._now_ms < limit.expires_ms:
                place.on_opposite(opposite[place.side])
                if place.side.sign * (place.price_ticks - last[place.side]) >= 0:
                    place.on_displayed(shown[place.side].get(place.price_ticks, 0))
                limit.note(self._now_ms)
        self._limits = [
            each
            for each in self._limits
            if each.filled_ms is None and self._now_ms < each.expires_ms
        ]

    def _decide(self, bids: list[_Level], asks: list[_Level]) -> None:
        mid = (bids[0][0] + asks[0][0]) / 2 * self._tick[0] / self._tick[1]
        now_ns = (self._now_ms - START_MS) * _NS_PER_MS
        self._meter.observe(mid, now_ns)
        if self._now_ms < self._next_ms:
            return
        gap_s = self._rng.expovariate(1 / MEAN_GAP_S)
        self._next_ms = self._now_ms + round(gap_s * _MS_PER_S)
        volatility = self._meter.per_second(now_ns)
        if volatility:
            levels = self._levels(bids, asks)
            self._decide_market(levels, volatility)
            self._decide_limit(levels, volatility, {Side.BUY: bids[0], Side.SELL: asks[0]})

    def _decide_market(self, levels: BookLevels, volatility: float) -> None:
        side = self._rng.choice(_SIDES)
        quantity = self._quantity(self._size_lots(levels.consumed_by(side)))
        market = _Market(
            row=slippage.slippage_row(levels, side, quantity=quantity, volatility=volatility),
            side=side,
            quantity=quantity,
            mid=levels.mid,
            arrives_ms=self._now_ms + self._rng.randrange(*DELAY_MS, _STEP_MS),
        )
        self._markets.append(market)
        self._book.markets.append(market)

    def _decide_limit(
        self, levels: BookLevels, volatility: float, best: dict[Side, _Level]
    ) -> None:
        side = self._rng.choice(_SIDES)
        own = levels.bids if side is Side.BUY else levels.asks
        lots = self._size_lots(own)
        price_ticks, ahead_lots = best[side]
        limit = _Limit(
            row=maker_taker.feature_row(
                spread=levels.spread,
                market_depth=levels.bids.quantities[-1] + levels.asks.quantities[-1],
                volatility=volatility,
                order_size=self._quantity(lots),
                price=levels.mid,
            ),
            place=QueuePlace(side=side, price_ticks=price_ticks, lots=lots, ahead_lots=ahead_lots),
            decided_ms=self._now_ms,
            expires_ms=self._now_ms + self._horizon_ms,
        )
        self._limits.append(limit)
        self._book.limits.append(limit)

    def _size_lots(self, depth: SideDepth) -> int:
        share = math.exp(self._rng.uniform(math.log(SIZES[0]), math.log(SIZES[1])))
        return max(int(depth.quantities[-1] * share * self._lot[1] / self._lot[0]), 1)

    def _quantity(self, lots: int) -> float:
        return lots * self._lot[0] / self._lot[1]

    def _levels(self, bids: list[_Level], asks: list[_Level]) -> BookLevels:
        (price, price_by), (size, size_by) = self._tick, self._lot
        sides = {
            name: [(ticks * price / price_by, lots * size / size_by) for ticks, lots in shown]
            for name, shown in (("bids", bids), ("asks", asks))
        }
        return read_levels(self._symbol, sides)


class _Trades:
    # Hands public trades to the desks; nothing else of the exchange is public.

    def __init__(self, desks: dict[str, _Desk]) -> None:
        self._desks = desks

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        for trade in trades:
            self._desks[symbol].on_trade(trade)

    def on_order(self, order: OrderRecord) -> None: ...

    def on_executions(self, executions: list[ExecutionRecord]) -> None: ...

    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None: ...

    def on_wallet(self, account_id: int) -> None: ...


def _rows(rows: list[tuple[float, ...]], names: tuple[str, ...]) -> Array:
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def _fill_s(limit: _Limit) -> float:
    if limit.filled_ms is None:
        return math.inf
    return (limit.filled_ms - limit.decided_ms) / _MS_PER_S
