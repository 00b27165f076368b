"""The venue's market read as OKX rows: what REST answers and streams push alike."""

from __future__ import annotations

from collections.abc import Callable

from trading_system.domain.orders import Side
from trading_system.simulation.okx_server.contracts import SwapContract, swaps
from trading_system.simulation.okx_server.figures import DayFigures
from trading_system.simulation.okx_server.rows import (
    Row,
    funding_row,
    index_row,
    instrument_row,
    mark_price_row,
    open_interest_row,
    price_limit_row,
    ticker_row,
)
from trading_system.simulation.okx_server.trade_log import TradeLog
from trading_system.simulation.venue import SimulatedVenue

RowOf = Callable[[SwapContract, int], Row]
"""A row of a contract at a time, UTC ms."""


class OkxMarket:
    """Contracts of a venue, their rows and their trades.

    Attributes
    ----------
    contracts : dict of str to SwapContract
        By ``instId``.
    by_index, by_symbol : dict of str to SwapContract
        By the name of the index (``BTC-USDT``), and by the venue's symbol.
    logs : dict of str to TradeLog
        Trades by the venue's symbol, since the start.
    """

    def __init__(self, venue: SimulatedVenue) -> None:
        self.venue = venue
        self._exchange = venue.exchange
        self._statistics = venue.statistics
        self._days = DayFigures(venue.statistics)
        self.contracts = swaps(self._exchange.instruments.values())
        self.by_index = {each.family: each for each in self.contracts.values()}
        self.by_symbol = {each.symbol: each for each in self.contracts.values()}
        self.logs = {symbol: TradeLog() for symbol in self.by_symbol}
        for symbol, log in self.logs.items():
            log.add(self._exchange.public_trades(symbol))

    def instrument(self, contract: SwapContract, now_ms: int) -> Row:
        """Return the instrument's row."""
        del now_ms
        return instrument_row(contract)

    def ticker(self, contract: SwapContract, now_ms: int) -> Row:
        """Return the ticker."""
        view = self._statistics.ticker(contract.symbol)
        return ticker_row(
            view,
            contract,
            openings=self._days.openings(contract.symbol, fallback=view.last_price),
            last_lots=self.logs[contract.symbol].last_lots,
            now_ms=now_ms,
        )

    def mark_price(self, contract: SwapContract, now_ms: int) -> Row:
        """Return the mark price."""
        return mark_price_row(self._statistics.ticker(contract.symbol), contract, now_ms=now_ms)

    def index(self, contract: SwapContract, now_ms: int) -> Row:
        """Return the ticker of the contract's index."""
        price = self._exchange.index_price(contract.symbol)
        day = self._days.index_day(contract.symbol, now_price=price)
        return index_row(price, day, contract, now_ms=now_ms)

    def funding_rate(self, contract: SwapContract, now_ms: int) -> Row:
        """Return the coming funding."""
        return funding_row(self._statistics.ticker(contract.symbol), contract, now_ms=now_ms)

    def open_interest(self, contract: SwapContract, now_ms: int) -> Row:
        """Return the open interest."""
        return open_interest_row(self._statistics.ticker(contract.symbol), contract, now_ms=now_ms)

    def price_limit(self, contract: SwapContract, now_ms: int) -> Row:
        """Return the band that the matching engine keeps limit orders in."""
        listed = self._exchange.parts.contracts[contract.symbol]
        return price_limit_row(
            contract,
            buy_ticks=listed.band_ticks(Side.BUY),
            sell_ticks=listed.band_ticks(Side.SELL),
            now_ms=now_ms,
        )
