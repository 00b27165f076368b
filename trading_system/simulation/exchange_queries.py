"""What can be asked of an exchange; nothing here changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

from trading_system.domain.orders import Side
from trading_system.simulation.accounts.account import Account
from trading_system.simulation.accounts.holdings import Holding
from trading_system.simulation.accounts.views import position_view, wallet_view
from trading_system.simulation.contracts import Contract
from trading_system.simulation.matching.book import MatchingBook
from trading_system.simulation.records import (
    ClosedPnlRecord,
    DcpProduct,
    ExecutionRecord,
    LedgerEntry,
    OrderRecord,
    PositionView,
    PublicTrade,
    WalletView,
)


class ExchangeQueries:
    """Answers about books, prices and accounts; ``KeyError`` for unknown ones.

    Parameters
    ----------
    contracts : Mapping of str to Contract
        By listing key.
    accounts : Mapping of int to Account
        By account id.
    """

    def __init__(self, contracts: Mapping[str, Contract], accounts: Mapping[int, Account]) -> None:
        self._contracts = contracts
        self._accounts = accounts

    def book(self, symbol: str) -> MatchingBook:
        """Return the book of a contract; only the exchange may change it."""
        return self._contracts[symbol].book

    def find_order(
        self, account_id: int, *, order_id: str = "", link_id: str = ""
    ) -> OrderRecord | None:
        """Return an open or remembered closed order; ``order_id`` wins over ``link_id``."""
        return self._accounts[account_id].find(order_id, link_id)

    def open_orders(self, account_id: int, symbol: str | None = None) -> list[OrderRecord]:
        """Return resting orders, newest first."""
        orders = reversed(self._accounts[account_id].orders.values())
        return [live.record for live in orders if symbol is None or live.record.symbol == symbol]

    def stop_orders(self, account_id: int, symbol: str | None = None) -> list[OrderRecord]:
        """Return untriggered stops, newest first."""
        stops = reversed(self._accounts[account_id].stops.values())
        return [live.record for live in stops if symbol is None or live.record.symbol == symbol]

    def closed_orders(self, account_id: int) -> Sequence[OrderRecord]:
        """Return the newest 10,000 final orders, oldest first."""
        return self._accounts[account_id].histories.orders.oldest_first()

    def executions(self, account_id: int) -> Sequence[ExecutionRecord]:
        """Return the newest 10,000 fills and funding settlements, oldest first."""
        return list(self._accounts[account_id].histories.executions)

    def closed_pnls(self, account_id: int) -> Sequence[ClosedPnlRecord]:
        """Return one record per order that reduced a position, oldest change first."""
        return self._accounts[account_id].histories.closed_pnls()

    def ledger(self, account_id: int) -> Sequence[LedgerEntry]:
        """Return the newest 10,000 wallet changes, oldest first."""
        return list(self._accounts[account_id].histories.ledger)

    def position(self, account_id: int, symbol: str, position_idx: int = 0) -> PositionView:
        """Return a snapshot of a position, flat or not."""
        return position_view(self._accounts[account_id], self._contracts[symbol], position_idx)

    def positions(self, account_id: int, symbol: str) -> list[PositionView]:
        """Return the position of a one-way contract, both sides of a hedged one, flat or not."""
        account, contract = self._accounts[account_id], self._contracts[symbol]
        return [
            position_view(account, contract, index) for index in account.modes.indices(contract)
        ]

    def wallet(self, account_id: int) -> WalletView:
        """Return a snapshot of a wallet."""
        return wallet_view(self._accounts[account_id])

    def fee_rates(self, account_id: int, symbol: str) -> tuple[Decimal, Decimal]:
        """Return (taker, maker) rates as shares of the traded value."""
        account = self._accounts[account_id]
        stake = account.stake(self._contracts[symbol])
        maker_rate = stake.maker_rate if isinstance(stake, Holding) else account.maker_rate
        return stake.taker_rate, maker_rate

    def disconnect_windows_s(self, account_id: int) -> Mapping[DcpProduct, int]:
        """Return the windows that are set, seconds."""
        return MappingProxyType(self._accounts[account_id].dcp_windows_s)

    def mark_price(self, symbol: str) -> Decimal:
        """Return the mark price, 0 before the first reference."""
        return self._contracts[symbol].mark

    def index_price(self, symbol: str) -> Decimal:
        """Return the index price, 0 before the first reference."""
        return self._contracts[symbol].index

    def last_price(self, symbol: str) -> Decimal | None:
        """Return the price of the last public trade."""
        contract = self._contracts[symbol]
        last = contract.last_ticks
        return None if last is None else contract.instrument.ticks_to_price(last)

    def price_limits(self, symbol: str) -> tuple[int, int]:
        """Return the highest buy and the lowest sell price of orders now, ticks."""
        contract = self._contracts[symbol]
        return contract.band_ticks(Side.BUY), contract.band_ticks(Side.SELL)

    def public_trades(self, symbol: str) -> Sequence[PublicTrade]:
        """Return the newest 1,000 public trades, newest last."""
        return list(self._contracts[symbol].trades)
