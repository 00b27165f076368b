"""How participants reach the exchange: one symbol, prices in ticks, sizes in quote currency."""

from __future__ import annotations

from trading_system.domain.orders import Side
from trading_system.simulation.exchange import Exchange


class SymbolAccess:
    """House access to one symbol.

    Parameters
    ----------
    exchange : Exchange
        The real exchange.
    symbol : str
        Symbol the participant trades.
    """

    def __init__(self, exchange: Exchange, symbol: str) -> None:
        instrument = exchange.instruments[symbol]
        self._exchange = exchange
        self._book = exchange.book(symbol)
        self.symbol = symbol
        self.instrument = instrument
        self.tick = float(instrument.tick_size)
        self.lot = float(instrument.qty_step)
        self.now_ms = 0
        self.signed_quote = 0.0
        self.traded_quote = 0.0

    def lots(self, quote: float, price: float) -> int:
        """Return the lots that ``quote`` currency buys at ``price``, at least 1."""
        return max(1, int(quote / (price * self.lot)))

    def best_bid(self) -> int | None:
        """Return the best bid in ticks."""
        return self._book.best_bid()

    def best_ask(self) -> int | None:
        """Return the best ask in ticks."""
        return self._book.best_ask()

    def mid_ticks(self) -> float | None:
        """Return the mid in ticks, None when a side is empty."""
        bid, ask = self._book.best_bid(), self._book.best_ask()
        return None if bid is None or ask is None else (bid + ask) / 2

    def post(self, side: Side, price_ticks: int, lots: int) -> int | None:
        """Rest an order without taking; None if it would cross."""
        return self._exchange.house_limit(
            self.symbol, side, price_ticks, lots, now_ms=self.now_ms, post_only=True
        )

    def cancel(self, house_id: int) -> None:
        """Withdraw an order; one that is gone already is fine."""
        self._exchange.house_cancel(self.symbol, house_id)

    def resize(self, house_id: int, lots: int) -> None:
        """Change an order's size in place."""
        self._exchange.house_resize(self.symbol, house_id, lots)

    def lots_left(self, house_id: int) -> int:
        """Return what is left of an order, 0 when gone."""
        return self._exchange.house_lots(self.symbol, house_id)

    def take(self, side: Side, lots: int, limit_ticks: int) -> None:
        """Hit the book up to ``limit_ticks``."""
        filled = self._exchange.house_market(
            self.symbol, side, lots, now_ms=self.now_ms, limit_ticks=limit_ticks
        )
        quote = filled * self.lot * limit_ticks * self.tick
        self.signed_quote += side.sign * quote
        self.traded_quote += quote
