"""One listed contract while it trades: its book, reference prices and public trades."""

from __future__ import annotations

from collections import deque
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from trading_system.domain.instruments import Category, Instrument
from trading_system.domain.orders import Side
from trading_system.simulation.matching.book import MatchingBook
from trading_system.simulation.price_limits import (
    LINEAR_WINDOW_S,
    SPOT_WINDOW_S,
    MeanPremium,
    PriceLimits,
    linear_limits,
    spot_limits,
)
from trading_system.simulation.records import PublicTrade

MONEY_STEP = Decimal("1E-8")
"""Grid of divided money amounts, USDT."""

_PUBLIC_TRADES = 1000


def money(amount: Decimal) -> Decimal:
    """Return ``amount`` rounded half-even to 1e-8 where it has more decimals."""
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int), f"not a finite amount: {amount}"
    return amount.quantize(MONEY_STEP) if exponent < -8 else amount


class Contract:
    """State of one contract that is common to all accounts.

    Parameters
    ----------
    instrument : Instrument
        Its grids and limits.
    maintenance_rate : Decimal
        Maintenance margin as a share of the position's value at mark price, for example 0.005.

    Attributes
    ----------
    symbol : str
        Key under which it is listed.
    unit : Decimal
        Value of one tick times one lot, quote currency.
    mark, index : Decimal
        Reference prices, 0 until the market has set them.
    premium : MeanPremium
        Recent mean of the mid price over the mark price, of a spot pair over the index price.
    """

    __slots__ = (
        "_direction",
        "book",
        "index",
        "instrument",
        "is_spot",
        "last_ticks",
        "maintenance_rate",
        "mark",
        "premium",
        "symbol",
        "trades",
        "unit",
    )

    def __init__(self, instrument: Instrument, maintenance_rate: Decimal) -> None:
        self.instrument = instrument
        self.symbol = instrument.key
        self.is_spot = instrument.category is Category.SPOT
        self.maintenance_rate = maintenance_rate
        self.unit = instrument.tick_size * instrument.qty_step
        self.book = MatchingBook()
        self.mark = Decimal(0)
        self.index = Decimal(0)
        self.premium = MeanPremium(SPOT_WINDOW_S if self.is_spot else LINEAR_WINDOW_S)
        self.last_ticks: int | None = None
        self.trades: deque[PublicTrade] = deque(maxlen=_PUBLIC_TRADES)
        self._direction = "ZeroPlusTick"

    def value(self, lots: int) -> Decimal:
        """Return the value of ``lots`` at the mark price, quote currency."""
        return self.instrument.qty_step * lots * self.mark

    def sample_premium(self, now_ms: int) -> None:
        """Let the book's mid price count in the price limits, once a second."""
        bid, ask = self.book.best_bid(), self.book.best_ask()
        if bid is None or ask is None:
            return
        mid = self.instrument.ticks_to_price(bid + ask) / 2
        self.premium.add(mid - (self.index if self.is_spot else self.mark), now_ms=now_ms)

    def price_limits(self) -> PriceLimits:
        """Return the highest buy and the lowest sell price that orders may have now."""
        if self.is_spot:
            return spot_limits(index=self.index, premium=self.premium.mean)
        return linear_limits(mark=self.mark, index=self.index, premium=self.premium.mean)

    def band_ticks(self, side: Side) -> int:
        """Return the most aggressive price a limit order of ``side`` keeps, rounded inwards."""
        return self._banded(side, ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)

    def protective_ticks(self, side: Side) -> int:
        """Return the limit of a market order of ``side``: the band, rounded outwards."""
        return self._banded(side, ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)

    def print_trade(
        self,
        trade_id: str,
        *,
        price_ticks: int,
        lots: int,
        taker_side: Side,
        now_ms: int,
    ) -> PublicTrade:
        """Publish one trade: remember it, the last price and its direction."""
        self._turn(price_ticks)
        trade = PublicTrade(
            trade_id=trade_id,
            symbol=self.symbol,
            price_ticks=price_ticks,
            lots=lots,
            taker_side=taker_side,
            time_ms=now_ms,
            sequence=self.book.sequence,
            tick_direction=self._direction,
        )
        self.trades.append(trade)
        return trade

    def _turn(self, price_ticks: int) -> None:
        last = self.last_ticks
        if last is None or price_ticks == last:
            rising = self._direction.endswith("PlusTick")
            self._direction = "ZeroPlusTick" if rising else "ZeroMinusTick"
        else:
            self._direction = "PlusTick" if price_ticks > last else "MinusTick"
        self.last_ticks = price_ticks

    def _banded(self, side: Side, rounding: str) -> int:
        instrument = self.instrument
        limits = self.price_limits()
        price = limits.highest_buy if side is Side.BUY else limits.lowest_sell
        ticks = int((price / instrument.tick_size).to_integral_value(rounding))
        lowest = max(1, instrument.ceil_ticks(instrument.min_price))
        return min(max(ticks, lowest), instrument.floor_ticks(instrument.max_price))
