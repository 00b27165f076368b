"""A small venue with a hand-made book whose state goes to a file and comes back."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import AccountSpec, OrderRequest
from trading_system.simulation.state.entries import Head
from trading_system.simulation.state.file import StateFile
from trading_system.simulation.state.journal import StateJournal
from trading_system.simulation.state.restoring import restore
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.venue import SimulatedVenue

X = "ABCUSDT"
NOW = 1_700_000_000_000
ABC = Instrument(
    symbol=X,
    base_coin="ABC",
    quote_coin="USDT",
    tick_size=Decimal("0.01"),
    qty_step=Decimal("0.1"),
    min_price=Decimal("0.01"),
    max_price=Decimal(1000),
    min_qty=Decimal("0.1"),
    max_qty=Decimal(5000),
    max_market_qty=Decimal(1000),
    min_notional=Decimal(5),
    max_leverage=Decimal(50),
)


def accounts() -> list[AccountSpec]:
    return [
        AccountSpec(account_id=i, uid=i, api_key=f"k{i}", api_secret="s", balance=Decimal(10_000))
        for i in (1, 2)
    ]


def head(generation: int = 0) -> Head:
    return Head(market="synthetic", seed=1, generation=generation, accounts=accounts())


class StillMarket:
    """A book of three levels per side around ``middle`` ticks that never moves by itself."""

    is_finished = False

    def __init__(self, exchange: Exchange, middle: int) -> None:
        self.exchange = exchange
        self.middle = middle

    def prepare(self, now_ms: int) -> None:
        price = Decimal(self.middle) / 100
        self.exchange.set_reference(X, index_price=price, mark_price=price)
        for away in (5, 10, 20):
            self.exchange.house_limit(X, Side.BUY, self.middle - away, 1000, now_ms=now_ms)
            self.exchange.house_limit(X, Side.SELL, self.middle + away, 1000, now_ms=now_ms)

    def advance(self, now_ms: int) -> None:
        pass

    def description(self) -> dict[str, object]:
        return {}


class Life:
    """One life of a venue on a state file; leaving the block is a kill, not a clean end."""

    def __init__(
        self, path: Path, *, middle: int = 1000, compact_bytes: int = 10**9, seed: int | None = None
    ) -> None:
        self.file = StateFile(path)
        self._middle = middle
        self._compact_bytes = compact_bytes
        self._seed = seed

    def __enter__(self) -> Life:
        self.file.__enter__()
        saved = self.file.load()
        generation = 0 if saved is None else saved.head.generation + 1
        seed = generation if self._seed is None else self._seed
        self.exchange = Exchange([ABC], accounts(), seed=seed)
        market = StillMarket(self.exchange, self._middle)
        self.venue = SimulatedVenue(self.exchange, MarketStatistics(self.exchange), market)
        self.venue.prepare(NOW)
        if saved is not None:
            restore(self.exchange, saved, now_ms=NOW)
        self.journal = StateJournal(
            self.venue, self.file, head=head(generation), compact_bytes=self._compact_bytes
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.file.__exit__(None, None, None)

    def trade(
        self, side: Side, quantity: str, price: str | None = None, *, account: int = 1, **how
    ):
        request = OrderRequest(
            symbol=X,
            side=side,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
            quantity=Decimal(quantity),
            price=None if price is None else Decimal(price),
            time_in_force=how.pop("time_in_force", TimeInForce.GTC),
            **how,
        )
        return self.exchange.place(account, request, now_ms=NOW + 1)

    def picture(self) -> dict[str, object]:
        """Everything an account can ask about, comparable."""
        exchange = self.exchange
        return {
            str(account_id): (
                exchange.wallet(account_id),
                exchange.position(account_id, X),
                [_fields(order) for order in exchange.open_orders(account_id)],
                [_fields(order) for order in exchange.stop_orders(account_id)],
                [_fields(order) for order in exchange.closed_orders(account_id)],
                list(exchange.executions(account_id)),
                list(exchange.ledger(account_id)),
                list(exchange.closed_pnls(account_id)),
            )
            for account_id in exchange.accounts
        }


def _fields(order: object) -> dict[str, object]:
    return {name: getattr(order, name) for name in order.__dataclass_fields__}
