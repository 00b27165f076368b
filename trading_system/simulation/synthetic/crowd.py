"""One symbol of the synthetic market: its price, its participants and their fixed time grid."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from trading_system.simulation.exchange import Exchange
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.synthetic.access import SymbolAccess
from trading_system.simulation.synthetic.derivatives import Derivatives
from trading_system.simulation.synthetic.makers import DeepMaker, TightMaker, View
from trading_system.simulation.synthetic.price import LatentPrice, Regime
from trading_system.simulation.synthetic.signal import HiddenSignal, drift_bps_per_s
from trading_system.simulation.synthetic.takers import Scene, TakerCrowd

MAKER_LAG_S = 0.28
"""How late the mid follows the efficient price on average, measured at activity 1."""

_TIGHT_MAKERS = 5
_REQUOTE_CHANCE = 0.7
_BURST_MS = (60, 140)
_REFERENCE_MS = 200
_PRE_ROLL_S = 7_200
_SCALES = {"BTCUSDT": 1.0, "ETHUSDT": 0.6}
_OTHER_SCALE = 0.25
_LAYER_QUOTE = 28_000.0
_DEEP_QUOTE = 40_000.0
_TAKER_QUOTE = 2_000.0
_TURNOVER_PER_S = 80_000.0  # as measured at BTCUSDT, activity 1
_IMPACT_BPS_PER_MILLION = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdSettings:
    """How one symbol behaves: seed, edge (bps), activity (factor), step (ms), start price."""

    seed: int
    edge_bps: float
    activity: float
    step_ms: int
    start_price: float


class SymbolCrowd:
    """Runs one symbol on a grid of fixed steps; every random stream has a seed of its own.

    Parameters
    ----------
    exchange, statistics : Exchange, MarketStatistics
        Where orders and figures go.
    symbol : str
        The symbol.
    settings : CrowdSettings
        Seed, edge, activity, step and start price.
    """

    def __init__(
        self,
        exchange: Exchange,
        statistics: MarketStatistics,
        symbol: str,
        settings: CrowdSettings,
    ) -> None:
        def stream(name: str) -> random.Random:
            return random.Random(f"{settings.seed}/{symbol}/{name}")

        self._settings = settings
        self._statistics = statistics
        self._symbol = symbol
        self._scale = _SCALES.get(symbol, _OTHER_SCALE)
        self._orientation = -1 if settings.edge_bps < 0 else 1
        self._drift = drift_bps_per_s(settings.edge_bps, MAKER_LAG_S)
        self._signal = HiddenSignal(stream("signal"))
        self._price = LatentPrice(
            settings.start_price, stream("price"), orientation=self._orientation
        )
        self._access = SymbolAccess(exchange, symbol)
        self._rng = stream("timing")
        self._history_rng = stream("history")
        self._makers = self._make_makers(stream)
        self._takers = TakerCrowd(
            self._access,
            stream("takers"),
            median_quote=_TAKER_QUOTE * self._scale,
            orientation=self._orientation,
        )
        self._derivatives = Derivatives(
            exchange,
            statistics,
            symbol,
            rng=stream("derivatives"),
            turnover_per_s=_TURNOVER_PER_S * self._scale * settings.activity,
        )
        self._start_ms = 0
        self._next_burst_ms = 0

    def _make_makers(self, stream: Callable[[str], random.Random]) -> list[TightMaker | DeepMaker]:
        tight = [
            TightMaker(
                self._access,
                stream(f"maker-{number}"),
                number=number,
                layer_quote=_LAYER_QUOTE * self._scale,
                orientation=self._orientation,
            )
            for number in range(_TIGHT_MAKERS)
        ]
        deep = DeepMaker(
            self._access,
            stream("deep"),
            level_quote=_DEEP_QUOTE * self._scale,
            orientation=self._orientation,
        )
        return [deep, *tight]

    @property
    def latent_price(self) -> float:
        """The efficient price now, quote currency."""
        return self._price.at(self._price.deviation_bps)

    @property
    def regime(self) -> Regime:
        """The volatility state now."""
        return self._price.regime

    def prepare(self, now_ms: int) -> None:
        """Make two hours of history that end at the start price, then the first book."""
        self._start_ms = now_ms
        self._next_burst_ms = now_ms
        self._access.now_ms = now_ms
        self._pre_roll(now_ms)
        for maker in self._makers:
            maker.requote(self._view(0))
        self._derivatives.publish_reference(self._price.at(0.0), self._mid(), time_ms=now_ms)
        self._derivatives.publish_slow(self._price.at(0.0), now_ms=now_ms)

    def _pre_roll(self, now_ms: int) -> None:
        path: list[tuple[float, float]] = []
        for _ in range(_PRE_ROLL_S):
            self._signal.step(1.0)
            self._price.step(1.0, drift_bps_per_s=self._drift * self._signal.value)
            path.append((self._price.deviation_bps, self._signal.value * self._orientation))
        end_bps = self._price.rebase()
        tick, lot = self._access.tick, self._access.lot
        mean_quote = _TURNOVER_PER_S * self._scale * self._settings.activity
        instrument = self._access.instrument
        rng = self._history_rng
        for number, (deviation_bps, signal) in enumerate(path):
            time_ms = now_ms - (_PRE_ROLL_S - number) * 1_000
            price = self._price.at(deviation_bps - end_bps)
            lots = max(1, int(mean_quote * rng.lognormvariate(-0.5, 1.0) / price / lot))
            traded = instrument.ticks_to_price(max(1, round(price / tick)))
            self._statistics.add_trade(self._symbol, traded, instrument.lots_to_qty(lots), time_ms)
            if number % 10 == 0:
                self._statistics.add_reference(
                    self._symbol, mark=traded, index=traded, time_ms=time_ms
                )
            share = 0.3 * math.tanh(signal) + rng.uniform(-0.5, 0.5)
            self._derivatives.pre_roll_second(signed_share=share, price=price, now_ms=time_ms)

    def step(self, now_ms: int) -> None:
        """Run one step of the grid: price, makers, takers, published figures."""
        dt_s = self._settings.step_ms / 1_000
        access = self._access
        access.now_ms = now_ms
        self._signal.step(dt_s)
        self._price.step(dt_s, drift_bps_per_s=self._drift * self._signal.value)
        if now_ms >= self._next_burst_ms:
            self._requote(now_ms)
        regime = self._price.regime
        latent = self._price.at(self._price.deviation_bps)
        latent_ticks = latent / access.tick
        self._takers.step(
            Scene(
                now_ms=now_ms,
                dt_s=dt_s,
                latent_ticks=latent_ticks,
                bps_ticks=latent_ticks * 1e-4,
                signal=self._signal.value * self._orientation,
                intensity=self._settings.activity * math.sqrt(regime.volatility),
            )
        )
        elapsed = now_ms - self._start_ms
        if elapsed % _REFERENCE_MS == 0:
            self._derivatives.publish_reference(latent, self._mid(), time_ms=now_ms)
        if elapsed % 1_000 == 0:
            self._close_second(latent, now_ms)

    def learn(self, sign: int, quote: float) -> None:
        """Let an account's aggressive trade move the efficient price for good.

        Linear, 1.5 bps per million at BTCUSDT's scale: Kyle, Continuous Auctions and Insider
        Trading (1985). The temporary part of the impact is the book it has eaten.
        """
        self._price.push(sign * _IMPACT_BPS_PER_MILLION * quote / 1e6 / self._scale)

    def _requote(self, now_ms: int) -> None:
        first, last = _BURST_MS
        wait = self._rng.uniform(first, last) / self._settings.activity
        self._next_burst_ms = now_ms + max(self._settings.step_ms, round(wait))
        for maker in self._makers:
            if isinstance(maker, DeepMaker) or self._rng.random() < _REQUOTE_CHANCE:
                maker.requote(self._view(maker.delay_ms // self._settings.step_ms))

    def _view(self, steps_ago: int) -> View:
        centre = self._price.at(self._price.seen_bps(steps_ago)) / self._access.tick
        return View(
            centre_ticks=centre,
            signal=self._signal.value * self._orientation,
            spread=self._price.regime.spread,
            bps_ticks=centre * 1e-4,
        )

    def _mid(self) -> float | None:
        mid = self._access.mid_ticks()
        return None if mid is None else mid * self._access.tick

    def _close_second(self, latent: float, now_ms: int) -> None:
        access = self._access
        self._derivatives.second(
            signed_quote=access.signed_quote,
            traded_quote=access.traded_quote,
            price=latent,
            now_ms=now_ms,
        )
        access.signed_quote = access.traded_quote = 0.0
