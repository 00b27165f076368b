"""Signal agents that do what a test tells them, and a loop whose time runs by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from trading_system.domain.signals import MarketFeatures, Opinion

SECOND = 1_000_000_000
BTC = "BTCUSDT"


def features(ts_s: float = 100.0, *, mid: float = 50_000.0, **values: Any) -> MarketFeatures:
    """Return features at ``ts_s`` seconds; anything not given is quiet."""
    quiet = MarketFeatures(
        symbol=BTC,
        mid=mid,
        spread_bps=0.5,
        imbalance=0.1,
        micro_deviation_bps=0.0,
        order_flow=0.0,
        trade_flow=0.0,
        ts_ns=round(ts_s * SECOND),
    )
    return quiet._replace(**values)


def opinion(agent: str, p_up: float = 0.6, *, ts_ns: int = 100 * SECOND, **values: Any) -> Opinion:
    """Return a valid opinion whose move goes with its probability."""
    sound = Opinion(
        agent=agent,
        symbol=BTC,
        p_up=p_up,
        expected_move_bps=(p_up - 0.5) * 100.0,
        uncertainty_bps=1.0,
        horizon_s=10.0,
        samples=10,
        ts_ns=ts_ns,
    )
    return replace(sound, **values)


class StubAgent:
    """Answers with ``p_up`` (a number, None to abstain, or a function of the features)."""

    requires: tuple[str, ...] = ("mid",)

    def __init__(
        self,
        name: str = "stub",
        p_up: float | Callable[[MarketFeatures], float | None] | None = 0.6,
        *,
        family: str | None = None,
        error: Exception | None = None,
        on_call: Callable[[], None] | None = None,
        validity_s: float | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.family = family or f"family of {name}"
        self.p_up = p_up
        self.error = error
        self.on_call = on_call
        self.values = dict(values or {})
        self.seen: list[MarketFeatures] = []
        self.asked = 0
        self.resets = 0
        if validity_s is not None:
            self.validity_s = validity_s

    def observe(self, features: MarketFeatures) -> None:
        self.seen.append(features)

    def opinion(self, features: MarketFeatures) -> Opinion | None:
        self.asked += 1
        if self.on_call is not None:
            self.on_call()
        if self.error is not None:
            raise self.error
        p_up = self.p_up(features) if callable(self.p_up) else self.p_up
        if p_up is None:
            return None
        return opinion(self.name, p_up, ts_ns=features.ts_ns, **self.values)

    def reset(self) -> None:
        self.resets += 1


class SlowAgent(StubAgent):
    """Answers after ``delay_s`` of the loop's time."""

    def __init__(
        self, name: str = "slow", p_up: float | None = 0.6, *, delay_s: float, **more: Any
    ):
        super().__init__(name, p_up, **more)
        self.delay_s = delay_s

    async def opinion(self, features: MarketFeatures) -> Opinion | None:  # type: ignore[override] # an asynchronous agent awaits
        await asyncio.sleep(self.delay_s)
        return super().opinion(features)
