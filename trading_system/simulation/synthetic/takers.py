"""Takers: noise with self-exciting arrivals, momentum, informed and arbitrage flow."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass

from trading_system.domain.orders import Side
from trading_system.simulation.synthetic.access import SymbolAccess

_BRANCHING = 0.6
_DECAY_PER_S = 2.0
_REACH_BPS = 25.0
_LARGEST = 60.0  # times the median size
_HERDING = 0.12
_TILT = 0.22
_MOMENTUM_S = 2.0
_ARBITRAGE_BPS = 0.6
_MOST_PER_STEP = 4


@dataclass(frozen=True, slots=True)
class Scene:
    """What takers see in one step.

    Parameters
    ----------
    now_ms : int
        Virtual time, UTC milliseconds.
    dt_s : float
        Length of the step, seconds.
    latent_ticks : float
        The efficient price, known to arbitrageurs only.
    bps_ticks : float
        Ticks of one basis point.
    signal : float
        The hidden signal as the flow must show it.
    intensity : float
        Factor on all rates: activity times the regime's liveliness.
    """

    now_ms: int
    dt_s: float
    latent_ticks: float
    bps_ticks: float
    signal: float
    intensity: float


class TakerCrowd:
    """All takers of one symbol.

    Parameters
    ----------
    access : SymbolAccess
        Way to the exchange.
    rng : random.Random
        Source of arrivals, sides and sizes.
    median_quote : float
        Median order size, quote currency.
    orientation : int
        -1 mirrors every side drawn from noise.

    References
    ----------
    Hawkes, Spectra of some self-exciting and mutually exciting point processes (1971):
    exponential kernel, branching ratio 0.6; here in discrete steps.
    """

    def __init__(
        self, access: SymbolAccess, rng: random.Random, *, median_quote: float, orientation: int
    ) -> None:
        self._access = access
        self._rng = rng
        self._median = median_quote
        self._orientation = orientation
        self._excitation = 0.0
        self._last_role = 1
        self._mids: deque[tuple[int, float]] = deque()

    def step(self, scene: Scene) -> None:
        """Let everybody act who wants to in this step."""
        self._remember_mid(scene)
        self._noise(scene)
        chance = scene.intensity * scene.dt_s
        if self._rng.random() < chance * 0.7 * min(2.5, abs(scene.signal)):
            self._take(scene, 1 if scene.signal > 0 else -1, factor=1.3)
        if self._rng.random() < chance * 0.5:
            self._follow(scene)
        if self._rng.random() < chance * 8.0:
            self._arbitrage(scene)

    def _noise(self, scene: Scene) -> None:
        self._excitation *= math.exp(-_DECAY_PER_S * scene.dt_s)
        expected = scene.intensity * (1.2 + self._excitation) * scene.dt_s
        count = int(expected) + (self._rng.random() < expected - int(expected))
        for _ in range(min(count, _MOST_PER_STEP)):
            self._excitation += _BRANCHING * _DECAY_PER_S / scene.intensity
            # Roles belong to the unmirrored world, so that the mirror draws the same numbers.
            tilt = _TILT * math.tanh(scene.signal * self._orientation)
            bias = 0.5 + _HERDING * self._last_role + tilt
            self._last_role = 1 if self._rng.random() < bias else -1
            self._take(scene, self._last_role * self._orientation)

    def _follow(self, scene: Scene) -> None:
        if len(self._mids) < 2:
            return
        move = (self._mids[-1][1] - self._mids[0][1]) / scene.bps_ticks
        if abs(move) > 0.8:
            self._take(scene, 1 if move > 0 else -1)

    def _arbitrage(self, scene: Scene) -> None:
        # Picks off quotes that the efficient price has left behind, up to that price.
        margin = _ARBITRAGE_BPS * scene.bps_ticks
        bid, ask = self._access.best_bid(), self._access.best_ask()
        if ask is not None and ask < scene.latent_ticks - margin:
            self._hit(Side.BUY, math.floor(scene.latent_ticks - margin), self._size(3.0))
        elif bid is not None and bid > scene.latent_ticks + margin:
            self._hit(Side.SELL, math.ceil(scene.latent_ticks + margin), self._size(3.0))

    def _take(self, scene: Scene, sign: int, *, factor: float = 1.0) -> None:
        limit = round(scene.latent_ticks + sign * _REACH_BPS * scene.bps_ticks)
        self._hit(Side.BUY if sign > 0 else Side.SELL, max(1, limit), self._size(factor))

    def _size(self, factor: float) -> float:
        return self._median * factor * min(_LARGEST, self._rng.lognormvariate(0.0, 1.4))

    def _hit(self, side: Side, limit_ticks: int, quote: float) -> None:
        lots = self._access.lots(quote, limit_ticks * self._access.tick)
        self._access.take(side, lots, limit_ticks)

    def _remember_mid(self, scene: Scene) -> None:
        mid = self._access.mid_ticks()
        if mid is not None:
            self._mids.append((scene.now_ms, mid))
        while self._mids and self._mids[0][0] < scene.now_ms - _MOMENTUM_S * 1000:
            self._mids.popleft()
