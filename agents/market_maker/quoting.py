"""Which quotes one symbol should have: a pure function of the market and the inventory.

Prices are whole ticks and sizes whole lots. Nothing here knows what rests in the book; that is
:mod:`agents.market_maker.plan`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final, NamedTuple

from agents.market_maker.spreads import Stance, atr_stance, optimal_spread, reservation_price
from trading_system.config.sections import MarketMakerSettings
from trading_system.domain.errors import ValidationError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.domain.ports import QuoteView

_BPS: Final = 1e-4
_RISK_AVERSION_UNIT: Final = 1e-3  # the setting is per 1000 units of quote currency
_ROUNDING: Final = 1e-6  # ticks; a float this near to a whole tick is that tick


class Silence(Enum):
    """Why there are no quotes."""

    NO_BOOK = "no trusted two-sided book"
    STALE = "the book is stale"
    CROSSED = "the book is crossed"
    NO_VOLATILITY = "no volatility yet"
    TOO_SMALL = "a quote would be below the venue's least size"
    FULL = "both sides are at the inventory limit"
    PAUSED = "paused"
    ASIDE = "an order of the operator is being worked"
    HALTED = "the risk gate opens nothing"


class Quote(NamedTuple):
    """One quote; ``tier`` 0 is nearest to the centre."""

    side: Side
    tier: int
    ticks: int
    lots: int


@dataclass(frozen=True, slots=True)
class QuoteSet:
    """The quotes one symbol should have and what they were made with.

    Parameters
    ----------
    bids, asks : tuple of Quote
        By tier; a side without quotes is to be pulled.
    silence : Silence or None
        Why both sides are empty.
    mid_ticks : float
        Middle of the book, ticks; 0 without one.
    bid_touch, ask_touch : int
        Best prices, ticks; 0 without a book.
    position_lots, limit_lots : int
        Signed inventory rounded away from zero, and its largest allowed size.
    """

    bids: tuple[Quote, ...] = ()
    asks: tuple[Quote, ...] = ()
    silence: Silence | None = None
    mid_ticks: float = 0.0
    bid_touch: int = 0
    ask_touch: int = 0
    position_lots: int = 0
    limit_lots: int = 0

    @property
    def half_spread_bps(self) -> float | None:
        """Half the distance of the two first tiers, bps of the middle; None on one side alone."""
        if not (self.bids and self.asks and self.mid_ticks):
            return None
        return (self.asks[0].ticks - self.bids[0].ticks) / 2.0 / self.mid_ticks / _BPS


class Scale(NamedTuple):
    """How much the price moves.

    ``atr`` of one minute in quote currency; ``volatility`` as the standard deviation of the
    relative move in one second, needed for Avellaneda-Stoikov only.
    """

    atr: float
    volatility: float | None = None


class Quoter:
    """Makes the quotes of one symbol.

    Parameters
    ----------
    instrument : Instrument
        Grid and least sizes.
    settings : MarketMakerSettings
        How to quote.
    maker_fee : float
        Fraction of value; negative for a rebate.

    Attributes
    ----------
    requote : float
        Distance at which a quote of the first tier is moved, as a share of the mid.
    """

    def __init__(
        self, instrument: Instrument, settings: MarketMakerSettings, *, maker_fee: float
    ) -> None:
        if not -0.01 <= maker_fee <= 0.1:
            raise ValidationError(f"the maker fee must be a fraction, was {maker_fee}")
        self.instrument = instrument
        self.settings = settings
        self.maker_fee = maker_fee
        self._tick = float(instrument.tick_size)
        self._step = float(instrument.qty_step)
        self._quote_notional = float(settings.quote_notional)
        self._most_inventory = float(settings.max_inventory_notional)
        self._min_notional = float(instrument.min_notional)
        self._min_lots = max(1, math.ceil(instrument.min_qty / instrument.qty_step))
        self._max_lots = instrument.floor_lots(instrument.max_qty)
        self._min_ticks = max(1, instrument.ceil_ticks(instrument.min_price))
        self._max_ticks = instrument.floor_ticks(instrument.max_price)
        self._spacing = settings.tier_spacing_bps * _BPS
        self.requote = settings.requote_bps * _BPS
        self._least_width = max(0.0, 2.0 * maker_fee + settings.min_edge_bps * _BPS)
        # Best ask over best bid at which a round trip just earns fees and edge.
        half = self._least_width / 2.0
        self._floor_ratio = (1.0 + half) / (1.0 - half)
        self._is_atr = settings.quoting == "atr"

    @property
    def least_width_bps(self) -> float:
        """Fee floor: least distance from bid to ask, bps of their middle."""
        return self._least_width / _BPS

    def highest_bid(self, ask_ticks: int) -> int:
        """Return the highest bid, ticks, whose pair with the ask is below and not under the floor.

        Bought there and sold at the ask, both as maker, earns both fees and ``min_edge_bps``.
        """
        return min(ask_ticks - 1, math.floor(ask_ticks / self._floor_ratio + _ROUNDING))

    def lowest_ask(self, bid_ticks: int) -> int:
        """Return the lowest ask, ticks, whose pair with the bid is not under the floor."""
        return max(bid_ticks + 1, math.ceil(bid_ticks * self._floor_ratio - _ROUNDING))

    def quotes(self, view: QuoteView | None, scale: Scale | None) -> QuoteSet:
        """Return the quotes that should rest now; with a ``silence`` there should be none."""
        if view is None:
            return QuoteSet(silence=Silence.NO_BOOK)
        silence = self._objection(view, scale)
        if silence is not None or scale is None:
            return QuoteSet(silence=silence or Silence.NO_VOLATILITY)
        tick, mid = self._tick, (float(view.bid) + float(view.ask)) / 2.0
        bid_touch = round(float(view.bid) / tick)
        ask_touch = round(float(view.ask) / tick)
        lots = int(self._quote_notional / (mid * self._step))
        lots = min(lots, self._max_lots)
        if lots < self._min_lots or lots * self._step * mid < self._min_notional:
            return QuoteSet(silence=Silence.TOO_SMALL)
        limit_lots = int(self._most_inventory / (mid * self._step))
        position = _away_from_zero(float(view.position) / self._step)
        stance = self._stance(mid, position * self._step, lots * self._step, scale)
        mid_ticks = mid / tick
        bid, ask = self._first_tier(
            mid_ticks, stance, bid_touch=bid_touch, ask_touch=ask_touch, is_long=position > 0
        )
        step = max(1, round(self._spacing * mid_ticks))
        bids = self._ladder(Side.BUY, bid, -step, lots=lots, room=limit_lots - position)
        asks = self._ladder(Side.SELL, ask, step, lots=lots, room=limit_lots + position)
        silence = None if bids or asks else Silence.FULL
        return QuoteSet(bids, asks, silence, mid_ticks, bid_touch, ask_touch, position, limit_lots)

    def _objection(self, view: QuoteView, scale: Scale | None) -> Silence | None:
        bid, ask = view.bid, view.ask
        if not (_is_price(bid) and _is_price(ask) and view.position.is_finite()):
            return Silence.NO_BOOK
        if not view.age_s <= self.settings.pull_after_s:
            return Silence.STALE
        if bid >= ask:
            return Silence.CROSSED
        if scale is None or not 0.0 <= scale.atr < math.inf:
            return Silence.NO_VOLATILITY
        volatility = scale.volatility
        if not self._is_atr and (volatility is None or not 0.0 <= volatility < math.inf):
            return Silence.NO_VOLATILITY
        return None

    def _stance(self, mid: float, inventory: float, lot: float, scale: Scale) -> Stance:
        settings = self.settings
        least = self._least_width / 2.0 * mid
        most = settings.max_half_spread_bps * _BPS * mid
        if self._is_atr:
            return atr_stance(
                scale.atr,
                multiple=settings.atr_multiple,
                skew=settings.inventory_skew,
                inventory_share=inventory * mid / self._most_inventory,
                least=least,
                most=most,
            )
        assert scale.volatility is not None
        aversion = settings.risk_aversion * _RISK_AVERSION_UNIT
        sigma = mid * scale.volatility
        centre = reservation_price(
            mid,
            inventory=inventory,
            risk_aversion=aversion,
            sigma=sigma,
            horizon_s=settings.horizon_s,
        )
        width = optimal_spread(
            risk_aversion=aversion,
            sigma=sigma,
            horizon_s=settings.horizon_s,
            decay=1.0 / (settings.arrival_decay_bps * _BPS * mid),
            lot=lot,
        )
        return Stance(max(-most, min(most, centre - mid)), max(min(width / 2.0, most), least))

    def _first_tier(
        self, mid_ticks: float, stance: Stance, *, bid_touch: int, ask_touch: int, is_long: bool
    ) -> tuple[int, int]:
        # Rounded outwards, behind the opposite touch, then as far apart as the fees ask for. What
        # has to give way is the side on which the inventory would grow.
        centre = mid_ticks + stance.shift / self._tick
        half = stance.half_spread / self._tick
        bid = min(math.floor(centre - half), ask_touch - 1)
        ask = max(math.ceil(centre + half), bid_touch + 1)
        if is_long:
            return min(bid, self.highest_bid(ask)), ask
        return bid, max(ask, self.lowest_ask(bid))

    def _ladder(
        self, side: Side, ticks: int, step: int, *, lots: int, room: int
    ) -> tuple[Quote, ...]:
        # Whole quotes only, as long as the inventory stays within its limit if all of them fill.
        quotes = []
        least_ticks = self._min_notional / (lots * self._step * self._tick)
        for tier in range(min(self.settings.tiers, room // lots)):
            if not self._min_ticks <= ticks <= self._max_ticks or ticks < least_ticks:
                break
            quotes.append(Quote(side, tier, ticks, lots))
            ticks += step
        return tuple(quotes)


def _is_price(price: Decimal) -> bool:
    return price.is_finite() and price > 0


def _away_from_zero(value: float) -> int:
    near = round(value)
    if abs(value - near) < 1e-6:
        return near
    return math.ceil(value) if value > 0 else math.floor(value)
