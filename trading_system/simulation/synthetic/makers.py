"""Market makers: tight ladders that chase their own estimate, and a deep resting ladder."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from trading_system.domain.orders import Side
from trading_system.simulation.synthetic.access import SymbolAccess

_LAYERS_BPS = (0.0, 0.02, 0.05, 0.10, 0.17, 0.27, 0.40, 0.58, 0.80, 1.10, 1.50, 2.00)
_FREE_LAYERS = 3  # the first layers sit anywhere, the rest on a coarse grid and so stay in place
_COARSE_BPS = 0.1
_COARSER_FROM = 7  # from here on the grid is three times as wide
_RESIZE_TOLERANCE = 0.15
_SKEW = 0.5
_DEEP_LEVELS = 220
_DEEP_STEP_BPS = 0.15
_DEEP_INNER_BPS = 1.5
_DEEP_MOVE_BPS = 0.4
_DEEP_REFRESHED = 6


@dataclass(frozen=True, slots=True)
class View:
    """What makers go by at one instant.

    ``centre_ticks`` is the estimated price (float ticks), ``signal`` the hidden signal as the
    orders must show it, ``spread`` the regime's factor, ``bps_ticks`` the ticks of one bp.
    """

    centre_ticks: float
    signal: float
    spread: float
    bps_ticks: float


class _Wobble:
    # A maker's own error: first-order autoregression with a given deviation.
    def __init__(self, rng: random.Random, deviation: float, persistence: float) -> None:
        self._rng = rng
        self._kept = persistence
        self._fresh = deviation * math.sqrt(1.0 - persistence * persistence)
        self.value = rng.gauss(0.0, deviation)

    def step(self) -> float:
        self.value = self._kept * self.value + self._rng.gauss(0.0, self._fresh)
        return self.value


class TightMaker:
    """Quotes a ladder of twelve layers per side around a delayed, noisy estimate.

    Parameters
    ----------
    access : SymbolAccess
        Way to the exchange.
    rng : random.Random
        Source of the maker's errors and sizes.
    number : int
        Place among the makers; sets the phase of its price grid.
    layer_quote : float
        Size of the first layer, quote currency.
    orientation : int
        -1 mirrors its errors and the order in which it quotes its sides.
    """

    def __init__(
        self,
        access: SymbolAccess,
        rng: random.Random,
        *,
        number: int,
        layer_quote: float,
        orientation: int,
    ) -> None:
        self._access = access
        self._rng = rng
        self._orientation = orientation
        self._phase = number / 5.0
        self._quote = layer_quote * rng.uniform(0.7, 1.3)
        self._stretch = rng.uniform(0.8, 1.25)
        self._half_spread_bps = rng.uniform(0.02, 0.06)
        self._price_error = _Wobble(rng, 0.05, 0.8)
        self._signal_error = _Wobble(rng, 0.45, 0.8)
        self.delay_ms = rng.randrange(40, 161)
        self._orders: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}

    def requote(self, view: View) -> None:
        """Move the ladder to ``view``: withdraw first, then rest what is missing."""
        error = self._orientation * self._price_error.step()
        signal = view.signal + self._orientation * self._signal_error.step()
        centre = view.centre_ticks + error * view.bps_ticks
        wanted = {}
        for role in (1, -1):
            side = Side.BUY if role * self._orientation > 0 else Side.SELL
            wanted[side] = self._ladder(side, centre, signal, view)
            self._withdraw(side, wanted[side])
        for side, ladder in wanted.items():
            self._rest(side, ladder)

    def _ladder(self, side: Side, centre: float, signal: float, view: View) -> dict[int, int]:
        sign = side.sign
        coarse = max(1, round(_COARSE_BPS * view.bps_ticks))
        wide = 3 * coarse
        size = self._quote * math.exp(_SKEW * sign * max(-2.5, min(2.5, signal)))
        ladder: dict[int, int] = {}
        for layer, offset in enumerate(_LAYERS_BPS):
            away = (self._half_spread_bps + offset * self._stretch) * view.spread * view.bps_ticks
            price = centre - sign * away
            ticks = math.floor(price) if sign > 0 else math.ceil(price)
            if layer >= _FREE_LAYERS:
                grid = coarse if layer < _COARSER_FROM else wide
                ticks -= sign * (sign * (ticks - int(self._phase * grid)) % grid)
            quote = size * (1.0 + 0.12 * layer) * self._rng.uniform(0.6, 1.4)
            ladder[ticks] = ladder.get(ticks, 0) + self._access.lots(
                quote, max(1, ticks) * self._access.tick
            )
        return ladder

    def _withdraw(self, side: Side, wanted: dict[int, int]) -> None:
        orders = self._orders[side]
        for ticks in [ticks for ticks in orders if ticks not in wanted]:
            self._access.cancel(orders.pop(ticks))

    def _rest(self, side: Side, wanted: dict[int, int]) -> None:
        access, orders = self._access, self._orders[side]
        bound = access.best_ask() if side is Side.BUY else access.best_bid()
        for ticks, lots in wanted.items():
            standing = orders.get(ticks)
            left = access.lots_left(standing) if standing is not None else 0
            if standing is not None and left:
                if abs(left - lots) > _RESIZE_TOLERANCE * lots:
                    access.resize(standing, lots)
                continue
            orders.pop(ticks, None)
            price = ticks
            if bound is not None and side.sign * (ticks - bound) >= 0:
                price = bound - side.sign
                if price in orders or price in wanted:
                    continue
            if price > 0 and (house_id := access.post(side, price, lots)) is not None:
                orders[price] = house_id


class DeepMaker:
    """Keeps resting levels on a fixed grid, 220 of them 1.5 to about 35 bps from the price.

    Parameters
    ----------
    access : SymbolAccess
        Way to the exchange.
    rng : random.Random
        Source of sizes.
    level_quote : float
        Typical size of the nearest level, quote currency.
    orientation : int
        -1 mirrors the order in which it quotes its sides.
    levels : int
        Levels per side.
    """

    delay_ms = 100

    def __init__(
        self,
        access: SymbolAccess,
        rng: random.Random,
        *,
        level_quote: float,
        orientation: int,
        levels: int = _DEEP_LEVELS,
    ) -> None:
        self._levels = levels
        self._access = access
        self._rng = rng
        self._quote = level_quote
        self._orientation = orientation
        self._centre: float | None = None
        self._idle = 0
        self._orders: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}

    def requote(self, view: View) -> None:
        """Shift the window when the price moved, else refresh a few sizes now and then."""
        moved = (
            self._centre is None
            or abs(view.centre_ticks - self._centre) > _DEEP_MOVE_BPS * view.bps_ticks
        )
        self._idle += 1
        if not moved and self._idle < 5:
            return
        self._idle = 0
        self._centre = view.centre_ticks
        sides = [Side.BUY if role * self._orientation > 0 else Side.SELL for role in (1, -1)]
        windows = {side: self._window(side, view) for side in sides}
        for side in sides:
            self._withdraw(side, windows[side])
        for side in sides:
            self._rest(side, windows[side], view)
            self._refresh(side)

    def _window(self, side: Side, view: View) -> range:
        step = max(1, round(_DEEP_STEP_BPS * view.bps_ticks))
        inner = view.centre_ticks - side.sign * _DEEP_INNER_BPS * view.bps_ticks
        first = math.floor(inner / step) if side is Side.BUY else math.ceil(inner / step)
        start = first * step
        return range(start, start - side.sign * self._levels * step, -side.sign * step)

    def _withdraw(self, side: Side, window: range) -> None:
        orders = self._orders[side]
        for ticks in [ticks for ticks in orders if ticks not in window]:
            self._access.cancel(orders.pop(ticks))

    def _rest(self, side: Side, window: range, view: View) -> None:
        orders, access = self._orders[side], self._access
        for ticks in window:
            standing = orders.get(ticks)
            if (standing is not None and access.lots_left(standing)) or ticks <= 0:
                continue
            orders.pop(ticks, None)
            away_bps = abs(ticks - view.centre_ticks) / view.bps_ticks
            house_id = access.post(side, ticks, self._size(ticks, away_bps))
            if house_id is not None:
                orders[ticks] = house_id

    def _size(self, ticks: int, away_bps: float) -> int:
        quote = self._quote * (1.0 + away_bps / 20.0) * self._rng.lognormvariate(-0.18, 0.6)
        return self._access.lots(quote, ticks * self._access.tick)

    def _refresh(self, side: Side) -> None:
        standing = list(self._orders[side].items())
        for _ in range(min(_DEEP_REFRESHED, len(standing))):
            ticks, house_id = standing[self._rng.randrange(min(40, len(standing)))]
            self._access.resize(house_id, self._size(ticks, 3.0))
