"""Stops that own positions lack are rested, and a refusal disturbs nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

from engine_rig import unavailable

from trading_system.domain.errors import Outcome
from trading_system.execution.engine import ExecutionEngine
from trading_system.live.protection import Protection


class Engine:
    """Rests stops, or refuses them for one symbol."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.stops: list[tuple[str, Decimal, float]] = []

    async def protect(self, symbol: str, stop_price: Decimal, *, timeout_s: float) -> None:
        if symbol == self.refused:
            raise unavailable(Outcome.UNKNOWN)
        self.stops.append((symbol, stop_price, timeout_s))


MISSING = {"BTCUSDT": Decimal(49_000), "ETHUSDT": Decimal(2_900)}


def protection(engine: Engine) -> Protection:
    return Protection(cast("ExecutionEngine", engine), missing=lambda: MISSING, timeout_s=2.0)


async def test_one_symbol_is_protected_at_once_and_only_if_it_lacks_a_stop() -> None:
    engine = Engine()
    await protection(engine).protect_now("ETHUSDT")
    await protection(engine).protect_now("SOLUSDT")
    assert engine.stops == [("ETHUSDT", Decimal(2_900), 2.0)]


async def test_a_refused_stop_does_not_keep_the_others_from_being_set() -> None:
    engine = Engine(refused="BTCUSDT")
    await protection(engine).protect_missing()
    assert [symbol for symbol, _, _ in engine.stops] == ["ETHUSDT"]
