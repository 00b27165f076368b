"""The synthetic market of a venue: every symbol's crowd on one grid of time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Protocol

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.instruments import SPOT_SUFFIX, Category
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.instruments import START_PRICES
from trading_system.simulation.records import ExecutionRecord, OrderRecord, PublicTrade
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.synthetic.crowd import CrowdSettings, SymbolCrowd
from trading_system.simulation.synthetic.signal import HORIZON_S
from trading_system.simulation.synthetic.spot import SpotCrowd

_STEP_MS = 20
_FAST_STEP_MS = 10
_FAST_ACTIVITY = 4.0
_MOST_ACTIVITY = 50.0
_MOST_EDGE_BPS = 200.0
_REAL_EDGE_BPS = 2.5


class SyntheticMarket:
    """Seeded participants on a fixed grid of 20 ms (10 ms above activity 4).

    What happens at a grid point depends on the seed and on the orders that accounts placed before
    it, never on how often :meth:`advance` is called.

    Parameters
    ----------
    exchange, statistics : Exchange, MarketStatistics
        The venue's; a spot pair needs the perpetual of the same symbol.
    seed : int
        Seed of every random stream.
    edge_bps : float
        Expected mid move over 10 s at the hidden signal's 90th percentile; about ten times real
        at the default of 25. 0 keeps the footprints and drops the drift; a negative value plays
        the mirror image.
    activity : float
        Factor on event rates, above 0 and at most 50.
    start_prices : Mapping of str to Decimal
        Where prices begin, quote currency, instead of at the symbol's default.

    Raises
    ------
    ConfigurationError
        If a number is out of range.
    """

    def __init__(
        self,
        exchange: Exchange,
        statistics: MarketStatistics,
        *,
        seed: int,
        edge_bps: float,
        activity: float,
        start_prices: Mapping[str, Decimal] = MappingProxyType({}),
    ) -> None:
        if not (math.isfinite(edge_bps) and abs(edge_bps) <= _MOST_EDGE_BPS):
            raise ConfigurationError(f"edge must be within ±200 bps, was {edge_bps}")
        if not 0.0 < activity <= _MOST_ACTIVITY:
            raise ConfigurationError(f"activity must be above 0 and at most 50, was {activity}")
        self._seed = seed
        self._edge_bps = edge_bps
        self._activity = activity
        self._step_ms = _FAST_STEP_MS if activity > _FAST_ACTIVITY else _STEP_MS
        self._crowds = {
            symbol: SymbolCrowd(
                exchange,
                statistics,
                symbol,
                CrowdSettings(
                    seed=seed,
                    edge_bps=edge_bps,
                    activity=activity,
                    step_ms=self._step_ms,
                    start_price=float(start_prices.get(symbol) or START_PRICES[symbol]),
                ),
            )
            for symbol, instrument in exchange.instruments.items()
            if instrument.category is Category.LINEAR
        }
        self._spot = {
            key: SpotCrowd(
                exchange,
                statistics,
                key,
                leader=self._crowds[instrument.symbol],
                leader_symbol=instrument.symbol,
                seed=seed,
                activity=activity,
            )
            for key, instrument in exchange.instruments.items()
            if instrument.category is Category.SPOT
        }
        self._next_ms: int | None = None
        self.account_flow = AccountFlow({**self._crowds, **self._spot})

    def prepare(self, now_ms: int) -> None:
        """Make two hours of history before ``now_ms``, then the first book."""
        for crowd in self._crowds.values():
            crowd.prepare(now_ms)
        for pair in self._spot.values():
            pair.prepare(now_ms)
        self._next_ms = now_ms + self._step_ms

    def advance(self, now_ms: int) -> None:
        """Run every grid step up to ``now_ms``."""
        assert self._next_ms is not None, "prepare first"
        while self._next_ms <= now_ms:
            for crowd in self._crowds.values():
                crowd.step(self._next_ms)
            for pair in self._spot.values():
                pair.step(self._next_ms)
            self._next_ms += self._step_ms

    @property
    def is_finished(self) -> bool:
        """False: seeded flow has no end."""
        return False

    def description(self) -> dict[str, object]:
        """Return kind, symbols, seed, edge with its horizon, activity, step and any spot pairs."""
        factor = abs(self._edge_bps) / _REAL_EDGE_BPS
        pairs = [key.removesuffix(SPOT_SUFFIX) for key in self._spot]
        return {
            "market": "synthetic",
            "symbols": list(self._crowds),
            "seed": self._seed,
            "edge_bps": self._edge_bps,
            "edge_horizon_s": HORIZON_S,
            "edge_note": f"about {factor:g} times a real market's" if factor else "noise only",
            "activity": self._activity,
            "step_ms": self._step_ms,
            **({"spot": pairs} if pairs else {}),
        }


class Learner(Protocol):
    """A crowd that reacts to what accounts do."""

    def learn(self, sign: int, quote: float) -> None:
        """Take in an aggressive trade: its side's sign and its value, quote currency."""
        ...


class AccountFlow:
    """Listens for what accounts take from the book, so that the crowd learns from it.

    Parameters
    ----------
    crowds : mapping of str to Learner
        Who learns, by key.
    """

    def __init__(self, crowds: Mapping[str, Learner]) -> None:
        self._crowds = crowds

    def on_executions(self, executions: list[ExecutionRecord]) -> None:
        """Pass on aggressive trades; passive fills and funding teach nothing new."""
        for execution in executions:
            if execution.exec_type == "Trade" and not execution.is_maker:
                crowd = self._crowds[execution.symbol]
                crowd.learn(execution.side.sign, float(execution.value))

    def on_order(self, order: OrderRecord) -> None:
        """Ignore: a resting order teaches nothing."""

    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None:
        """Ignore."""

    def on_wallet(self, account_id: int) -> None:
        """Ignore."""

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        """Ignore: executions carry the account's side of it."""
