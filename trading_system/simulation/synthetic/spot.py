"""One spot pair of the synthetic market: a calm crowd around the price of its perpetual."""

from __future__ import annotations

import math
import random
from typing import Protocol

from trading_system.simulation.exchange import Exchange
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.synthetic.access import SymbolAccess
from trading_system.simulation.synthetic.makers import DeepMaker, TightMaker, View
from trading_system.simulation.synthetic.price import Regime
from trading_system.simulation.synthetic.takers import Scene, TakerCrowd

_ROUND_MS = 200
_REFERENCE_MS = 1_000
_TIGHT_MAKERS = 2
_DEEP_LEVELS = 60
_LAYER_QUOTE = 9_000.0
_DEEP_QUOTE = 25_000.0
_TAKER_QUOTE = 900.0
_LIVELINESS = 0.6  # of the takers, relative to those of the perpetual
_BASIS_BPS = 1.0
_BASIS_MEMORY_S = 300.0
_IMPACT_BPS_PER_MILLION = 4.0
_HISTORY_MINUTES = 120
_TURNOVER_SHARE = 0.2  # of the perpetual's, in the history made before the start


class Leader(Protocol):
    """The perpetual whose price a spot pair follows."""

    @property
    def latent_price(self) -> float:
        """The efficient price now, quote currency."""
        ...

    @property
    def regime(self) -> Regime:
        """The volatility state now."""
        ...


class SpotCrowd:
    """Runs one spot pair in rounds of 200 ms; its random streams are its own.

    The pair's efficient price is the perpetual's times a basis that wanders by about 1 bp, so
    nothing that happens here changes the perpetual's market.

    Parameters
    ----------
    exchange, statistics : Exchange, MarketStatistics
        Where orders and figures go.
    key : str
        Key of the pair, for example ``BTCUSDT.SPOT``.
    leader : Leader
        The perpetual of the same coins.
    leader_symbol : str
        Its symbol.
    seed : int
        Decides everything the leader does not.
    activity : float
        Factor on event rates.
    """

    def __init__(
        self,
        exchange: Exchange,
        statistics: MarketStatistics,
        key: str,
        *,
        leader: Leader,
        leader_symbol: str,
        seed: int,
        activity: float,
    ) -> None:
        def stream(name: str) -> random.Random:
            return random.Random(f"{seed}/{key}/{name}")

        self._exchange = exchange
        self._statistics = statistics
        self._key = key
        self._leader = leader
        self._leader_symbol = leader_symbol
        self._activity = activity
        self._access = SymbolAccess(exchange, key)
        self._basis_rng = stream("basis")
        self._basis_bps = self._basis_rng.gauss(0.0, _BASIS_BPS)
        self._makers: list[TightMaker | DeepMaker] = [
            DeepMaker(
                self._access,
                stream("deep"),
                level_quote=_DEEP_QUOTE,
                orientation=1,
                levels=_DEEP_LEVELS,
            ),
            *(
                TightMaker(
                    self._access,
                    stream(f"maker-{number}"),
                    number=number,
                    layer_quote=_LAYER_QUOTE,
                    orientation=1,
                )
                for number in range(_TIGHT_MAKERS)
            ),
        ]
        self._takers = TakerCrowd(
            self._access, stream("takers"), median_quote=_TAKER_QUOTE, orientation=1
        )
        self._next_round_ms = 0
        self._next_reference_ms = 0

    def prepare(self, now_ms: int) -> None:
        """Make two hours of candles out of the leader's, then the first book."""
        self._access.now_ms = now_ms
        self._make_history(now_ms)
        self._publish_reference(now_ms)
        self._quote()
        self._next_round_ms = now_ms + _ROUND_MS

    def step(self, now_ms: int) -> None:
        """Run the round that is due at this point of the grid, if one is."""
        if now_ms < self._next_round_ms:
            return
        self._next_round_ms += _ROUND_MS
        self._access.now_ms = now_ms
        self._drift_basis()
        self._quote()
        latent_ticks = self._price() / self._access.tick
        regime = self._leader.regime
        self._takers.step(
            Scene(
                now_ms=now_ms,
                dt_s=_ROUND_MS / 1_000,
                latent_ticks=latent_ticks,
                bps_ticks=latent_ticks * 1e-4,
                signal=0.0,
                intensity=_LIVELINESS * self._activity * math.sqrt(regime.volatility),
            )
        )
        if now_ms >= self._next_reference_ms:
            self._publish_reference(now_ms)

    def learn(self, sign: int, quote: float) -> None:
        """Let an account's aggressive trade move the basis, which forgets it in minutes."""
        self._basis_bps += sign * _IMPACT_BPS_PER_MILLION * quote / 1e6

    def _price(self) -> float:
        return self._leader.latent_price * math.exp(self._basis_bps * 1e-4)

    def _drift_basis(self) -> None:
        kept = math.exp(-_ROUND_MS / 1_000 / _BASIS_MEMORY_S)
        fresh = _BASIS_BPS * math.sqrt(1.0 - kept * kept)
        self._basis_bps = kept * self._basis_bps + self._basis_rng.gauss(0.0, fresh)

    def _quote(self) -> None:
        centre = self._price() / self._access.tick
        view = View(
            centre_ticks=centre,
            signal=0.0,
            spread=self._leader.regime.spread,
            bps_ticks=centre * 1e-4,
        )
        for maker in self._makers:
            maker.requote(view)

    def _publish_reference(self, now_ms: int) -> None:
        self._next_reference_ms = now_ms + _REFERENCE_MS
        instrument = self._access.instrument
        ticks = max(1, round(self._leader.latent_price / self._access.tick))
        price = instrument.ticks_to_price(ticks)
        self._exchange.set_reference(self._key, index_price=price, mark_price=price, now_ms=now_ms)
        self._statistics.add_reference(self._key, mark=price, index=price, time_ms=now_ms)

    def _make_history(self, now_ms: int) -> None:
        candles = self._statistics.klines(
            self._leader_symbol, "1", start_ms=None, end_ms=None, limit=_HISTORY_MINUTES
        )
        instrument = self._access.instrument
        for candle in candles:
            first, last = (candle.low, candle.high), (candle.high, candle.low)
            inner = first if candle.close >= candle.open else last
            prices = (candle.open, *inner, candle.close)
            share = _TURNOVER_SHARE / len(prices)
            for number, price in enumerate(prices):
                ticks = max(1, instrument.floor_ticks(price))
                time_ms = min(now_ms, candle.start_ms + number * 15_000)
                lots = max(1, int(float(candle.volume) * share / self._access.lot))
                self._statistics.add_trade(
                    self._key,
                    instrument.ticks_to_price(ticks),
                    instrument.lots_to_qty(lots),
                    time_ms,
                )
