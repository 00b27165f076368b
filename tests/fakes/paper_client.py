"""A venue client with a known book: orders fill by walking it exactly, then it stands anew."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side, TimeInForce
from trading_system.domain.parents import ChildResult, ExecutionStyle, ParentOrder, ParentResult
from trading_system.domain.signals import MarketFeatures
from trading_system.runtime.clock import ManualClock

Levels = Sequence[tuple[str, str]]

ETH = Instrument(
    symbol="ETHUSDT",
    base_coin="ETH",
    quote_coin="USDT",
    tick_size=Decimal("0.01"),
    qty_step=Decimal("0.01"),
    min_price=Decimal("0.01"),
    max_price=Decimal(100_000),
    min_qty=Decimal("0.01"),
    max_qty=Decimal(5000),
    max_market_qty=Decimal(1000),
    min_notional=Decimal(5),
)
BIDS: Levels = (("3399.90", "2.00"), ("3399.50", "5.00"), ("3398.00", "20.00"))
ASKS: Levels = (("3400.10", "1.00"), ("3400.50", "4.00"), ("3402.00", "30.00"))
FEE = Decimal("0.00055")


class PaperClient:
    """A :class:`VenueClient` without sockets; ``failure`` is raised instead of the next fill."""

    def __init__(self, *, bids: Levels = BIDS, asks: Levels = ASKS, clock: ManualClock) -> None:
        self.bids = bids
        self.asks = asks
        self.clock = clock
        self.order_ms = 40.0
        self.failure: Exception | None = None
        self.has_quote = True
        self.fills_resting = False
        self.parents: list[ParentOrder] = []
        self.book_requests: list[str] = []
        self.ready = 0

    async def ensure_ready(self) -> None:
        self.ready += 1

    @property
    def rest_url(self) -> str:
        return "http://127.0.0.1:1"

    def auth_headers(self, payload: bytes) -> dict[str, str]:
        return {}

    async def instrument(self, symbol: str) -> Instrument:
        return ETH

    async def get_order_book_data(self, symbol: str, limit: int = 50) -> dict[str, Any]:
        self.book_requests.append(symbol)
        return {
            "symbol": symbol,
            "bids": [list(level) for level in self.bids[:limit]],
            "asks": [list(level) for level in self.asks[:limit]],
            "ts": 1,
        }

    def features(self, symbol: str) -> MarketFeatures | None:
        return None

    async def place_order(self, symbol: str, side: str, **parameters: Any) -> dict[str, Any]:
        raise AssertionError("optimizers send parents only")

    async def execute_parent(self, parent: ParentOrder) -> ParentResult | None:
        self.parents.append(parent)
        if self.failure is not None:
            raise self.failure
        if not self.has_quote:
            return None
        result = ParentResult(parent=parent, arrival_mid=self._mid())
        is_resting = parent.style is ExecutionStyle.LIMIT
        while result.remaining_quantity:
            chunk = min(parent.chunk_quantity or parent.quantity, result.remaining_quantity)
            filled, value = (
                self._rest(parent, chunk) if is_resting else self._take(parent, chunk, result)
            )
            self.clock.advance(self.order_ms / 1_000)
            self._count(result, chunk, filled=filled, value=value)
            if filled < chunk:
                result.reason = "the book ended"
                break
        result.duration_ms = self.order_ms * len(result.children)
        return result

    def _mid(self) -> Decimal:
        return (Decimal(self.bids[0][0]) + Decimal(self.asks[0][0])) / 2

    def _rest(self, parent: ParentOrder, quantity: Decimal) -> tuple[Decimal, Decimal]:
        filled = quantity if self.fills_resting else Decimal(0)
        return filled, filled * (parent.limit_price or Decimal(0))

    def _take(
        self, parent: ParentOrder, quantity: Decimal, result: ParentResult
    ) -> tuple[Decimal, Decimal]:
        levels = self.asks if parent.side is Side.BUY else self.bids
        band = result.arrival_mid * Decimal(str(parent.max_slippage_bps)) / 10_000
        worst = result.arrival_mid + parent.side.sign * band
        filled, value = Decimal(0), Decimal(0)
        for price, size in ((Decimal(p), Decimal(s)) for p, s in levels):
            if (price - worst) * parent.side.sign > 0:
                break
            part = min(size, quantity - filled)
            filled, value = filled + part, value + part * price
        if parent.effective_time_in_force is TimeInForce.FOK and filled < quantity:
            return Decimal(0), Decimal(0)
        return filled, value

    def _count(
        self, result: ParentResult, quantity: Decimal, *, filled: Decimal, value: Decimal
    ) -> None:
        link_id = f"paper-{len(self.parents)}-{len(result.children)}"
        result.children.append(link_id)
        result.filled_quantity += filled
        result.filled_value += value
        result.fees += value * FEE
        result.child_results.append(
            ChildResult(
                link_id=link_id,
                quantity=quantity,
                price=result.parent.limit_price,
                time_in_force=result.parent.effective_time_in_force,
                filled_quantity=filled,
                filled_value=value,
                fees=value * FEE,
                status="filled" if filled == quantity else "cancelled",
                reason="",
                sent_after_ms=0.0,
                duration_ms=self.order_ms,
                waited_ms=0.0,
                slippage_bps=result.cost_bps(filled, value),
            )
        )
