"""Market impact of an order, as the guides ask for it: quote currency and basis points."""

from __future__ import annotations

import math

from optimizers.costs.calibration import PERMANENT_SHARE, REFILL_S, book_slope
from optimizers.costs.quantity import positive
from optimizers.costs.slippage import remember
from optimizers.costs.square_root import metaorder_cost
from optimizers.costs.walk import TakerCost, taker_cost
from optimizers.microstructure.levels import BookLevels
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side

_BPS = 10_000.0
_REFILL_ROOT = math.sqrt(REFILL_S)

_Impact = dict[str, float]
_Key = tuple[float, float, float | None, float | None, bool]


class MarketImpactModel:
    """Impact of an order that is executed at once, never falling (in bps) with its size.

    With a live book and no explicit ``market_depth`` the temporary impact is the exact book walk
    beyond the best price (half the spread is not impact), continued by the square-root law past
    the displayed depth, and the permanent impact is the assumed share of the book's slope; an
    explicit ``volatility`` scales both by its ratio to the live one. With ``market_depth`` the
    square-root law holds throughout. Volatility is over one second everywhere, given or fed;
    ``market_depth`` is what can be traded within `REFILL_S`, the time in which a displayed book
    refills, so that bps = 10 000 * volatility * sqrt(REFILL_S) * sqrt(quantity / market_depth).

    The permanent impact is where the price stays *after* the order; it is no part of what one
    order at once pays, and ``total_impact``, the sum that the guides ask for, is therefore above
    the cost.

    Attributes
    ----------
    impact_cache, volume_cache : dict
        Results by arguments, and walks by direction (whether a buy; an enum would hash slowly) and
        quantity; bounded, the oldest entry goes first.
    """

    def __init__(self) -> None:
        self.impact_cache: dict[_Key, _Impact] = {}
        self.volume_cache: dict[tuple[bool, float], TakerCost] = {}
        self._levels: BookLevels | None = None
        self._volatility: float | None = None
        self._slopes: dict[bool, float] = {}

    def update_book(self, levels: BookLevels | None) -> None:
        """Take a newer book, None if there is no trustworthy one; forgets every cached figure."""
        self._levels = levels
        self._slopes.clear()
        self._forget()

    def update_volatility(self, volatility: float) -> None:
        """Take a newer relative volatility over one second, a fraction, positive.

        Raises
        ------
        ValidationError
            If it is not finite and positive.
        """
        self._volatility = positive(volatility, "volatility")
        self._forget()

    def calculate_impact(
        self,
        quantity: float,
        price: float,
        volatility: float | None = None,
        market_depth: float | None = None,
        *,
        side: Side = Side.BUY,
    ) -> _Impact:
        """Return the impact of one order.

        Parameters
        ----------
        quantity : float
            Base currency, finite and positive.
        price : float
            Quote currency per unit, finite and positive; values the order. Amounts from the live
            book do not depend on it, their bps do.
        volatility : float or None
            Relative, over one second, a fraction, positive; the live one if missing. (A daily one
            has to be divided by sqrt(86 400).)
        market_depth : float or None
            Base currency displayed, positive; the live book if missing.
        side : Side
            Which side of the live book the order takes from.

        Returns
        -------
        dict
            ``temporary_impact``, ``permanent_impact`` and ``total_impact``, their sum, in quote
            currency for the whole order, and ``impact_bps``, the total over quantity times price.

        Raises
        ------
        ValidationError
            If a value is not finite and positive, the order cannot be priced from the book, or
            depth or volatility is neither given nor fed by a live source.
        """
        key = (quantity, price, volatility, market_depth, side is Side.BUY)
        try:
            cached = self.impact_cache.get(key)
        except TypeError as e:
            raise ValidationError("quantity, price, volatility and depth must be numbers") from e
        if cached is None:
            cached = remember(self.impact_cache, key, self._computed(key))
        return cached.copy()

    def _computed(self, key: _Key) -> _Impact:
        quantity, price, volatility, market_depth, is_buy = key
        notional = positive(
            positive(quantity, "quantity") * positive(price, "price"), "quantity times price"
        )
        used = self._volatility if volatility is None else positive(volatility, "volatility")
        if market_depth is None:
            temporary, permanent = self._walked(quantity, price, is_buy=is_buy)
            if volatility is not None and used is not None and self._volatility is not None:
                temporary *= used / self._volatility
                permanent *= used / self._volatility
        elif used is None:
            raise ValidationError(
                "a volatility is needed: give volatility=, or feed one with update_volatility(...)"
            )
        else:
            depth = positive(market_depth, "market_depth")
            law = metaorder_cost(quantity, volatility=used * _REFILL_ROOT, volume=depth)
            temporary = law.peak_bps
            permanent = PERMANENT_SHARE * temporary
        return _result(notional, temporary=temporary, permanent=permanent)

    def _walked(self, quantity: float, price: float, *, is_buy: bool) -> tuple[float, float]:
        levels = self._levels
        if levels is None:
            raise ValidationError(
                "a market_depth is needed: give market_depth=, or a live book with update_book(...)"
            )
        cost = self.volume_cache.get((is_buy, quantity))
        if cost is None:
            side = Side.BUY if is_buy else Side.SELL
            cost = taker_cost(levels, side, quantity=quantity)
            remember(self.volume_cache, (is_buy, quantity), cost)
        slope = self._slopes.get(is_buy)
        if slope is None:
            slope = book_slope(levels.asks if is_buy else levels.bids)
            self._slopes[is_buy] = slope
        permanent = PERMANENT_SHARE * slope * quantity / price * _BPS
        # The walk is measured against the mid, the answer against the caller's price.
        return (cost.total_bps - cost.half_spread_bps) * (levels.mid / price), permanent

    def _forget(self) -> None:
        self.impact_cache.clear()
        self.volume_cache.clear()


def _result(notional: float, *, temporary: float, permanent: float) -> _Impact:
    first, second = notional * temporary / _BPS, notional * permanent / _BPS
    total = first + second
    if not math.isfinite(total):
        raise ValidationError("the order is too large to be priced")
    return {
        "temporary_impact": first,
        "permanent_impact": second,
        "total_impact": total,
        "impact_bps": temporary + permanent,
    }


OptimizedMarketImpact = MarketImpactModel
