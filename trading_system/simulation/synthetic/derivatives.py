"""Index, mark, funding, open interest and long/short ratio of one synthetic symbol."""

from __future__ import annotations

import math
import random
from decimal import Decimal

from trading_system.simulation.exchange import Exchange
from trading_system.simulation.statistics import MarketStatistics

_INDEX_NOISE_BPS = 0.1
_MARK_SMOOTHING = 0.05  # per sample of 200 ms: about 4 s
_PREMIUM_SMOOTHING = 1.0 / 600.0  # per second: ten minutes
_INTEREST_RATE = 0.0001
_INTEREST_CLAMP = 0.0005
_FUNDING_CAP = 0.0075
_FLOW_SMOOTHING = 1.0 / 120.0
_OPEN_INTEREST_DAYS = 0.25  # base level as a share of a typical day's volume


class Derivatives:
    """Keeps the figures that a derivatives venue publishes beside the book.

    Funding follows Bybit's form: premium plus clamped interest, here on a premium smoothed over
    ten minutes instead of an eight-hour average, so that a short run sees it move.

    Parameters
    ----------
    exchange, statistics : Exchange, MarketStatistics
        Where the figures go.
    symbol : str
        The symbol.
    rng : random.Random
        Source of index noise and of what traders do with positions.
    turnover_per_s : float
        Typical traded value, quote currency per second; sets the scale of open interest.
    """

    def __init__(
        self,
        exchange: Exchange,
        statistics: MarketStatistics,
        symbol: str,
        *,
        rng: random.Random,
        turnover_per_s: float,
    ) -> None:
        self._exchange = exchange
        self._statistics = statistics
        self._symbol = symbol
        self._instrument = exchange.instruments[symbol]
        self._rng = rng
        self._premium_mark = 0.0
        self._premium = 0.0
        self._flow = 0.0
        self._turnover = turnover_per_s
        self._base_quote = turnover_per_s * 86_400 * _OPEN_INTEREST_DAYS
        self._open_quote = self._base_quote * rng.uniform(0.9, 1.1)

    def publish_reference(self, latent: float, mid: float | None, *, time_ms: int) -> None:
        """Publish index (latent price plus small noise) and mark (index plus smoothed premium)."""
        index = latent * (1.0 + 1e-4 * self._rng.gauss(0.0, _INDEX_NOISE_BPS))
        if mid is not None:
            premium = mid / index - 1.0
            self._premium_mark += _MARK_SMOOTHING * (premium - self._premium_mark)
        index_price = self._on_grid(index)
        mark_price = self._on_grid(index * (1.0 + self._premium_mark))
        self._exchange.set_reference(
            self._symbol, index_price=index_price, mark_price=mark_price, now_ms=time_ms
        )
        self._statistics.add_reference(
            self._symbol, mark=mark_price, index=index_price, time_ms=time_ms
        )

    def second(
        self, *, signed_quote: float, traded_quote: float, price: float, now_ms: int
    ) -> None:
        """Take in one second of taker flow (quote currency) and publish the slow figures."""
        self._premium += _PREMIUM_SMOOTHING * (self._premium_mark - self._premium)
        share = signed_quote / traded_quote if traded_quote > 0 else 0.0
        self._flow += _FLOW_SMOOTHING * (share - self._flow)
        opened = traded_quote * (0.35 * abs(self._flow) + self._rng.uniform(-0.3, 0.3))
        pull = (self._base_quote - self._open_quote) / 14_400.0
        self._open_quote = max(0.2 * self._base_quote, self._open_quote + opened + pull)
        self.publish_slow(price, now_ms=now_ms)

    def publish_slow(self, price: float, *, now_ms: int) -> None:
        """Publish funding, open interest and long/short ratio as they stand."""
        lots = int(self._open_quote / price / float(self._instrument.qty_step))
        self._statistics.set_open_interest(self._symbol, self._instrument.lots_to_qty(lots), now_ms)
        ratio = 0.5 + 0.2 * math.tanh(2.0 * self._flow)
        self._statistics.set_long_ratio(self._symbol, Decimal(f"{ratio:.4f}"), now_ms)
        interest = max(-_INTEREST_CLAMP, min(_INTEREST_CLAMP, _INTEREST_RATE - self._premium))
        rate = max(-_FUNDING_CAP, min(_FUNDING_CAP, self._premium + interest))
        _, next_ms = self._statistics.funding(self._symbol)
        self._statistics.set_funding(self._symbol, Decimal(f"{rate:.8f}"), next_ms)

    def pre_roll_second(self, *, signed_share: float, price: float, now_ms: int) -> None:
        """Evolve the slow figures through one second of history; publish every minute."""
        self._flow += _FLOW_SMOOTHING * (signed_share - self._flow)
        self._open_quote += self._turnover * self._rng.uniform(-0.3, 0.3)
        if now_ms % 60_000 < 1_000:
            self.publish_slow(price, now_ms=now_ms)

    def _on_grid(self, price: float) -> Decimal:
        ticks = max(1, round(price / float(self._instrument.tick_size)))
        return self._instrument.ticks_to_price(ticks)
